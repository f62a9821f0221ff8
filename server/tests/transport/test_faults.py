"""Backends that are down, hung, slow or crowded: what callers and probes are told, and what comes back by itself."""

from __future__ import annotations

import http.client
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import pytest

from tests.support.mcp_http import MODERN, RawClient, request_parts
from tests.support.tcp_proxy import TcpProxy

from .conftest import TOKEN, address

REVISIONS = ["2025-11-25", MODERN]
SPEND = "LiteLLM_DailyUserSpend"


def eventually(condition, seconds: float, what: str) -> float:
    """Wait for a condition; the seconds it took."""
    started = time.perf_counter()
    while not condition():
        assert time.perf_counter() - started < seconds, f"not within {seconds} s: {what}"
        time.sleep(0.01)
    return time.perf_counter() - started


def ask_and_leave(server, revision: str) -> http.client.HTTPConnection:
    """Send a question about spend on a connection of its own and don't wait; closing the connection is leaving."""
    headers, body = request_parts("tools/call", {"name": "get_daily_stats", "arguments": {}}, revision)
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request("POST", "/mcp", body, {**headers, "Authorization": f"Bearer {TOKEN}"})
    return connection


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_client_that_leaves_cancels_its_query_within_a_second(server, locked, revision):
    with locked(SPEND) as lock:
        connection = ask_and_leave(server, revision)
        eventually(lambda: lock.waiting() == 1, 5, "the query has begun")
        connection.close()
        eventually(lambda: lock.waiting() == 0, 1, "the query is cancelled in PostgreSQL")


@pytest.mark.parametrize("revision", REVISIONS)
def test_clients_that_leave_give_every_connection_back(server, client, locked, revision):
    client.revision = revision
    for _ in range(3):
        with locked(SPEND) as lock:
            # One after another more than the pool is large.
            for _ in range(7):
                connection = ask_and_leave(server, revision)
                eventually(lambda: lock.waiting() == 1, 5, "the query has begun")
                connection.close()
                eventually(lambda: lock.waiting() == 0, 1, "the query is cancelled")
    started = time.perf_counter()
    assert not client.call("get_daily_stats").get("isError")
    assert time.perf_counter() - started < 2


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_slow_query_ends_as_a_clear_error_at_its_deadline_and_harms_no_other_call(start, locked, revision):
    server = start(DATABASE_TIMEOUT="1.5")
    server.wait_for("/health")
    with RawClient(server.url, TOKEN, revision=revision) as client, locked(SPEND), ThreadPoolExecutor(4) as pool:
        started = time.perf_counter()
        slow = [pool.submit(RawClient(server.url, TOKEN, revision=revision).error_of, "get_daily_stats") for _ in range(4)]
        for tool in "list_users", "list_virtual_keys", "list_models":
            asked = time.perf_counter()
            assert not client.call(tool).get("isError")
            assert time.perf_counter() - asked < 1
        for call in slow:
            text = call.result(10)
            assert "1.5 s" in text
            assert "database" in text.lower()
        assert 1.4 < time.perf_counter() - started < 4


def test_a_whole_call_ends_at_the_tools_deadline(start, locked):
    server = start(TOOL_TIMEOUT="1")
    server.wait_for("/health")
    with RawClient(server.url, TOKEN) as client, locked(SPEND) as lock:
        assert "1 s" in client.error_of("get_daily_stats")
        eventually(lambda: lock.waiting() == 0, 1, "the query is cancelled")


def test_a_hung_database_gives_clear_errors_and_harms_no_other_tool(start, far_backends, database_proxy):
    server = start(**far_backends, DATABASE_TIMEOUT="1.5")
    server.wait_for("/health")
    with RawClient(server.url, TOKEN) as client:
        assert not client.call("get_daily_stats").get("isError")
        database_proxy.hang()
        started = time.perf_counter()
        assert "database" in client.error_of("get_daily_stats").lower()
        assert time.perf_counter() - started < 5
        assert not client.call("list_models").get("isError")
        server.wait_for("/health", 503)
        assert client.get("/health").json() == {"status": "degraded", "database": False, "litellm": True}
        assert (client.get("/livez").status_code, client.get("/readyz").status_code) == (200, 200)
        database_proxy.heal()
        server.wait_for("/health", 200)
        assert not client.call("get_daily_stats").get("isError")


def test_a_hung_litellm_gives_clear_errors_and_harms_no_other_tool(start, far_backends, litellm_proxy):
    server = start(**far_backends, LITELLM_TIMEOUT="1.5")
    server.wait_for("/health")
    with RawClient(server.url, TOKEN) as client:
        litellm_proxy.hang()
        started = time.perf_counter()
        assert "LiteLLM" in client.error_of("list_models")
        assert time.perf_counter() - started < 5
        assert not client.call("get_daily_stats").get("isError")
        server.wait_for("/health", 503)
        assert client.get("/health").json() == {"status": "degraded", "database": True, "litellm": False}
        litellm_proxy.heal()
        server.wait_for("/health", 200)
        assert not client.call("list_models").get("isError")


