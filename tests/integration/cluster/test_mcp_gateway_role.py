"""The gateway role in a cluster, telling the stack's real LiteLLM; a server that really runs, behind the bridge, is called with its key."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from conftest import Stack
from tests.support.ansible_run import Playbook
from tests.support.clusters import Cluster, decoded
from tests.support.mcp_servers import filesystem_server
from tests.support.modules import run_module

ROLE = "ocp4_workload_litemaas_mcp_gateway"
KINDS = {
    "serviceaccounts": "/api/v1",
    "services": "/api/v1",
    "secrets": "/api/v1",
    "deployments": "/apis/apps/v1",
    "networkpolicies": "/apis/networking.k8s.io/v1",
}
TOKEN = "a-token-of-the-wiki"
# What LiteLLM does with its configuration when it starts, as far as MCP servers go.
LOADS = """
import asyncio, json, os, sys
from litellm.proxy._experimental.mcp_server.mcp_server_manager import MCPServerManager
from litellm.proxy.proxy_server import ProxyConfig

async def load():
    config = await ProxyConfig().get_config(sys.argv[1])
    manager = MCPServerManager()
    await manager.load_servers_from_config(config["mcp_servers"], config["litellm_settings"]["mcp_aliases"])
    found = manager.config_mcp_servers.values()
    told = {s.server_name: [s.server_id, s.alias, s.url, s.transport, s.authentication_token, s.access_groups] for s in found}
    print(json.dumps(told), flush=True)
    os._exit(0)  # its background tasks do not end

asyncio.run(load())
"""


class Gateway:
    """Runs the role by a real ansible-playbook, with servers, keys and teams whose names nobody else in LiteLLM has."""

    def __init__(self, cluster: Cluster, namespace: str, stack: Stack, folder: Path) -> None:
        self.cluster, self.namespace, self.stack, self.folder = cluster, namespace, stack, folder
        self.mark = secrets.token_hex(3)
        self.playbook = Playbook(folder, [{"ansible.builtin.include_role": {"name": f"rhpds.litemaas.{ROLE}"}}])
        self.playbook.environment |= cluster.environment
        self.http = httpx.Client(
            base_url=stack.litellm_url, headers={"Authorization": f"Bearer {stack.litellm_master_key}"}, trust_env=False, timeout=60
        )
        self.secret("litellm-secret", LITELLM_MASTER_KEY=stack.litellm_master_key)
        self.given: dict[str, Any] = {}

    def name(self, name: str) -> str:
        return f"{name}_{self.mark}"

    def fetch(self) -> dict[str, str]:
        """An entry of the preset, with a name and an alias of this test's own."""
        return {"name": self.name("fetch"), "alias": self.name("web"), "preset": "fetch"}

    def secret(self, name: str, **data: str) -> None:
        path = f"/api/v1/namespaces/{self.namespace}/secrets"
        self.cluster.client.delete(f"{path}/{name}")
        self.cluster.client.post(path, json={"metadata": {"name": name}, "stringData": data}).raise_for_status()

    def run(self, *arguments: str, **variables: Any) -> str:
        """Run it with what was given last, and more; return what it said. No secret is among it."""
        self.given |= variables
        fixed = {
            "ocp4_workload_litemaas_namespace": self.namespace,
            f"{ROLE}_litellm_api_url": self.stack.litellm_url,
            "output_dir": str(self.folder),
        }
        named = {name if name == "ACTION" else f"{ROLE}_{name}": value for name, value in self.given.items()}
        (self.folder / "variables.json").write_text(json.dumps(fixed | named))
        self.code, said = self.playbook.run("-vvv", "-e", "@variables.json", *arguments)
        self.given.pop("ACTION", None)
        assert [each for each in (self.stack.litellm_master_key, TOKEN, *self.values().values()) if each in said] == []
        return said

    def succeeds(self, *arguments: str, **variables: Any) -> int:
        """Run it; return how many tasks changed something."""
        self.said = self.run(*arguments, **variables)
        assert self.code == 0, self.said[-6000:]
        return int(re.search(r"changed=(\d+)", self.said.rpartition("PLAY RECAP")[2])[1])

    def fails(self, *arguments: str, **variables: Any) -> str:
        said = self.run(*arguments, **variables)
        assert self.code != 0
        return " ".join(said.split())

    def values(self) -> dict[str, str]:
        """Return the keys' values."""
        return decoded(self.get("secrets", "litemaas-mcp-gateway-keys") or {})

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        return self.cluster.get(f"{KINDS[kind]}/namespaces/{self.namespace}/{kind}/{name}")

    def objects(self) -> set[str]:
        """Return kind and name of all that the role may have made."""
        mine = {"labelSelector": f"app.kubernetes.io/managed-by={ROLE}"}
        listed = {kind: self.cluster.get(f"{api}/namespaces/{self.namespace}/{kind}", **mine) for kind, api in KINDS.items()}
        return {f"{kind}/{item['metadata']['name']}" for kind, found in listed.items() for item in found["items"]}

    def registered(self) -> dict[str, dict[str, Any]]:
        """Return LiteLLM's servers of this test by name."""
        servers = self.http.get("/v1/mcp/server").raise_for_status().json()
        return {each["server_name"]: each for each in servers if (each["server_name"] or "").endswith(self.mark)}

    def tools(self, key: str) -> set[str]:
        """Return the tools that a key may use, as it sees them itself."""
        found = run_module("litellm_mcp_tool_info", url=self.stack.litellm_url, api_key=key)
        return {tool["name"] for tool in found["tools"]}

    def make_team(self) -> str:
        team = self.http.post("/team/new", json={"team_alias": self.name("team")}).raise_for_status().json()
        self.team_id = team["team_id"]
        member = self.http.post("/key/generate", json={"team_id": self.team_id, "key_alias": self.name("member")}).raise_for_status().json()
        self.member = member["key"]
        return team["team_alias"]

    def team_permission(self) -> dict[str, Any]:
        found = self.http.get("/team/info", params={"team_id": self.team_id}).raise_for_status().json()
        return (found.get("team_info") or found).get("object_permission") or {}


