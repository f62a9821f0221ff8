#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One internal user of LiteLLM."""

from __future__ import annotations

DOCUMENTATION = r"""
module: litellm_user
short_description: Manage a user of LiteLLM
version_added: 0.4.0
description:
  - Makes, changes and removes one internal user. No key is made with the user; for keys see M(rhpds.litemaas.litellm_key).
  - An option that is left out leaves its field as it is, so what the proxy sets for new users by itself is no difference.
    In check mode, what it would set is not known.
author: RHDP (@rhpds)
extends_documentation_fragment:
  - rhpds.litemaas.connection
  - rhpds.litemaas.attributes
  - rhpds.litemaas.attributes.actiongroup
options:
  user_id:
    description:
      - The user's id. LiteLLM draws one for a new user when it is left out; in check mode it is then null.
      - One of O(user_id) and O(user_email) is required.
    type: str
  user_email:
    description:
      - The user's e-mail. Upper and lower case are the same.
      - Without O(user_id) it names the user. When several users have it the task fails and names them.
      - With O(user_id) it is what the user's e-mail shall be. The task fails when it is another user's.
    type: str
  state:
    description:
      - With V(present) the user is made unless there is one, and changed where it differs.
      - With V(absent) the user is removed. LiteLLM removes the user's keys too; V(before.key_count) in the result tells how many.
    type: str
    choices: [present, absent]
    default: present
  user_alias:
    description: A name for people to read. It can't be taken away again, only changed.
    type: str
  user_role:
    description:
      - What the user may do.
      - Where the proxy has C(max_internal_user_budget), LiteLLM gives that budget to a user who becomes V(internal_user).
    type: str
    choices: [proxy_admin, proxy_admin_viewer, internal_user, internal_user_viewer]
  models:
    description:
      - The models that the user may use on keys that belong to no team. It is the whole list.
      - LiteLLM can't empty the list once it is set; the task then fails and says so. V([all-proxy-models]) allows all again.
    type: list
    elements: str
  max_budget:
    description:
      - US dollars that the user may spend in each O(budget_duration), or in all when there is none.
      - V(unlimited) or V(null) as a text clears it. LiteLLM 1.81 can't clear it; the task then fails and says so.
    type: str
  budget_duration:
    description:
      - After which time the spend starts at 0 again, as V(daily), V(weekly), V(monthly), or a number with C(s), C(m), C(h), C(d), C(w) or
        C(mo), such as V(12h), V(30d) or V(1mo). V(unlimited) or V(null) clears it, but not in LiteLLM 1.81.
    type: str
  tpm_limit:
    description: Tokens per minute. V(unlimited) or V(null) clears it, but not in LiteLLM 1.81.
    type: str
  rpm_limit:
    description: Requests per minute. V(unlimited) or V(null) clears it, but not in LiteLLM 1.81.
    type: str
  max_parallel_requests:
    description: Requests at the same time. No LiteLLM so far can clear it once it is set.
    type: str
  metadata:
    description:
      - What to store with the user. Names that are not given stay as they are; a name whose value is null is removed.
      - LiteLLM can't remove the last name. Secrets don't belong here, it is shown.
    type: dict
  teams:
    description:
      - The teams that the user belongs to, by id or alias. It is the whole list, and V([]) is no team.
      - The user joins as a plain member; for budgets in a team see M(rhpds.litemaas.litellm_team_member).
      - From a team that is not in the list the user is removed. LiteLLM removes the user's keys of that team too.
    type: list
    elements: str
seealso:
  - module: rhpds.litemaas.litellm_user_info
  - module: rhpds.litemaas.litellm_user_budget
  - module: rhpds.litemaas.litellm_team_member
  - module: rhpds.litemaas.litellm_keys
"""

EXAMPLES = r"""
- name: A user with ten dollars a month
  rhpds.litemaas.litellm_user:
    url: https://litellm.apps.example.com
    api_key: "{{ litellm_master_key }}"
    user_email: jdoe@example.com
    user_role: internal_user
    max_budget: 10
    budget_duration: monthly

- name: A workshop user of a team, with LITELLM_API_URL and LITELLM_API_KEY in the environment
  rhpds.litemaas.litellm_user:
    user_id: user1
    user_email: user1@example.com
    metadata:
      lab: summit
    teams: [summit]

- name: Remove the user, keys included
  rhpds.litemaas.litellm_user:
    user_id: user1
    state: absent
"""

RETURN = r"""
before:
  description: The user as it was; null when there was none.
  returned: success
  type: dict
  sample: &user
    user_id: user1
    user_email: user1@example.com
    user_alias: null
    user_role: internal_user
    spend: 0.0
    key_count: 1
    models: []
    max_budget: 10.0
    budget_duration: 30d
    tpm_limit: null
    rpm_limit: null
    max_parallel_requests: null
    metadata: {lab: summit}
    teams: [cdeea0ad-18a2-5aec-868d-9b375bdadccf]
after:
  description: The user as it is now, read back from LiteLLM; in check mode as it would be. Null when it is removed.
  returned: success
  type: dict
  sample: *user
"""

