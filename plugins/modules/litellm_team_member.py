#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One member of a LiteLLM team."""

from __future__ import annotations

DOCUMENTATION = r"""
module: litellm_team_member
short_description: Manage a member of a LiteLLM team
version_added: 0.4.0
description:
  - Adds a user to a team, sets what the user may spend there, and takes the user out again.
  - Never creates a user or a team. For those see M(rhpds.litemaas.litellm_user) and M(rhpds.litemaas.litellm_team).
  - An option that is left out leaves its field as it is. A team's own default budget for its members shows up as a member's limits.
author: RHDP (@rhpds)
extends_documentation_fragment:
  - rhpds.litemaas.connection
  - rhpds.litemaas.attributes
  - rhpds.litemaas.attributes.actiongroup
options:
  team_id:
    description: The team's id. One of O(team_id) and O(team_alias) is required.
    type: str
  team_alias:
    description: The team's alias, the whole of it. When several teams have it the task fails and names them.
    type: str
  user_id:
    description: The user's id. One of O(user_id) and O(user_email) is required.
    type: str
  user_email:
    description: The user's e-mail. Upper and lower case are the same. When several users have it the task fails and names them.
    type: str
  state:
    description:
      - With V(present) the user is made a member, and the member's fields are changed where they differ.
      - With V(absent) the user is taken out of the team. LiteLLM removes the user's keys of this team too; V(before.key_count) in the
        result tells how many. A user or team that does not exist is no error.
    type: str
    choices: [present, absent]
    default: present
  role:
    description:
      - What the member may do in the team. Without it a new member is V(user).
      - To make a member V(admin) LiteLLM wants an Enterprise licence; without one the task fails and says so.
    type: str
    choices: [admin, user]
  max_budget_in_team:
    description:
      - US dollars that the member may spend with keys of this team in each O(budget_duration), or in all when there is none.
      - V(unlimited) or V(null) as a text clears it.
    type: str
  budget_duration:
    description:
      - After which time the member's spend starts at 0 again, as V(daily), V(weekly), V(monthly), or a number with C(s), C(m), C(h), C(d),
        C(w) or C(mo), such as V(12h), V(30d) or V(1mo). V(unlimited) or V(null) clears it.
      - LiteLLM 1.81 has no such period for a member; the task then fails and says so.
    type: str
  tpm_limit:
    description: Tokens per minute of the member in this team. V(unlimited) or V(null) clears it.
    type: str
  rpm_limit:
    description: Requests per minute of the member in this team. V(unlimited) or V(null) clears it.
    type: str
notes:
  - A change gives the member limits of their own, which begin as those that the team's default gave.
seealso:
  - module: rhpds.litemaas.litellm_team
  - module: rhpds.litemaas.litellm_user
"""

EXAMPLES = r"""
- name: A member with five dollars a week
  rhpds.litemaas.litellm_team_member:
    url: https://litellm.apps.example.com
    api_key: "{{ litellm_master_key }}"
    team_alias: summit
    user_email: jdoe@example.com
    max_budget_in_team: 5
    budget_duration: weekly

- name: Take the member out, keys of the team included, with LITELLM_API_URL and LITELLM_API_KEY in the environment
  rhpds.litemaas.litellm_team_member:
    team_alias: summit
    user_id: user1
    state: absent
"""

RETURN = r"""
before:
  description: The member as it was; null when the user was none.
  returned: success
  type: dict
  sample: &member
    team_id: cdeea0ad-18a2-5aec-868d-9b375bdadccf
    team_alias: summit
    user_id: user1
    user_email: user1@example.com
    spend: 0.0
    key_count: 1
    role: user
    max_budget_in_team: 5.0
    budget_duration: 7d
    tpm_limit: null
    rpm_limit: null
after:
  description: The member as it is now, read back from LiteLLM; in check mode as it would be. Null when it is removed.
  returned: success
  type: dict
  sample: *member
"""

from typing import Any

from ansible_collections.rhpds.litemaas.plugins.module_utils.client import LiteLLMError
from ansible_collections.rhpds.litemaas.plugins.module_utils.fields import COUNT, DOLLARS, PERIOD, TEXT, Field
from ansible_collections.rhpds.litemaas.plugins.module_utils.resource import PRESENCE, Resource, run
from ansible_collections.rhpds.litemaas.plugins.module_utils.teams import team_by_alias, team_of
from ansible_collections.rhpds.litemaas.plugins.module_utils.users import user_by_email, user_of

LIMITS = ("max_budget_in_team", "tpm_limit", "rpm_limit")  # those of both LiteLLM versions


