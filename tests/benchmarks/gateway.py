"""MCP servers behind LiteLLM: registering them by litellm_mcp_server beside the bare requests, and what the gateway adds to a call."""

from __future__ import annotations

import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

from conftest import Stack
from tests.benchmarks.timed import Stopwatch, against, heading
from tests.support.mcp_http import RawClient
from tests.support.server import ServerProcess

SERVERS, ROUNDS, CALLS = 20, 3, 100
REVISION = "2025-06-18"  # that both ends speak
GOAL = 1.5
HERE = Path(__file__).parent


class Bench(Stopwatch):
    """The steps: `start` a playbook with one task, which does nothing; `direct` and `through` are the seconds of every call."""

    def run(self) -> Bench:
        for number in range(ROUNDS):
            steps = [self.by_module, self.by_floor, self.by_loop]
            for step in steps if number % 2 == 0 else reversed(steps):
                step()
            self.playbook("start", [{"ansible.builtin.ping": {}}])
        self.calls()
        return self

    def servers(self) -> list[dict[str, Any]]:
        mark = uuid.uuid4().hex[:6]
        return [
            {
                "server_name": f"bench_{mark}_{number}",
                "server_url": self.stack.mcp_url,
                "description": f"server {number}",
                "static_headers": {"Authorization": f"Bearer {self.stack.mcp_token}"},
                "mcp_access_groups": [f"bench_{mark}"],
            }
            for number in range(SERVERS)
        ]

    def by_module(self) -> None:
        servers = self.servers()
        task = {"rhpds.litemaas.litellm_mcp_server": {**self.connection, "servers": servers}}
        absent = [{"server_name": server["server_name"], "state": "absent"} for server in servers]
        self.playbook("made", [task])
        self.playbook("again", [task])
        self.playbook("removed", [{"rhpds.litemaas.litellm_mcp_server": {**self.connection, "servers": absent}}])

    def by_loop(self) -> None:
        servers = self.servers()
        options = {**self.connection, **{name: f"{{{{ item.{name} }}}}" for name in servers[0]}}
        self.playbook("looped", [{"rhpds.litemaas.litellm_mcp_server": options, "loop": servers}])
        self.remove(servers)

    def by_floor(self) -> None:
        """One request after the other, by a process of its own that reads nothing back."""
        servers = self.servers()
        more = {"transport": "http", "url": self.stack.mcp_url}
        calls = [["/v1/mcp/server", {"server_id": str(uuid.uuid4()), **server, **more}] for server in servers]
        self.bare("floor", calls)
        self.remove(servers)

    def remove(self, servers: list[dict[str, Any]]) -> None:
        names = {server["server_name"] for server in servers}
        for server in self.http.get("/v1/mcp/server").json():
            if server["server_name"] in names:
                self.http.delete(f"/v1/mcp/server/{server['server_id']}").raise_for_status()

    def calls(self) -> None:
        """The same call, by turns, of a server that answers with a constant and of LiteLLM before it, with a key that may use it."""
        name = f"bench_{uuid.uuid4().hex[:6]}"
        with ServerProcess({}, [sys.executable, str(HERE / "bare.py")]) as server:
            server.wait_for("/", 404)
            made = self.http.post("/v1/mcp/server", json={"server_name": name, "url": server.url, "transport": "http"}).json()
            grant = {"object_permission": {"mcp_servers": [made["server_id"]]}}
            key = self.http.post("/key/generate", json=grant).json()["key"]
            try:
                direct = RawClient(server.url, revision=REVISION)
                through = RawClient(f"{self.stack.litellm_url}/mcp/", key, revision=REVISION)
                asked = {"direct": (direct, "constant"), "through": (through, f"{name}-constant")}
                for number in range(-5, CALLS):
                    for what, (client, tool) in asked.items():
                        started = time.perf_counter()
                        answer = client.call(tool)
                        seconds = time.perf_counter() - started
                        if answer.get("isError"):
                            raise SystemExit(f"{tool}: {answer}")
                        if number >= 0:  # the first ones warm
                            self.seconds.setdefault(what, []).append(seconds)
            finally:
                self.http.post("/key/delete", json={"keys": [key]})
                self.http.delete(f"/v1/mcp/server/{made['server_id']}")
        print(f"  calls    {self.of('direct') * 1000:.1f} ms direct, {self.of('through') * 1000:.1f} ms through", flush=True)


def measure(stack: Stack) -> Bench:
    with tempfile.TemporaryDirectory() as folder:
        return Bench(stack, Path(folder)).run()


def report(bench: Bench) -> str:
    start, made, floor = bench.of("start"), bench.of("made"), bench.of("floor")
    ratio = (made - start) / floor
    direct, through = bench.of("direct") * 1000, bench.of("through") * 1000
    rows = [
        (f"{SERVERS} servers by `litellm_mcp_server`, in one task", made, made - start),
        ("the same requests by a bare HTTP client, one after the other", floor, floor),
        (f"{SERVERS} servers by a task each", bench.of("looped"), bench.of("looped") - start),
        ("again in one task, nothing to change", bench.of("again"), bench.of("again") - start),
        ("all removed in one task, their grants too", bench.of("removed"), bench.of("removed") - start),
        ("a playbook with one `ping`: Ansible's start", start, None),
    ]
    return "\n".join(
        [
            *heading("MCP servers behind LiteLLM", "gateway", f"LiteLLM {bench.stack.litellm_version}"),
            "Ansible, LiteLLM, its database and the server that is called share the machine, and what is compared runs in the same rounds:",
            f"the ratios matter, not the absolute figures. Figures are medians of {ROUNDS} rounds.",
            "",
            "## Registering",
            "",
            "The bare client is a process of its own, which sends the same `POST /v1/mcp/server` and reads nothing back; the module reads",
            "what is there before, and once more after all are made.",
            "",
            "| | seconds | beyond Ansible's start | ms a server |",
            "|---|---|---|---|",
            *(
                f"| {name} | {all_of_it:.2f} | {'' if beyond is None else f'{beyond:.2f}'} "
                f"| {'' if beyond is None else f'{beyond / SERVERS * 1000:.0f}'} |"
                for name, all_of_it, beyond in rows
            ),
            "",
            f"One task takes {against(f'{ratio:.2f}', ratio <= GOAL)} times the bare client's time; the goal is ≤ {GOAL}.",
            "",
            "## Calling",
            "",
            f"A tool that returns a constant, {CALLS} calls one after the other by turns, over kept connections: of its server, and of",
            f"LiteLLM's `/mcp/` before it with a key that was granted the server. Protocol revision {REVISION}.",
            "",
            "| | median ms |",
            "|---|---|",
            f"| the server itself | {direct:.1f} |",
            f"| through the gateway | {through:.1f} |",
            f"| added | {through - direct:.1f} |",
            "",
        ]
    )
