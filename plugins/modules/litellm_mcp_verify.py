#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether MCP servers behind LiteLLM work for whom they should, and for nobody else; and if not, why."""

from __future__ import annotations

DOCUMENTATION = r"""
module: litellm_mcp_verify
short_description: Prove that MCP servers behind LiteLLM can be used
version_added: 0.4.0
description:
  - Goes the whole way for each server, as a client would, with a key of the kind that clients have. It sees that the server is healthy,
    finds its tools, calls a safe one, lets a model call it through C(/chat/completions) and C(/v1/responses), asks for a tool that does
    not exist and for one that fails, and sees that a key without the grant is refused. Two servers are also used in one request.
  - A check that fails names its cause and what to do. The task itself does not fail; look at RV(ok).
  - The model is asked two or three times for each server, which is paid, and the tools run. In check mode neither happens.
author: RHDP (@rhpds)
extends_documentation_fragment:
  - rhpds.litemaas.connection
  - rhpds.litemaas.attributes.info
  - rhpds.litemaas.attributes.actiongroup
options:
  api_key:
    description:
      - The key to prove it for, a virtual key with a grant of every server and of O(model).
      - An administrator's key proves little, since nothing is refused to it.
      - The environment variable E(LITELLM_API_KEY) of the host that runs the module is used when this is not given.
  servers:
    description: The servers, each with a tool that may be called. A single one leaves out the check of two servers in one request.
    type: list
    elements: dict
    required: true
    suboptions:
      alias:
        description: The server's alias in LiteLLM.
        type: str
        required: true
      tool:
        description: A tool of it that changes nothing, by its own name, without the alias.
        type: str
        required: true
      arguments:
        description: What to call it with.
        type: dict
        default: {}
      failing_arguments:
        description:
          - Arguments with which the tool fails, to see that its failure is reported.
          - Without them it is called with none at all, where it needs some.
        type: dict
  model:
    description: The public name of a model that can call tools.
    type: str
    required: true
  denied_api_key:
    description: A key without a grant of any of the servers, which must be refused. Without it, that is not checked.
    type: str
  admin_api_key:
    description:
      - A key of a user whose role is C(proxy_admin), or the master key, to tell why a server is not healthy. It is used for nothing else.
      - Without it the causes are less certain.
    type: str
  client_files:
    description:
      - Configurations of clients and saved requests, to see that none of them names an address that LiteLLM does not have, such as
        C(/mcp/tools), or offers tools in a way that LiteLLM does not execute.
      - LiteLLM's are the addresses that begin as O(url) does, with or without its scheme, or with a variable that has C(litellm) in its
        name (C($LITELLM_URL), C(${env:LITELLM_API_URL})). Others are not judged.
      - In a file that begins with C({), as JSON does, texts with spaces are not looked at, since they are prompts and descriptions.
      - Files that are not there are passed over.
    type: list
    elements: path
    default: []
seealso:
  - module: rhpds.litemaas.litellm_mcp_server
  - module: rhpds.litemaas.litellm_mcp_tool_call
"""

EXAMPLES = r"""
- name: Prove that both servers work for the workshop's key
  rhpds.litemaas.litellm_mcp_verify:
    url: https://litellm.apps.example.com
    api_key: "{{ workshop_key }}"
    admin_api_key: "{{ litellm_master_key }}"
    denied_api_key: "{{ key_without_grants }}"
    model: granite-3-8b-instruct
    servers:
      - alias: web
        tool: fetch
        arguments: {url: "https://www.example.com"}
      - alias: fs
        tool: list_directory
        arguments: {path: /data}
  register: proof

- name: Stop unless all is well
  ansible.builtin.assert:
    that: proof.ok
    fail_msg: "{{ proof.checks | selectattr('ok', 'false') | list }}"
"""

