# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a workload is asked to do."""

from __future__ import annotations

from ansible.errors import AnsibleFilterError
from ansible.module_utils.parsing.convert_bool import boolean

DOCUMENTATION = r"""
name: workload_action
short_description: What AgnosticD's ACTION asks a workload to do
version_added: 0.4.0
description:
  - Returns V(provision) for V(provision) and V(create), V(destroy) for V(destroy) and V(remove), and V(none) for V(start), V(stop) and
    V(status), which are about machines.
  - Anything else is an error, lest a misspelt V(destroy) deploys.
author: RHDP (@rhpds)
positional: remove
options:
  _input:
    description: The value of C(ACTION).
    type: str
    required: true
  remove:
    description: Whether to destroy where C(ACTION) says to provision.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Deploy
  when: ACTION | default('provision') | rhpds.litemaas.workload_action == 'provision'
  ansible.builtin.include_tasks: workload.yml
"""

RETURN = r"""
_value:
  description: V(provision), V(destroy) or V(none).
  type: str
"""

MEANING = {"provision": "provision", "create": "provision", "destroy": "destroy", "remove": "destroy"}
MEANING.update(dict.fromkeys(("start", "stop", "status"), "none"))


def workload_action(action, remove=False):
    if action not in MEANING:
        raise AnsibleFilterError(f"ACTION is {str(action)!r}. Set it to one of {', '.join(MEANING)}, or leave it out to provision.")
    return "destroy" if MEANING[action] == "provision" and boolean(remove) else MEANING[action]


class FilterModule:
    def filters(self):
        return {"workload_action": workload_action}
