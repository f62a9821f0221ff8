"""The module k8s_rollout: what it heals, and what it says of what it can't."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.rhpds.litemaas.plugins.modules import k8s_rollout

from tests.integration.cluster.conversation import template
from tests.support.ansible_run import Playbook
from tests.support.clusters import Cluster, eventually

PATCH = {"Content-Type": "application/strategic-merge-patch+json"}


def make(cluster: Cluster, namespace: str, plural: str, image: str, name: str = "db", **more: Any) -> str:
    """Make a Deployment or StatefulSet, and return its path."""
    path = f"/apis/apps/v1/namespaces/{namespace}/{plural}"
    container = {"name": "main", "image": image, "livenessProbe": {"httpGet": {"path": "/livez", "port": 80}}}
    labels = {"app": name}
    spec = {"selector": {"matchLabels": labels}, "template": template(container) | {"metadata": {"labels": labels}}}
    cluster.client.post(path, json={"metadata": {"name": name}, "spec": spec | more}).raise_for_status()
    return f"{path}/{name}"


def take(cluster: Cluster, path: str, image: str) -> None:
    """Give it another image."""
    spec = {"template": {"spec": {"containers": [{"name": "main", "image": image}]}}}
    cluster.client.patch(path, json={"spec": spec}, headers=PATCH).raise_for_status()


def rollout(cluster: Cluster, namespace: str, folder: Path, *workloads: str, kubeconfig: Path | None = None) -> tuple[int, int, str]:
    """Run the module; return how it ended, how many tasks changed something, and what was said."""
    options = {"namespace": namespace, "workloads": workloads, "timeout": 15, "patience": 0}
    playbook = Playbook(folder, [{"rhpds.litemaas.k8s_rollout": options}])
    playbook.environment |= cluster.environment | ({"K8S_AUTH_KUBECONFIG": str(kubeconfig)} if kubeconfig else {})
    code, said = playbook.run("-v")
    return code, int(re.search(r"changed=(\d+)", said)[1]), " ".join(said.replace("\\", "").split())


@contextlib.contextmanager
def later(does: Callable[[], Any]) -> Iterator[None]:
    """Some seconds after the module has begun to wait, this happens."""
    timer = threading.Timer(5, does)
    timer.start()
    yield
    timer.join()


def hangs(cluster: Cluster, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/pods"
    eventually(lambda: any(each["status"].get("containerStatuses") for each in cluster.get(path)["items"]), "its pod hangs")


def test_a_stateful_sets_pod_that_hangs_gives_way_to_its_correction(cluster: Cluster, namespace: str, tmp_path: Path):
    cluster.kubelet.behave("example/bad", "image_pull")
    path = make(cluster, namespace, "statefulsets", "example/bad:1", serviceName="db")
    hangs(cluster, namespace)
    code, _, said = rollout(cluster, namespace, tmp_path, "StatefulSet/db")
    assert code != 0
    assert "the image can't be pulled (example/bad:1)" in said

    take(cluster, path, "example/good:1")
    reads = {"apiGroups": ["", "apps"], "resources": ["*"], "verbs": ["get", "list"]}
    code, _, said = rollout(cluster, namespace, tmp_path, "StatefulSet/db", kubeconfig=cluster.deployer(reads, namespace=namespace))
    assert code != 0
    assert f"Delete it: oc delete pod -n {namespace} db-0. Here that is refused:" in said
    assert 'cannot delete resource "pods"' in said

    assert rollout(cluster, namespace, tmp_path, "StatefulSet/db")[:2] == (0, 1)
    assert rollout(cluster, namespace, tmp_path, "StatefulSet/db")[:2] == (0, 0)


@pytest.mark.parametrize(
    ("how", "lacks"),
    [
        ("no_livez", "it answers /livez, at which it is asked whether it lives, with 404"),
        ("no_command", "it has no such command as it is started with"),
    ],
)
def test_an_image_older_than_the_collection_is_named_as_such(cluster: Cluster, namespace: str, tmp_path: Path, how: str, lacks: str):
    cluster.kubelet.behave("example/old", how)
    path = make(cluster, namespace, "deployments", "example/old:1")
    hangs(cluster, namespace)
    code, _, said = rollout(cluster, namespace, tmp_path, "Deployment/db")
    assert code != 0
    assert f"the image is older than this collection (example/old:1): {lacks}. Name a newer one." in said
    assert "crashes again" not in said.partition("Last events")[0]

    # The old one's pods are still there while the new one's come, and are not taken for theirs.
    cluster.kubelet.behave("example/new", after=3)
    take(cluster, path, "example/new:1")
    assert rollout(cluster, namespace, tmp_path, "Deployment/db")[0] == 0


def test_a_crash_is_still_a_crash(cluster: Cluster, namespace: str, tmp_path: Path):
    cluster.kubelet.behave("example/bad", "crash", log="no such table\n")
    make(cluster, namespace, "deployments", "example/bad:1")
    hangs(cluster, namespace)
    said = rollout(cluster, namespace, tmp_path, "Deployment/db")[2]
    assert "the container crashes again and again (example/bad:1)" in said
    assert "older than this collection" not in said
    assert "no such table" in said


def test_time_heals_what_no_node_takes_a_quota_forbids_or_missed_a_deadline(cluster: Cluster, namespace: str, tmp_path: Path):
    cluster.kubelet.behave("example/big", "unschedulable")
    make(cluster, namespace, "deployments", "example/big:1", "big")
    cluster.kubelet.behave("example/slow", "never_ready")
    slow = make(cluster, namespace, "deployments", "example/slow:1", "slow", progressDeadlineSeconds=1)
    quotas = f"/api/v1/namespaces/{namespace}/resourcequotas"
    cluster.client.post(quotas, json={"metadata": {"name": "few"}, "spec": {"hard": {"pods": "2"}}}).raise_for_status()
    eventually(lambda: (cluster.get(f"{quotas}/few") or {}).get("status", {}).get("used"), "the quota counts")
    eventually(lambda: "ProgressDeadlineExceeded" in str(cluster.get(slow)["status"]), "its deadline has passed")
    make(cluster, namespace, "deployments", "example/third:1", "third")
    eventually(lambda: "exceeded quota" in str(cluster.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/third")["status"]), "refused")

    def heal() -> None:
        cluster.client.delete(f"{quotas}/few").raise_for_status()
        cluster.kubelet.behave("example/big")
        cluster.kubelet.behave("example/slow")

    with later(heal):
        code, _, said = rollout(cluster, namespace, tmp_path, "Deployment/big", "Deployment/slow", "Deployment/third")
    assert code == 0, said


def test_crashes_do_not_count_while_what_is_named_before_is_not_up(cluster: Cluster, namespace: str, tmp_path: Path):
    cluster.kubelet.behave("example/db", "never_ready")
    make(cluster, namespace, "statefulsets", "example/db:1", serviceName="db")
    cluster.kubelet.behave("example/app", "crash")
    make(cluster, namespace, "deployments", "example/app:1", "app")
    workloads = ("StatefulSet/db", "Deployment/app")
    said = rollout(cluster, namespace, tmp_path, *workloads)[2]
    assert "StatefulSet/db is not rolled out after 15 s" in said
    with later(lambda: [cluster.kubelet.behave(f"example/{each}") for each in ("db", "app")]):
        code, _, said = rollout(cluster, namespace, tmp_path, *workloads)
    assert code == 0, said
    cluster.kubelet.behave("example/app", "crash")
    eventually(lambda: "CrashLoopBackOff" in str(cluster.get(f"/api/v1/namespaces/{namespace}/pods")), "it crashes")
    assert "Deployment/app is not rolled out and will not be" in rollout(cluster, namespace, tmp_path, *workloads)[2]


@pytest.mark.parametrize("reason", ["PostStartHookError", "CreateContainerConfigError"])
def test_a_container_that_can_not_be_started_is_in_trouble(reason: str):
    waiting = {"name": "main", "state": {"waiting": {"reason": reason, "message": "why"}}}
    found = k8s_rollout._ills({"metadata": {"name": "db-0"}, "status": {"containerStatuses": [waiting]}})
    assert k8s_rollout.UNHEALTHY[reason] in found[reason]
