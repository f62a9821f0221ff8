"""MCP servers behind LiteLLM: registering them by litellm_mcp_server beside the bare requests, and what the gateway adds to a call."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from conftest import Stack
from tests.support.ansible_run import Playbook
from tests.support.mcp_http import RawClient
from tests.support.server import ServerProcess

SERVERS, ROUNDS, CALLS = 20, 3, 100
REVISION = "2025-06-18"  # that both ends speak
GOAL = 1.5
HERE = Path(__file__).parent


@dataclass
class Times:
    """Seconds of each round; `direct` and `through` are those of every call."""

    start: list[float] = field(default_factory=list)  # a playbook with one task, which does nothing
    made: list[float] = field(default_factory=list)
    again: list[float] = field(default_factory=list)
    removed: list[float] = field(default_factory=list)
    floor: list[float] = field(default_factory=list)
    looped: list[float] = field(default_factory=list)
    direct: list[float] = field(default_factory=list)
    through: list[float] = field(default_factory=list)

    def of(self, what: str) -> float:
        return median(getattr(self, what))


class Bench:
    def __init__(self, stack: Stack, folder: Path) -> None:
        self.stack, self.folder, self.times = stack, folder, Times()
        self.connection = {"url": stack.litellm_url, "api_key": stack.litellm_master_key}
        self.http = httpx.Client(base_url=stack.litellm_url, headers={"Authorization": f"Bearer {stack.litellm_master_key}"}, timeout=60)

    def run(self) -> Times:
        for number in range(ROUNDS):
            steps = [self.by_module, self.by_floor, self.by_loop]
            for step in steps if number % 2 == 0 else reversed(steps):
                step()
            self.time("start", [{"ansible.builtin.ping": {}}])
        self.calls()
        return self.times

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
        self.time("made", [task])
        self.time("again", [task])
        self.time("removed", [{"rhpds.litemaas.litellm_mcp_server": {**self.connection, "servers": absent}}])

    def by_loop(self) -> None:
        servers = self.servers()
        options = {**self.connection, **{name: f"{{{{ item.{name} }}}}" for name in servers[0]}}
        self.time("looped", [{"rhpds.litemaas.litellm_mcp_server": options, "loop": servers}])
        self.remove(servers)

    def by_floor(self) -> None:
        """One request after the other, by a process of its own that reads nothing back."""
        servers = self.servers()
        more = {"transport": "http", "url": self.stack.mcp_url}
        calls = [["/v1/mcp/server", {"server_id": str(uuid.uuid4()), **server, **more}] for server in servers]
        order = {"url": self.stack.litellm_url, "key": self.stack.litellm_master_key, "concurrency": 1, "phases": [calls]}
        client = [sys.executable, str(HERE / "bare_keys.py")]
        done = subprocess.run(client, input=json.dumps(order), capture_output=True, text=True, check=True)
        self._note("floor", float(done.stdout))
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
                            getattr(self.times, what).append(seconds)
            finally:
                self.http.post("/key/delete", json={"keys": [key]})
                self.http.delete(f"/v1/mcp/server/{made['server_id']}")
        print(f"  calls    {self.times.of('direct') * 1000:.1f} ms direct, {self.times.of('through') * 1000:.1f} ms through", flush=True)

    def time(self, what: str, tasks: list[dict[str, Any]]) -> None:
        playbook = Playbook(Path(tempfile.mkdtemp(dir=self.folder)), tasks)
        started = time.perf_counter()
        code, said = playbook.run()
        elapsed = time.perf_counter() - started
        if code or (what == "again" and "changed=0" not in said):
            raise SystemExit(f"{what}:\n{said[-4000:]}")
        self._note(what, elapsed)

    def _note(self, what: str, seconds: float) -> None:
        getattr(self.times, what).append(seconds)
        print(f"  {what:8} {seconds:6.2f} s", flush=True)


def measure(stack: Stack) -> Times:
    with tempfile.TemporaryDirectory() as folder:
        return Bench(stack, Path(folder)).run()


def report(times: Times, litellm: str) -> str:
    start, made, floor = times.of("start"), times.of("made"), times.of("floor")
    ratio = (made - start) / floor
    direct, through = times.of("direct") * 1000, times.of("through") * 1000
    rows = [
        (f"{SERVERS} servers by `litellm_mcp_server`, in one task", made, made - start),
        ("the same requests by a bare HTTP client, one after the other", floor, floor),
        (f"{SERVERS} servers by a task each", times.of("looped"), times.of("looped") - start),
        ("again in one task, nothing to change", times.of("again"), times.of("again") - start),
        ("all removed in one task, their grants too", times.of("removed"), times.of("removed") - start),
        ("a playbook with one `ping`: Ansible's start", start, None),
    ]
    return "\n".join(
        [
            "<!-- Written by `make bench` (tests/benchmarks/gateway.py): run that again rather than edit this. -->",
            "# Benchmarks: MCP servers behind LiteLLM",
            "",
            f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end, "
            f"Python {platform.python_version()},",
            f"ansible-core {version('ansible-core')}, LiteLLM {litellm}.",
            "",
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
            f"One task takes {f'{ratio:.2f}' if ratio <= GOAL else f'**{ratio:.2f}, missed**'} times the bare client's time; "
            f"the goal is ≤ {GOAL}.",
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
