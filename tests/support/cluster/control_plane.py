"""A real Kubernetes control plane without nodes: etcd, kube-apiserver and kube-controller-manager of a folder (KUBEBUILDER_ASSETS).

In place of nodes, a thread writes the status of each pod as `kubelet` says, and serves the pods' logs to the API server.
"""

from __future__ import annotations

import contextlib
import json
import re
import ssl
import subprocess
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple, Self

import httpx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support.cluster.kinds import CRDS
from tests.support.cluster.kubelet import Kubelet, Object
from tests.support.kube_apiserver import free_ports, kubeconfig

ADMIN, CONTROLLERS, NODE = "admin-token", "controllers-token", "node-token"
USERS = f"{ADMIN},admin,1,system:masters\n{CONTROLLERS},controllers,2,system:masters\n{NODE},node,3,system:masters\n"
METHODS = {"create": "POST", "update": "PUT", "patch": "PATCH", "delete": "DELETE", "deletecollection": "DELETE"}
# What the controllers and the node ask is nobody's request.
AUDIT = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [
        {"level": "None", "users": ["controllers", "node", "system:apiserver"]},
        {"level": "None", "userGroups": ["system:unauthenticated"]},
        {"level": "Request"},
    ],
}


class Asked(NamedTuple):
    """A request that an API server got."""

    method: str
    path: str
    agent: str  # the User-Agent
    body: Any


