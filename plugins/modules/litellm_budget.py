#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Named budgets that keys and team members share."""

from __future__ import annotations

DOCUMENTATION = r"""
module: litellm_budget
short_description: Manage the named budgets of LiteLLM
version_added: 0.4.0
description:
  - A budget object holds limits under a name. Keys refer to it with V(budget_id), and each has its own spend under those limits.
  - An option that is left out leaves the limit as it is.
author: RHDP (@rhpds)
extends_documentation_fragment:
  - rhpds.litemaas.connection
  - rhpds.litemaas.attributes
  - rhpds.litemaas.attributes.actiongroup
options:
  budget_id:
    description: The budget's name.
    type: str
    required: true
  state:
    description:
      - Whether the budget exists.
      - Keys that refer to a budget that is removed stay, and lose its limits.
    type: str
    choices: [present, absent]
    default: present
  max_budget:
    description: US dollars that each one that refers to it may spend. V(unlimited) or V(null) as a text clears it.
    type: str
  soft_budget:
    description: US dollars from which LiteLLM sends alerts; requests go on. V(unlimited) or V(null) clears it.
    type: str
  budget_duration:
    description:
      - After which time the spend starts at 0 again, as V(daily), V(weekly), V(monthly), or a number with C(s), C(m), C(h), C(d), C(w) or
        C(mo), such as V(12h), V(30d) or V(1mo). V(unlimited) or V(null) clears it.
    type: str
  tpm_limit:
    description: Tokens per minute. V(unlimited) or V(null) clears it.
    type: str
  rpm_limit:
    description: Requests per minute. V(unlimited) or V(null) clears it.
    type: str
  max_parallel_requests:
    description: Requests at the same time. V(unlimited) or V(null) clears it.
    type: str
seealso:
  - module: rhpds.litemaas.litellm_key
  - module: rhpds.litemaas.litellm_user_budget
"""

EXAMPLES = r"""
- name: A budget of five dollars a week
  rhpds.litemaas.litellm_budget:
    budget_id: workshop
    max_budget: 5
    budget_duration: weekly

- name: Remove it
  rhpds.litemaas.litellm_budget:
    budget_id: workshop
    state: absent
"""

RETURN = r"""
before:
  description: The budget as it was; null when there was none.
  returned: success
  type: dict
  sample: &budget
    budget_id: workshop
    max_budget: 5.0
    soft_budget: null
    budget_duration: 7d
    tpm_limit: null
    rpm_limit: null
    max_parallel_requests: null
after:
  description: The budget as it is now, read back from LiteLLM; in check mode as it would be. Null when it is removed.
  returned: success
  type: dict
  sample: *budget
"""

from typing import Any

from ansible_collections.rhpds.litemaas.plugins.module_utils.fields import COUNT, DOLLARS, PERIOD, Field
from ansible_collections.rhpds.litemaas.plugins.module_utils.resource import PRESENCE, Resource, run


class Budget(Resource):
    kind = "budget"
    identity = ("budget_id",)
    fields = (
        Field("max_budget", DOLLARS, clear=None),
        Field("soft_budget", DOLLARS, clear=None),
        Field("budget_duration", PERIOD, clear=None),
        Field("tpm_limit", COUNT, clear=None),
        Field("rpm_limit", COUNT, clear=None),
        Field("max_parallel_requests", COUNT, clear=None),
    )
    options = {"budget_id": {"type": "str", "required": True}, "state": PRESENCE}

    def find(self) -> dict[str, Any] | None:
        budgets = self.client.ask("/budget/info", {"budgets": [self.parameters["budget_id"]]})
        return next((budget for budget in budgets or [] if budget["budget_id"] == self.parameters["budget_id"]), None)

    def create(self, values: dict[str, Any]) -> None:
        self.client.post("/budget/new", {"budget_id": self.parameters["budget_id"], **values})

    def update(self, record: dict[str, Any], changes: dict[str, Any]) -> None:
        self.client.post("/budget/update", {"budget_id": record["budget_id"], **changes})

    def delete(self, record: dict[str, Any]) -> None:
        self.client.post("/budget/delete", {"id": record["budget_id"]})


def main() -> None:
    run(Budget)


if __name__ == "__main__":
    main()
