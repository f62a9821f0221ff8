"""A long day in two minutes: neither calls nor callers who leave make the server grow."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time

import pytest

from tests.support.mcp_http import MODERN, RawClient, request_parts
from tests.support.server import ServerProcess

from .conftest import TOKEN

CALLS, LEAVERS = 100_000, 2_000
GENERATOR = "tests/benchmarks/load.py"


def wire(server: ServerProcess, tool: str, arguments: dict, revision: str) -> str:
    headers, body = request_parts("tools/call", {"name": tool, "arguments": arguments}, revision)
    headers |= {"Host": "localhost", "Authorization": f"Bearer {TOKEN}", "Content-Length": str(len(body))}
    return "POST /mcp HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n" + body.decode()


def put(server: ServerProcess, calls: int, revision: str, root) -> int:
    """Put at least so many calls of two tools by 16 callers; how many it were."""
    done = 0
    while done < calls:
        for tool, arguments in ("get_daily_stats", {"days": 1}), ("list_virtual_keys", {"limit": 1}):
            order = {
                "host": "127.0.0.1",
                "port": server.port,
                "request": wire(server, tool, arguments, revision),
                "callers": 16,
                "seconds": 10,
            }
            run = subprocess.run([sys.executable, GENERATOR], input=json.dumps(order), capture_output=True, text=True, check=True, cwd=root)
            done += json.loads(run.stdout)["calls"]
    return done


def leave(server: ServerProcess, times: int, revision: str) -> None:
    request = wire(server, "get_daily_stats", {"days": 366}, revision).encode()
    for turn in range(times):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(request)
            time.sleep(0.001 * (turn % 4))


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_a_hundred_thousand_calls_and_two_thousand_leavers_leave_no_trace(start, pytestconfig):
    server = start(LOG_LEVEL="WARNING")
    server.wait_for("/health")
    revisions = "2025-11-25", MODERN
    for revision in revisions:
        put(server, 5_000, revision, pytestconfig.rootpath)
        leave(server, 100, revision)
    time.sleep(2)
    memory, files = server.resident_mb(), server.open_files()
    for revision in revisions:
        put(server, CALLS // 2, revision, pytestconfig.rootpath)
        leave(server, LEAVERS // 2, revision)
    time.sleep(2)
    assert server.resident_mb() - memory < 10
    assert server.open_files() - files <= 16
    with RawClient(server.url, TOKEN) as client:
        assert client.get("/health").status_code == 200
        assert not client.call("get_daily_stats").get("isError")
    assert "Task was destroyed" not in server.output
    assert "Traceback" not in server.output
