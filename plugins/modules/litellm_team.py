#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One team of LiteLLM."""

from __future__ import annotations

DOCUMENTATION = r"""
module: litellm_team
short_description: Manage a team of LiteLLM
version_added: 0.4.0
description:
  - Makes, changes and removes one team. For its members see M(rhpds.litemaas.litellm_team_member).
  - LiteLLM itself lets several teams have one alias. This module never makes a second one, and fails when there are several, naming them.
  - An option that is left out leaves its field as it is.
  - LiteLLM makes the user whose key O(api_key) is an admin of a new team; for the master key that is its own C(default_user_id).
author: RHDP (@rhpds)
extends_documentation_fragment:
  - rhpds.litemaas.connection
  - rhpds.litemaas.attributes
  - rhpds.litemaas.attributes.actiongroup
options:
  team_alias:
    description:
      - The team's name. Without O(team_id) it names the team, by the whole alias, upper and lower case being different.
      - With O(team_id) it is what the alias shall be. The task fails when it is another team's.
      - One of O(team_alias) and O(team_id) is required; a team to be made needs an alias.
    type: str
  team_id:
    description: The team's id. LiteLLM draws one for a new team when it is left out; in check mode it is then null.
    type: str
  state:
    description:
      - With V(present) the team is made unless there is one, and changed where it differs.
      - With V(absent) the team is removed. LiteLLM removes every key of the team too; V(before.key_count) in the result tells how many.
        The members stay users, without the team.
    type: str
    choices: [present, absent]
    default: present
  models:
    description: The models that the team's keys may use. It is the whole list; V([]) allows every model.
    type: list
    elements: str
  max_budget:
    description:
      - US dollars that the team's keys may spend together in each O(budget_duration), or in all when there is none.
      - V(unlimited) or V(null) as a text clears it.
    type: str
  budget_duration:
    description:
      - After which time the team's spend starts at 0 again, as V(daily), V(weekly), V(monthly), or a number with C(s), C(m), C(h), C(d),
        C(w) or C(mo), such as V(12h), V(30d) or V(1mo). V(unlimited) or V(null) clears it.
    type: str
  tpm_limit:
    description: Tokens per minute of the team's keys together. V(unlimited) or V(null) clears it.
    type: str
  rpm_limit:
    description: Requests per minute of the team's keys together. V(unlimited) or V(null) clears it.
    type: str
  blocked:
    description: Whether every request with a key of the team is refused.
    type: bool
  metadata:
    description:
      - What to store with the team. Names that are not given stay as they are; a name whose value is null is removed.
      - Secrets don't belong here. Values below C(callback_vars), where LiteLLM keeps those of logging callbacks, are not shown.
    type: dict
  object_permission:
    description:
      - What the team's keys may reach beside models. Parts that are not given stay as they are; an empty list or mapping clears a part.
    type: dict
    suboptions:
      mcp_servers:
        description: MCP servers by id, alias or name. LiteLLM 1.106 drops those that it does not know; the task then fails and says so.
        type: list
        elements: str
      mcp_access_groups:
        description: MCP access groups.
        type: list
        elements: str
      mcp_toolsets:
        description: MCP toolsets. LiteLLM 1.81 has none.
        type: list
        elements: str
      mcp_tool_permissions:
        description: For each MCP server, the list of tools that the team's keys may call.
        type: dict
      vector_stores:
        description: Vector stores by id.
        type: list
        elements: str
      agents:
        description: Agents by id.
        type: list
        elements: str
      agent_access_groups:
        description: Agent access groups.
        type: list
        elements: str
seealso:
  - module: rhpds.litemaas.litellm_team_member
  - module: rhpds.litemaas.litellm_key
"""

EXAMPLES = r"""
- name: A team with a hundred dollars a month
  rhpds.litemaas.litellm_team:
    url: https://litellm.apps.example.com
    api_key: "{{ litellm_master_key }}"
    team_alias: summit
    max_budget: 100
    budget_duration: monthly

- name: Stop it for a while, with LITELLM_API_URL and LITELLM_API_KEY in the environment
  rhpds.litemaas.litellm_team:
    team_alias: summit
    blocked: true

- name: Remove it, keys included
  rhpds.litemaas.litellm_team:
    team_alias: summit
    state: absent
"""

