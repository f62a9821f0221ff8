# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the MCP servers and grants that somebody wants come to: complete, or what is wrong with them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import Any

from ansible_collections.rhpds.litemaas.plugins.module_utils.mcp_servers import server_id_of

DOCUMENTATION = r"""
name: mcp_gateway_plan
short_description: MCP servers for LiteLLM's gateway, completed from presets and checked
version_added: 0.4.0
description:
  - Completes the entries of C(ocp4_workload_litemaas_mcp_gateway_servers) from their presets and says what is wrong with them and with the
    grants. The role C(ocp4_workload_litemaas_mcp_gateway) makes pods, registrations and LiteLLM's configuration of the result.
author: RHDP (@rhpds)
positional: presets
options:
  _input:
    description: The entries.
    type: list
    elements: dict
    required: true
  presets:
    description: The presets by name.
    type: dict
    required: true
  grants:
    description: Who may use which servers.
    type: list
    elements: dict
    default: []
  namespace:
    description: The namespace of the pods.
    type: str
    required: true
  mode:
    description: How LiteLLM learns of the servers. With V(config) the keys of their Secrets become variables of LiteLLM's pods.
    type: str
    choices: [api, config]
    default: api
"""

EXAMPLES = r"""
- name: What would be done?
  ansible.builtin.debug:
    msg: "{{ [{'preset': 'fetch'}] | rhpds.litemaas.mcp_gateway_plan(presets, namespace='litemaas') }}"
"""

RETURN = r"""
_value:
  description:
    - C(servers), the completed entries; C(grants), each with a sentence C(reach); C(config), the servers for LiteLLM's
      config.yaml; C(secrets), the keys of Secrets that are needed.
    - C(faults), sentences that name entry, field and remedy, empty when all is well.
  type: dict
"""

SERVERS = "ocp4_workload_litemaas_mcp_gateway_servers"
GRANTS = "ocp4_workload_litemaas_mcp_gateway_grants"

TEXT = (str, "a text")
LIST = (list, "a list")
MAPPING = (dict, "a mapping")
NUMBER = (int, "a whole number")
FLAG = (bool, "true or false")
KINDS = dict((FLAG, TEXT, LIST, MAPPING, NUMBER, (float, "a number")))
SOURCES = ("url", "image", "command")
# What is only of a pod.
POD = {
    "args": LIST,
    "env": MAPPING,
    "secret_env": MAPPING,
    "volumes": LIST,
    "egress": LIST,
    "resources": MAPPING,
}
IMAGE = {"port": NUMBER, "path": TEXT}
LITELLM = {
    "description": TEXT,
    "allowed_tools": LIST,
    "access_groups": LIST,
    "allow_all_keys": FLAG,
    "static_headers": MAPPING,
    "extra_headers": LIST,
    "mcp_info": MAPPING,
}
FIELDS = {
    "name": TEXT,
    "preset": TEXT,
    "alias": TEXT,
    "url": TEXT,
    "image": TEXT,
    "command": TEXT,
    "transport": TEXT,
    "auth_type": TEXT,
    "auth_secret": MAPPING,
    **POD,
    **IMAGE,
    **LITELLM,
}
GRANT_LIMITS = {"models": LIST, "max_budget": (object, ""), "budget_duration": TEXT, "duration": TEXT}
GRANT_FIELDS = {"key_alias": TEXT, "team_alias": TEXT, "servers": LIST, "access_groups": LIST, "tools": MAPPING, **GRANT_LIMITS}

NAME = re.compile(r"[a-z]([a-z0-9_]{0,38}[a-z0-9])?\Z")  # a pod's too
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*$")
SECRET_KEY = re.compile(r"[-._a-zA-Z0-9]+$")
URL = re.compile(r"https?://[^/\s@]+(/[^\s?#]*)?$")
# Types that one secret text serves, in every version of LiteLLM.
AUTH_TYPES = ("api_key", "bearer_token", "basic", "authorization")
TRANSPORTS = ("http", "sse")
SECRET_NAME = re.compile(r"(?i)(key|passw(or)?d|secret|token|credential|authorization|cookie|dsn)s?$")
SECRET_VALUE = re.compile(r"[a-z][a-z+]*://[^/@\s]*:[^/@\s]+@|\bsk-[\w-]{13,}|\bgh[pousr]_\w{20,}|(?i:\bbearer\s+\S)")
# What the role ocp4_workload_litemaas, LiteLLM or its image gives LiteLLM's pods itself.
LITELLMS_OWN = re.compile(r"(DATABASE|LITELLM|PROXY|REDIS|STORE|UI)_|(HOME|PATH)$")
BRIDGE_PORT = 8080
NO_MODELS = "no-default-models"  # LiteLLM takes an empty list for all models


