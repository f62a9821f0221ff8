#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which MCP servers are behind LiteLLM's gateway."""

from __future__ import annotations

DOCUMENTATION = r"""
module: litellm_mcp_server_info
short_description: List the MCP servers behind LiteLLM's gateway
version_added: 0.4.0
description:
  - Lists every MCP server that LiteLLM knows, those of its database and those of its configuration file, without their secrets.
author: RHDP (@rhpds)
extends_documentation_fragment:
  - rhpds.litemaas.connection
  - rhpds.litemaas.attributes.info
  - rhpds.litemaas.attributes.actiongroup
options:
  server_name:
    description: Only the server of exactly this name.
    type: str
  server_id:
    description: Only the server of this id.
    type: str
  health:
    description:
      - Whether LiteLLM should reach each of them now. That takes as long as the slowest, up to LiteLLM's own limit for one that does not
        answer; see O(timeout).
    type: bool
    default: false
seealso:
  - module: rhpds.litemaas.litellm_mcp_server
  - module: rhpds.litemaas.litellm_mcp_tool_info
"""

EXAMPLES = r"""
- name: What is behind the gateway, and whether it answers
  rhpds.litemaas.litellm_mcp_server_info:
    health: true
  register: gateway

- name: Those that do not
  ansible.builtin.debug:
    msg: "{{ gateway.mcp_servers | rejectattr('health', 'equalto', 'healthy') | map(attribute='server_name') }}"
"""

RETURN = r"""
mcp_servers:
  description: The servers, by name and id. Empty when none matches.
  returned: success
  type: list
  elements: dict
  contains:
    server_id:
      description: The server's id, by which keys and teams are granted it.
      type: str
      returned: always
    stored:
      description: Whether LiteLLM keeps it in its database, where it can be changed; otherwise it is from the configuration file.
      type: bool
      returned: always
    health:
      description:
        - V(healthy) or V(unhealthy); V(unknown) when LiteLLM does not ask, as it does not for most that need a user's own sign-in.
      type: str
      returned: when O(health=true)
    server_name:
      description: Its name. So are the other options of M(rhpds.litemaas.litellm_mcp_server); secrets are V(***).
      type: str
      returned: always
  sample:
    - server_id: 2f4c1c6b-40e7-5a51-8c85-3f5c3f7f3c5e
      server_name: fetch
      alias: web
      server_url: http://fetch.mcp.svc:8080/mcp
      transport: http
      stored: true
      health: healthy
"""

from typing import Any

from ansible_collections.rhpds.litemaas.plugins.module_utils.client import Client
from ansible_collections.rhpds.litemaas.plugins.module_utils.info import only_administrators, run_info
from ansible_collections.rhpds.litemaas.plugins.module_utils.mcp_servers import FIELDS, list_servers

FILTERS = ("server_name", "server_id")


def read(client: Client, parameters: dict[str, Any]) -> dict[str, Any]:
    only_administrators(client)
    wanted = {name: parameters[name] for name in FILTERS if parameters[name] is not None}
    found = [server for server in list_servers(client) if all(server[name] == value for name, value in wanted.items())]
    shown = [{"server_id": server["server_id"], "stored": server["stored"], **_public(server)} for server in found]
    if parameters["health"] and shown:
        checks = client.get("/v1/mcp/server/health", server_ids=[server["server_id"] for server in shown])
        states = {check["server_id"]: check["status"] for check in checks}
        shown = [{**server, "health": states.get(server["server_id"]) or "unknown"} for server in shown]
    return {"mcp_servers": sorted(shown, key=lambda server: (server["server_name"] or "", server["server_id"]))}


def _public(server: dict[str, Any]) -> dict[str, Any]:
    return {field.name: field.shown(server) for field in FIELDS}


def main() -> None:
    run_info({**{name: {"type": "str"} for name in FILTERS}, "health": {"type": "bool", "default": False}}, read)


if __name__ == "__main__":
    main()
