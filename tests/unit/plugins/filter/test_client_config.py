"""Clients' files: ours is added, everybody else's stays, and a second time nothing changes."""

from __future__ import annotations

import json

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.rhpds.litemaas.plugins.filter.client_config import CLIENTS, client_config

URL = "https://litellm.example.com/mcp/"
SERVER = {"name": "litellm", "url": URL, "key_variable": "LITELLM_API_KEY"}
OTHER = {"name": "litemaas", "url": "https://litemaas-mcp.example.com/mcp", "key_variable": "LITEMAAS_MCP_API_KEY"}
COMMANDS = {"claude_code_command", "curl"}
FILES = sorted(set(CLIENTS) - COMMANDS)
REFERENCE = {"claude_code": "${LITELLM_API_KEY}", "openclaw": "${LITELLM_API_KEY}", "vscode": "${input:LITELLM_API_KEY}"}


@pytest.mark.parametrize("client", FILES)
def test_a_second_time_nothing_changes(client):
    once = client_config([SERVER, OTHER], client, "", {"LITELLM_API_KEY": "sk-1", "LITEMAAS_MCP_API_KEY": "two"})
    assert once.endswith("\n")
    assert client_config([SERVER, OTHER], client, once, {"LITELLM_API_KEY": "sk-1", "LITEMAAS_MCP_API_KEY": "two"}) == once


@pytest.mark.parametrize("client", sorted(set(CLIENTS) - {"open_webui"}))
def test_no_key_is_written_where_it_can_be_named(client):
    text = client_config([SERVER], client, "", {"LITELLM_API_KEY": "sk-canary"})
    assert "sk-canary" not in text
    assert "LITELLM_API_KEY" in text


def entry_of(client, text):
    found = json.loads(text)
    servers = {"claude_code": "mcpServers", "vscode": "servers"}
    return found["mcp"]["servers"]["litellm"] if client == "openclaw" else found[servers[client]]["litellm"]


@pytest.mark.parametrize("client", sorted(REFERENCE))
def test_what_else_is_in_a_json_file_stays(client):
    current = client_config([OTHER], client, '{"é": [1, {"deep": null}], "mcp": {"x": 1}, "inputs": [{"id": "mine"}]}')
    found = json.loads(client_config([SERVER], client, current))
    before = json.loads(current)
    assert found["é"] == before["é"]
    assert found["mcp"]["x"] == 1
    assert found["inputs"][: len(before["inputs"])] == before["inputs"]
    assert "litemaas" in json.dumps(found)
    assert entry_of(client, json.dumps(found))["headers"] == {"Authorization": f"Bearer {REFERENCE[client]}"}


def test_an_entry_of_the_same_name_keeps_what_is_not_ours():
    current = json.dumps({"mcpServers": {"litellm": {"url": "https://old", "type": "sse", "timeout": 5, "headers": {"X-Team": "a"}}}})
    entry = json.loads(client_config([SERVER], "claude_code", current))["mcpServers"]["litellm"]
    headers = {"X-Team": "a", "Authorization": "Bearer ${LITELLM_API_KEY}"}
    assert entry == {"url": URL, "type": "http", "timeout": 5, "headers": headers}


def test_a_command_of_the_same_name_is_replaced_as_a_whole():
    current = json.dumps({"mcpServers": {"litellm": {"command": "npx", "args": ["x"]}}})
    assert sorted(json.loads(client_config([SERVER], "claude_code", current))["mcpServers"]["litellm"]) == ["headers", "type", "url"]


def test_vs_code_is_asked_for_a_key_once():
    text = client_config([SERVER, SERVER | {"name": "second"}], "vscode")
    text = client_config([SERVER | {"name": "third"}], "vscode", text)
    assert [each["id"] for each in json.loads(text)["inputs"]] == ["LITELLM_API_KEY"]
    assert json.loads(text)["inputs"][0]["password"] is True


CODEX = """\
model = "gpt-5"  # mine

[mcp_servers.other]
command = "npx"

[mcp_servers."litellm"] # ours
startup_timeout_sec = 20
url = "https://old.example.com/mcp"

[mcp_servers.litellm.env_http_headers]
X-Team = "TEAM"

[projects."/a"]
trust_level = "trusted"
"""