RETURN = r"""
before:
  description: The team as it was; null when there was none.
  returned: success
  type: dict
  sample: &team
    team_id: cdeea0ad-18a2-5aec-868d-9b375bdadccf
    team_alias: summit
    spend: 0.0
    key_count: 12
    models: []
    max_budget: 100.0
    budget_duration: 30d
    tpm_limit: null
    rpm_limit: null
    blocked: false
    metadata: {}
    object_permission: {}
after:
  description: The team as it is now, read back from LiteLLM; in check mode as it would be. Null when it is removed.
  returned: success
  type: dict
  sample: *team
"""

from typing import Any

from ansible_collections.rhpds.litemaas.plugins.module_utils.client import LiteLLMError
from ansible_collections.rhpds.litemaas.plugins.module_utils.fields import COUNT, DOLLARS, FLAG, LABEL, MAPPING, NAMES, PERIOD, Field
from ansible_collections.rhpds.litemaas.plugins.module_utils.keys import PERMISSION
from ansible_collections.rhpds.litemaas.plugins.module_utils.resource import PRESENCE, Resource, run
from ansible_collections.rhpds.litemaas.plugins.module_utils.teams import key_count, team_by_alias, team_of, teams_by_alias


class Team(Resource):
    kind = "team"
    identity = ("team_id", "spend", "key_count")
    fields = (
        Field("team_alias", LABEL),
        Field("models", NAMES, clear=[], cleared=[]),
        Field("max_budget", DOLLARS, clear=None),
        Field("budget_duration", PERIOD, clear=None),
        Field("tpm_limit", COUNT, clear=None),
        Field("rpm_limit", COUNT, clear=None),
        Field("blocked", FLAG, cleared=False),
        Field("metadata", MAPPING, cleared={}),
        Field("object_permission", PERMISSION, cleared={}),
    )
    options = {"team_id": {"type": "str"}, "state": PRESENCE}
    constraints = {"required_one_of": [("team_alias", "team_id")]}

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.team_id, self.alias = self.parameters["team_id"], self.wanted.get("team_alias")
        if self.team_id is not None and not self.team_id.strip():
            raise LiteLLMError("team_id: must not be empty.")

    def find(self) -> dict[str, Any] | None:
        if self.team_id is None:
            team = team_by_alias(self.client, self.alias)
        else:
            team = team_of(self.client, self.team_id)
            if self.parameters["state"] == "present":
                self._check_alias(team)
        return team and {**team, "key_count": key_count(self.client, team_id=team["team_id"])}

    def _check_alias(self, team: dict[str, Any] | None) -> None:
        if team is None and self.alias is None:
            raise LiteLLMError(f"team_id: LiteLLM has no team {self.team_id!r}. To make it give team_alias too.")
        if self.alias is None or (team and team["team_alias"] == self.alias):
            return
        others = ", ".join(other["team_id"] for other in teams_by_alias(self.client, self.alias))
        if others:
            raise LiteLLMError(f"team_alias: {self.alias!r} is the alias of {others}. Give another one, or change that team.")

    def named(self) -> dict[str, Any]:
        return {"team_id": self.team_id, "spend": 0.0, "key_count": 0}

    def create(self, values: dict[str, Any]) -> None:
        self.client.post("/team/new", {**({"team_id": self.team_id} if self.team_id else {}), **values})

    def update(self, record: dict[str, Any], changes: dict[str, Any]) -> None:
        self.client.post("/team/update", {"team_id": record["team_id"], **changes})

    def delete(self, record: dict[str, Any]) -> None:
        self.client.post("/team/delete", {"team_ids": [record["team_id"]]})


def main() -> None:
    run(Team)


if __name__ == "__main__":
    main()
