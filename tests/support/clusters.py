"""The cluster that the tests of the deployment run against, one of three that look alike:

1. the one of the kubeconfig TEST_KUBECONFIG, whose administrator we are;
2. a control plane without nodes from the folder KUBEBUILDER_ASSETS (tests/support/cluster/control_plane.py);
3. the stand-in (tests/support/cluster/stand_in.py).
"""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
import ssl
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.cluster.control_plane import Asked, ControlPlane
from tests.support.cluster.kubelet import Kubelet
from tests.support.cluster.stand_in import StandIn
from tests.support.kube_apiserver import kubeconfig

DOMAIN = "apps.example.test"
AGENT = "tests"  # our own requests are not counted
RBAC = "/apis/rbac.authorization.k8s.io/v1"


@dataclass
class Cluster:
    name: str  # stand-in, KUBEBUILDER_ASSETS or TEST_KUBECONFIG
    url: str
    kubeconfig: Path  # an administrator's
    folder: Path  # for more kubeconfigs
    client: httpx.Client = field(repr=False)  # an administrator, for reading past the code under test
    server: StandIn | ControlPlane | None = field(default=None, repr=False)

    @property
    def environment(self) -> dict[str, str]:
        """What Ansible needs to find the cluster, and to keep its cache of discovery apart from other clusters'."""
        return {"K8S_AUTH_KUBECONFIG": str(self.kubeconfig), "TMPDIR": str(self.folder)}

    @property
    def requests(self) -> list[Asked] | None:
        """All requests so far but ours; None where they can't be seen (TEST_KUBECONFIG)."""
        return None if self.server is None else [each for each in self.server.requests if not each.agent.startswith(AGENT)]

    @property
    def kubelet(self) -> Kubelet:
        """Says what becomes of pods: `cluster.kubelet.behave("litellm", "image_pull")`."""
        if self.server is None:
            pytest.skip("the nodes of TEST_KUBECONFIG do not fail on demand")
        return self.server.kubelet

    def get(self, path: str, **query: str) -> dict[str, Any] | None:
        """What is there; None when it is not."""
        answer = self.client.get(path, params=query)
        return None if answer.status_code == 404 else answer.raise_for_status().json()

    def has(self, kind: str, api_version: str | None = None) -> bool:
        """Whether the API has the kind, in that version when one is given."""
        groups = [each["preferredVersion"]["groupVersion"] for each in self.get("/apis")["groups"]]
        versions = [api_version] if api_version else ["v1", *groups]
        found = (self.get(f"/api/{each}" if "/" not in each else f"/apis/{each}") for each in versions)
        return any(resource["kind"] == kind for each in found if each for resource in each["resources"])

    def new_namespace(self) -> str:
        """A name that no namespace has yet."""
        return f"test-{secrets.token_hex(4)}"

    def create_namespace(self) -> str:
        name = self.new_namespace()
        self.client.post("/api/v1/namespaces", json={"metadata": {"name": name}}).raise_for_status()
        eventually(lambda: self.get(f"/api/v1/namespaces/{name}/serviceaccounts/default"), f"{name} has its service account")
        return name

    def remove_namespace(self, name: str) -> None:
        self.client.delete(f"/api/v1/namespaces/{name}")

    def deployer(self, *rules: dict[str, list[str]], namespace: str | None = None) -> Path:
        """The kubeconfig of a service account that may do just `rules`, in `namespace` or in the whole cluster."""
        name, home = f"deployer-{secrets.token_hex(4)}", "default"
        kind, place = ("Role", f"{RBAC}/namespaces/{namespace}/") if namespace else ("ClusterRole", f"{RBAC}/cluster")
        accounts = f"/api/v1/namespaces/{home}/serviceaccounts"
        subject = {"kind": "ServiceAccount", "name": name, "namespace": home}
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}
        self._post(accounts, {"metadata": {"name": name}})
        self._post(f"{place}roles", {"metadata": {"name": name}, "rules": list(rules)})
        self._post(f"{place}rolebindings", {"metadata": {"name": name}, "roleRef": role, "subjects": [subject]})
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        token = self._post(f"{accounts}/{name}/token", review)["status"]["token"]
        self.cleanup.append(
            lambda: [self.client.delete(path) for path in (f"{place}rolebindings/{name}", f"{place}roles/{name}", f"{accounts}/{name}")]
        )
        return kubeconfig(self.url, token, self.folder / f"{name}.json")

    cleanup: list[Any] = field(default_factory=list, repr=False)

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return self.client.post(path, json=body).raise_for_status().json()


