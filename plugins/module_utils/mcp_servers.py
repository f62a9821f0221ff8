"""What an MCP server is in LiteLLM: its fields, how it is listed, and who may use it."""

from __future__ import annotations

import hashlib
import math
import re
import uuid
from dataclasses import replace
from typing import Any

from ansible_collections.rhpds.litemaas.plugins.module_utils.client import Client, LiteLLMError
from ansible_collections.rhpds.litemaas.plugins.module_utils.fields import FLAG, LABEL, NAMES, Field, Kind
from ansible_collections.rhpds.litemaas.plugins.module_utils.keys import keys_of
from ansible_collections.rhpds.litemaas.plugins.module_utils.models import HIDDEN, is_secret
from ansible_collections.rhpds.litemaas.plugins.module_utils.teams import team_of

NONE = "no-mcp-servers"  # LiteLLM takes an empty list for "what the team or the organization may"; this is no server at all
SECRET = ("static_headers", "env")  # options
# What LiteLLM adds to a server's mcp_info when it lists it.
ADDED = ("server_name", "description", "is_public", "is_public_explicit")


def server_id_of(server_name: str) -> str:
    """Return the id that a server of this name has unless a task gives another: the same in every run, on every machine."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"https://github.com/rhpds/rhpds.litemaas/mcp_servers/{server_name}"))


def list_servers(client: Client) -> list[dict[str, Any]]:
    """Return the servers that the client's key may see, as options, and `stored`: whether LiteLLM's database holds it."""
    return [{**as_options(entry), "stored": not _of_file(entry)} for entry in client.get("/v1/mcp/server")]


def as_options(entry: dict[str, Any]) -> dict[str, Any]:
    """Return a server of LiteLLM's by the names of our options: `url` is that of LiteLLM itself."""
    return {**entry, "server_url": entry["url"]}


def prefix_of(server: dict[str, Any]) -> str:
    """Return what LiteLLM puts before the names of a server's tools."""
    return server.get("alias") or server.get("server_name") or server["server_id"]


def names_of(server: dict[str, Any]) -> list[str]:
    """Return what a key or team may be granted a server by."""
    return [name for name in (server["server_id"], server["server_name"], server["alias"]) if name]


def named(servers: list[dict[str, Any]]) -> str:
    """Name servers in a sentence."""
    return ", ".join(sorted(f"{server['server_id']} ({'database' if server['stored'] else 'configuration file'})" for server in servers))


def _name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_]+", value):
        raise ValueError(f"must be of letters, digits and _, such as {re.sub('[^A-Za-z0-9]+', '_', value).strip('_') or 'fetch'}")
    return value


def _passed_on(names: list[str]) -> list[str]:
    for name in names:
        if name.strip().lower() == "x-litellm-api-key":
            raise LiteLLMError(f"extra_headers: {name} is the caller's LiteLLM key, which no server may get. Leave it out.")
    return names


def _secrets_of(option: str) -> Kind:
    """A mapping whose values LiteLLM gives back, but nobody should see."""

    def parse(value: dict[str, Any]) -> dict[str, str | None]:
        for name, text in value.items():
            if isinstance(text, (bool, dict, list)):
                raise LiteLLMError(f"{option}: {name} must be a text: put it in quotes.")
        return {name: None if text is None else str(text) for name, text in value.items()}

    return Kind({"type": "dict", "no_log": True}, parse=parse, same=_has, merge=_merged, show=lambda value: dict.fromkeys(value, HIDDEN))


def _facts(value: dict[str, Any]) -> dict[str, Any]:
    for name in ADDED:
        if name in value:
            raise ValueError(f"{name} is filled in by LiteLLM: leave it out")
    costs = value.get("mcp_server_cost_info")
    if costs is None:
        return value
    if not isinstance(costs, dict) or not isinstance(costs.get("tool_name_to_cost_per_query") or {}, dict):
        raise ValueError("mcp_server_cost_info must hold default_cost_per_query or tool_name_to_cost_per_query")
    costs = {**costs}
    if costs.get("default_cost_per_query") is not None:
        costs["default_cost_per_query"] = _dollars("default_cost_per_query", costs["default_cost_per_query"])
    if costs.get("tool_name_to_cost_per_query") is not None:
        tools = costs["tool_name_to_cost_per_query"]
        costs["tool_name_to_cost_per_query"] = {tool: _dollars(tool, price) for tool, price in tools.items()}
    return {**value, "mcp_server_cost_info": costs}