class TeamMember(Resource):
    kind = "team member"
    identity = ("team_id", "team_alias", "user_id", "user_email", "spend", "key_count")
    fields = (
        Field("role", TEXT, cleared="user", more={"choices": ["admin", "user"]}),
        Field("max_budget_in_team", DOLLARS, clear=None),
        Field("budget_duration", PERIOD, clear=None),
        Field("tpm_limit", COUNT, clear=None),
        Field("rpm_limit", COUNT, clear=None),
    )
    options = {
        "team_id": {"type": "str"},
        "team_alias": {"type": "str"},
        "user_id": {"type": "str"},
        "user_email": {"type": "str"},
        "state": PRESENCE,
    }
    constraints = {
        "required_one_of": [("team_id", "team_alias"), ("user_id", "user_email")],
        "mutually_exclusive": [("team_id", "team_alias"), ("user_id", "user_email")],
    }

    def find(self) -> dict[str, Any] | None:
        self.team = self._whose("team", team_id=team_of, team_alias=team_by_alias)
        self.user = self._whose("user", user_id=user_of, user_email=user_by_email)
        if self.team is None or self.user is None:
            return None
        who = self.user["user_id"]
        roles = {member["user_id"]: member["role"] for member in self.team["members_with_roles"]}
        if who not in roles:
            return None
        membership = next((each for each in self.team["memberships"] if each["user_id"] == who), {})
        return {
            **self.named(),
            **self._limits(membership.get("litellm_budget_table") or {}),
            "spend": membership.get("spend") or 0.0,
            "role": roles[who],
        }

    def _whose(self, kind: str, **look_ups: Any) -> dict[str, Any] | None:
        """Return the team or user that one of the options names. LiteLLM would make a user whom it does not know."""
        for option, look_up in look_ups.items():
            name = self.parameters[option]
            if name is None:
                continue
            found = look_up(self.client, name) if name.strip() else None
            if found is None and self.parameters["state"] == "present":
                raise LiteLLMError(f"{option}: LiteLLM has no {kind} {name!r}. Make it first, with litellm_{kind}.")
        return found

    @staticmethod
    def _limits(budget: dict[str, Any]) -> dict[str, Any]:
        return {"max_budget_in_team": budget.get("max_budget")} | {
            name: budget.get(name) for name in ("budget_duration", "tpm_limit", "rpm_limit")
        }

    def named(self) -> dict[str, Any]:
        keys = [key for key in self.user["keys"] if key.get("team_id") == self.team["team_id"]]
        return {
            "team_id": self.team["team_id"],
            "team_alias": self.team["team_alias"],
            "user_id": self.user["user_id"],
            "user_email": self.user["user_email"],
            "spend": 0.0,
            "key_count": len(keys),
        }

    def inherited(self) -> dict[str, Any]:
        if self._budget():
            return {}
        return self._limits(self.team.get("team_member_budget_table") or {})

    def create(self, values: dict[str, Any]) -> None:
        # The budget goes along, so that no member is without it for a moment; LiteLLM takes the other limits of members only.
        member = {"role": values.get("role", "user"), "user_id": self.user["user_id"]}
        self.client.post("/team/member_add", {"team_id": self.team["team_id"], "member": member, **self._budget()})
        record = self.find() or {}
        rest = {
            field.name: self.wanted[field.name] for field in self._given() if not field.same(field.held(record), self.wanted[field.name])
        }
        if rest:
            self.update(record, rest)

    def _budget(self) -> dict[str, Any]:
        """Return what makes LiteLLM give a new member a budget of their own instead of the team's default."""
        return {name: self.wanted[name] for name in ("max_budget_in_team", "budget_duration") if self.wanted.get(name) is not None}

    def update(self, record: dict[str, Any], changes: dict[str, Any]) -> None:
        # 1.81 forgets the limits that are not sent.
        kept = {name: record[name] for name in LIMITS if record.get(name) is not None}
        self.client.post("/team/member_update", {"team_id": self.team["team_id"], "user_id": self.user["user_id"], **kept, **changes})

    def delete(self, record: dict[str, Any]) -> None:
        if self.parameters["state"] == "present" and record["key_count"]:
            raise LiteLLMError(
                "LiteLLM did not take all limits of the new member, who has keys of this team and therefore stays a member.", changed=True
            )
        self.client.post("/team/member_delete", {"team_id": record["team_id"], "user_id": record["user_id"]})


def main() -> None:
    run(TeamMember)


if __name__ == "__main__":
    main()
