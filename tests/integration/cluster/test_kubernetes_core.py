"""kubernetes.core, as our roles use it, finds in the stand-in what it finds in a real API server: the same changes, the same requests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.ansible_run import Playbook
from tests.support.clusters import Cluster, eventually, running

REAL = [name for name in ("TEST_KUBECONFIG", "KUBEBUILDER_ASSETS") if os.environ.get(name)][:1]
# How many are made, and how many of them are patched again though nothing has changed.
OBJECTS, PATCHED = 13, 9


@pytest.fixture(scope="module", params=["stand-in", *REAL])
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    with running(request.param) as found:
        yield found


def objects(namespace: str) -> list[dict[str, Any]]:
    def one(api: str, kind: str, name: str = "app", **more: Any) -> dict[str, Any]:
        return {"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": namespace}} | more

    labels, rbac, claim = {"app": "app"}, "rbac.authorization.k8s.io", {"accessModes": ["ReadWriteOnce"]}
    container = {
        "name": "app",
        "image": "quay.io/example/app:latest",
        "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
        "env": [{"name": "EMPTY", "value": ""}, {"name": "P", "valueFrom": {"secretKeyRef": {"name": "app", "key": "password"}}}],
        "resources": {"requests": {"cpu": 0.1, "memory": "1024Mi"}, "limits": {"cpu": "1000m"}},
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http"}, "initialDelaySeconds": 0},
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp", "readOnly": False}],
    }
    pod = {"serviceAccountName": "app", "containers": [container], "volumes": [{"name": "tmp", "emptyDir": {}}]}
    workload = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}
    claims = [{"metadata": {"name": "data"}, "spec": claim | {"resources": {"requests": {"storage": "10Gi"}}}}]
    database = {"selector": {"matchLabels": {"app": "db"}}, "serviceName": "db", "volumeClaimTemplates": claims}
    database["template"] = {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [{"name": "db", "image": "example/db:1"}]}}
    job = {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "job", "image": "example:1"}]}}}
    peers = {"from": [{"podSelector": {}}], "ports": [{"port": 8080, "protocol": "TCP"}]}
    return [
        one("v1", "ServiceAccount"),
        one("v1", "Secret", stringData={"password": "swordfish"}),
        one("v1", "ConfigMap", data={"a": "b"}),
        one(f"{rbac}/v1", "Role", rules=[{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]),
        one(f"{rbac}/v1", "RoleBinding", roleRef={"apiGroup": rbac, "kind": "Role", "name": "app"},
            subjects=[{"kind": "ServiceAccount", "name": "app", "namespace": namespace}]),
        one("v1", "Service", spec={"selector": labels, "ports": [{"name": "http", "port": 8080, "targetPort": "http", "protocol": "TCP"}]}),
        one("v1", "PersistentVolumeClaim", spec=claim | {"resources": {"requests": {"storage": "1024Mi"}}}),
        one("networking.k8s.io/v1", "NetworkPolicy",
            spec={"podSelector": {"matchLabels": labels}, "policyTypes": ["Ingress"], "ingress": [peers]}),
        one("networking.k8s.io/v1", "Ingress", spec={"defaultBackend": {"service": {"name": "app", "port": {"name": "http"}}}}),
        one("apps/v1", "Deployment", spec={"replicas": 2, **workload}),
        one("apps/v1", "StatefulSet", "db", spec={"replicas": 1, **database}),
        one("batch/v1", "Job", "once", spec={"backoffLimit": 0, **job}),
        one("v1", "ResourceQuota", spec={"hard": {"services": "5"}}),
    ]  # fmt: skip


def task(module: str, **options: Any) -> dict[str, Any]:
    return {f"kubernetes.core.{module}": options}


def test_apply_wait_and_absent(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    things = objects(namespace)

    def play(*tasks: dict[str, Any], options: tuple[str, ...] = ()) -> tuple[int, list[str], str]:
        """How many tasks changed something, the methods of the requests for the objects, and what was said."""
        playbook = Playbook(tmp_path, list(tasks))
        playbook.environment |= cluster.environment
        before = len(cluster.requests or [])
        code, said = playbook.run(*options)
        assert code == 0, said
        asked = [each.method for each in (cluster.requests or [])[before:] if f"/namespaces/{namespace}/" in each.path]
        return said.count("\nchanged: "), asked, said

    apply = task("k8s", definition=things, apply=True)
    assert play(apply, options=("--check",))[0] == 1
    assert cluster.get(f"/api/v1/namespaces/{namespace}/secrets/app") is None
    wait = task("k8s_info", api_version="apps/v1", kind="Deployment", name="app", namespace=namespace, wait=True, wait_sleep=1,
                wait_timeout=20, wait_condition={"type": "Available", "status": "True"})  # fmt: skip
    changed, asked, _ = play(apply, wait)
    assert changed == 1
    assert cluster.requests is None or [asked.count("POST"), asked.count("PATCH")] == [OBJECTS, 0]
    # the second time: nothing changes, though kubernetes.core patches what the API server has written otherwise
    before = cluster.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/app")
    changed, asked, _ = play(apply)
    assert changed == 0
    assert cluster.requests is None or [asked.count("POST"), asked.count("PATCH")] == [0, PATCHED]
    after = cluster.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/app")
    assert after["metadata"]["generation"] == before["metadata"]["generation"] == 1
    # drift is seen, shown, and repaired
    service = f"/api/v1/namespaces/{namespace}/services/app"
    patch = {"Content-Type": "application/merge-patch+json"}
    cluster.client.patch(service, json={"spec": {"selector": {"app": "drifted"}}}, headers=patch).raise_for_status()
    # (of a list of definitions kubernetes.core shows no difference)
    one = task("k8s", definition=next(each for each in things if each["kind"] == "Service"), apply=True)
    changed, _, said = play(one, options=("--check", "--diff"))
    assert changed == 1
    assert "drifted" in said
    assert cluster.get(service)["spec"]["selector"] == {"app": "drifted"}
    assert play(one)[0] == 1
    assert cluster.get(service)["spec"]["selector"] == {"app": "app"}
    # and gone
    absent = task("k8s", definition=things[::-1], state="absent")
    assert play(absent)[0] == 1
    left = f"/api/v1/namespaces/{namespace}/pods"  # a Job leaves its pods
    eventually(lambda: [each["metadata"]["generateName"] for each in cluster.get(left)["items"]] == ["once-"], "the pods are gone")
    assert play(absent)[0] == 0


def test_server_side_apply_is_done_once(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    # what is stored in other words than those applied is news each time, see test_stand_in.py
    plain = ("ConfigMap", "Role", "RoleBinding", "Service", "NetworkPolicy", "Ingress")
    things = [each for each in objects(namespace) if each["kind"] in plain]
    apply = task("k8s", definition=things, apply=True, server_side_apply={"field_manager": "litemaas"})
    for changed in (1, 0):
        playbook = Playbook(tmp_path, [apply])
        playbook.environment |= cluster.environment
        code, said = playbook.run()
        assert (code, said.count("\nchanged: ")) == (0, changed), said
    owners = cluster.get(f"/api/v1/namespaces/{namespace}/services/app")["metadata"]["managedFields"]
    assert [each["manager"] for each in owners if each["operation"] == "Apply"] == ["litemaas"]
