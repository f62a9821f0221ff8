"""SIGTERM: calls in flight complete, nothing new is accepted, the process is gone in time."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.support.mcp_http import MODERN, RawClient, request_parts

from .conftest import TOKEN
from .test_faults import SPEND, eventually


@pytest.mark.parametrize("revision", ["2025-11-25", MODERN])
def test_a_call_in_flight_completes_and_open_connections_hold_nothing_up(start, locked, revision):
    server = start()
    server.wait_for("/health")
    with RawClient(server.url, TOKEN, revision=revision) as client, ThreadPoolExecutor(1) as pool, locked(SPEND) as lock:
        # Connections that want to stay: idle ones, a half-sent request, streams asked for in every revision's way.
        client.get("/livez")
        idle = socket.create_connection(("127.0.0.1", server.port))
        half = socket.create_connection(("127.0.0.1", server.port))
        half.sendall(b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n")
        client.http.get(client.url, headers={**client.headers, "Accept": "text/event-stream"})
        client.request("subscriptions/listen", {"notifications": {"toolsListChanged": True}})

        with RawClient(server.url, TOKEN, revision=revision) as caller:
            call = pool.submit(caller.call, "get_daily_stats", days=5)
            eventually(lambda: lock.waiting() == 1, 5, "the query has begun")
            started = time.perf_counter()
            server.terminate()
            eventually(lambda: refuses_or_is_not_ready(server), 5, "the server says that it is not ready")
            time.sleep(1.5)
            lock.release()
            assert len(call.result(10)["structuredContent"]["days"]) == 5
        assert server.wait(10) in (0, -15)
        assert time.perf_counter() - started < 10
        idle.close()
        half.close()


def refuses_or_is_not_ready(server) -> bool:
    try:
        return httpx.get(f"{server.origin}/readyz", trust_env=False, timeout=5).status_code == 503
    except httpx.TransportError:
        return True


def test_the_server_is_not_ready_while_it_drains(start, locked):
    server = start()
    server.wait_for("/health")
    with RawClient(server.url) as probe:
        server.terminate()
        assert probe.get("/readyz").status_code == 503
        assert probe.get("/livez").status_code == 200
    assert server.wait(10) in (0, -15)


def test_a_call_that_never_ends_is_given_up(start, locked):
    server = start()
    server.wait_for("/health")
    headers, body = request_parts("tools/call", {"name": "get_daily_stats", "arguments": {}}, MODERN)
    with locked(SPEND) as lock, socket.create_connection(("127.0.0.1", server.port)) as connection:
        head = "".join(f"{name}: {value}\r\n" for name, value in {**headers, "Authorization": f"Bearer {TOKEN}"}.items())
        connection.sendall(f"POST /mcp HTTP/1.1\r\nHost: localhost\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        eventually(lambda: lock.waiting() == 1, 5, "the query has begun")
        started = time.perf_counter()
        server.terminate()
        server.wait(15)
        assert time.perf_counter() - started < 10
        eventually(lambda: lock.waiting() == 0, 2, "the query ends with its server")


def test_an_idle_server_is_gone_within_three_seconds(start):
    server = start()
    server.wait_for("/readyz")
    server.terminate()
    assert server.wait(3) in (0, -15)
