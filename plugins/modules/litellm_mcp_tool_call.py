#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One call of an MCP tool through LiteLLM's gateway."""

from __future__ import annotations

DOCUMENTATION = r"""
module: litellm_mcp_tool_call
short_description: Call an MCP tool through LiteLLM's gateway
version_added: 0.4.0
description:
  - Calls one tool with the key of O(api_key), which need not be an administrator's. The call is sent once, and never again.
  - The task fails when the tool reports an error, with the tool's own words, and when the key may not use it.
  - What a tool does is not known to Ansible, so a call counts as a change; say otherwise with C(changed_when).
author: RHDP (@rhpds)
extends_documentation_fragment:
  - rhpds.litemaas.connection
  - rhpds.litemaas.attributes.actiongroup
attributes:
  check_mode:
    description: Checks that the key may use the tool, and does not call it.
    support: full
  diff_mode:
    description: What a tool changes is not known.
    support: none
options:
  name:
    description: The tool, C(<alias>-<tool>), as M(rhpds.litemaas.litellm_mcp_tool_info) names it.
    type: str
    required: true
  arguments:
    description: Its arguments.
    type: dict
    default: {}
seealso:
  - module: rhpds.litemaas.litellm_mcp_tool_info
"""

EXAMPLES = r"""
- name: Read a page through the gateway
  rhpds.litemaas.litellm_mcp_tool_call:
    api_key: "{{ workshop_key }}"
    name: web-fetch
    arguments:
      url: https://example.com
  register: page
  changed_when: false

- name: What it says
  ansible.builtin.debug:
    msg: "{{ page.content | map(attribute='text') | join }}"
"""

RETURN = r"""
content:
  description: What the tool answered, in MCP's parts.
  returned: when the tool was called
  type: list
  elements: dict
  sample:
    - {type: text, text: "Contents of https://example.com"}
structured_content:
  description: The same as data, from a tool that gives it; otherwise null.
  returned: when the tool was called
  type: dict
  sample: {pages: 1}
is_error:
  description: Whether the tool itself reported an error.
  returned: when the tool was called
  type: bool
  sample: false
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.rhpds.litemaas.plugins.module_utils.client import Client, LiteLLMError
from ansible_collections.rhpds.litemaas.plugins.module_utils.connection import CONNECTION, connect
from ansible_collections.rhpds.litemaas.plugins.module_utils.mcp import McpSession, catalogue, words_of


def call(client: Client, parameters: dict[str, Any]) -> dict[str, Any]:
    name = parameters["name"]
    with McpSession(client) as session:
        result = session.call(name, parameters["arguments"])
    answer = {
        "content": result.get("content") or [],
        "structured_content": result.get("structuredContent"),
        "is_error": bool(result.get("isError")),
    }
    if answer["is_error"]:
        raise LiteLLMError(f"{name} failed: {client.plain(words_of(result)) or 'it does not say why'}", **answer)
    return {"changed": True, **answer}


def check(client: Client, parameters: dict[str, Any]) -> dict[str, Any]:
    name = parameters["name"]
    if name not in [tool["name"] for tool in catalogue(client)]:
        raise LiteLLMError(f"name: there is no tool {name} that this key may use. litellm_mcp_tool_info lists those that there are.")
    return {"changed": True}


def main() -> None:
    options = {"name": {"type": "str", "required": True}, "arguments": {"type": "dict", "default": {}}}
    module = AnsibleModule(argument_spec={**CONNECTION, **options}, supports_check_mode=True)
    try:
        result = (check if module.check_mode else call)(connect(module.params), module.params)
    except LiteLLMError as error:
        module.fail_json(msg=str(error), **error.facts)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
