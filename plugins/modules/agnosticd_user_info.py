#!/usr/bin/python
# Copyright (c) 2026, the rhpds.litemaas authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: agnosticd_user_info
short_description: Tell the users of an environment about it, with and without AgnosticD
version_added: 0.4.0
author: RHDP (@rhpds)
description:
  - Messages and data for those who use an environment, kept where AgnosticD keeps them.
  - Under AgnosticD v2 the work is done by its collection's C(agnosticd.core.agnosticd_user_info), under v1 by the action plugin
    in the C(action_plugins) folder of its playbooks.
  - Where there is neither, the same is written by this plugin into C(user-info.yaml), C(user-body.yaml) and C(user-data.yaml).
  - The folder is the variable C(output_dir), of this host or of C(localhost), else the playbook's folder. The files are replaced
    as a whole, with mode 0600.
  - Values in O(data) are never displayed, at no verbosity.
options:
  msg:
    description:
      - A message to the owner of the environment, or, with O(user), to that user. It is displayed.
      - A message that is there already is not added again, unless AgnosticD does so.
    type: str
  body:
    description: The text of the message to the owner, displayed like O(msg). Not together with O(msg).
    type: str
  data:
    description: Names and values to keep. Other names that are there already stay.
    type: dict
  data_prefix:
    description:
      - Text to put before each name in O(data).
      - Without it, what C(module_defaults) say for C(agnosticd.core.agnosticd_user_info) holds, as AgnosticD v2 sets it there.
    type: str
  user:
    description: The user that message and data are for. Without it they are for the whole environment.
    type: str
  users:
    description:
      - Data for several users in one task, by the users' names; the same as a task with O(user) and O(data) for each.
      - Not together with other options than O(data_prefix).
    type: dict
notes:
  - Runs on the controller, whatever the host.
attributes:
  check_mode:
    description: Can run in check_mode and return changed status prediction without modifying target.
    support: partial
    details: Nothing is written, and nothing is predicted.
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in check_mode), when in diff mode.
    support: none
    details: The values are secrets.
  platform:
    description: Target OS/families that can be operated against.
    support: full
    platforms: all
"""

EXAMPLES = r"""
- name: The environment has an endpoint
  rhpds.litemaas.agnosticd_user_info:
    msg: LiteLLM is at https://litellm.apps.example.com
    data:
      litellm_api_base_url: https://litellm.apps.example.com/v1

- name: A user has a key
  rhpds.litemaas.agnosticd_user_info:
    user: user1
    data:
      litellm_virtual_key: "{{ user1_key }}"

- name: Several users have keys
  rhpds.litemaas.agnosticd_user_info:
    users:
      user1:
        litellm_virtual_key: "{{ user1_key }}"
      user2:
        litellm_virtual_key: "{{ user2_key }}"
"""

RETURN = r"""
stored:
  description: The names that were kept, prefix included. Never their values.
  returned: always
  type: list
  elements: str
  sample: [litellm_api_base_url, litellm_virtual_key]
users:
  description: The users that they were kept for; empty when it was the whole environment.
  returned: always
  type: list
  elements: str
  sample: [user1]
msg:
  description: The message after C(user.info), or the body after C(user.body), as AgnosticD looks for them in the log.
  returned: when O(msg) or O(body) is given, and no user is
  type: str
changed:
  description: Whether a file changed. AgnosticD's own plugins do not say; then it is V(false).
  returned: always
  type: bool
"""
