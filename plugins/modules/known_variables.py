# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The documentation of the action plugin of this name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: known_variables
short_description: Find variables that look like a role's and are none
version_added: 0.4.0
description:
  - Looks at every variable of the host whose name begins with O(prefix), and compares it with those that the roles of this collection
    document in their C(meta/argument_specs.yml).
  - One that is within two letters of a known name is taken for a slip, and fails the task. Others are listed in one warning.
author: RHDP (@rhpds)
attributes:
  check_mode:
    description: Can run in check mode. It only looks.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: N/A
options:
  prefix:
    description: How the names begin.
    type: str
    required: true
  others:
    description: Beginnings of names that are somebody else's and are not looked at.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: No variable is misspelt
  rhpds.litemaas.known_variables:
    prefix: ocp4_workload_litemaas_
    others: [ocp4_workload_litemaas_models_, ocp4_workload_litemaas_benchmark_]
"""

RETURN = r"""
unknown:
  description: The names that no role documents.
  returned: always
  type: list
  elements: str
  sample: [ocp4_workload_litemaas_mcp_replica]
"""