def mcp_gateway_plan(
    entries: list[Any], presets: dict[str, Any], namespace: str, grants: list[Any] | None = None, mode: str = "api"
) -> dict[str, Any]:
    faults: list[str] = []
    servers = [
        server for number, entry in enumerate(entries, 1) for server in [_server(number, entry, presets, namespace, faults)] if server
    ]
    faults += _doubles(servers)
    if mode == "config":
        faults += _wrong_variables(servers)
    complete = len(servers) == len(entries)
    wanted = [grant for number, grant in enumerate(grants or [], 1) if _grant_stands(number, grant, servers if complete else None, faults)]
    aliases = [grant[kind] for kind in ("key_alias", "team_alias") for grant in wanted if kind in grant]
    faults += [f"{GRANTS}: {alias!r} has several entries. Make one of them." for alias in _repeated(aliases)]
    return {
        "servers": servers,
        "grants": [_grant(grant, servers) for grant in wanted],
        "config": _config(servers),
        "secrets": [need for server in servers for need in _secrets(server)],
        "faults": faults,
    }


def _server(number: int, entry: Any, presets: dict[str, Any], namespace: str, faults: list[str]) -> dict[str, Any] | None:
    """Return the entry as it is meant, or None and the reasons among the faults."""
    found = list(_wrong_shape(entry, FIELDS)) or list(_wrong_preset(entry, presets))
    if not found:
        server = _completed(entry, presets.get(entry.get("preset"), {}))
        found = list(_wrong(server, presets.get(entry.get("preset"), {})))
    if found:
        faults.extend(f"{SERVERS}: {_named(number, entry, 'name', 'preset')}: {fault}" for fault in found)
        return None
    return _meant(server, namespace)


def _named(number: int, entry: Any, *fields: str) -> str:
    """Name an entry without its values: a token may stand in the wrong place."""
    if not isinstance(entry, dict):
        return f"entry {number}"
    names = [repr(entry[field]) for field in fields if isinstance(entry.get(field), str) and entry[field]]
    return names[0] if names else f"entry {number} ({', '.join(sorted(map(str, entry)))})"


def _kind(value: Any) -> str:
    return next((KINDS[kind] for kind in type(value).__mro__ if kind in KINDS), "nothing")


def _wrong_shape(entry: Any, fields: dict[str, Any]) -> Iterator[str]:
    if not isinstance(entry, dict):
        yield f"must be a mapping, and is {_kind(entry)}. Write one of {', '.join(fields)}."
        return
    for field, value in entry.items():
        if field not in fields:
            near = difflib.get_close_matches(field, fields, 1)
            yield f"{field}: there is no such field. {f'{near[0]} is meant?' if near else 'The fields are ' + ', '.join(fields) + '.'}"
        elif not isinstance(value, fields[field][0]) or (isinstance(value, bool) and fields[field] == NUMBER):
            yield f"{field}: must be {fields[field][1]}, and is {_kind(value)}."


def _wrong_preset(entry: dict[str, Any], presets: dict[str, Any]) -> Iterator[str]:
    if "preset" in entry and entry["preset"] not in presets:
        yield f"preset: there is none of this name. Give one of {', '.join(presets)}, or url, image or command."
    elif "preset" not in entry and "name" not in entry:
        yield "name: is missing. Give the name that the server shall have in LiteLLM."


def _completed(entry: dict[str, Any], preset: dict[str, Any]) -> dict[str, Any]:
    """Return the entry with what its preset has; another source than the preset's replaces all that goes with that one."""
    if any(source in entry and entry[source] != preset.get(source) for source in SOURCES):
        preset = {field: value for field, value in preset.items() if field in ("alias", "description")}
    taken = {field: value for field, value in preset.items() if field in FIELDS}
    for field in ("env", "secret_env"):
        if field in preset:
            taken[field] = {**preset[field], **entry.get(field, {})}
    merged = {**taken, **{field: value for field, value in entry.items() if field not in ("env", "secret_env") or field not in taken}}
    name = merged.get("name") or merged["preset"]
    return {**merged, "name": name, "alias": merged.get("alias") or name}


