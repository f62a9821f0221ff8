"""get_pod_status against a Kubernetes API: a real one where KUBEBUILDER_ASSETS names one, and the recorded stand-in."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from litemaas_mcp.backends import cluster as cluster_module
from litemaas_mcp.backends.cluster import Cluster
from litemaas_mcp.errors import Failure, Unavailable
from litemaas_mcp.tools.pods import LIMIT, get_pod_status

from tests.support.kube_apiserver import ADMIN, NAMESPACE, PODS, READER, STRANGER, kube_apiserver, kubeconfig
from tests.support.server import free_port

STAND_IN = Path(__file__).parents[2] / "roles/litemaas_local/files/cluster.py"
ASSETS = os.environ.get("KUBEBUILDER_ASSETS")
pytestmark = pytest.mark.anyio


@contextlib.contextmanager
def stand_in():
    port = free_port()
    process = subprocess.Popen([sys.executable, STAND_IN, "--port", str(port)])
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.05)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            yield client
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module", params=["recorded", *(["real"] if ASSETS else [])])
def api(request):
    """The address of an API server that holds PODS."""
    with kube_apiserver(Path(ASSETS)) if request.param == "real" else stand_in() as client:
        yield str(client.base_url).rstrip("/")


@pytest.fixture
def cluster(api, tmp_path, monkeypatch):
    """Makes a Cluster for a token and a namespace, by way of KUBECONFIG."""

    def make(token: str = READER, namespace: str = NAMESPACE, server: str = api, timeout: float = 10) -> Cluster:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(server, token, tmp_path / "kubeconfig")))
        return Cluster(SimpleNamespace(namespace=namespace, litellm_timeout=timeout))

    return make


async def ask(cluster: Cluster):
    try:
        return await get_pod_status(SimpleNamespace(cluster=cluster))
    finally:
        await cluster.stop()


async def test_every_pod_is_reported_with_its_state(cluster):
    answer = await ask(cluster())
    found = {pod.name: pod for pod in answer.pods}
    assert set(found) == {name for name, *_ in PODS}
    for name, owner, _, phase, differs in PODS:
        pod = found[name]
        assert (pod.owner, pod.phase, pod.restarts) == (owner, phase, differs.get("restarts", 0))
        if "ended" in differs:
            hours, how = differs["ended"]
            # The recording ends when the stand-in starts, a moment ago.
            assert (datetime.now(UTC) - pod.last_restart_at).total_seconds() / 3600 == pytest.approx(hours, abs=0.1)
            assert pod.last_restart_reason == f"{how['reason']} (exit code {how['exitCode']})"
        else:
            assert pod.last_restart_at is None


async def test_a_pending_pod_is_not_ready_and_a_completed_one_is_no_fault(cluster):
    answer = await ask(cluster())
    pods = {pod.name: pod for pod in answer.pods}
    pending, crashing, completed = (pods[name] for name in (PODS[2][0], PODS[4][0], PODS[10][0]))
    assert (pending.ready, pending.reason) == (False, "Unschedulable")
    assert (crashing.ready, crashing.reason) == (False, "CrashLoopBackOff")
    assert (completed.ready, completed.reason) == (None, None)
    assert (answer.total, answer.ready, answer.not_ready, answer.completed) == (12, 9, 2, 1)
    assert answer.restarted_24h == 2


async def test_what_needs_attention_comes_first_and_the_text_says_so(cluster):
    answer = await ask(cluster())
    assert {pod.name for pod in answer.pods[:2]} == {PODS[2][0], PODS[4][0]}
    assert answer.pods[2].name == PODS[1][0], "then the latest restart"
    assert "9 ready, 2 not ready, 1 completed" in answer.text()
    assert "NOT READY (Unschedulable)" in answer.text()
    assert "UTC" in answer.text()


async def test_all_pages_are_read(cluster, monkeypatch):
    monkeypatch.setattr(cluster_module, "PAGE", 5)
    assert (await ask(cluster())).total == len(PODS)


async def test_five_hundred_pods_are_cut_and_the_counts_are_over_all(cluster, monkeypatch):
    subject = cluster()
    twelve = await subject.pods()
    monkeypatch.setattr(subject, "pods", lambda: _soon(twelve * 42))
    answer = await ask(subject)
    assert (answer.total, answer.not_ready, len(answer.pods), answer.truncated) == (504, 84, LIMIT, True)
    assert all(pod.ready is False for pod in answer.pods[:84])
    assert f"{LIMIT} of 504 pods are shown" in answer.text()


async def _soon(value):
    return value


async def test_a_namespace_without_pods_says_so(cluster):
    answer = await ask(cluster(ADMIN, namespace="default"))
    assert answer.total == 0
    assert "check NAMESPACE" in answer.text()


@pytest.mark.parametrize("token", [STRANGER, "wrong"])
async def test_credentials_that_may_not_list_pods_are_named_with_the_remedy(cluster, token):
    with pytest.raises(Failure, match=r"may not list pods in namespace litemaas: .*Role"):
        await ask(cluster(token))


async def test_no_credentials_at_all_is_a_clear_error(cluster, monkeypatch):
    subject = cluster()
    monkeypatch.delenv("KUBECONFIG")
    with pytest.raises(Failure, match="set KUBECONFIG"):
        await ask(subject)


async def test_a_kubeconfig_that_does_not_exist_is_named(cluster, monkeypatch):
    subject = cluster()
    monkeypatch.setenv("KUBECONFIG", "/nowhere/kubeconfig")
    with pytest.raises(Failure, match="KUBECONFIG can't be used"):
        await ask(subject)


async def test_a_kubeconfig_that_is_no_yaml_is_named_on_one_line(cluster, monkeypatch, tmp_path):
    subject = cluster()
    (tmp_path / "broken").write_text("a: [b\nc: d")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "broken"))
    with pytest.raises(Failure, match="KUBECONFIG can't be used") as caught:
        await ask(subject)
    assert "\n" not in str(caught.value)


async def test_an_api_server_that_is_away_is_unavailable(cluster):
    with pytest.raises(Unavailable, match="can't be reached"):
        await ask(cluster(server=f"http://127.0.0.1:{free_port()}"))


async def test_an_api_server_that_hangs_is_unavailable_in_time(cluster):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        with pytest.raises(Unavailable, match=r"within 0\.5 s"):
            await ask(cluster(server=f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.5))
        assert time.monotonic() - started < 5


if ASSETS:

    def test_the_stand_in_answers_as_the_real_server_does():
        def answers(client: httpx.Client) -> list:
            path = f"/api/v1/namespaces/{NAMESPACE}/pods"
            found = []
            for token, query in ((READER, {}), (READER, {"limit": 5}), (STRANGER, {}), ("wrong", {})):
                response = client.get(path, params=query, headers={"Authorization": f"Bearer {token}"})
                body = response.json()
                for pod in body.get("items", []):
                    assert pod["status"].pop("conditions")
                    pod["status"].pop("containerStatuses", None)
                    for volatile in ("creationTimestamp", "resourceVersion", "uid", "managedFields"):
                        pod["metadata"].pop(volatile, None)
                more = bool(body["metadata"].get("continue")), body["metadata"].get("remainingItemCount")
                found.append((response.status_code, body.get("items"), more, body.get("message"), body.get("reason")))
            return found

        with kube_apiserver(Path(ASSETS)) as real, stand_in() as recorded:
            assert answers(recorded) == answers(real)