@contextlib.contextmanager
def running(which: str | None = None, openshift: bool = True) -> Iterator[Cluster]:
    """The cluster that the environment chooses, or `which`."""
    which = which or next((name for name in ("TEST_KUBECONFIG", "KUBEBUILDER_ASSETS") if os.environ.get(name)), "stand-in")
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        path = Path(folder)
        if which == "TEST_KUBECONFIG":
            file = Path(os.environ[which])
            client = stack.enter_context(_client_of(file))
            cluster = Cluster(which, str(client.base_url).rstrip("/"), file, path, client)
        else:
            server = stack.enter_context(StandIn(openshift) if which == "stand-in" else ControlPlane(Path(os.environ[which]), openshift))
            file = kubeconfig(server.url, server.token, path / "kubeconfig")
            server.client.headers["User-Agent"] = AGENT
            cluster = Cluster(which, server.url, file, path, server.client, server)
            if openshift:
                _seed_openshift(cluster)
            _seed_storage(cluster)
        yield cluster
        for each in cluster.cleanup:
            each()


def _seed_openshift(cluster: Cluster) -> None:
    """What every OpenShift cluster has."""
    config = "config.openshift.io/v1"
    for plural, kind, name, spec, status in (
        ("ingresses", "Ingress", "cluster", {"domain": DOMAIN}, {}),
        ("infrastructures", "Infrastructure", "cluster", {}, {"platform": "AWS", "platformStatus": {"type": "AWS"}}),
        ("clusterversions", "ClusterVersion", "version", {}, {"desired": {"version": "4.16.10"}}),
    ):
        body = {"apiVersion": config, "kind": kind, "metadata": {"name": name}, "spec": spec}
        made = cluster.client.post(f"/apis/{config}/{plural}", json=body).raise_for_status().json()
        cluster.client.put(f"/apis/{config}/{plural}/{name}/status", json=made | {"status": status}).raise_for_status()


def _seed_storage(cluster: Cluster) -> None:
    classes = "/apis/storage.k8s.io/v1/storageclasses"
    annotations = {"storageclass.kubernetes.io/is-default-class": "true"}
    for name, marks in (("gp2-csi", {}), ("gp3-csi", annotations)):
        body = {
            "metadata": {"name": name, "annotations": marks},
            "provisioner": "ebs.csi.aws.com",
            "volumeBindingMode": "WaitForFirstConsumer",
        }
        cluster.client.post(classes, json=body).raise_for_status()


def _client_of(file: Path) -> httpx.Client:
    from kubernetes import client as kubernetes_client  # half a second, here only
    from kubernetes import config

    settings = kubernetes_client.Configuration()
    config.load_kube_config(str(file), client_configuration=settings)
    headers = {each["key"]: each["value"] for each in settings.auth_settings().values() if each["value"]}
    context = ssl.create_default_context(cafile=settings.ssl_ca_cert)
    if not settings.verify_ssl:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if settings.cert_file:
        context.load_cert_chain(settings.cert_file, settings.key_file)
    return httpx.Client(base_url=settings.host, headers={"User-Agent": AGENT, **headers}, verify=context, trust_env=False, timeout=30)


def eventually(found: Any, what: str, timeout: float = 20) -> Any:
    """The first true value of `found`, asked again and again."""
    deadline = time.monotonic() + timeout
    while not (value := found()):
        assert time.monotonic() < deadline, f"not after {timeout} s: {what}"
        time.sleep(0.05)
    return value


def decoded(secret: dict[str, Any]) -> dict[str, str]:
    return {key: base64.b64decode(value).decode() for key, value in secret.get("data", {}).items()}