class ControlPlane:
    """`url`, `token` of an administrator, `client` with both, `kubelet` to say what becomes of pods, `requests` as they came."""

    def __init__(self, assets: Path, openshift: bool = True) -> None:
        missing = [name for name in ("etcd", "kube-apiserver", "kube-controller-manager") if not (assets / name).exists()]
        if missing:
            raise FileNotFoundError(f"KUBEBUILDER_ASSETS={assets} lacks {', '.join(missing)}; without them no pod would be made.")
        self.assets, self.openshift, self.token, self.kubelet = assets, openshift, ADMIN, Kubelet()

    def __enter__(self) -> Self:
        self._stack = contextlib.ExitStack()
        with contextlib.ExitStack() as starting:
            starting.push(self._stack)
            self.work = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
            self._start()
            starting.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def requests(self) -> list[Asked]:
        """Every request so far, but for the controllers' and the node's."""
        lines = (json.loads(line) for line in (self.work / "audit").read_text().splitlines())
        return [
            Asked(METHODS.get(each["verb"], "GET"), each["requestURI"], each.get("userAgent", ""), each.get("requestObject"))
            for each in lines
        ]

    def _start(self) -> None:
        etcd, peer, port, controllers, logs = free_ports(5)
        work, self.url = self.work, f"https://127.0.0.1:{port}"
        (work / "tokens.csv").write_text(USERS)
        (work / "audit.json").write_text(json.dumps(AUDIT))
        (work / "audit").touch()
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        (work / "sa.key").write_bytes(key.private_bytes(*pem))
        self._run(
            "etcd", f"--data-dir={work}/etcd", f"--listen-client-urls=http://127.0.0.1:{etcd}", "--unsafe-no-fsync",
            f"--advertise-client-urls=http://127.0.0.1:{etcd}", f"--listen-peer-urls=http://127.0.0.1:{peer}",
        )  # fmt: skip
        self._run(
            "kube-apiserver", f"--etcd-servers=http://127.0.0.1:{etcd}", "--bind-address=127.0.0.1", f"--secure-port={port}",
            f"--cert-dir={work}/certs", f"--token-auth-file={work}/tokens.csv", "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.0.0.0/16", "--endpoint-reconciler-type=none", "--kubelet-preferred-address-types=InternalIP",
            "--service-account-issuer=https://kubernetes.default.svc", f"--service-account-key-file={work}/sa.key",
            f"--service-account-signing-key-file={work}/sa.key", f"--audit-policy-file={work}/audit.json", f"--audit-log-path={work}/audit",
            "--audit-log-mode=blocking", "--audit-log-format=json",
        )  # fmt: skip
        self.client = self._client(ADMIN)
        self._wait("kube-apiserver is ready", lambda: self.client.get("/readyz").status_code == 200)
        version = re.search(r"\d+", self.client.get("/version").json()["minor"])
        old = ["--port=0"] if int(version[0]) < 24 else []  # else it would listen on all addresses without asking who calls
        self._run(
            "kube-controller-manager", f"--kubeconfig={kubeconfig(self.url, CONTROLLERS, work / 'controllers')}", "--leader-elect=false",
            "--bind-address=127.0.0.1", f"--secure-port={controllers}", f"--cert-dir={work}/certs-controllers", *old,
            f"--service-account-private-key-file={work}/sa.key", f"--root-ca-file={work}/certs/apiserver.crt",
            # nobody renews the node's lease
            "--controllers=*,-nodelifecycle,-nodeipam",
        )  # fmt: skip
        crds = [crd for crd in CRDS if (crd["spec"]["group"] == "traefik.io") is not self.openshift]
        for crd in crds:
            self.client.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", json=crd).raise_for_status()
        for crd in crds:
            spec = crd["spec"]
            path = f"/apis/{spec['group']}/{spec['versions'][0]['name']}/{spec['names']['plural']}"
            self._wait(f"{path} is served", lambda path=path: self.client.get(path).status_code == 200)
        self._serve_logs(logs)
        node = {"metadata": {"name": "node"}, "status": {"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}]}}
        node["status"]["daemonEndpoints"] = {"kubeletEndpoint": {"Port": logs}}
        self._client(NODE).post("/api/v1/nodes", json=node).raise_for_status()
        stop = threading.Event()
        thread = threading.Thread(target=self._be_a_node, args=(stop,), daemon=True)
        thread.start()
        self._stack.callback(thread.join)
        self._stack.callback(stop.set)
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        self._wait("the controllers work", lambda: self.client.get(account).status_code == 200)

    def _client(self, token: str) -> httpx.Client:
        headers = {"Authorization": f"Bearer {token}"}
        return self._stack.enter_context(httpx.Client(base_url=self.url, headers=headers, verify=False, trust_env=False, timeout=30))

    def _run(self, program: str, *arguments: str) -> None:
        log = self._stack.enter_context((self.work / f"{program}.log").open("w"))
        process = subprocess.Popen([self.assets / program, *arguments], stdout=log, stderr=subprocess.STDOUT)
        self._stack.callback(process.wait)
        self._stack.callback(process.terminate)

    def _wait(self, what: str, done: Any) -> None:
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if done():
                    return
            if time.monotonic() > deadline:
                logs = "".join(f"{log.name}:\n{log.read_text()[-1500:]}\n" for log in self.work.glob("*.log"))
                raise TimeoutError(f"Not after 60 s: {what}.\n{logs}")
            time.sleep(0.1)

    # --- the node

    def _be_a_node(self, stop: threading.Event) -> None:
        client = self._client(NODE)
        while not stop.wait(0.1):
            with contextlib.suppress(httpx.HTTPError):
                for pod in client.get("/api/v1/pods").json().get("items", []):
                    self._care_for(client, {"apiVersion": "v1", "kind": "Pod"} | pod)

    def _care_for(self, client: httpx.Client, pod: Object) -> None:
        namespace = f"/api/v1/namespaces/{pod['metadata']['namespace']}"
        path = f"{namespace}/pods/{pod['metadata']['name']}"
        if pod["metadata"].get("deletionTimestamp"):
            client.request("DELETE", path, json={"gracePeriodSeconds": 0})
        elif news := self.kubelet.news(pod):
            status, events = news
            if status["conditions"][0]["status"] == "True" and "nodeName" not in pod["spec"]:
                node = {"kind": "Node", "name": "node"}
                client.post(f"{path}/binding", json={"metadata": {"name": pod["metadata"]["name"]}, "target": node})
            client.patch(f"{path}/status", json={"status": status}, headers={"Content-Type": "application/merge-patch+json"})
            for each in events:
                client.post(f"{namespace}/events", json=each)

    def _serve_logs(self, port: int) -> None:
        plane = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                _, namespace, pod, _ = self.path.partition("?")[0].strip("/").split("/")
                found = plane.client.get(f"/api/v1/namespaces/{namespace}/pods/{pod}").json()
                text = plane.kubelet.log(found, self.path).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.work / "certs/apiserver.crt", self.work / "certs/apiserver.key")
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self._stack.callback(server.server_close)
        self._stack.callback(server.shutdown)