def test_a_server_that_is_named_command_costs_no_other():
    current = json.dumps({"mcpServers": {"command": {"type": "http"}, "other": {"type": "http"}}})
    assert set(json.loads(client_config([SERVER], "claude_code", current))["mcpServers"]) == {"command", "other", SERVER["name"]}


def test_codex_keeps_every_other_line():
    found = client_config([SERVER], "codex", CODEX)
    expected = CODEX.replace('"https://old.example.com/mcp"', f'"{URL}"')
    assert found == expected.replace("startup", 'bearer_token_env_var = "LITELLM_API_KEY"\nstartup', 1)


@pytest.mark.parametrize("current", ["", 'model = "gpt-5"', 'model = "gpt-5"\n', "[mcp_servers.litellm]", "[mcp_servers.litellm_two]\n"])
def test_codex_gets_the_table_it_lacks(current):
    found = client_config([SERVER], "codex", current)
    table = f'[mcp_servers.litellm]\nurl = "{URL}"\nbearer_token_env_var = "LITELLM_API_KEY"\n'
    assert found.endswith(table)
    assert found.startswith(current)
    assert found.count("[mcp_servers.litellm]") == 1


def test_open_webui_gets_the_key_and_people_see_where_it_belongs():
    assert '"key": "$LITELLM_API_KEY"' in client_config([SERVER], "open_webui")
    other = {"info": {"id": "mine"}, "type": "openapi"}
    current = f"WEBUI_NAME=ours\nTOOL_SERVER_CONNECTIONS={json.dumps([other])}\nLAST=1"
    first, connections, last = client_config([SERVER], "open_webui", current, {"LITELLM_API_KEY": "sk-1"}).split("\n")
    assert (first, last) == ("WEBUI_NAME=ours", "LAST=1")
    mine, ours = json.loads(connections.partition("=")[2])
    assert mine == other
    assert (ours["type"], ours["url"], ours["auth_type"], ours["key"], ours["info"]["id"]) == ("mcp", URL, "bearer", "sk-1", "litellm")


def test_whom_an_administrator_of_open_webui_lets_in_stays():
    keys = {"LITELLM_API_KEY": "sk-1"}
    name, _equals, value = client_config([SERVER], "open_webui", "", keys).partition("=")
    connections = json.loads(value)
    connections[0]["config"]["access_grants"] = [{"principal_type": "user", "principal_id": "*", "permission": "read"}]
    current = f"{name}={json.dumps(connections)}\n"
    assert client_config([SERVER], "open_webui", current, keys) == current


def test_commands_leave_the_key_to_the_shell_or_the_client():
    assert client_config([SERVER], "claude_code_command") == (
        f"claude mcp add --scope user --transport http litellm {URL} --header 'Authorization: Bearer ${{LITELLM_API_KEY}}'\n"
    )
    assert client_config([SERVER, OTHER], "curl").count("-H @-") == 2


@pytest.mark.parametrize(
    ("client", "current"),
    [
        ("claude_code", "[]"),
        ("vscode", "{\n  // mine\n}"),
        ("openclaw", "{mcp: {}}"),
        ("codex", "mcp_servers = {}"),
        ("codex", "mcp_servers.litellm.url = 'x'"),
        ("codex", "[mcp_servers]\nlitellm = {url = 'x'}\n"),
        ("vscode", "[]"),
        ("codex", "[mcp_servers.litellm]\ncommand = 'npx'\n"),
        ("open_webui", "TOOL_SERVER_CONNECTIONS={}"),
        ("open_webui", "TOOL_SERVER_CONNECTIONS='[]'"),
    ],
)
def test_a_file_that_cannot_be_changed_safely_is_left_alone(client, current):
    with pytest.raises(AnsibleFilterError, match="client_config: "):
        client_config([SERVER], client, current)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "a b"),
        ("name", None),
        ("url", "litellm"),
        ("url", "https://x/mcp?token=secret"),
        ("url", 'https://x"'),
        ("key_variable", "a-b"),
    ],
)
def test_bad_input_names_the_field(field, value):
    with pytest.raises(AnsibleFilterError, match=f"client_config: {field} of"):
        client_config([SERVER | {field: value}], "codex")


def test_an_unknown_client_is_refused():
    with pytest.raises(AnsibleFilterError, match="no client emacs"):
        client_config([SERVER], "emacs")
