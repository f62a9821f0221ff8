"""A real Kubernetes API server (etcd and kube-apiserver from KUBEBUILDER_ASSETS), and the pods of a LiteMaaS in it.

`python tests/support/kube_apiserver.py` records what it answers into roles/litemaas_local/files/pods.json, from which the
stand-in (roles/litemaas_local/files/cluster.py) answers where there is no such server.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

NAMESPACE = "litemaas"
ADMIN, READER, STRANGER = "admin-token", "reader-token", "stranger-token"
RECORDING = Path(__file__).parents[2] / "roles/litemaas_local/files/pods.json"

RUNNING = {"ready": True, "started": True, "restartCount": 0, "state": {"running": {}}}
OOM = {"exitCode": 137, "reason": "OOMKilled"}
ERROR = {"exitCode": 1, "reason": "Error"}

# name, owner, age in hours, phase, then what differs from one container that runs well
PODS: list[tuple[str, str, float, str, dict]] = [
    ("litellm-6c9f7d5b8-2xkqp", "ReplicaSet/litellm-6c9f7d5b8", 212.4, "Running", {}),
    ("litellm-6c9f7d5b8-8wzjn", "ReplicaSet/litellm-6c9f7d5b8", 212.4, "Running", {"restarts": 1, "ended": (2.1, OOM)}),
    ("litellm-6c9f7d5b8-vn4tf", "ReplicaSet/litellm-6c9f7d5b8", 0.3, "Pending",
     {"unschedulable": "0/6 nodes are available: 6 Insufficient memory."}),
    ("litellm-backend-5d4b9c7f4-mq7lr", "ReplicaSet/litellm-backend-5d4b9c7f4", 98.0, "Running", {}),
    ("litellm-backend-79cf8bd6c-tx2sd", "ReplicaSet/litellm-backend-79cf8bd6c", 1.2, "Running",
     {"restarts": 14, "ended": (0.05, ERROR), "waiting": "CrashLoopBackOff"}),
    ("litellm-frontend-7b6d8f9c5-4hjkl", "ReplicaSet/litellm-frontend-7b6d8f9c5", 98.0, "Running", {}),
    ("litellm-frontend-7b6d8f9c5-9pqrs", "ReplicaSet/litellm-frontend-7b6d8f9c5", 98.0, "Running", {}),
    ("litellm-frontend-7b6d8f9c5-zt5wx", "ReplicaSet/litellm-frontend-7b6d8f9c5", 98.0, "Running", {}),
    ("litellm-postgres-0", "StatefulSet/litellm-postgres", 720.5, "Running",
     {"restarts": 2, "ended": (319.7, {"exitCode": 0, "reason": "Completed"})}),
    ("litellm-redis-0", "StatefulSet/litellm-redis", 720.5, "Running", {}),
    ("litemaas-key-cleanup-29384760-x7k2m", "Job/litemaas-key-cleanup-29384760", 5.9, "Succeeded", {}),
    ("litemaas-mcp-84c7f9b6d-6lmnv", "ReplicaSet/litemaas-mcp-84c7f9b6d", 40.0, "Running", {}),
]  # fmt: skip


@contextlib.contextmanager
def kube_apiserver(assets: Path) -> Iterator[httpx.Client]:
    """Run etcd and kube-apiserver from `assets` and yield an administrator's client; the server ends with the context.

    READER may get and list pods in NAMESPACE, STRANGER may do nothing. The CA is `verify` of the client.
    """
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        work = Path(folder)
        etcd, peer, port = free_ports(3)
        (work / "tokens.csv").write_text(f"{ADMIN},admin,1,system:masters\n{READER},reader,2\n{STRANGER},stranger,3\n")
        (work / "sa.key").write_bytes(
            rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
            )
        )
        for argv in (
            [assets / "etcd", "--data-dir", work / "etcd", f"--listen-client-urls=http://127.0.0.1:{etcd}",
             f"--advertise-client-urls=http://127.0.0.1:{etcd}", f"--listen-peer-urls=http://127.0.0.1:{peer}", "--unsafe-no-fsync"],
            [assets / "kube-apiserver", f"--etcd-servers=http://127.0.0.1:{etcd}", "--bind-address=127.0.0.1", f"--secure-port={port}",
             f"--cert-dir={work}/certs", f"--token-auth-file={work}/tokens.csv", "--authorization-mode=RBAC",
             # nobody makes the default service accounts here
             "--disable-admission-plugins=ServiceAccount", "--service-account-issuer=https://kubernetes.default.svc",
             f"--service-account-key-file={work}/sa.key", f"--service-account-signing-key-file={work}/sa.key"],
        ):  # fmt: skip
            process = subprocess.Popen(argv, stdout=(work / "log").open("a"), stderr=subprocess.STDOUT)
            stack.callback(process.wait)
            stack.callback(process.terminate)
        certificate = work / "certs/apiserver.crt"
        deadline = time.monotonic() + 60
        while not (certificate.exists() and _ready(port)):
            if time.monotonic() > deadline:
                raise RuntimeError(f"kube-apiserver is not ready:\n{(work / 'log').read_text()[-2000:]}")
            time.sleep(0.3)
        client = stack.enter_context(
            httpx.Client(base_url=f"https://127.0.0.1:{port}", headers={"Authorization": f"Bearer {ADMIN}"}, verify=False, trust_env=False)
        )
        _create_pods(client)
        yield client


def kubeconfig(server: str, token: str, path: Path) -> Path:
    """Write a kubeconfig for `server` and `token` and return its path."""
    cluster = {"server": server} | ({"insecure-skip-tls-verify": True} if server.startswith("https") else {})
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "test", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "current-context": "test",
    }
    path.write_text(json.dumps(document))
    return path


def _create_pods(client: httpx.Client) -> None:
    def post(path: str, body: dict) -> None:
        client.post(path, json=body).raise_for_status()

    post("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}"
    group = "rbac.authorization.k8s.io"
    post(f"{rbac}/roles", {"metadata": {"name": "pods"}, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]})
    post(
        f"{rbac}/rolebindings",
        {
            "metadata": {"name": "pods"},
            "roleRef": {"apiGroup": group, "kind": "Role", "name": "pods"},
            "subjects": [{"apiGroup": group, "kind": "User", "name": "reader"}],
        },
    )
    now = datetime.now(UTC)
    for name, owner, _, phase, differs in PODS:
        kind, _, owner_name = owner.partition("/")
        api = "batch/v1" if kind == "Job" else "apps/v1"
        reference = {
            "apiVersion": api,
            "kind": kind,
            "name": owner_name,
            "uid": str(uuid.uuid5(uuid.NAMESPACE_DNS, owner)),
            "controller": True,
        }
        app = owner_name.rsplit("-", 1)[0] if kind != "StatefulSet" else owner_name
        pods = f"/api/v1/namespaces/{NAMESPACE}/pods"
        post(
            pods,
            {
                "metadata": {"name": name, "labels": {"app": app}, "ownerReferences": [reference]},
                "spec": {"containers": [{"name": app, "image": f"example.test/{app}:1"}]},
            },
        )
        status = client.get(f"{pods}/{name}").raise_for_status().json()
        status["status"] = _status(app, phase, differs, now)
        client.put(f"{pods}/{name}/status", json=status).raise_for_status()


def _status(container: str, phase: str, differs: dict, now: datetime) -> dict:
    def stamp(hours_ago: float) -> str:
        return (now - timedelta(hours=hours_ago)).strftime("%Y-%m-%dT%H:%M:%SZ")

    if "unschedulable" in differs:
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": differs["unschedulable"]}
        return {"phase": phase, "conditions": [condition]}
    entry = RUNNING | {"name": container, "image": "i", "imageID": "", "restartCount": differs.get("restarts", 0)}
    if "ended" in differs:
        hours, how = differs["ended"]
        entry["lastState"] = {"terminated": how | {"finishedAt": stamp(hours), "startedAt": stamp(hours + 1)}}
    if "waiting" in differs:
        entry |= {"ready": False, "started": False, "state": {"waiting": {"reason": differs["waiting"]}}}
    if phase == "Succeeded":
        done = {"exitCode": 0, "reason": "Completed", "finishedAt": stamp(5.8), "startedAt": stamp(5.9)}
        entry |= {"ready": False, "started": False, "state": {"terminated": done}}
    ready = {"type": "Ready", "status": "True" if entry["ready"] else "False"}
    if not entry["ready"]:
        ready["reason"] = "PodCompleted" if phase == "Succeeded" else "ContainersNotReady"
    return {"phase": phase, "conditions": [{"type": "PodScheduled", "status": "True"}, ready], "containerStatuses": [entry]}


def _record(client: httpx.Client) -> dict:
    """What the server answers to the questions that ours asks; the ages, which the API server sets itself, as PODS has them."""
    path = f"/api/v1/namespaces/{NAMESPACE}/pods"
    listed = client.get(path).raise_for_status().json()
    now = datetime.now(UTC)
    ages = {pod[0]: pod[2] for pod in PODS}
    for item in listed["items"]:
        item["metadata"]["creationTimestamp"] = (now - timedelta(hours=ages[item["metadata"]["name"]])).strftime("%Y-%m-%dT%H:%M:%SZ")
        item["metadata"].pop("managedFields", None)

    def refusal(token: str) -> dict:
        return client.get(path, headers={"Authorization": f"Bearer {token}"}).json()

    version = client.get("/version").json()["gitVersion"]
    return {
        "recorded_at": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "kubernetes": version,
        "namespace": NAMESPACE,
        "tokens": {"admin": ADMIN, "reader": READER, "stranger": STRANGER},
        "list": listed,
        "forbidden": refusal(STRANGER),
        "unauthorized": refusal("wrong"),
    }


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]


def _ready(port: int) -> bool:
    try:
        headers = {"Authorization": f"Bearer {ADMIN}"}
        return httpx.get(f"https://127.0.0.1:{port}/readyz", headers=headers, verify=False, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


if __name__ == "__main__":
    if "KUBEBUILDER_ASSETS" not in os.environ:
        sys.exit("Set KUBEBUILDER_ASSETS to a folder with etcd and kube-apiserver.")
    with kube_apiserver(Path(os.environ["KUBEBUILDER_ASSETS"])) as real:
        RECORDING.write_text(json.dumps(_record(real), indent=1, sort_keys=True) + "\n")