def test_a_hung_kubernetes_gives_a_clear_error_and_harms_no_other_tool(start, stack, tmp_path):
    kubeconfig = Path(stack.kubeconfig).read_text()
    url = re.search(r"http://127\.0\.0\.1:\d+", kubeconfig)[0]
    with TcpProxy(*address(url)) as proxy:
        (tmp_path / "kubeconfig").write_text(kubeconfig.replace(url, f"http://127.0.0.1:{proxy.port}"))
        server = start(KUBECONFIG=str(tmp_path / "kubeconfig"), LITELLM_TIMEOUT="1.5")
        server.wait_for("/health")
        with RawClient(server.url, TOKEN) as client:
            assert not client.call("get_pod_status").get("isError")
            proxy.hang()
            started = time.perf_counter()
            assert "Kubernetes" in client.error_of("get_pod_status")
            assert time.perf_counter() - started < 5
            assert not client.call("get_daily_stats").get("isError")
            proxy.heal()
            assert not client.call("get_pod_status").get("isError")


def test_a_crowd_beyond_the_connections_is_told_busy_and_everything_recovers(start, locked):
    server = start(DATABASE_TIMEOUT="8")
    server.wait_for("/health")
    finished, probes, stop = [], [], threading.Event()

    def ask() -> None:
        started = time.perf_counter()
        with RawClient(server.url, TOKEN) as client:
            finished.append((client.error_of("get_daily_stats"), time.perf_counter() - started))

    def probe() -> None:
        with RawClient(server.url) as client:
            while not stop.wait(0.05):
                started = time.perf_counter()
                statuses = [client.get(path).status_code for path in ("/livez", "/readyz", "/health")]
                probes.append((statuses, (time.perf_counter() - started) / 3))

    with locked(SPEND) as lock, ThreadPoolExecutor(61) as pool:
        calls = [pool.submit(ask) for _ in range(60)]
        eventually(lambda: lock.waiting() > 0, 5, "the queries have begun")
        probing = pool.submit(probe)
        for call in calls:
            call.result(30)
        stop.set()
        probing.result(10)
    busy = [(text, seconds) for text, seconds in finished if "busy" in text]
    assert len(busy) >= 40
    assert max(seconds for _, seconds in busy) < 6
    assert all(statuses == [200, 200, 200] for statuses, _ in probes)
    assert median(seconds for _, seconds in probes) < 0.05
    with ThreadPoolExecutor(10) as pool:
        for result in pool.map(lambda _: RawClient(server.url, TOKEN).call("get_daily_stats"), range(20)):
            assert not result.get("isError")


def test_a_start_without_any_backend_is_alive_not_ready_and_heals(start, far_backends, database_proxy, litellm_proxy):
    database_proxy.cut()
    litellm_proxy.cut()
    server = start(**far_backends)
    server.wait_for("/livez")
    with RawClient(server.url, TOKEN) as client:
        assert (client.get("/livez").status_code, client.get("/readyz").status_code) == (200, 503)
        assert client.get("/health").status_code == 503
        assert client.get("/health").json() == {"status": "degraded", "database": False, "litellm": False}
        assert len(client.result("tools/list")["tools"]) == 8
        assert "database" in client.error_of("get_daily_stats").lower()
        assert "LiteLLM" in client.error_of("list_models")
        litellm_proxy.heal()
        server.wait_for("/readyz")
        assert client.get("/health").json() == {"status": "degraded", "database": False, "litellm": True}
        assert not client.call("list_models").get("isError")
        database_proxy.heal()
        server.wait_for("/health")
        assert not client.call("get_daily_stats").get("isError")


def test_a_database_lost_on_the_way_leaves_the_rest_working_and_is_found_again(start, far_backends, database_proxy):
    server = start(**far_backends)
    server.wait_for("/health")
    with RawClient(server.url, TOKEN) as client:
        for _ in range(2):
            assert not client.call("get_daily_stats").get("isError")
            database_proxy.cut()
            assert "database" in client.error_of("get_daily_stats").lower()
            server.wait_for("/health", 503)
            assert client.get("/health").json() == {"status": "degraded", "database": False, "litellm": True}
            assert (client.get("/livez").status_code, client.get("/readyz").status_code) == (200, 200)
            assert not client.call("list_models").get("isError")
            database_proxy.heal()
            server.wait_for("/health")


def test_liveness_does_not_depend_on_the_database(start):
    server = start(DATABASE_URL="postgresql://nobody:nothing@127.0.0.1:1/none", LITEMAAS_DATABASE_URL=None)
    server.wait_for("/livez")
    server.wait_for("/readyz")


def test_a_litellm_that_answers_404_is_not_healthy(start, environment):
    server = start(LITELLM_API_URL=f"{environment['LITELLM_API_URL']}/no/such/path")
    server.wait_for("/readyz")
    with RawClient(server.url, TOKEN) as client:
        response = client.get("/health")
        assert response.status_code == 503
        assert response.json() == {"status": "degraded", "database": True, "litellm": False}
        assert "LiteLLM" in client.error_of("list_models")


def test_a_key_that_litellm_refuses_is_an_error_and_not_an_answer(start):
    server = start(LITELLM_API_KEY="sk-canary-wrong-key-0123")
    server.wait_for("/readyz")
    with RawClient(server.url, TOKEN) as client:
        text = client.error_of("list_models")
    assert "LITELLM_API_KEY" in text
    assert "canary" not in text


def test_probes_answer_at_once_while_both_backends_hang(start, far_backends, database_proxy, litellm_proxy):
    database_proxy.hang()
    litellm_proxy.hang()
    server = start(**far_backends)
    server.wait_for("/livez")
    with RawClient(server.url) as client:
        for path in "/livez", "/readyz", "/health":
            started = time.perf_counter()
            client.get(path)
            assert time.perf_counter() - started < 1, path