RETURN = r"""
ok:
  description: Whether no check failed.
  returned: success
  type: bool
litellm_version:
  description: LiteLLM's version, or an empty text where it does not tell.
  returned: success
  type: str
  sample: 1.106.2
checked_at:
  description: When, in UTC.
  returned: success
  type: str
  sample: '2026-11-21T06:16:05Z'
checks:
  description: What was checked, server by server.
  returned: success
  type: list
  elements: dict
  contains:
    check:
      description: What was checked. V(health), the server is known and answers LiteLLM. V(discovery), the key finds the tool. V(call), the
        tool answers. V(unknown_tool) and V(failing_tool), the error is reported as one. V(chat) and V(responses), LiteLLM executes the
        tool for the model. V(denied), the other key is refused. V(two_servers), one request uses both. V(clients), the files.
      type: str
    server:
      description: The server's alias, two of them with a plus between, or empty for V(clients).
      type: str
    ok:
      description: Whether it is as it should be; null when it was not, or could not be, looked at.
      type: bool
    detail:
      description: What was seen, in a sentence.
      type: str
    cause:
      description: Why it failed. Empty when it did not.
      type: str
      choices:
        - ""
        - not_registered
        - dash_in_name
        - stdio_off
        - wrong_transport
        - upstream_refuses
        - upstream_down
        - bad_key
        - no_permission
        - too_much_permission
        - no_tool
        - tool_failed
        - swallowed_error
        - function_tools
        - model_failed
        - model_did_not_call
        - dead_endpoint
        - unreadable
        - gateway
    remedy:
      description: What to do about it. Empty when it did not fail.
      type: str
  sample:
    - check: discovery
      server: fs
      ok: false
      detail: The key finds no tool of fs.
      cause: no_permission
      remedy: Grant the server to the key or its team (object_permission.mcp_servers), or set allow_all_keys on the server.
"""

import json
import os
import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.rhpds.litemaas.plugins.module_utils.client import Client, LiteLLMError
from ansible_collections.rhpds.litemaas.plugins.module_utils.connection import connect
from ansible_collections.rhpds.litemaas.plugins.module_utils.info import run_info
from ansible_collections.rhpds.litemaas.plugins.module_utils.mcp import McpSession, catalogue, words_of
from ansible_collections.rhpds.litemaas.plugins.module_utils.mcp_servers import list_servers, prefix_of

SERVER = {
    "alias": {"type": "str", "required": True},
    "tool": {"type": "str", "required": True},
    "arguments": {"type": "dict", "default": {}},
    "failing_arguments": {"type": "dict"},
}
OPTIONS = {
    "servers": {"type": "list", "elements": "dict", "required": True, "options": SERVER},
    "model": {"type": "str", "required": True},
    "denied_api_key": {"type": "str", "no_log": True},
    "admin_api_key": {"type": "str", "no_log": True},
    "client_files": {"type": "list", "elements": "path", "default": []},
}
REMEDIES = {
    "not_registered": "Register the server (litellm_mcp_server), or give the alias that LiteLLM has.",
    "dash_in_name": "LiteLLM ends a server's name at the first '-' of a tool's: give it a name and alias without, such as my_server.",
    "stdio_off": "LiteLLM starts stdio servers only with LITELLM_ENABLE_MCP_STDIO=true in its environment. Better: run the server in a pod "
    "of its own behind the bridge, and register the bridge's URL.",
    "wrong_transport": "Set the server's transport to {other}.",
    "upstream_refuses": "Give LiteLLM the server's credentials (auth_type, authentication_token), or static_headers.",
    "upstream_down": "See that the server runs, that LiteLLM can reach its url (name, port, path, NetworkPolicy), and LiteLLM's log.",
    "bad_key": "Give a key that LiteLLM knows and that has not expired.",
    "no_permission": "Grant the server to the key or its team (object_permission.mcp_servers), or set allow_all_keys on the server.",
    "too_much_permission": "Take the grant from the key and its team, and allow_all_keys from the server.",
    "no_tool": "Give a tool that the server has, and that allowed_tools and mcp_tool_permissions let through.",
    "tool_failed": "Correct the arguments, or see the server's log.",
    "swallowed_error": "The server hides its errors from models: report it to who makes it, or give failing_arguments with which it fails.",
    "function_tools": 'Offer the server as {{"type": "mcp", "server_url": "litellm_proxy/mcp/{alias}", "server_label": "litellm", '
    '"require_approval": "never"}}: LiteLLM hands tools of "type": "function" back instead of executing them.',
    "model_failed": "See that the key may use the model and that it answers (litellm_health), and LiteLLM's log.",
    "model_did_not_call": "Give a model that can call tools.",
    "dead_endpoint": "Point it at /mcp, /mcp/<alias> or /mcp-rest/tools/list; client_config.yml writes it.",
    "unreadable": "Let the task's user read the file, as text in UTF-8, or leave it out of client_files.",
    "gateway": "See LiteLLM's log.",
}
UNSEEN = "This LiteLLM does not tell in a chat what it executed"
# How the gateway words, as a tool's result, that there is none.
NO_RESULT = ("Error executing tool:", "Tool call failed:", "Tool call blocked:")
# After LiteLLM's address, or a variable that seems to hold it.
DEAD = r"/+(mcp/(?:tools|invoke)|v1/tools)(?![\w-])"
VARIABLE = r"\$(?:\{[^}\s]*litellm[^}\s]*\}|[\w:]*litellm\w*)[\"']?"
JSON_TEXT = re.compile(r'"(?:[^"\\\n]|\\.)*"')
NOT_EXECUTED = re.compile(r"""["']?tools["']?\s*[:=]\s*["']auto["']|["']type["']\s*:\s*["']function["']""")
# What is checked of a server whose tool the key finds.
USES = ("call", "unknown_tool", "failing_tool", "chat", "responses")


