#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The budget and limits of one LiteLLM user."""

from __future__ import annotations

DOCUMENTATION = r"""
module: litellm_user_budget
short_description: Set the budget and limits of a LiteLLM user
version_added: 0.4.0
description:
  - Sets what one internal user may spend, and how fast. An option that is left out leaves the limit as it is.
  - Never creates a user. To create users see M(rhpds.litemaas.litellm_user).
  - LiteLLM checks a user's limits on keys that belong to no team.
author: RHDP (@rhpds)
extends_documentation_fragment:
  - rhpds.litemaas.connection
  - rhpds.litemaas.attributes
  - rhpds.litemaas.attributes.actiongroup
options:
  user:
    description:
      - The user's id, e-mail, alias (V(user_alias)), or what stands before the C(@) of the e-mail. The first of these that matches counts.
      - When several users match, the task fails and names them.
    type: str
    required: true
  max_budget:
    description:
      - US dollars that the user may spend in each O(budget_duration), or in all when there is none.
      - V(unlimited) or V(null) as a text clears it. LiteLLM 1.81 can't clear it; the task then fails and says so.
    type: str
  budget_duration:
    description:
      - After which time the spend starts at 0 again, as V(daily), V(weekly), V(monthly), or a number with C(s), C(m), C(h), C(d), C(w) or
        C(mo), such as V(12h), V(30d) or V(1mo).
      - The words are V(1d), V(7d) and V(30d), whatever LiteLLM's version makes of them. V(unlimited) or V(null) clears it.
    type: str
  tpm_limit:
    description: Tokens per minute. V(unlimited) or V(null) clears it.
    type: str
  rpm_limit:
    description: Requests per minute. V(unlimited) or V(null) clears it.
    type: str
  max_parallel_requests:
    description: Requests at the same time. No LiteLLM so far can clear it once it is set.
    type: str
  reset_spend:
    description:
      - Sets what the user has spent in the running period to 0. It is a change whenever something has been spent.
      - Keys, teams and the history of spend keep their figures.
    type: bool
    default: false
seealso:
  - module: rhpds.litemaas.litellm_user_info
  - module: rhpds.litemaas.litellm_budget
"""

EXAMPLES = r"""
- name: Give alopezme 500 dollars a day
  rhpds.litemaas.litellm_user_budget:
    url: https://litellm.apps.example.com
    api_key: "{{ litellm_master_key }}"
    user: alopezme
    max_budget: 500
    budget_duration: daily

- name: Let somebody go on after an overspent period, with LITELLM_API_URL and LITELLM_API_KEY in the environment
  rhpds.litemaas.litellm_user_budget:
    user: jdoe@example.com
    reset_spend: true

- name: Take every limit off
  rhpds.litemaas.litellm_user_budget:
    user: jdoe@example.com
    max_budget: unlimited
    tpm_limit: unlimited
    rpm_limit: unlimited
"""

RETURN = r"""
before:
  description: The user's limits as they were.
  returned: success
  type: dict
  sample: &user
    user_id: b4e5dc72-e96b-5af9-9760-a3782664e760
    user_email: alopezme@example.com
    user_alias: alopezme
    spend: 12.5
    max_budget: 500.0
    budget_duration: 1d
    tpm_limit: null
    rpm_limit: null
    max_parallel_requests: null
after:
  description: The user's limits as they are now, read back from LiteLLM; in check mode as they would be.
  returned: success
  type: dict
  sample: *user
"""

from typing import Any

from ansible_collections.rhpds.litemaas.plugins.module_utils.fields import COUNT, DOLLARS, PERIOD, Field
from ansible_collections.rhpds.litemaas.plugins.module_utils.resource import Resource, run
from ansible_collections.rhpds.litemaas.plugins.module_utils.users import find_user, user_of


class UserBudget(Resource):
    kind = "user"
    identity = ("user_id", "user_email", "user_alias", "spend")
    fields = (
        Field("max_budget", DOLLARS, clear=None),
        Field("budget_duration", PERIOD, clear=None),
        Field("tpm_limit", COUNT, clear=None),
        Field("rpm_limit", COUNT, clear=None),
        Field("max_parallel_requests", COUNT, clear=None),
    )
    options = {"user": {"type": "str", "required": True}, "reset_spend": {"type": "bool", "default": False}}

    def find(self) -> dict[str, Any]:
        return find_user(self.client, self.parameters["user"])

    def reread(self, record: dict[str, Any]) -> dict[str, Any] | None:
        return user_of(self.client, record["user_id"])

    def extra(self, record: dict[str, Any]) -> dict[str, Any]:
        return {"spend": 0.0} if self.parameters["reset_spend"] and record.get("spend") else {}

    def update(self, record: dict[str, Any], changes: dict[str, Any]) -> None:
        self.client.post("/user/update", {"user_id": record["user_id"], **changes})


def main() -> None:
    run(UserBudget)


if __name__ == "__main__":
    main()
