"""Containers that the gateway role renders, run as processes: the real bridge with real servers, as clients and LiteLLM see them."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from conftest import ROOT, Stack
from tests.integration.modules.conftest import LiteLLM, name
from tests.support.ansible_run import descendants
from tests.support.clusters import eventually
from tests.support.mcp_servers import BRIDGE, installed
from tests.support.modules import run_module
from tests.support.render import Role
from tests.support.server import ServerProcess

ROLE = "ocp4_workload_litemaas_mcp_gateway"
# Runs a command that can't write to a folder, whoever it is: as in a pod, whose programs nobody can change.
READ_ONLY = ("unshare", "-rm", "sh", "-c", 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"')


@contextmanager
def pod(entry: dict[str, Any], places: dict[str, str], secrets: dict[str, str] | None = None):
    """Run the container that the role makes of an entry. `places` are folders here for the container's, `secrets` what its Secrets hold."""
    data = dict.fromkeys(("Route", "Deployment", "record", "keys")) | {"secret it": {"data": {}}}
    cluster = {"found": data, "served": {"Route": True}, "refused": {}}
    role = Role(ROLE, _ocp4_workload_litemaas_mcp_gateway_cluster=cluster, **{f"{ROLE}_servers": [entry]})
    assert role.value(f"_{ROLE}_plan.faults") == []
    (container,) = role.one("deployment")["spec"]["template"]["spec"]["containers"]

    def here(text: str) -> str:
        all_of_them = {"/opt/servers": str(BRIDGE), **places}
        return re.sub("|".join(all_of_them), lambda there: all_of_them[there[0]], text)

    environment = {each["name"]: here(each["value"]) if "value" in each else (secrets or {})[each["name"]] for each in container["env"]}
    del environment["PORT"]  # it may be taken here
    folder = installed()
    path = ":".join(str(folder / each) for each in ("servers/bin", "node_modules/.bin", "bridge/bin"))
    assert container["command"] == ["mcp-bridge"]  # what the image calls it
    command = [str(BRIDGE / "mcp_bridge.py"), *map(here, container["args"])]
    # What this machine says of PyPI, npm and their certificates, uvx and npx have to know.
    machine = {name: value for name, value in os.environ.items() if name.startswith(("UV_", "SSL_", "NODE_EXTRA_", "npm_config_"))}
    with ServerProcess({**machine, **environment, "PATH": f"{path}:{os.environ['PATH']}"}, [*READ_ONLY, str(folder), *command]) as server:
        server.probe = container["readinessProbe"]["httpGet"]["path"]
        yield server


def ready(server: ServerProcess) -> ServerProcess:
    server.wait_for(server.probe, seconds=60)
    return server


def ask(server: ServerProcess, method: str, **parameters: Any) -> dict[str, Any]:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}
    headers = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-06-18"}
    return httpx.post(server.url, json=body, headers=headers, trust_env=False, timeout=30).raise_for_status().json()