@pytest.fixture
def gateway(cluster: Cluster, namespace: str, stack: Stack, tmp_path: Path) -> Iterator[Gateway]:
    found = Gateway(cluster, namespace, stack, tmp_path)
    yield found
    for server in found.registered().values():
        found.http.delete(f"/v1/mcp/server/{server['server_id']}")
    found.http.post("/key/delete", json={"key_aliases": [found.name("agent"), found.name("other")]})
    if hasattr(found, "team_id"):
        found.http.post("/team/delete", json={"team_ids": [found.team_id]})


def pod(name: str) -> set[str]:
    return {f"{kind}/mcp-{name.replace('_', '-')}" for kind in ("serviceaccounts", "services", "deployments", "networkpolicies")}


class Wanted:
    """A server in a pod, one that really runs behind the bridge, and one with a secret; a key for two tools, and a team."""

    def __init__(self, gateway: Gateway, url: str) -> None:
        gateway.secret("wiki", token=TOKEN)
        self.memory, self.files, self.wiki, self.group = (gateway.name(name) for name in ("memory", "files", "wiki", "group"))
        self.agent, self.team = gateway.name("agent"), gateway.make_team()
        auth = {"auth_type": "bearer_token", "auth_secret": {"secret": "wiki", "key": "token"}}
        self.servers = [
            {"name": self.memory, "preset": "memory", "alias": gateway.name("mem")},
            {"name": self.files, "url": url, "access_groups": [self.group]},
            {"name": self.wiki, "url": "http://127.0.0.1:9/mcp", **auth},
        ]
        self.grants = [
            {"key_alias": self.agent, "tools": {self.files: ["read_text_file", "list_directory"]}},
            {"team_alias": self.team, "access_groups": [self.group], "servers": [self.memory]},
        ]


