# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How MCP clients are told of our servers."""

from __future__ import annotations

import json
import re

from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: client_config
short_description: The configuration of an MCP client for LiteLLM's gateway or LiteMaaS's MCP server
version_added: 0.4.0
description:
  - Returns what the client's configuration file holds when the servers are in it, the rest of it as it was. A file that has them already
    is returned as it is, byte for byte.
  - Keys are named, not written, in the way of the client. Open WebUI alone can't be told a name; it gets the key itself.
  - V(claude_code_command) and V(curl) are commands to type, a line for each server.
author: RHDP (@rhpds)
positional: client, current, keys
options:
  _input:
    description: The servers.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: What the client calls the server. Letters, digits, V(-) and V(_).
        type: str
        required: true
      url:
        description: The server's MCP endpoint, such as V(https://litellm.example.com/mcp/) or V(https://litemaas-mcp.example.com/mcp).
        type: str
        required: true
      key_variable:
        description: The environment variable in which the client finds the key.
        type: str
        required: true
  client:
    description: Whose configuration.
    type: str
    required: true
    choices: [claude_code, claude_code_command, codex, curl, open_webui, openclaw, vscode]
  current:
    description: What the file holds now. It must be plain JSON, without comments, but for V(codex) (TOML) and V(open_webui) (variables).
    type: str
    default: ""
  keys:
    description:
      - The keys by the names of their variables, for Open WebUI, which needs the keys themselves.
      - In place of one that is missing C($) and the variable's name are returned, for people to read.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: The gateway in Codex's configuration, whose rest stays as it is
  ansible.builtin.copy:
    content: "{{ servers | rhpds.litemaas.client_config('codex', lookup('ansible.builtin.file', file, rstrip=false)) }}"
    dest: "{{ file }}"
    mode: "0600"
  vars:
    file: "{{ lookup('ansible.builtin.env', 'HOME') }}/.codex/config.toml"
    servers:
      - name: litellm
        url: https://litellm.apps.example.com/mcp/
        key_variable: LITELLM_API_KEY
"""

RETURN = r"""
_value:
  description: The file's content, or the commands.
  type: str
