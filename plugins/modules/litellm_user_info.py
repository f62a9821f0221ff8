#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who uses LiteLLM, with which limits, and how near to them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: litellm_user_info
short_description: List the users of LiteLLM with their limits and spend
version_added: 0.4.0
description:
  - Returns the internal users that match every filter given, from all pages of LiteLLM's list. Without a filter it returns all of them.
  - A filter that nobody matches gives an empty list, not an error.
  - LiteLLM's own C(default_user_id), which stands for the master key, is left out.
author: RHDP (@rhpds)
extends_documentation_fragment:
  - rhpds.litemaas.connection
  - rhpds.litemaas.attributes.info
  - rhpds.litemaas.attributes.actiongroup
options:
  user_id:
    description: The user of exactly this id.
    type: str
  user_email:
    description: Users of this e-mail. Upper and lower case are the same; a part of an e-mail matches nobody.
    type: str
  user_alias:
    description: Users of exactly this alias.
    type: str
  user_role:
    description: Users of this role.
    type: str
    choices: [proxy_admin, proxy_admin_viewer, internal_user, internal_user_viewer]
  team_id:
    description: Users who belong to the team of this id.
    type: str
  near_limit:
    description:
      - Users who have spent this fraction of their V(max_budget) or more, such as V(0.8), in the running period.
      - From 0 to 1. Users without a budget never match. The nearest to the limit comes first.
    type: float
seealso:
  - module: rhpds.litemaas.litellm_user
  - module: rhpds.litemaas.litellm_user_budget
"""

EXAMPLES = r"""
- name: Who has spent 80 % of the budget
  rhpds.litemaas.litellm_user_info:
    url: https://litellm.apps.example.com
    api_key: "{{ litellm_master_key }}"
    near_limit: 0.8
  register: near

- name: Show them
  ansible.builtin.debug:
    msg: "{{ (100 * item.budget_used) | round | int }} % of {{ item.max_budget }} dollars, until {{ item.budget_reset_at }}"
  loop: "{{ near.users }}"
  loop_control:
    label: "{{ item.user_email }}"

- name: One user, with LITELLM_API_URL and LITELLM_API_KEY in the environment
  rhpds.litemaas.litellm_user_info:
    user_email: jdoe@example.com
"""

RETURN = r"""
users:
  description: The users, by id; with O(near_limit) by what they have used of their budget, highest first.
  returned: success
  type: list
  elements: dict
  contains:
    user_id:
      description: LiteLLM's id of the user.
      type: str
      sample: b4e5dc72-e96b-5af9-9760-a3782664e760
    user_email:
      description: E-mail, or null.
      type: str
      sample: alopezme@example.com
    user_alias:
      description: Alias, or null.
      type: str
      sample: alopezme
    user_role:
      description: Role, or null.
      type: str
      sample: internal_user
    spend:
      description: US dollars spent in the running period, or in all where there is no period.
      type: float
      sample: 410.5
    max_budget:
      description: US dollars that may be spent in each period; null is no limit.
      type: float
      sample: 500.0
    budget_used:
      description: V(spend) as a fraction of V(max_budget); null where there is no budget, 1.0 where the budget is 0.
      type: float
      sample: 0.821
    budget_duration:
      description: After which time the spend starts at 0 again; null is never.
      type: str
      sample: 7d
    budget_reset_at:
      description: When that happens next, in UTC; null is never.
      type: str
      sample: '2026-11-23T00:00:00Z'
    tpm_limit:
      description: Tokens per minute; null is no limit.
      type: int
      sample: 200000
    rpm_limit:
      description: Requests per minute; null is no limit.
      type: int
      sample: 300
    models:
      description: Models that the user may use; empty is all of them.
      type: list
      elements: str
      sample: []
    teams:
      description: Ids of the user's teams.
      type: list
      elements: str
      sample: [cdeea0ad-18a2-5aec-868d-9b375bdadccf]
    metadata:
      description: What is stored with the user.
      type: dict
      sample: {}
    key_count:
      description: How many virtual keys the user has.
      type: int
      sample: 2
    created_at:
      description: When the user was made, in UTC.
      type: str
      sample: '2026-07-04T11:55:00Z'
total:
  description: How many users these are.
  returned: success
  type: int
  sample: 1
"""

from typing import Any

from ansible_collections.rhpds.litemaas.plugins.module_utils.client import Client, LiteLLMError
from ansible_collections.rhpds.litemaas.plugins.module_utils.fields import MAPPING
from ansible_collections.rhpds.litemaas.plugins.module_utils.info import run_info
from ansible_collections.rhpds.litemaas.plugins.module_utils.users import PROXY_USER, ROLES, user_of, users_of

OPTIONS = {
    "user_id": {"type": "str"},
    "user_email": {"type": "str"},
    "user_alias": {"type": "str"},
    "user_role": {"type": "str", "choices": ROLES},
    "team_id": {"type": "str"},
    "near_limit": {"type": "float"},
}
LIMITS = ("max_budget", "budget_duration", "tpm_limit", "rpm_limit")
SHOWN = ("user_id", "user_email", "user_alias", "user_role", "spend", "key_count", *LIMITS)


def read(client: Client, parameters: dict[str, Any]) -> dict[str, Any]:
    near = parameters["near_limit"]
    if near is not None and not 0 <= near <= 1:
        raise LiteLLMError(f"near_limit: must be a fraction from 0 to 1, such as 0.8. It is {near}.")
    users = [shown(user) for user in candidates(client, parameters) if matches(user, parameters)]
    users.sort(key=lambda user: user["user_id"])
    if near is not None:
        users = [user for user in users if user["budget_used"] is not None and user["budget_used"] >= near]
        users.sort(key=lambda user: -user["budget_used"])
    return {"users": users, "total": len(users)}


def candidates(client: Client, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the users that LiteLLM finds; its filters may match too many."""
    if parameters["user_id"] is not None:
        user = user_of(client, parameters["user_id"])
        return [user] if user else []
    return users_of(client, user_email=parameters["user_email"], role=parameters["user_role"], team=parameters["team_id"])


def matches(user: dict[str, Any], parameters: dict[str, Any]) -> bool:
    exact = {name: parameters[name] for name in ("user_alias", "user_role") if parameters[name] is not None}
    email, team = parameters["user_email"], parameters["team_id"]
    return (
        user["user_id"] != PROXY_USER
        and all(user.get(name) == value for name, value in exact.items())
        and (email is None or (user.get("user_email") or "").lower() == email.lower())
        and (team is None or team in (user.get("teams") or []))
    )


def shown(user: dict[str, Any]) -> dict[str, Any]:
    """Return what is told of a user: these fields and no others, whatever else LiteLLM adds."""
    budget = user.get("max_budget")
    return {
        **{name: user.get(name) for name in SHOWN},
        "budget_used": None if budget is None else user["spend"] / budget if budget > 0 else 1.0,
        "budget_reset_at": utc(user.get("budget_reset_at")),
        "created_at": utc(user.get("created_at")),
        "models": user.get("models") or [],
        "teams": user.get("teams") or [],
        "metadata": MAPPING.show(user.get("metadata") or {}),
    }


def utc(moment: str | None) -> str | None:
    """Return LiteLLM's time, which is UTC with or without saying so, to the second."""
    return f"{moment[:19].replace(' ', 'T')}Z" if moment else None


def main() -> None:
    run_info(OPTIONS, read)


if __name__ == "__main__":
    main()