def call(server: ServerProcess, tool: str, **arguments: Any) -> dict[str, Any]:
    return ask(server, "tools/call", name=tool, arguments=arguments)["result"]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder whose name a shell would trip over."""
    folder = tmp_path / "it's; $(touch broken)"
    folder.mkdir()
    for number in range(8):
        (folder / f"{number}.txt").write_text(f"content {number}")
    return folder


def test_a_preset_from_npm_answers_many_at_once_without_a_shell(files: Path):
    with pod({"preset": "filesystem"}, {"/data": str(files)}) as server:
        ready(server)
        hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
        assert ask(server, "initialize", **hello)["result"]["protocolVersion"] == "2025-06-18"
        assert "read_text_file" in {tool["name"] for tool in ask(server, "tools/list")["result"]["tools"]}
        with ThreadPoolExecutor(8) as pool:
            read = list(pool.map(lambda number: call(server, "read_text_file", path=str(files / f"{number}.txt")), range(8)))
        assert [each["content"][0]["text"] for each in read] == [f"content {number}" for number in range(8)]
        refused = call(server, "read_text_file", path=str(ROOT / "README.md"))
        assert refused["isError"]
        assert ask(server, "tools/list")["result"]["tools"]
    assert "broken" not in {path.name for path in [*files.iterdir(), *files.parent.iterdir()]}


def test_when_the_server_dies_calls_are_answered_and_the_container_ends(files: Path):
    with pod({"preset": "filesystem"}, {"/data": str(files)}) as server:
        ready(server)
        guard, *_, child = descendants(server.process.pid)  # between them, what starts Node.js
        assert "--guard" in Path(f"/proc/{guard}/cmdline").read_text()
        os.kill(child, signal.SIGSTOP)
        with ThreadPoolExecutor(1) as pool, open(f"/proc/{child}/fd/0", "rb") as pipe:
            under_way = pool.submit(ask, server, "tools/list")
            eventually(lambda: select.select([pipe], [], [], 0)[0], "the call reaches the server", timeout=10)
            os.kill(child, signal.SIGKILL)
            assert "error" in under_way.result(timeout=10)
        assert server.process.wait(timeout=20) != 0
        assert "mcp-bridge: mcp-server-filesystem has ended with exit code" in server.output


def test_a_page_is_fetched_although_nothing_can_be_installed(tmp_path: Path):
    """readabilipy, which the server uses, would install packages from npm next to itself when it finds Node.js."""
    page = "<html><head><title>Opening hours</title></head><body><article><h1>Hours</h1><p>We open at seven.</p></article></body></html>"
    (tmp_path / "page.html").write_text(page)
    serve = f'exec "{sys.executable}" -m http.server --bind "$HOST" --directory "$0" "$PORT"'
    with ServerProcess({}, ["sh", "-c", serve, str(tmp_path)]) as site:
        site.wait_for("/page.html")
        with pod({"preset": "fetch", "args": ["--ignore-robots-txt", "--allow-private-ips"]}, {"/tmp": str(tmp_path)}) as server:
            fetched = call(ready(server), "fetch", url=f"{site.origin}/page.html")
    assert not fetched.get("isError"), fetched
    assert "We open at seven." in fetched["content"][0]["text"]
    assert "<p>" not in fetched["content"][0]["text"]
    assert "npm" not in server.output


def test_a_command_that_there_is_not_is_named():
    with pod({"name": "nope", "command": "no-such-server"}, {}) as server:
        assert server.process.wait(timeout=30) != 0
        assert "mcp-bridge: no-such-server can't be started: No such file or directory. Is it in this image?" in server.output


def test_sigterm_ends_it_and_the_server_with_it(files: Path):
    with pod({"preset": "filesystem"}, {"/data": str(files)}) as server:
        ready(server)
        below = descendants(server.process.pid)
        server.process.terminate()
        server.process.wait(timeout=10)
        eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in below), "the server ends", timeout=10)


def test_the_bridge_without_a_command_says_what_it_wants():
    done = subprocess.run([BRIDGE / "mcp_bridge.py"], capture_output=True, text=True, check=False)
    assert (done.returncode, "give the command of an MCP server" in done.stderr) == (1, True)


def test_a_database_is_asked_through_litellm_and_not_written_to(stack: Stack):
    litellm = LiteLLM(stack)
    alias = name("pg").replace("-", "_")
    entry = {"name": alias, "preset": "postgres", "secret_env": {"DSN": {"secret": "it", "key": "url"}}}
    with pod(entry, {}, {"DSN": stack.database_url}) as server:
        ready(server)
        litellm.run("litellm_mcp_server", server_name=alias, server_url=server.url)
        try:
            for sql, says in (("select 40 + 2 as answer", '"answer": 42'), ("create table broken (a int)", "READONLY_VIOLATION")):
                options = {"url": stack.litellm_url, "api_key": stack.litellm_master_key}
                called = run_module("litellm_mcp_tool_call", **options, name=f"{alias}-execute_sql", arguments={"sql": sql})
                assert says in json.dumps(called).replace('\\"', '"')
        finally:
            litellm.run("litellm_mcp_server", server_name=alias, state="absent")
        assert litellm.rows("select 1 from information_schema.tables where table_name = 'broken'") == []
        assert stack.database_url not in server.output


@pytest.mark.long
def test_a_server_that_uvx_fetches(tmp_path: Path):
    entry = {"name": "clock", "command": "uvx", "args": ["mcp-server-time==2026.10.19"]}
    with pod(entry, {"/tmp": str(tmp_path)}) as server:
        ready(server)
        assert "timezone" in json.dumps(call(server, "get_current_time", timezone="Europe/Prague"))


@pytest.mark.long
@pytest.mark.parametrize(
    ("command", "args", "tool"),
    [
        ("npx", ["-y", "@modelcontextprotocol/server-memory@2026.8.31"], "read_graph"),
        ("node", ["/packages/node_modules/@modelcontextprotocol/server-memory/dist/index.js"], "read_graph"),
        ("python3", ["-m", "mcp_server_fetch"], "fetch"),
    ],
)
def test_commands_of_your_own(command: str, args: list[str], tool: str, tmp_path: Path):
    with pod({"name": "mine", "command": command, "args": args}, {"/packages": str(installed()), "/tmp": str(tmp_path)}) as server:
        ready(server)
        assert tool in {each["name"] for each in ask(server, "tools/list")["result"]["tools"]}


@pytest.mark.long
@pytest.mark.parametrize(
    ("entry", "tool"),
    [
        ({"preset": "memory"}, "read_graph"),
        ({"preset": "fetch"}, "fetch"),
        (
            {
                "preset": "monitoring",
                "env": {"GRAFANA_URL": "http://127.0.0.1:9"},
                "secret_env": {"GRAFANA_SERVICE_ACCOUNT_TOKEN": {"secret": "it", "key": "token"}},
            },
            "query_loki_logs",
        ),
        (
            {"preset": "n8n", "env": {"N8N_API_URL": "http://127.0.0.1:9"}, "secret_env": {"N8N_API_KEY": {"secret": "it", "key": "key"}}},
            "n8n_list_workflows",
        ),
        ({"preset": "playwright", "env": {"PLAYWRIGHT_MCP_CDP_ENDPOINT": "http://127.0.0.1:9"}}, "browser_navigate"),
        ({"preset": "timescaledb", "secret_env": {"DSN": {"secret": "it", "key": "url"}}}, "execute_sql"),
    ],
)
def test_every_other_preset_starts_and_has_its_tools(entry: dict[str, Any], tool: str, tmp_path: Path, stack: Stack):
    given = {"DSN": stack.database_url, "N8N_API_KEY": "a-key-of-n8n", "GRAFANA_SERVICE_ACCOUNT_TOKEN": "a-token-of-grafana"}
    with pod(entry, {"/data": str(tmp_path), "/tmp": str(tmp_path)}, given) as server:
        ready(server)
        assert tool in {each["name"] for each in ask(server, "tools/list")["result"]["tools"]}
        assert [value for value in given.values() if value in server.output] == []