class Fault(Exception):
    """A check that failed: what was seen, and why."""

    def __init__(self, detail: str, cause: str, **remedy: str) -> None:
        super().__init__(detail)
        self.cause = cause
        self.remedy = REMEDIES[cause].format(**remedy)


class Unchecked(Exception):
    """Why a check was not made."""


class Gateway:
    """LiteLLM's gateway, as the keys see it."""

    def __init__(self, client: Client, parameters: dict[str, Any]) -> None:
        self.client = client
        self.model = parameters["model"]
        self.dry = parameters["check_mode"]
        self.admin = connect({**parameters, "api_key": parameters["admin_api_key"]}) if parameters["admin_api_key"] else None
        self.other = connect({**parameters, "api_key": parameters["denied_api_key"]}) if parameters["denied_api_key"] else None
        self.tools: dict[str, dict[str, Any]] = {}
        self.refusal: Fault | None = None
        self.unlisted = False  # whether the key may not list servers
        self.results: dict[str, str] = {}  # what the tools answered when they were called directly
        known = []
        try:
            known = list_servers(client)  # first, because it tells in every version when the key is unknown
        except LiteLLMError as error:
            self.unlisted = error.status == 403  # its allowed_routes; it may use servers all the same
            self.refusal = None if self.unlisted else fault_of(error)
        if not self.refusal:
            try:
                self.tools = {tool["name"]: tool for tool in catalogue(client)}
            except LiteLLMError as error:
                self.refusal = fault_of(error)
        if self.admin:
            try:
                known = list_servers(self.admin)
            except LiteLLMError as error:
                if str(error).startswith("api_key:"):
                    raise LiteLLMError(f"admin_{error}", error.status) from None
                self.refusal = self.refusal or fault_of(error)
        self.entries = {prefix_of(server): server for server in known}

    def health(self, server: dict[str, Any]) -> str:
        alias = server["alias"]
        entry = self.entries.get(alias)
        if "-" in alias:
            raise Fault(f"The alias {alias} holds a '-'.", "dash_in_name")
        if entry is None and self.refusal:
            raise self.refusal
        if entry is None and self.admin:
            raise Fault(f"LiteLLM has no MCP server {alias}.", "not_registered")
        if entry is None and self.unlisted:
            raise Unchecked("The key's allowed_routes keep it from listing servers. Give admin_api_key.")
        if entry is None:
            raise Fault(f"LiteLLM shows the key no MCP server {alias}; whether there is one, admin_api_key would tell.", "no_permission")
        client = self.admin or self.client
        known = {each["server_id"]: each["status"] for each in client.get("/v1/mcp/server/health", server_ids=entry["server_id"])}
        status = known.get(entry["server_id"])
        if status in ("healthy", "reachable"):
            return f"{status}, transport {entry['transport']}"
        error = self._error(entry)
        if entry["transport"] == "stdio" and (
            "LITELLM_ENABLE_MCP_STDIO" in error or (not error and "is_config" in entry)  # 1.81 has no such switch
        ):
            raise Fault("The server's transport is stdio, and LiteLLM does not start it.", "stdio_off")
        if status == "unknown" and not error:
            raise Unchecked(f"LiteLLM does not check a server whose auth_type is {entry.get('auth_type')}.")
        said = f"{alias} is {status}: {error or 'no reason given'}"
        if other := self._answers_otherwise(entry):
            raise Fault(f"The server speaks {other}, and is registered as {entry['transport']}.", "wrong_transport", other=other)
        raise Fault(said, "upstream_refuses" if re.search(r"\b40[13]\b", error) else "upstream_down")

    def _error(self, entry: dict[str, Any]) -> str:
        """What LiteLLM said when it last tried the server; of one in its configuration file, 1.81 does not tell."""
        try:
            answer = (self.admin or self.client).get(f"/v1/mcp/server/{entry['server_id']}")
        except LiteLLMError:
            return ""
        return self.client.plain(answer.get("health_check_error") or "")

    def _answers_otherwise(self, entry: dict[str, Any]) -> str | None:
        """The transport with which the server would answer LiteLLM, if it is another than the registered one."""
        other = {"http": "sse", "sse": "http"}.get(entry["transport"])
        if not self.admin or not other or not entry.get("url"):
            return None
        names = ("server_id", "server_name", "alias", "url", "auth_type", "static_headers")
        request = {**{name: entry[name] for name in names if entry.get(name)}, "transport": other}
        try:
            return other if self.admin.ask("/mcp-rest/test/connection", request).get("status") == "ok" else None
        except LiteLLMError:
            return None

    def discovery(self, server: dict[str, Any]) -> str:
        if self.refusal:
            raise self.refusal
        alias, name = server["alias"], name_of(server)
        offered = [tool for tool in self.tools.values() if tool["server"] == alias]
        if not offered:
            raise Fault(f"The key finds no tool of {alias}.", "no_permission")
        if name not in self.tools:
            raise Fault(f"The key finds {len(offered)} tools of {alias}, but not {name}.", "no_tool")
        return f"{name} is one of {len(offered)} tools of {alias} that the key finds"

    def call(self, server: dict[str, Any]) -> str:
        result = self._call(name_of(server), server["arguments"])
        text = words_of(result)
        if result.get("isError"):
            raise Fault(self.client.plain(f"{name_of(server)} failed: {text}"), "tool_failed")
        self.results[server["alias"]] = text
        return f"{name_of(server)} answered with {len(text)} characters"

    def unknown_tool(self, server: dict[str, Any]) -> str:
        return self._reported(f"{server['alias']}-no_such_tool", {})

    def failing_tool(self, server: dict[str, Any]) -> str:
        arguments = server["failing_arguments"]
        if arguments is None:
            if not self.tools[name_of(server)].get("inputSchema", {}).get("required"):
                raise Unchecked(f"{name_of(server)} needs no arguments: give failing_arguments with which it fails.")
            arguments = {}
        return self._reported(name_of(server), arguments)

    def _call(self, name: str, arguments: dict[str, Any], client: Client | None = None) -> dict[str, Any]:
        self._not_dry()
        with McpSession(client or self.client) as session:
            return session.call(name, arguments)

    def _reported(self, name: str, arguments: dict[str, Any]) -> str:
        """See that this call ends as an error, and say which."""
        try:
            result = self._call(name, arguments)
        except LiteLLMError as error:
            if error.status is None or error.status in (401, 403) or error.status >= 500:  # no answer is no report
                raise
            return str(error)
        if not result.get("isError"):
            raise Fault(f"A call of {name} that must fail was answered as a success.", "swallowed_error")
        return self.client.plain(f"reported as an error: {words_of(result)}")

    def chat(self, *servers: dict[str, Any]) -> str:
        answer = self._ask("/chat/completions", {"messages": [{"role": "user", "content": question(servers)}]}, servers)
        choice = (answer.get("choices") or [{}])[0]
        fields = choice.get("message", {}).get("provider_specific_fields") or {}
        if "mcp_call_results" in fields:
            return self._executed(fields["mcp_call_results"], servers)
        if choice.get("finish_reason") == "tool_calls" or choice.get("message", {}).get("tool_calls"):
            raise Fault("The model called a tool, and LiteLLM handed the call back.", "function_tools", alias=servers[0]["alias"])
        if "mcp_list_tools" in fields:
            raise Fault(f"{self.model} was offered the tool and did not call it.", "model_did_not_call")
        said = flat(choice.get("message", {}).get("content") or "")
        if all(self.results.get(server["alias"]) and flat(self.results[server["alias"]])[:60] in said for server in servers):
            return f"{UNSEEN}, but the answer holds the result"
        raise Unchecked(f"{UNSEEN}, and the answer does not hold the result.")

    def responses(self, server: dict[str, Any]) -> str:
        output = self._ask("/v1/responses", {"input": question([server])}, [server]).get("output") or []
        for item in output:
            if item.get("type") == "tool_execution_results":
                return self._executed(json.loads(item["content"][0]["text"]), [server])
        if any(item.get("type") == "function_call" for item in output):
            raise Fault("The model called a tool, and LiteLLM handed the call back.", "function_tools", alias=server["alias"])
        raise Fault(f"{self.model} was offered the tool and did not call it.", "model_did_not_call")

    def _ask(self, path: str, body: dict[str, Any], servers: Any, client: Client | None = None) -> dict[str, Any]:
        """Let the model call the servers' tools."""
        self._not_dry()
        tools = [
            {
                "type": "mcp",
                "server_label": "litellm",
                "server_url": f"litellm_proxy/mcp/{server['alias']}",
                "require_approval": "never",
                "allowed_tools": [name_of(server), server["tool"]],  # 1.81 leaves the alias out where there is one server only
            }
            for server in servers
        ]
        with (client or self.client).opened("POST", path, json={**body, "model": self.model, "tools": tools}) as response:
            if response.status_code == 200:
                return response.json()
            text = f"{path} answered with HTTP {response.status_code}: {self.client.words(response)}"
            raise Fault(text, "no_permission" if response.status_code == 403 and "MCP" in text else "model_failed")

    def _executed(self, results: list[dict[str, Any]], servers: Any) -> str:
        """See that each server's tool is among the results, and has one."""
        for server in servers:
            texts = [each.get("result") or "" for each in results if each.get("name") in (name_of(server), server["tool"])]
            if not texts:
                raise Fault(f"{self.model} called another tool than {name_of(server)}.", "model_did_not_call")
            for text in texts:
                if text.startswith(NO_RESULT):
                    raise Fault(self.client.plain(f"{name_of(server)}: {text}"), "tool_failed")
        return "executed, as mcp_call_results says"

    def refused(self, server: dict[str, Any]) -> str:
        """See that the other key neither finds nor calls the tool, nor lets a model call it."""
        if self.other is None:
            raise Unchecked("There is no denied_api_key.")
        try:
            known = {prefix_of(each) for each in list_servers(self.other)}
        except LiteLLMError as error:
            if error.status != 403:
                raise Fault(f"denied_api_key can't be used, so that it is refused proves nothing: {error}", "bad_key") from None
            known = set()
        try:
            found = [tool for tool in catalogue(self.other) if tool["server"] == server["alias"]]
        except LiteLLMError as error:
            if error.status is None or error.status >= 500:
                raise
            found = []
        if found:
            raise Fault(f"denied_api_key finds {len(found)} tools of {server['alias']}.", "too_much_permission")
        if server["alias"] in known:  # it may be granted, and the server be down
            raise Unchecked(f"LiteLLM lists {server['alias']} for denied_api_key, and no tool of it.")
        if self.dry:
            return "finds no tool"
        try:
            if not self._call(name_of(server), server["arguments"], self.other).get("isError"):
                raise Fault(f"denied_api_key can call {name_of(server)}.", "too_much_permission")
        except LiteLLMError as error:
            if error.status is None or error.status >= 500:
                raise
        try:
            answer = self._ask("/v1/responses", {"input": question([server])}, [server], self.other)
        except Fault:
            return "finds no tool, and is refused"
        if any(item.get("type") == "tool_execution_results" for item in answer.get("output") or []):
            raise Fault(f"A model called {name_of(server)} for denied_api_key.", "too_much_permission")
        return "finds no tool, and neither it nor a model can call it"

    def _not_dry(self) -> None:
        if self.dry:
            raise Unchecked("Not tried in check mode.")