def _wrong(server: dict[str, Any], preset: dict[str, Any]) -> Iterator[str]:
    for field in ("name", "alias"):
        if not NAME.match(server[field]):
            dash = " LiteLLM separates server and tool by '-': write '_'." if "-" in server[field] else ""
            yield f"{field}: {server[field]!r} must be a small letter, then small letters, digits and '_', 40 at most, not '_' last.{dash}"
    sources = [source for source in SOURCES if source in server]
    if len(sources) != 1:
        yield f"{' and '.join(sources) or 'url'}: give one of url (remote), image (speaks HTTP) and command (speaks stdio)."
        return
    (source,) = sources
    yield from _wrong_source(server, source)
    yield from _wrong_environment(server)
    yield from _wrong_authentication(server)
    if preset.get(source) == server[source]:
        yield from _wanting(server, preset)


def _wrong_source(server: dict[str, Any], source: str) -> Iterator[str]:
    idle = {"url": (*POD, *IMAGE), "image": (), "command": (*IMAGE, "transport")}[source]
    for field in idle:
        if field in server:
            yield f"{field}: has no effect with {source}. Remove it."
    if source == "url" and not URL.match(server["url"]):
        yield "url: must be http:// or https://, a host and a path, without user, password or query. A token goes into auth_secret."
    for name, whose in (("HOME", "pod"), *([("PORT", "bridge")] if source == "command" else ())):
        for field in ("env", "secret_env"):
            if name in server.get(field, {}):
                yield f"{field}: {name} is the {whose}'s. Remove it."
    if source != "url" and (not server[source].strip() or re.search(r"\s", server[source])):
        yield f"{source}: must be one word{'; its arguments go into args' if source == 'command' else ''}."
    if source == "command" and server["command"].rpartition("/")[2] in ("docker", "podman"):
        yield "command: a pod can't run containers. Give the container's image as image, if that speaks HTTP."
    if server.get("transport", "http") not in TRANSPORTS:
        remedy = " A server that speaks stdio is an entry with command." if server["transport"] == "stdio" else ""
        yield f"transport: must be one of {', '.join(TRANSPORTS)}.{remedy}"
    if not 0 < server.get("port", BRIDGE_PORT) < 2**16:
        yield "port: must be from 1 to 65535."
    if not server.get("path", "/").startswith("/"):
        yield "path: must begin with '/'."
    for each in server.get("volumes", []):
        if not isinstance(each, dict) or not str(each.get("mount_path", "")).startswith("/") or not isinstance(each.get("source"), dict):
            yield "volumes: each must have mount_path, such as /data, and source, a volume as Kubernetes writes it, such as {emptyDir: {}}."
    for field in ("args", "allowed_tools", "access_groups", "extra_headers"):
        if any(not isinstance(each, (str, int, float)) for each in server.get(field, [])):
            yield f"{field}: each must be a text."
    if any(SECRET_VALUE.search(str(each)) for each in server.get("args", [])):
        yield "args: hold a secret, which whoever sees the pod would read. Most servers take it from the environment: use secret_env."


def _wrong_environment(server: dict[str, Any]) -> Iterator[str]:
    plain, secret = server.get("env", {}), server.get("secret_env", {})
    for name in (*plain, *secret):
        if not VARIABLE.match(str(name)):
            yield f"env: {name!r} can't be the name of a variable."
    for name in sorted(plain.keys() & secret.keys()):
        yield f"env: {name} is in secret_env too. Remove one."
    for name, value in plain.items():
        if not isinstance(value, (str, int, float)):
            yield f"env: {name} must be a text."
        elif (SECRET_NAME.search(str(name)) and value) or SECRET_VALUE.search(str(value)):
            yield f"env: {name} looks like a secret. Name a Secret of the namespace: secret_env: {{{name}: {{secret: NAME, key: KEY}}}}."
    for name, reference in secret.items():
        if not _is_reference(reference):
            yield f"secret_env: {name} must be {{secret: NAME, key: KEY}}, a Secret of the namespace and a key in it."


