# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The id that litellm_mcp_server gives a server of a name."""

from __future__ import annotations

from ansible_collections.rhpds.litemaas.plugins.module_utils.mcp_servers import server_id_of

DOCUMENTATION = r"""
name: mcp_server_id
short_description: The id of an MCP server in LiteLLM, by its name
version_added: 0.4.0
description:
  - Returns the id that M(rhpds.litemaas.litellm_mcp_server) gives a new server. A task that says it means that server alone, and none that
    somebody else registered under the name.
author: RHDP (@rhpds)
options:
  _input:
    description: The server's name.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: What a key is granted the server fetch by
  ansible.builtin.debug:
    msg: "{{ 'fetch' | rhpds.litemaas.mcp_server_id }}"
"""

RETURN = r"""
_value:
  description: The id.
  type: str
"""


class FilterModule:
    def filters(self):
        return {"mcp_server_id": server_id_of}