@pytest.fixture(scope="module")
def note(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("files") / "note.txt"
    file.write_text("read through the gateway")
    return file


@pytest.fixture(scope="module")
def files_url(note: Path) -> Iterator[str]:
    with filesystem_server(note.parent) as server:
        yield server.url


SECRETS = {"secrets/litemaas-mcp-gateway", "secrets/litemaas-mcp-gateway-keys"}


def test_provision_again_destroy_and_again(gateway: Gateway, files_url: str, note: Path):
    want = Wanted(gateway, files_url)
    assert gateway.succeeds("--check", servers=want.servers, grants=want.grants) > 0
    assert (gateway.objects(), gateway.registered()) == (set(), {})

    assert gateway.succeeds() > 0
    assert gateway.objects() == pod(want.memory) | SECRETS
    assert set(gateway.registered()) == {want.memory, want.files, want.wiki}
    assert gateway.registered()[want.memory]["url"] == f"http://mcp-{want.memory.replace('_', '-')}.{gateway.namespace}.svc:8080/mcp"
    value = gateway.values()[want.agent]
    assert gateway.tools(value) == {f"{want.files}-read_text_file", f"{want.files}-list_directory"}
    connection = {"url": gateway.stack.litellm_url, "api_key": value}
    called = run_module("litellm_mcp_tool_call", **connection, name=f"{want.files}-read_text_file", arguments={"path": str(note)})
    assert "read through the gateway" in json.dumps(called["content"])
    assert f"{want.files}-write_file" in gateway.tools(gateway.member)
    assert f"The key {want.agent} reaches {want.files} (read_text_file, list_directory)." in gateway.said

    assert gateway.succeeds() == 0
    assert gateway.values() == {want.agent: value}

    assert gateway.succeeds(ACTION="destroy") > 0
    assert (gateway.objects(), gateway.registered(), gateway.values()) == (set(), {}, {})
    assert gateway.http.get("/key/list", params={"key_alias": want.agent}).json()["keys"] == []
    assert gateway.team_permission()["mcp_servers"] == ["no-mcp-servers"]
    assert gateway.succeeds(ACTION="destroy") == 0


@pytest.mark.long
def test_what_changes_is_changed_and_what_is_taken_out_goes(gateway: Gateway, files_url: str):
    want = Wanted(gateway, files_url)
    gateway.succeeds(servers=want.servers, grants=want.grants)
    value = gateway.values()[want.agent]
    assert gateway.team_permission()["mcp_access_groups"] == [want.group]

    gateway.secret("wiki", token=TOKEN + "-rotated")
    assert gateway.succeeds("--diff", servers=want.servers[1:], grants=[{"key_alias": want.agent, "servers": [want.files]}]) > 0
    assert gateway.objects() == SECRETS
    assert set(gateway.registered()) == {want.files, want.wiki}
    assert f"{want.files}-write_file" in gateway.tools(value)
    assert gateway.team_permission()["mcp_servers"] == ["no-mcp-servers"]
    assert not any(gateway.team_permission().get(part) for part in ("mcp_access_groups", "mcp_tool_permissions"))
    assert not any(tool.startswith(want.files) for tool in gateway.tools(gateway.member))
    assert gateway.succeeds() == 0

    other = gateway.name("other")
    assert gateway.succeeds(grants=[{"key_alias": other, "servers": [want.wiki]}]) > 0
    assert set(gateway.values()) == {other}
    assert gateway.succeeds(grants=[]) > 0
    assert gateway.values() == {}
    assert gateway.http.get("/key/list", params={"key_alias": other}).json()["keys"] == []
    assert gateway.succeeds() == 0


def test_wrong_entries_make_nothing(gateway: Gateway):
    name = gateway.name("x")
    wanting = {"name": name, "preset": "postgres", "secret_env": {"DSN": {"secret": "nope", "key": "url"}}}
    for servers, grants, says in (
        ([{"name": name, "command": "npx -y thing"}], [], f"{ROLE}_servers: '{name}': command: must be one word"),
        ([wanting], [], f"'{name}': secret_env: DSN: namespace {gateway.namespace} has no Secret 'nope' with a key 'url'"),
        ([gateway.fetch()], [{"team_alias": "no such team", "servers": [gateway.name("web")]}], "LiteLLM has no team no such team"),
    ):
        assert says in gateway.fails(servers=servers, grants=grants)
        assert (gateway.objects(), gateway.registered()) == (set(), {})


@pytest.mark.long
def test_a_key_of_somebody_elses_is_left_alone(gateway: Gateway):
    gateway.http.post("/key/generate", json={"key_alias": gateway.name("agent")}).raise_for_status()
    said = gateway.fails(servers=[gateway.fetch()], grants=[{"key_alias": gateway.name("agent"), "servers": [gateway.name("web")]}])
    assert gateway.name("agent") in said
    assert (gateway.objects(), gateway.registered()) == (set(), {})


@pytest.mark.long
def test_a_team_does_not_lose_what_somebody_else_has_granted_it(gateway: Gateway):
    theirs = {"server_name": gateway.name("theirs"), "url": "http://127.0.0.1:9/mcp", "transport": "http"}
    granted = gateway.http.post("/v1/mcp/server", json=theirs).raise_for_status().json()["server_id"]
    group, team = gateway.name("group"), gateway.make_team()

    def grant(**permission: Any) -> None:
        gateway.http.post("/team/update", json={"team_id": gateway.team_id, "object_permission": permission}).raise_for_status()

    grant(mcp_servers=[granted], mcp_access_groups=[group], mcp_tool_permissions={granted: ["read"]})
    wanted = {"servers": [gateway.fetch()], "grants": [{"team_alias": team, "servers": [gateway.name("web")]}]}
    said = gateway.fails(**wanted)
    assert f"{ROLE}_grants: '{team}': team_alias: the team may reach {granted}, {group} already" in said
    assert set(gateway.registered()) == {gateway.name("theirs")}
    assert (gateway.objects(), gateway.team_permission()["mcp_servers"]) == (set(), [granted])

    grant(mcp_servers=["no-mcp-servers"], mcp_access_groups=[], mcp_tool_permissions={})
    assert gateway.succeeds(**wanted) > 0
    assert gateway.team_permission()["mcp_servers"] == [gateway.registered()[gateway.name("fetch")]["server_id"]]
    # What the role has granted it knows for its own, also when the record is lost.
    gateway.cluster.client.delete(f"/api/v1/namespaces/{gateway.namespace}/secrets/litemaas-mcp-gateway").raise_for_status()
    assert gateway.succeeds() > 0


@pytest.mark.long
def test_configuration_as_code_is_written_and_grants_wait_for_it(gateway: Gateway):
    name = gateway.name("fetch")
    said = gateway.fails(mode="config", servers=[gateway.fetch()], grants=[{"key_alias": gateway.name("agent"), "servers": [name]}])
    assert f"LiteLLM's configuration does not have {name} yet, so nothing was granted." in said, said[-3000:]
    written = yaml.safe_load((gateway.folder / "litellm-mcp-servers.yml").read_text())
    assert written["ocp4_workload_litemaas_litellm_config"]["mcp_servers"][name]["transport"] == "http"
    assert gateway.registered() == {}
    assert gateway.succeeds(grants=[]) > 0
    assert gateway.succeeds() == 0
    assert gateway.succeeds(mode="api") > 0
    assert set(gateway.registered()) == {name}
    assert gateway.succeeds(mode="config") > 0
    assert gateway.registered() == {}
    assert gateway.succeeds(ACTION="destroy") > 0
    assert gateway.objects() == set()


@pytest.mark.long
def test_a_killed_run_is_finished_by_the_next(gateway: Gateway):
    name = gateway.name("fetch")
    gateway.run("--syntax-check", servers=[gateway.fetch()], grants=[{"key_alias": gateway.name("agent"), "servers": [name]}])
    gateway.playbook.command += ["-e", "@variables.json"]
    gateway.playbook.killed_when(lambda: bool(gateway.values()))
    value = gateway.values()
    gateway.playbook.command = gateway.playbook.command[:-2]
    gateway.succeeds()
    assert gateway.values() == value
    assert gateway.succeeds() == 0
    gateway.run("--syntax-check")
    gateway.playbook.command += ["-e", "@variables.json", "-e", "ACTION=destroy"]
    gateway.playbook.killed_when(lambda: not gateway.registered())
    gateway.playbook.command = gateway.playbook.command[:-4]
    gateway.succeeds(ACTION="destroy")
    assert gateway.objects() == set()


@pytest.mark.long
def test_pods_that_do_not_come_up_are_explained_and_not_registered(gateway: Gateway):
    name = gateway.name("fetch")
    gateway.cluster.kubelet.behave(f"mcp-{name.replace('_', '-')}", "image_pull")
    said = gateway.fails(servers=[gateway.fetch()], wait_timeout=6)
    assert "the image can't be pulled" in said
    assert gateway.registered() == {}
    assert gateway.succeeds(ACTION="destroy") > 0
    assert gateway.objects() == set()


@pytest.mark.long
@pytest.mark.parametrize(("how", "come", "go"), [("include_role", "provision", "destroy"), ("import_role", "create", "remove")])
def test_agnosticd_v1_and_v2(gateway: Gateway, how: str, come: str, go: str):
    role = {f"ansible.builtin.{how}": {"name": f"rhpds.litemaas.{ROLE}"}, "vars": {"ACTION": "{{ asked }}"}}
    (gateway.folder / "play.json").write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": [role]}]))
    assert gateway.succeeds("-e", f"asked={come}", servers=[gateway.fetch()]) > 0
    assert yaml.safe_load((gateway.folder / "user-data.yaml").read_text())["litemaas_mcp_gateway_servers"] == [gateway.name("web")]
    assert gateway.succeeds("-e", f"asked={come}") == 0
    assert gateway.succeeds("-e", f"asked={go}", servers=[{"name": "no-longer-right"}]) > 0
    assert (gateway.objects(), gateway.registered()) == (set(), {})


@pytest.mark.long
def test_after_litellm_is_gone_all_goes(gateway: Gateway):
    name = gateway.name("fetch")
    gateway.succeeds(servers=[gateway.fetch()], grants=[{"key_alias": gateway.name("agent"), "servers": [name]}])
    assert gateway.succeeds(ACTION="destroy", litellm_api_url="") > 0
    assert gateway.objects() == set()


@pytest.mark.long
def test_litellm_loads_the_configuration_that_is_written(gateway: Gateway):
    """By LiteLLM's own code, in the stack's environment."""
    gateway.secret("wiki", WIKI_TOKEN=TOKEN)
    auth = {"auth_type": "bearer_token", "auth_secret": {"secret": "wiki", "key": "WIKI_TOKEN"}}
    servers = [{"preset": "filesystem"}, {"name": "wiki", "url": "https://wiki.example.com/mcp", "access_groups": ["docs"], **auth}]
    gateway.succeeds(mode="config", servers=servers)
    written = yaml.safe_load((gateway.folder / "litellm-mcp-servers.yml").read_text())
    (gateway.folder / "config.yaml").write_text(yaml.safe_dump(written["ocp4_workload_litemaas_litellm_config"]))
    python = Path(f"/proc/{gateway.stack.pids['litellm']}/cmdline").read_bytes().split(b"\0")[0].decode()
    done = subprocess.run(
        [python, "-c", LOADS, str(gateway.folder / "config.yaml")],
        env={"PATH": os.environ["PATH"], "WIKI_TOKEN": TOKEN, "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = json.loads(done.stdout.splitlines()[-1])
    pinned = {name: server["server_id"] for name, server in written["ocp4_workload_litemaas_litellm_config"]["mcp_servers"].items()}
    ids = {name: server.pop(0) for name, server in loaded.items()}
    assert (ids == pinned) == (gateway.stack.litellm_version != "1.81.0")  # which makes them of the address and more
    assert loaded == {
        "filesystem": ["fs", f"http://mcp-filesystem.{gateway.namespace}.svc:8080/mcp", "http", None, None],
        "wiki": [None, "https://wiki.example.com/mcp", "http", TOKEN, ["docs"]],
    }
