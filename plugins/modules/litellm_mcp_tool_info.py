#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which tools a key may use through LiteLLM's gateway."""

from __future__ import annotations

DOCUMENTATION = r"""
module: litellm_mcp_tool_info
short_description: List the MCP tools that a key may use through LiteLLM's gateway
version_added: 0.4.0
description:
  - Lists the tools as the gateway offers them to the key of O(api_key), which need not be an administrator's. An administrator's key
    without grants of its own sees all.
  - LiteLLM leaves out the tools of a server that it can't reach; M(rhpds.litemaas.litellm_mcp_server_info) tells which.
author: RHDP (@rhpds)
extends_documentation_fragment:
  - rhpds.litemaas.connection
  - rhpds.litemaas.attributes.info
  - rhpds.litemaas.attributes.actiongroup
options:
  servers:
    description: Only the tools of these servers (aliases or names) or access groups. LiteLLM refuses those that the key may not use.
    type: list
    elements: str
    default: []
seealso:
  - module: rhpds.litemaas.litellm_mcp_server
  - module: rhpds.litemaas.litellm_mcp_tool_call
"""

EXAMPLES = r"""
- name: What a workshop's key may use
  rhpds.litemaas.litellm_mcp_tool_info:
    api_key: "{{ workshop_key }}"
  register: catalogue

- name: The names
  ansible.builtin.debug:
    msg: "{{ catalogue.tools | map(attribute='name') }}"
"""

RETURN = r"""
tools:
  description: The tools, by name. Empty when the key may use none.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: What the tool is called by, C(<alias>-<tool>).
      type: str
      returned: always
    server:
      description: The alias, or else the name, of its server.
      type: str
      returned: always
    description:
      description: What it does, in the server's words.
      type: str
      returned: always
    input_schema:
      description: The JSON schema of its arguments.
      type: dict
      returned: always
  sample:
    - name: web-fetch
      server: web
      description: Fetches a URL
      input_schema: {type: object, properties: {url: {type: string}}, required: [url]}
"""

from typing import Any

from ansible_collections.rhpds.litemaas.plugins.module_utils.client import Client
from ansible_collections.rhpds.litemaas.plugins.module_utils.info import run_info
from ansible_collections.rhpds.litemaas.plugins.module_utils.mcp import catalogue


def read(client: Client, parameters: dict[str, Any]) -> dict[str, Any]:
    tools = [
        {
            "name": tool["name"],
            "server": tool["server"],
            "description": tool.get("description") or "",
            "input_schema": tool.get("inputSchema") or {},
        }
        for tool in catalogue(client, parameters["servers"])
    ]
    return {"tools": sorted(tools, key=lambda tool: tool["name"])}


def main() -> None:
    run_info({"servers": {"type": "list", "elements": "str", "default": []}}, read)


if __name__ == "__main__":
    main()