def name_of(server: dict[str, Any]) -> str:
    return f"{server['alias']}-{server['tool']}"


def question(servers: Any) -> str:
    calls = " and ".join(f"{name_of(server)} {json.dumps(server['arguments'])}" for server in servers)
    return f"Call, once and with exactly these arguments, {calls}. Then repeat the answer word for word."


def flat(text: str) -> str:
    return " ".join(text.split())


def fault_of(error: LiteLLMError) -> Fault:
    # 1.81 answers 400 to an expired key, and not 401.
    key = "no_permission" if error.status == 403 else "bad_key"
    return Fault(str(error), key if str(error).startswith("api_key:") else "gateway")


def dead_on(url: str) -> re.Pattern[str]:
    """Return what finds the addresses that the LiteLLM of this URL does not have, and not those of others."""
    parts = urlsplit(url.strip().rstrip("/"))
    host = re.escape(re.sub(r":(80|443)$", "", parts.netloc))
    return re.compile(rf"(?:(?<![\w./-])|(?<=//))(?i:{host}(?::(?:80|443))?{re.escape(parts.path)}|{VARIABLE}){DEAD}")


def clients(files: list[str], url: str, aliases: list[str]) -> str:
    """See that no file names an address that LiteLLM does not have, nor tools that it does not execute."""
    dead = dead_on(url)
    there = [path for path in files if os.path.isfile(path)]
    if not there:
        raise Unchecked("There is no file of a client to look at.")
    for path in there:
        try:
            with open(path, encoding="utf-8") as file:
                text = file.read().replace("\\/", "/")  # as JSON may have it
        except (OSError, UnicodeDecodeError) as error:
            raise Fault(f"{path} can't be read ({type(error).__name__}).", "unreadable") from error
        if text.lstrip().startswith("{"):
            text = JSON_TEXT.sub(lambda found: '""' if " " in found[0] else found[0], text)
        for number, line in enumerate(text.splitlines(), 1):
            found = dead.search(line)
            if found and found[1] not in [f"mcp/{alias}" for alias in aliases]:
                raise Fault(f"{path}, line {number}: LiteLLM has no /{found[1]}.", "dead_endpoint")
            if NOT_EXECUTED.search(line):
                raise Fault(f"{path}, line {number}: tools that LiteLLM does not execute.", "function_tools", alias="<alias>")
    return f"nothing wrong in {', '.join(there)}"