def _wrong_authentication(server: dict[str, Any]) -> Iterator[str]:
    if server.get("auth_type", "none") not in ("none", *AUTH_TYPES):
        yield f"auth_type: must be none or one of {', '.join(AUTH_TYPES)}. For others register the server with litellm_mcp_server."
    if "auth_secret" in server and not _is_reference(server["auth_secret"]):
        yield "auth_secret: must be {secret: NAME, key: KEY}, a Secret of the namespace and a key in it."
    if ("auth_secret" in server) != (server.get("auth_type", "none") != "none"):
        lacking = "auth_type" if "auth_secret" in server else "auth_secret"
        yield f"{lacking}: is missing. auth_type says how LiteLLM shows the secret to the server, auth_secret where it is."
    for name, value in server.get("static_headers", {}).items():
        if SECRET_NAME.search(str(name)) or SECRET_VALUE.search(str(value)):
            yield f"static_headers: {name} looks like a secret. Use auth_type and auth_secret."


def _wanting(server: dict[str, Any], preset: dict[str, Any]) -> Iterator[str]:
    """Say what a preset needs and nobody has given."""
    given = {**server, **server.get("env", {}), **server.get("secret_env", {})}
    for need, what in preset.get("needs", {}).items():
        if need not in given:
            field = f"{need}: is missing" if need in FIELDS else f"{'secret_env' if SECRET_NAME.search(need) else 'env'}: {need} is missing"
            yield f"{field}. The preset {server['preset']} needs {what}."


def _is_reference(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"secret", "key"} and all(isinstance(each, str) and each for each in value.values())


def _meant(server: dict[str, Any], namespace: str) -> dict[str, Any]:
    """Return the server with all that templates and tasks want to know."""
    pod = "" if "url" in server else f"mcp-{server['name'].replace('_', '-')}"
    port, path = server.get("port", BRIDGE_PORT), server.get("path", "/mcp")
    return {
        "transport": "http",
        "auth_type": "none",
        **server,
        "pod": pod,
        "port": port,
        "path": path,
        "url": server.get("url") or f"http://{pod}.{namespace}.svc:{port}{path}",
        "env": {name: _text(value) for name, value in server.get("env", {}).items()},
        "secret_env": server.get("secret_env", {}),
        "args": [str(each) for each in server.get("args", [])],
    }


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _doubles(servers: list[dict[str, Any]]) -> Iterator[str]:
    names = [name for server in servers for name in sorted({server["name"], server["alias"]})]
    for name in _repeated(names):
        yield f"{SERVERS}: {name!r}: is the name or alias of several entries. Give each a name and an alias of its own."


def _repeated(names: list[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})


def _secrets(server: dict[str, Any]) -> Iterator[dict[str, str]]:
    for name, reference in server["secret_env"].items():
        yield {"server": server["name"], "field": f"secret_env: {name}", **reference}
    if "auth_secret" in server:
        yield {"server": server["name"], "field": "auth_secret", **server["auth_secret"]}


def _wrong_variables(servers: list[dict[str, Any]]) -> Iterator[str]:
    """Say which Secrets' keys can't be variables of LiteLLM's pods: of two of one name it would see one, and give it to both servers."""
    first: dict[str, dict[str, Any]] = {}
    for server in servers:
        if "auth_secret" not in server:
            continue
        place, key = f"{SERVERS}: {server['name']!r}: auth_secret", server["auth_secret"]["key"]
        remedy = f"such as {server['name'].upper()}_TOKEN."
        other = first.setdefault(key, server)
        if not VARIABLE.match(key):
            yield f"{place}: {key!r} can't be the name of a variable, as mode config makes it one. Give the Secret a key {remedy}"
        elif LITELLMS_OWN.match(key):
            yield f"{place}: {key!r} is a variable of LiteLLM's own, and mode config makes one of the key. Give the Secret a key {remedy}"
        elif other["auth_secret"]["secret"] != server["auth_secret"]["secret"]:
            yield (
                f"{place}: {key!r} is a key of the Secret of {other['name']!r} too, and mode config makes one variable of both. "
                f"Give each Secret a key of its own, {remedy}"
            )