"""

NAME = re.compile(r"[A-Za-z0-9_-]+")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
URL = re.compile(r"https?://[^\s\"'`\\?#@$]+")
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "curl", "version": "1"}},
}


def client_config(servers, client, current="", keys=None):
    if client not in CLIENTS:
        raise AnsibleFilterError(f"client_config: there is no client {client}. It must be one of {', '.join(sorted(CLIENTS))}.")
    for server in servers:
        for field, form in ("name", NAME), ("url", URL), ("key_variable", VARIABLE):
            if not (isinstance(server.get(field), str) and form.fullmatch(server[field])):
                whose = server.get("name", "a server")
                raise AnsibleFilterError(f"client_config: {field} of {whose} is missing, or not one: {HINTS[field]}")
    return open_webui(servers, current, keys or {}) if client == "open_webui" else CLIENTS[client](servers, current)


HINTS = {
    "name": "letters, digits, - and _.",
    "url": "an MCP endpoint such as https://litellm.example.com/mcp/, without a key in it.",
    "key_variable": "the name of an environment variable, such as LITELLM_API_KEY.",
}


def claude_code(servers, current):
    wanted = {
        server["name"]: {"type": "http", "url": server["url"], "headers": {"Authorization": f"Bearer ${{{server['key_variable']}}}"}}
        for server in servers
    }
    return in_json(current, {"mcpServers": wanted})


def claude_code_command(servers, current):
    # In single quotes, so that the shell does not put the key in the variable's place: Claude Code does, when it connects.
    return lines(
        f"claude mcp add --scope user --transport http {server['name']} {server['url']} "
        f"--header 'Authorization: Bearer ${{{server['key_variable']}}}'"
        for server in servers
    )


def codex(servers, current):
    if re.search(r"^\s*mcp_servers\s*[.=]|^[ \t]*\[[ \t]*mcp_servers[ \t]*\]", current, re.MULTILINE):
        raise AnsibleFilterError("client_config: the file has mcp_servers otherwise than as [mcp_servers.name] tables. Make them tables.")
    for server in servers:
        current = in_table(current, server["name"], {"url": server["url"], "bearer_token_env_var": server["key_variable"]})
    return current


def curl(servers, current):
    # The header comes by standard input: arguments show in process lists.
    body = json.dumps(INITIALIZE)
    return lines(
        f"""echo "Authorization: Bearer ${server["key_variable"]}" | curl -sS -H @- -H 'Content-Type: application/json' """
        f"""-H 'Accept: application/json, text/event-stream' {server["url"]} -d '{body}'"""
        for server in servers
    )


def open_webui(servers, current, keys):
    """A file of variables as podman and docker take it with --env-file: to the end of the line all is the value."""
    name = "TOOL_SERVER_CONNECTIONS"
    found = re.search(rf"^{name}=(.*)$", current, re.MULTILINE)
    connections = parsed(found[1], name) if found else []
    if not isinstance(connections, list):
        raise AnsibleFilterError(f"client_config: {name} in the file is no list of connections.")
    before = json.dumps(connections)
    for server in servers:
        wanted = {
            "type": "mcp",
            "url": server["url"],
            "path": "",
            "auth_type": "bearer",
            "key": keys.get(server["key_variable"]) or f"${server['key_variable']}",
            "config": {"enable": True},
            "info": {"id": server["name"], "name": server["name"], "description": ""},
        }
        there = [each for each in connections if (each.get("info") or {}).get("id") == server["name"]]
        if there:
            there[0].update(merged(there[0], wanted))
        else:
            connections.append(wanted)
    if found and json.dumps(connections) == before:
        return current
    line = f"{name}={json.dumps(connections)}"
    if found:
        return current[: found.start()] + line + current[found.end() :]
    return ended(current) + line + "\n"


def openclaw(servers, current):
    wanted = {
        server["name"]: {
            "url": server["url"],
            "transport": "streamable-http",
            "headers": {"Authorization": f"Bearer ${{{server['key_variable']}}}"},
        }
        for server in servers
    }
    return in_json(current, {"mcp": {"servers": wanted}})


def vscode(servers, current):
    """VS Code asks for the key once, and keeps it in its secret storage."""
    wanted = {
        server["name"]: {
            "type": "http",
            "url": server["url"],
            "headers": {"Authorization": f"Bearer ${{input:{server['key_variable']}}}"},
        }
        for server in servers
    }
    there = {each.get("id") for each in json_object(current).get("inputs") or []}
    asked = list(dict.fromkeys(server["key_variable"] for server in servers))
    prompt = {"type": "promptString", "password": True}
    inputs = [{**prompt, "id": each, "description": f"The key {each}"} for each in asked if each not in there]
    return in_json(current, {"inputs": inputs, "servers": wanted})


CLIENTS = {each.__name__: each for each in (claude_code, claude_code_command, codex, curl, open_webui, openclaw, vscode)}


def in_json(current, wanted):
    have = json_object(current)
    result = merged(have, wanted)
    return current if result == have and current.strip() else json.dumps(result, indent=2, ensure_ascii=False) + "\n"


def json_object(text):
    have = parsed(text, "the file") if text.strip() else {}
    if not isinstance(have, dict):
        raise AnsibleFilterError("client_config: the file is no JSON object.")
    return have


def parsed(text, what):
    try:
        return json.loads(text)
    except ValueError as error:
        raise AnsibleFilterError(
            f"client_config: {what} is not plain JSON ({error}), so that it can't be changed safely. "
            "Take comments and trailing commas out, or add the printed configuration by hand."
        ) from None


def merged(have, wanted):
    """What is wanted in what is there; lists get what they lack. A server that was a command is replaced as a whole."""
    if isinstance(have, dict) and isinstance(wanted, dict) and not isinstance(have.get("command"), str):
        return {**have, **{name: merged(have[name], value) if name in have else value for name, value in wanted.items()}}
    if isinstance(have, list) and isinstance(wanted, list):
        return have + [each for each in wanted if each not in have]
    return wanted


def in_table(text, name, values):
    """The TOML with these texts in the table [mcp_servers.name]; its other entries stay."""
    entries = {key: f"{key} = {json.dumps(value)}" for key, value in values.items()}
    head = re.search(rf"^[ \t]*\[[ \t]*mcp_servers[ \t]*\.[ \t]*[\"']?{re.escape(name)}[\"']?[ \t]*\][^\n]*(?:\n|$)", text, re.MULTILINE)
    if not head:
        return ended(text) + ("\n" if text else "") + lines([f"[mcp_servers.{name}]", *entries.values()])
    following = re.search(r"^[ \t]*\[", text[head.end() :], re.MULTILINE)
    end = head.end() + following.start() if following else len(text)
    table = text[head.end() : end]
    if re.search(r"^[ \t]*command[ \t]*=", table, re.MULTILINE):
        raise AnsibleFilterError(f"client_config: the file's {name} is a command. Take it out, or give the server another name.")
    for key, entry in reversed(entries.items()):
        there = re.search(rf"^[ \t]*{key}[ \t]*=[^\n]*", table, re.MULTILINE)
        table = table[: there.start()] + entry + table[there.end() :] if there else f"{entry}\n{table}"
    return ended(text[: head.end()]) + table + text[end:]


def ended(text):
    return text if not text or text.endswith("\n") else text + "\n"


def lines(texts):
    return "".join(f"{text}\n" for text in texts)


class FilterModule:
    def filters(self):
        return {"client_config": client_config}