def _dollars(name: str, value: Any) -> float:
    try:
        price = float(value)
    except (TypeError, ValueError):
        price = -1
    if isinstance(value, bool) or not 0 <= price < math.inf:
        raise ValueError(f"{name} must be a number of US dollars, 0 or more")
    return price


def _has(have: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return all(have.get(name) == value for name, value in wanted.items())


def _merged(have: dict[str, Any] | None, wanted: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**(have or {}), **wanted}.items() if value is not None}


def info_of(have: dict[str, Any]) -> dict[str, Any]:
    """Return what a server's mcp_info holds of its own."""
    return {name: value for name, value in have.items() if name not in ADDED}


def masked(value: Any) -> Any:
    """Hide what holds a password or a key in a URL."""
    if isinstance(value, list):
        return [masked(part) for part in value]
    return HIDDEN if is_secret("url", value) else value


def _optional(*nothing: str) -> Kind:
    """A text that may be empty; `nothing` is what 1.106 fills in then."""

    def read(text: str) -> str | None:
        return None if text.strip() in ("", *nothing) else text

    return Kind({"type": "str"}, read=read, parse=read)


NAME = Kind({"type": "str"}, parse=_name)
OPTIONAL = _optional()
PLACE = Kind({"type": "str"}, parse=LABEL.parse, show=masked)
CHOICE = Kind({"type": "str"})
WORDS = Kind({"type": "list", "elements": "str"}, show=masked)
PASSED_ON = replace(NAMES, parse=_passed_on)
INFO = Kind({"type": "dict"}, parse=_facts, read=info_of, same=_has, merge=_merged)

# A server as LiteLLM lists it. Those from oauth2_flow on are not in 1.81.
FIELDS = (
    Field("server_name", NAME),
    Field("alias", NAME),
    Field("description", OPTIONAL, clear=""),
    Field("server_url", PLACE),
    Field("transport", CHOICE, more={"choices": ["http", "sse", "stdio"]}),
    Field(
        "auth_type",
        CHOICE,
        cleared="none",
        more={
            "choices": [
                "none",
                "api_key",
                "bearer_token",
                "basic",
                "authorization",
                "token",
                "oauth2",
                "oauth2_token_exchange",
                "oauth2_id_jag",
                "aws_sigv4",
                "true_passthrough",
                "oauth_delegate",
            ]
        },
    ),
    Field("static_headers", _secrets_of("static_headers"), cleared={}),
    Field("extra_headers", PASSED_ON, clear=[], cleared=[]),
    Field("allowed_tools", NAMES, clear=[], cleared=[]),
    Field("mcp_access_groups", NAMES, clear=[], cleared=[]),
    Field("allow_all_keys", FLAG, cleared=False),
    Field("mcp_info", INFO, cleared={}),
    Field("command", PLACE),
    Field("args", WORDS, cleared=[]),
    Field("env", _secrets_of("env"), cleared={}),
    Field("authorization_url", OPTIONAL, clear=""),
    Field("token_url", OPTIONAL, clear="", more={"no_log": False}),
    Field("registration_url", OPTIONAL, clear=""),
    Field("oauth2_flow", CHOICE, more={"choices": ["client_credentials", "authorization_code"]}),
    Field("issuer", OPTIONAL, clear=None),
    Field("token_exchange_endpoint", OPTIONAL, clear=None, more={"no_log": False}),
    Field("audience", OPTIONAL, clear=None),
    Field("subject_token_type", _optional("urn:ietf:params:oauth:token-type:access_token"), clear=None, more={"no_log": False}),
    Field("token_exchange_profile", _optional("rfc8693"), clear=None, more={"no_log": False}),
)