def _config(servers: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what says the same in LiteLLM's config.yaml. A Secret's key is the variable."""
    described = {}
    for server in servers:
        entry = {field: server[field] for field in ("url", "transport", *LITELLM) if field in server}
        # Else LiteLLM makes the id of the address and more, and a change takes the server from whoever was granted it. It is never that of
        # a registered server: when the mode changes there are both for a while.
        entry["server_id"] = server_id_of(f"configuration {server['name']}")
        if "auth_secret" in server:
            entry |= {"auth_type": server["auth_type"], "authentication_token": f"os.environ/{server['auth_secret']['key']}"}
        if server["alias"] != server["name"]:
            entry["alias"] = server["alias"]  # LiteLLM 1.81 loses it when mcp_aliases alone says it
        described[server["name"]] = entry
    aliases = {server["alias"]: server["name"] for server in servers if server["alias"] != server["name"]}
    return {"mcp_servers": described, "litellm_settings": {"mcp_aliases": aliases}}


def _grant_stands(number: int, grant: Any, servers: list[dict[str, Any]] | None, faults: list[str]) -> bool:
    """Whether a grant can be made. Names of servers are only looked at when all entries of servers are right."""
    found = list(_wrong_shape(grant, GRANT_FIELDS)) or list(_wrong_grant(grant, servers))
    faults.extend(f"{GRANTS}: {_named(number, grant, 'key_alias', 'team_alias')}: {fault}" for fault in found)
    return not found


def _wrong_grant(grant: dict[str, Any], servers: list[dict[str, Any]] | None) -> Iterator[str]:
    if ("key_alias" in grant) == ("team_alias" in grant):
        yield "key_alias: give either key_alias, of a key that the role makes, or team_alias, of a team that there is."
        return
    if not SECRET_KEY.match(grant.get("key_alias", "x")) or not grant.get("team_alias", "x").strip():
        yield "key_alias: may hold letters, digits, '-', '_' and '.', as it names the value in a Secret."
    if "team_alias" in grant and (limits := sorted(GRANT_LIMITS.keys() & grant.keys())):
        yield f"{limits[0]}: is for keys. Set the team's by litellm_team."
    if not any(grant.get(field) for field in ("servers", "access_groups", "tools")):
        yield "servers: is missing. Give servers, access_groups or tools; to take a grant away remove its entry."
    for server, tools in grant.get("tools", {}).items():
        if not isinstance(tools, list) or not tools:
            yield f"tools: {server} must have a list of tools. To grant all of them name the server in servers."
    if servers is None:
        return
    known = {name for server in servers for name in (server["name"], server["alias"])}
    groups = {group for server in servers for group in server.get("access_groups", [])}
    for field, names, there in (
        ("servers", grant.get("servers", []), known),
        ("tools", grant.get("tools", {}), known),
        ("access_groups", grant.get("access_groups", []), groups),
    ):
        for name in names:
            if name not in there:
                yield f"{field}: {name!r} is in no entry of {SERVERS}. It has {', '.join(sorted(there)) or 'none'}."
    allowed = {
        name: server["allowed_tools"] for server in servers if server.get("allowed_tools") for name in (server["name"], server["alias"])
    }
    for name, tools in grant.get("tools", {}).items():
        for tool in tools if name in allowed and isinstance(tools, list) else ():
            if tool not in allowed[name]:
                yield f"tools: {name}: {tool!r} is not among allowed_tools of its entry of {SERVERS}. Add it there, or take it out here."


def _grant(grant: dict[str, Any], servers: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the grant with servers by name, its key where it is one's, and a sentence on what it reaches."""
    names = {name: server["name"] for server in servers for name in (server["name"], server["alias"])}
    tools = {names[name]: listed for name, listed in grant.get("tools", {}).items() if name in names}
    direct = {names[name] for name in grant.get("servers", []) if name in names} | set(tools)
    groups = set(grant.get("access_groups", []))
    reached = [
        server
        for server in servers
        if server["name"] in direct or groups & set(server.get("access_groups", [])) or server.get("allow_all_keys")
    ]
    parts = [
        f"{server['alias']} ({', '.join(tools.get(server['name'], server.get('allowed_tools', []))) or 'all tools'})" for server in reached
    ]
    who = f"The key {grant['key_alias']}" if "key_alias" in grant else f"The team {grant['team_alias']}"
    return {
        **({"team_alias": grant["team_alias"]} if "team_alias" in grant else {"key": _key(grant)}),
        "servers": sorted(direct),
        "access_groups": sorted(groups),
        "tools": tools,
        "reach": f"{who} reaches {', '.join(parts) or 'no server'}.",
    }


def _key(grant: dict[str, Any]) -> dict[str, Any]:
    """Return the key as litellm_keys takes it, but for its value and permissions. Without models it may use none."""
    given = {field: grant[field] for field in ("key_alias", *GRANT_LIMITS) if field in grant}
    return {**given, "models": given.get("models") or [NO_MODELS]}


class FilterModule:
    def filters(self):
        return {"mcp_gateway_plan": mcp_gateway_plan}