import re
from typing import Any

from ansible_collections.rhpds.litemaas.plugins.module_utils.client import LiteLLMError
from ansible_collections.rhpds.litemaas.plugins.module_utils.fields import (
    COUNT,
    DOLLARS,
    LABEL,
    MAPPING,
    NAMES,
    PERIOD,
    TEXT,
    Field,
    Kind,
)
from ansible_collections.rhpds.litemaas.plugins.module_utils.resource import PRESENCE, Resource, run
from ansible_collections.rhpds.litemaas.plugins.module_utils.teams import team_id_of
from ansible_collections.rhpds.litemaas.plugins.module_utils.users import PROXY_USER, ROLES, user_by_email, user_of, users_by_email


def email(value: str) -> str:
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", value):
        raise ValueError("must be an e-mail such as jdoe@example.com")
    return value


EMAIL = Kind({"type": "str"}, parse=email, same=lambda have, wanted: have.lower() == wanted.lower())
TEAMS = Kind(NAMES.spec, read=sorted)  # LiteLLM's order is the one in which the teams were joined, or none at all


class User(Resource):
    kind = "user"
    identity = ("user_id", "spend", "key_count")
    fields = (
        Field("user_email", EMAIL),
        Field("user_alias", LABEL),
        Field("user_role", TEXT, more={"choices": ROLES}),
        Field("models", NAMES, cleared=[]),
        Field("max_budget", DOLLARS, clear=None),
        Field("budget_duration", PERIOD, clear=None),
        Field("tpm_limit", COUNT, clear=None),
        Field("rpm_limit", COUNT, clear=None),
        Field("max_parallel_requests", COUNT, clear=None),
        Field("metadata", MAPPING, cleared={}),
        Field("teams", TEAMS, cleared=[]),
    )
    options = {"user_id": {"type": "str"}, "state": PRESENCE}
    constraints = {"required_one_of": [("user_id", "user_email")]}

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.user_id, self.present = self.parameters["user_id"], self.parameters["state"] == "present"
        if self.user_id is not None and (not self.user_id.strip() or self.user_id == PROXY_USER):
            raise LiteLLMError(f"user_id: must not be empty, nor {PROXY_USER}, which is LiteLLM's own. It is {self.user_id!r}.")
        if self.present and "teams" in self.wanted:
            self.wanted["teams"] = sorted({team_id_of(self.client, team) for team in self.wanted["teams"]})

    def find(self) -> dict[str, Any] | None:
        if self.user_id is None:
            return user_by_email(self.client, self.wanted["user_email"])
        user = user_of(self.client, self.user_id)
        if self.present and "user_email" in self.wanted:
            self._check_email(user)
        return user

    def _check_email(self, user: dict[str, Any] | None) -> None:
        # /user/update would give one e-mail to two.
        address = self.wanted["user_email"]
        if user and EMAIL.same(user.get("user_email") or "", address):
            return
        others = ", ".join(other["user_id"] for other in users_by_email(self.client, address))
        if others:
            raise LiteLLMError(f"user_email: {address} is the e-mail of {others}. Give another one, or change that user.")

    def named(self) -> dict[str, Any]:
        return {"user_id": self.user_id, "spend": 0.0, "key_count": 0}

    def extra(self, record: dict[str, Any]) -> dict[str, Any]:
        left = set(record["teams"]) - set(self.wanted.get("teams", record["teams"]))
        lost = [key for key in record["keys"] if key.get("team_id") in left]
        return {"key_count": record["key_count"] - len(lost)} if lost else {}

    def create(self, values: dict[str, Any]) -> None:
        teams = {"teams": self.wanted["teams"]} if "teams" in self.wanted else {}  # an empty list keeps the proxy's default teams away
        identity = {"user_id": self.user_id} if self.user_id else {}
        self.client.post("/user/new", {**identity, **values, **teams, "auto_create_key": False})

    def update(self, record: dict[str, Any], changes: dict[str, Any]) -> None:
        own = {name: value for name, value in changes.items() if name not in ("teams", "key_count")}
        if own:
            self.client.post("/user/update", {"user_id": record["user_id"], **own})
        # /user/update would change the user's list, but not the teams'.
        have, wanted = set(record["teams"]), set(changes.get("teams", record["teams"]))
        for team_id in sorted(have - wanted):
            self.client.post("/team/member_delete", {"team_id": team_id, "user_id": record["user_id"]})
        for team_id in sorted(wanted - have):
            self.client.post("/team/member_add", {"team_id": team_id, "member": {"role": "user", "user_id": record["user_id"]}})

    def delete(self, record: dict[str, Any]) -> None:
        self.client.post("/user/delete", {"user_ids": [record["user_id"]]})


def main() -> None:
    run(User)


if __name__ == "__main__":
    main()
