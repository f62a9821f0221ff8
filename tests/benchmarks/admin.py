"""The profile litellm-admin: what a tool call takes beside the same HTTP call made directly, and what 20,000 calls leave in memory.

Run as a program it is a LiteLLM that gives one recorded answer, for the calls whose number counts and not their time.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import httpx
import uvicorn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from conftest import Stack
from tests.benchmarks.load import put
from tests.benchmarks.timed import against, heading
from tests.support.mcp_http import MODERN, request_parts
from tests.support.server import COMMAND, ServerProcess

TOOL, ARGUMENTS = "litellm_user_list", {"page_size": 5}
PATH = "/user/list?sort_by=created_at&sort_order=desc&page=1&page_size=5"
CALLERS, ROUNDS, SECONDS, CALLS = (1, 16), 5, 5, 20_000


@dataclass
class Figures:
    """Medians of the rounds: milliseconds and calls per second of each way by number of callers; MB before and after."""

    p50: dict[tuple[str, int], float]
    per_second: dict[tuple[str, int], float]
    own: float = 0  # milliseconds that are the server's own: a call whose LiteLLM answers at once
    calls: int = 0
    before: float = 0
    after: float = 0


def serve(url: str) -> ServerProcess:
    server = ServerProcess({"LITELLM_BASE_URL": url, "LOG_LEVEL": "WARNING"}, [COMMAND, "serve", "--profile", "litellm-admin"])
    server.wait_for("/readyz")
    return server


def tool_call(server: ServerProcess, key: str) -> dict[str, Any]:
    headers, body = request_parts("tools/call", {"name": TOOL, "arguments": ARGUMENTS}, MODERN)
    return {"port": server.port, "request": _http("POST", "/mcp", key, headers | {"Content-Length": str(len(body))}) + body.decode()}


def direct_call(url: str, key: str) -> dict[str, Any]:
    return {"port": urlsplit(url).port, "request": _http("GET", PATH, key, {}), "good": '"users":'}


def _http(method: str, path: str, key: str, headers: dict[str, str]) -> str:
    headers = {"Host": "127.0.0.1", "Authorization": f"Bearer {key}", **headers}
    return f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n"


def measure(stack: Stack) -> Figures:
    key = stack.litellm_master_key
    seen: dict[tuple[str, int], list[dict[str, float]]] = {}
    with serve(stack.litellm_url) as server:
        ways = {"tool": tool_call(server, key), "direct": direct_call(stack.litellm_url, key)}
        for callers in CALLERS:
            for way in ways.values():
                put(**way, callers=callers, seconds=1)  # warm
            for turn in range(ROUNDS):
                for name in sorted(ways, reverse=turn % 2 == 1):
                    seen.setdefault((name, callers), []).append(put(**ways[name], callers=callers, seconds=SECONDS))
            print(f"  {callers} callers: " + ", ".join(f"{name} {median(_each(seen, name, callers)):.2f} ms" for name in ways), flush=True)
    figures = Figures(
        p50={each: median(load["p50"] for load in loads) for each, loads in seen.items()},
        per_second={each: median(load["per_second"] for load in loads) for each, loads in seen.items()},
    )
    _memory(figures, stack)
    return figures


def _each(seen: dict[tuple[str, int], list[dict[str, float]]], name: str, callers: int) -> list[float]:
    return [load["p50"] for load in seen[name, callers]]


def _memory(figures: Figures, stack: Stack) -> None:
    headers = {"Authorization": f"Bearer {stack.litellm_master_key}"}
    answer = httpx.get(stack.litellm_url + PATH, headers=headers, trust_env=False).raise_for_status().text
    with ServerProcess({"ANSWER": answer}, [sys.executable, __file__]) as recorded:
        recorded.wait_for("/")
        with serve(recorded.origin) as server:
            call = tool_call(server, stack.litellm_master_key)
            warm = put(**call, callers=16, seconds=3)["calls"]
            figures.own = put(**call, callers=1, seconds=5)["p50"] - put(**direct_call(recorded.origin, "sk-"), callers=1, seconds=2)["p50"]
            figures.before = server.resident_mb()
            while figures.calls < CALLS:
                figures.calls += int(put(**call, callers=16, seconds=5)["calls"])
            figures.after = server.resident_mb()
    print(f"  {figures.before:.1f} MB after {warm} calls, {figures.after:.1f} MB after {figures.calls} more", flush=True)


def report(figures: Figures, litellm: str) -> str:
    rows = []
    for callers in CALLERS:
        tool, direct = figures.p50["tool", callers], figures.p50["direct", callers]
        added, ratio = against(f"{tool - direct:.1f}", callers > 1 or tool - direct <= 3), f"{tool / direct:.2f}"
        rates = figures.per_second["tool", callers], figures.per_second["direct", callers]
        cells = [callers, f"{tool:.1f}", f"{direct:.1f}", added, ratio if callers == 1 else against(ratio, tool / direct <= 1.3)]
        rows.append(f"| {' | '.join(map(str, cells))} | {rates[0]:.0f} | {rates[1]:.0f} |")
    grown = figures.after - figures.before
    return "\n".join(
        [
            *heading("LiteLLM's administration over MCP", "admin", f"LiteLLM {litellm}"),
            f"`{TOOL}` with 5 users a page, beside the same `GET /user/list` made directly, both by the load generator's keep-alive",
            "connections, in rounds of alternating order. Server, LiteLLM, its database and the generator share the machine. Times are",
            f"milliseconds, medians of {ROUNDS} rounds. The goals: 3 ms more for one caller, 1.3 times as long for sixteen.",
            "",
            "| callers | tool call: p50 | direct: p50 | added | times | tool calls/s | direct calls/s |",
            "|---|---|---|---|---|---|---|",
            *rows,
            "",
            "With a small server in LiteLLM's place, which gives its recorded answer at once, one caller's tool call takes",
            f"{against(f'{figures.own:.1f} ms', figures.own <= 3)} more than the direct call: that much is this server's own.",
            "",
            f"Resident memory: {figures.before:.1f} MB when warm, {figures.after:.1f} MB after {figures.calls:,} calls more:",
            f"{against(f'{grown:+.1f} MB', grown < 2)} (goal: flat, below 2 MB), with the small server.",
            "",
        ]
    )


async def recorded(scope: dict, receive: Any, send: Any) -> None:
    """An ASGI application that answers everything with the environment's ANSWER."""
    if scope["type"] == "http":
        body = os.environ["ANSWER"].encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    uvicorn.run(recorded, host="127.0.0.1", port=int(os.environ["PORT"]), access_log=False, log_level="warning", lifespan="off")
