#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What LiteLLM knows of its virtual keys."""

from __future__ import annotations

DOCUMENTATION = r"""
module: litellm_key_info
short_description: List the virtual keys of LiteLLM
version_added: 0.4.0
description:
  - Returns every virtual key that matches all of the options given, or all keys. The list is never cut.
  - LiteLLM does not tell the values of keys, only their hashes. Keys that it made for its own web pages' sessions are left out.
author: RHDP (@rhpds)
extends_documentation_fragment:
  - rhpds.litemaas.connection
  - rhpds.litemaas.attributes.info
  - rhpds.litemaas.attributes.actiongroup
options:
  key_alias:
    description: Only keys of this alias, the whole of it.
    type: str
  token:
    description: Only the key of this hash (SHA-256, 64 hexadecimal digits).
    type: str
  key:
    description: Only the key of this value.
    type: str
  user_id:
    description: Only keys of the user with this id.
    type: str
  team_id:
    description: Only keys of the team with this id.
    type: str
  set:
    description: Only keys that M(rhpds.litemaas.litellm_keys) made under this name.
    type: str
  near_limit:
    description: Only keys that have spent at least this fraction of their own budget, such as V(0.8). Keys without a budget are left out.
    type: float
seealso:
  - module: rhpds.litemaas.litellm_key
  - module: rhpds.litemaas.litellm_keys
"""

EXAMPLES = r"""
- name: Which keys of the workshop have spent four fifths of their budget?
  rhpds.litemaas.litellm_key_info:
    set: summit-lab
    near_limit: 0.8
  register: near

- name: Name them
  ansible.builtin.debug:
    msg: "{{ near.virtual_keys | map(attribute='key_alias') }}"
"""

RETURN = r"""
virtual_keys:
  description: The keys, by alias and hash.
  returned: success
  type: list
  elements: dict
  sample:
    - token: 5eb825767fb59afc7d7cfb1febedf950fa90c70aa6564b51ef43165755eb0682
      key_alias: summit-lab-1
      created_at: "2026-11-21T05:54:19.284000Z"
      expires: "2026-12-21T05:54:19.282000Z"
      last_active: null
      user_id: user1
      team_id: null
      spend: 4.5
      max_budget: 5.0
      budget_used: 0.9
      budget_duration: 7d
      budget_reset_at: "2026-11-23T00:00:00Z"
      models: [granite-3-8b-instruct]
      tpm_limit: null
      rpm_limit: null
      max_parallel_requests: null
      metadata: {litemaas_set: summit-lab}
      object_permission: {}
      blocked: false
  contains:
    spend:
      description: US dollars spent in the running period of the budget.
      type: float
    budget_used:
      description: The spent fraction of the budget; null without a budget, 1 for a budget of 0.
      type: float
    expires:
      description: When the key stops being valid, in UTC; null for never.
      type: str
    last_active:
      description: When the key was used last, in UTC; null for never, and with LiteLLM 1.81, which does not know.
      type: str
total:
  description: How many keys there are in the list.
  returned: success
  type: int
"""

from typing import Any

from ansible_collections.rhpds.litemaas.plugins.module_utils.client import Client, LiteLLMError
from ansible_collections.rhpds.litemaas.plugins.module_utils.info import run_info
from ansible_collections.rhpds.litemaas.plugins.module_utils.keys import KEY_FIELDS, SET, budget_used, check_token, hash_of, keys_of

SESSIONS = "litellm-dashboard"  # the team of the keys that LiteLLM's web pages make for themselves
SHOWN = ("token", "key_alias", "created_at", "expires", "last_active", "user_id", "spend", "budget_reset_at")


def read(client: Client, parameters: dict[str, Any]) -> dict[str, Any]:
    near = parameters["near_limit"]
    if near is not None and near < 0:
        raise LiteLLMError("near_limit: must be a fraction such as 0.8.")
    token = hash_of(parameters["key"]) if parameters["key"] else parameters["token"] and check_token(parameters["token"])
    found = keys_of(client, key_hash=token, **{name: parameters[name] for name in ("key_alias", "user_id", "team_id")})
    keys = [
        _shown(key)
        for key in found
        if key.get("team_id") != SESSIONS
        and (parameters["set"] is None or key["metadata"].get(SET) == parameters["set"])
        and (near is None or (budget_used(key) is not None and budget_used(key) >= near))
    ]
    keys.sort(key=lambda key: (key["key_alias"] or "", key["token"]))
    return {"virtual_keys": keys, "total": len(keys)}


def _shown(key: dict[str, Any]) -> dict[str, Any]:
    fields = {field.name: field.shown(key) for field in KEY_FIELDS}
    return {name: key.get(name) for name in SHOWN} | fields | {"budget_used": budget_used(key)}


def main() -> None:
    run_info(
        {
            "key_alias": {"type": "str", "no_log": False},
            **{name: {"type": "str"} for name in ("user_id", "team_id", "set")},
            "token": {"type": "str", "no_log": False},
            "key": {"type": "str", "no_log": True},
            "near_limit": {"type": "float"},
        },
        read,
        mutually_exclusive=[("token", "key")],
    )


if __name__ == "__main__":
    main()