def read(client: Client, parameters: dict[str, Any]) -> dict[str, Any]:
    servers = parameters["servers"]
    aliases = [server["alias"] for server in servers]
    if not servers or len(set(aliases)) != len(aliases):
        raise LiteLLMError("servers: must name at least one server, and each only once.")
    gateway = Gateway(client, parameters)
    checks: list[dict[str, Any]] = []

    def check(name: str, look: Callable[..., str], *servers: dict[str, Any]) -> bool:
        """Add what was found; return whether it did not fail."""
        found = {"check": name, "server": "+".join(server["alias"] for server in servers), "ok": True, "cause": "", "remedy": ""}
        try:
            found["detail"] = look(*servers)
        except Unchecked as reason:
            found.update(ok=None, detail=str(reason))
        except (Fault, LiteLLMError) as error:
            fault = error if isinstance(error, Fault) else fault_of(error)
            found.update(ok=False, detail=str(fault), cause=fault.cause, remedy=fault.remedy)
        checks.append(found)
        return found["ok"] is not False

    usable = []
    for server in servers:
        found = check("health", gateway.health, server) and check("discovery", gateway.discovery, server)
        # Without it, what follows would only repeat the fault.
        for name in USES if found else ():
            check(name, getattr(gateway, name), server)
        check("denied", gateway.refused, server)
        usable += [server] if found else []
    if len(usable) > 1:
        check("two_servers", gateway.chat, *usable[:2])
    check("clients", lambda: clients(parameters["client_files"], parameters["url"], [*aliases, *gateway.entries]))
    return {
        "ok": all(each["ok"] is not False for each in checks),
        "checks": checks,
        "litellm_version": client.version(),
        "checked_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def main() -> None:
    run_info(OPTIONS, read)


if __name__ == "__main__":
    main()