class Listing:
    """LiteLLM's servers: read once, and kept up with what is written, so that many are managed with one reading."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._servers: list[dict[str, Any]] | None = None

    @property
    def servers(self) -> list[dict[str, Any]]:
        """Raises LiteLLMError for a key to which 1.106 shows them cut down: each would seem to differ from what a task wants."""
        if self._servers is None:
            self._servers = list_servers(self._client)
            placed = [each for each in self._servers if "is_config" in each and each["transport"] != "stdio" and not each.get("spec_path")]
            if placed and not any(each["url"] for each in placed):
                raise LiteLLMError(
                    "api_key: LiteLLM shows this key no addresses of MCP servers, since it has allowed_routes or its user may only look. "
                    "Give its master key, or a key without allowed_routes of a user whose role is proxy_admin."
                )
        return self._servers

    def put(self, server_id: str, row: dict[str, Any] | None) -> None:
        """Keep what LiteLLM answered to a write; None to a removal."""
        others = [server for server in self.servers if server["server_id"] != server_id]
        self._servers = others if row is None else [*others, {**as_options(row), "stored": True}]

    def forget(self) -> None:
        self._servers = None


class Grants:
    """The keys and teams that may use MCP servers; read once, at the first question."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._holders: list[dict[str, Any]] | None = None

    def of(self, names: set[str]) -> list[dict[str, Any]]:
        """Return the keys and teams that are granted one of these ids, aliases or names."""
        if self._holders is None:
            self._holders = self._keys() + self._teams()
        return [holder for holder in self._holders if names & _granted(holder["permission"])]

    def remove(self, holder: dict[str, Any], names: set[str]) -> None:
        """Take these servers from a key or a team, and nothing else."""
        have = holder["permission"]
        servers = [name for name in have.get("mcp_servers") or [] if name not in names]
        tools = {name: part for name, part in (have.get("mcp_tool_permissions") or {}).items() if name not in names}
        others = [have.get(part) for part in ("mcp_access_groups", "mcp_toolsets")]
        if not (servers or tools or any(others)) and holder["inherits"]:
            servers = [NONE]
        body = {"mcp_servers": servers}
        if have.get("mcp_tool_permissions"):
            body["mcp_tool_permissions"] = tools
        self._client.post(holder["path"], {**holder["which"], "object_permission": body})
        holder["permission"] = {**have, **body}

    def _keys(self) -> list[dict[str, Any]]:
        return [
            {
                "shown": {"kind": "key", "id": key["token"], "alias": key.get("key_alias")},
                "path": "/key/update",
                "which": {"key": key["token"]},
                "permission": key["object_permission"],
                "inherits": bool(key.get("team_id") or key.get("org_id") or key.get("organization_id")),
            }
            for key in keys_of(self._client)
            if key.get("object_permission")
        ]

    def _teams(self) -> list[dict[str, Any]]:
        listed = self._client.pages("/v2/team/list", "teams", sort_by="team_id", sort_order="asc")
        teams = [team_of(self._client, team["team_id"]) for team in listed if team.get("object_permission_id")]
        return [
            {
                "shown": {"kind": "team", "id": team["team_id"], "alias": team.get("team_alias")},
                "path": "/team/update",
                "which": {"team_id": team["team_id"]},
                "permission": team["object_permission"],
                "inherits": True,  # its keys, too, take an empty list for no bound
            }
            for team in teams
            if team and team.get("object_permission")
        ]


def _granted(permission: dict[str, Any]) -> set[str]:
    return {*(permission.get("mcp_servers") or []), *(permission.get("mcp_tool_permissions") or {})}


def _of_file(entry: dict[str, Any]) -> bool:
    if "is_config" in entry:
        return bool(entry["is_config"])
    # 1.81 does not say, but gives a server of its configuration file an id that is made of what it is.
    kinds = (entry["transport"], f"MCPTransport.{entry['transport']}")
    texts = (
        "|".join([entry["server_name"] or "", entry["url"] or "", kind, entry["auth_type"] or "", entry["alias"] or ""]) for kind in kinds
    )
    return entry["server_id"] in [hashlib.sha256(text.encode()).hexdigest()[:32] for text in texts]
