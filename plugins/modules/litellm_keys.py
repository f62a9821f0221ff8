#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A set of LiteLLM's virtual keys and their users."""

from __future__ import annotations

DOCUMENTATION = r"""
module: litellm_keys
short_description: Manage a set of LiteLLM's virtual keys and their users
version_added: 0.4.0
description:
  - Makes, changes and removes a workshop's worth of keys, and the users whom they belong to, in one task. The set is described by a list
    or by a pattern; its keys share settings, and those of a list can have their own.
  - Each key and user that the module makes carries the set's name (O(name)) in its metadata, as C(litemaas_set). Nothing without it is
    ever changed or removed. When an alias belongs to a key without it the task fails before it changes anything, and names the key.
    A user who exists without it gets a key, but stays as he is.
  - A run that fails says in its result what it has done. A run that was killed, too, is finished by the next one.
  - The value of a key is known only to the run that makes it, unless O(keys_file) keeps it. Without a file it is in the result, which a
    playbook's output does not show, not even with C(-vvv). (C(ansible -m) shows the result.) When a run ends before it returns its result,
    the next run names the keys whose values nobody has; O(on_lost) decides what becomes of them.
  - Tasks with C(async) are refused, since another module would display their result.
author: RHDP (@rhpds)
extends_documentation_fragment:
  - rhpds.litemaas.connection
  - rhpds.litemaas.attributes
  - rhpds.litemaas.attributes.actiongroup
options:
  name:
    description: The set's name. It tells the set's keys and users from all others, so use another one for each workshop.
    type: str
    required: true
  state:
    description:
      - With V(present) the keys and users are made unless they exist, and changed where they differ.
      - With V(absent) every key and user of the set is removed, whatever O(keys), O(prefix) and O(count) say. Users who have got other keys
        meanwhile are kept, since LiteLLM would remove those keys with them.
    type: str
    choices: [present, absent]
    default: present
  keys:
    description: The keys, one by one. Either this or O(prefix) and O(count) is required with O(state=present).
    type: list
    elements: dict
    suboptions:
      key_alias:
        description: The key's alias, which no other key has.
        type: str
        required: true
      user_id:
        description: The id of the user whom the key belongs to.
        type: str
      user_email:
        description:
          - The e-mail of that user. Without O(keys[].user_id) it is the user of this e-mail; one who is made gets an id that follows from
            the e-mail.
        type: str
      key:
        description:
          - A value of your own, V(sk-) and 13 or more letters, digits, C(-) and C(_). A key that has another value is rotated to this one.
        type: str
      duration:
        description: As O(duration), for this key.
        type: str
      models:
        description: As O(models), for this key.
        type: list
        elements: str
      max_budget:
        description: As O(max_budget), for this key.
        type: str
      budget_duration:
        description: As O(budget_duration), for this key.
        type: str
      tpm_limit:
        description: As O(tpm_limit), for this key.
        type: str
      rpm_limit:
        description: As O(rpm_limit), for this key.
        type: str
      max_parallel_requests:
        description: As O(max_parallel_requests), for this key.
        type: str
      team_id:
        description: As O(team_id), for this key.
        type: str
      metadata:
        description: As O(metadata), for this key; it takes the whole place of that.
        type: dict
      object_permission:
        description: As O(object_permission), for this key; it takes the whole place of that.
        type: dict
        suboptions: &permissions
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
            description: For each MCP server, the list of tools that the key may call.
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
      blocked:
        description: As O(blocked), for this key.
        type: bool
  prefix:
    description: Aliases and user ids are this and a number, from 1 to O(count).
    type: str
  count:
    description: How many keys the pattern makes, 1 or more.
    type: int
  domain:
    description: With the pattern, the e-mail of a user is the alias at this domain. Without it the users have no e-mail.
    type: str
  create_users:
    description:
      - Whether users who do not exist are made. Otherwise the task fails and names them.
      - Keys of O(keys) without C(user_id) and C(user_email) belong to nobody.
    type: bool
    default: true
  user_settings:
    description: What the users of the set have; those who existed before stay as they are. What is left out is as LiteLLM makes it.
    type: dict
    suboptions:
      user_role:
        description: The users' role. For administrators see M(rhpds.litemaas.litellm_user).
        type: str
        choices: [internal_user, internal_user_viewer]
      models:
        description: The models that the users may use; a list that is empty, when the user is made, allows all.
        type: list
        elements: str
      max_budget:
        description:
          - US dollars that a user may spend in each C(budget_duration), or in all when there is none. V(unlimited) or V(null) clears it.
        type: str
      budget_duration:
        description: After which time a user's spend starts at 0 again, as O(budget_duration).
        type: str
      tpm_limit:
        description: Tokens per minute. V(unlimited) or V(null) clears it.
        type: str
      rpm_limit:
        description: Requests per minute. V(unlimited) or V(null) clears it.
        type: str
  duration:
    description:
      - How long a key is valid after it was made, such as V(30d), V(12h) or V(1mo) (30 days). V(unlimited), V(null) or V(-1) make it valid
        for ever, as does leaving it out when the key is made.
      - A run that changes nothing does not move the end. Another duration counts from the moment at which the key was made.
    type: str
  models:
    description: The models, or model access groups, that a key may use. An empty list allows every model that the owner may use.
    type: list
    elements: str
  max_budget:
    description:
      - US dollars that a key may spend in each O(budget_duration), or in all when there is none. V(unlimited) or V(null) clears it.
    type: str
  budget_duration:
    description:
      - After which time the spend starts at 0 again, as V(daily), V(weekly), V(monthly), or a number with C(s), C(m), C(h), C(d), C(w) or
        C(mo), such as V(12h), V(30d) or V(1mo).
      - V(unlimited) or V(null) clears it. LiteLLM 1.81 can't clear it; the task then fails and says so.
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
  team_id:
    description: The id of the team that the keys belong to. The team must exist.
    type: str
  metadata:
    description: What to store with the keys. Names that are not given stay as they are; a name whose value is null is removed.
    type: dict
  object_permission:
    description: What the keys may reach beside models. Parts that are not given stay as they are; an empty list or mapping clears a part.
    type: dict
    suboptions: *permissions
  blocked:
    description: Whether LiteLLM refuses the keys for the time being.
    type: bool
  concurrency:
    description: How many requests run at once, 1 to 64.
    type: int
    default: 8
  purge:
    description:
      - Whether keys and users of the set that are not wanted any more are removed. Users who have other keys are kept.
    type: bool
    default: false
  keys_file:
    description:
      - A JSON file of aliases and values, on the host that runs the module, for its owner alone (mode 0600). No value is then in the
        result.
      - The values are in the file, and on the disk, before LiteLLM is told any, so that no crash loses one. The next run sends what was
        not sent.
      - A key whose value is not in the file counts as lost; see O(on_lost).
      - With O(purge) and O(state=absent) the values of removed keys are removed too, and a file that holds no value any more.
      - Tasks that write files of one folder wait for each other.
      - The folder must exist. A file that belongs to somebody else, a link, and a folder into which everybody may write are refused.
    type: path
  on_lost:
    description:
      - What happens to keys whose values nobody has. With V(report) they stay, and RV(lost) and a warning name them.
      - With V(rotate) they get new values, and keep alias, owner, limits, permissions and spend. With O(duration) they are valid for that
        long from now on, without it as long as before.
    type: str
    choices: [report, rotate]
    default: report
seealso:
  - module: rhpds.litemaas.litellm_key
  - module: rhpds.litemaas.litellm_user
"""

EXAMPLES = r"""
- name: Fifty users, each with a key of five dollars a week, for a month
  rhpds.litemaas.litellm_keys:
    url: https://litellm.apps.example.com
    api_key: "{{ litellm_master_key }}"
    name: summit-lab
    prefix: summit-user
    count: 50
    domain: example.com
    models: [granite-3-8b-instruct]
    max_budget: 5
    budget_duration: weekly
    duration: 30d
  register: workshop

- name: Hand the values over that were made just now
  rhpds.litemaas.agnosticd_user_info:
    user: "{{ item.user_id }}"
    data:
      litellm_virtual_key: "{{ item.key }}"
  loop: "{{ workshop.virtual_keys | selectattr('key', 'defined') }}"
  loop_control:
    label: "{{ item.key_alias }}"
  no_log: true

- name: The same with a file, which a run that is killed does not lose
  rhpds.litemaas.litellm_keys:
    name: summit-lab
    prefix: summit-user
    count: 50
    keys_file: "{{ output_dir }}/summit-lab-keys.json"
    on_lost: rotate

- name: Exactly these keys, of which one may spend more
  rhpds.litemaas.litellm_keys:
    name: demo-team
    max_budget: 10
    purge: true
    keys:
      - key_alias: demo-alice
        user_email: alice@example.com
      - key_alias: demo-bob
        user_email: bob@example.com
        max_budget: 50
      - key_alias: demo-pipeline

- name: Remove the workshop's keys and users, and nothing else
  rhpds.litemaas.litellm_keys:
    name: summit-lab
    state: absent
"""

RETURN = r"""
virtual_keys:
  description: The keys that the task wants.
  returned: success
  type: list
  elements: dict
  contains:
    key_alias:
      description: The alias.
      type: str
    token:
      description: The hash by which LiteLLM knows the key. Null in check mode for a key to be made.
      type: str
    user_id:
      description: The id of the user whom it belongs to; null when it belongs to nobody.
      type: str
    user_email:
      description: That user's e-mail as the task gives it.
      type: str
    expires:
      description: When the key expires, UTC; null for never, and in check mode for a key to be made.
      type: str
    status:
      description: What the run did with the key, V(created), V(updated), V(rotated) or V(unchanged).
      type: str
    key:
      description: The key's value. Only when this run has drawn it, and not with O(keys_file).
      type: str
  sample:
    - key_alias: summit-user1
      token: 5eb825767fb59afc7d7cfb1febedf950fa90c70aa6564b51ef43165755eb0682
      user_id: summit-user1
      user_email: summit-user1@example.com
      expires: "2026-12-21T05:54:19.282000Z"
      status: created
      key: sk-xxxxxxxxxxxxxxxxxxxxxx
created:
  description: Aliases of the keys that were made.
  returned: success, and after a failure in the middle
  type: list
  elements: str
updated:
  description: Aliases of the keys that were changed.
  returned: success, and after a failure in the middle
  type: list
  elements: str
rotated:
  description: Aliases of the keys that got new values.
  returned: success, and after a failure in the middle
  type: list
  elements: str
removed:
  description: Aliases of the keys that were removed.
  returned: success, and after a failure in the middle
  type: list
  elements: str
lost:
  description: Aliases of the keys whose values nobody has. After a failure without O(keys_file) those that the run has made are among them.
  returned: success, and after a failure in the middle
  type: list
  elements: str
users:
  description: Ids of the users that were made, changed and removed, and of those of the set that were kept because they have other keys.
  returned: success, and after a failure in the middle
  type: dict
  sample: {created: [summit-user1], updated: [], removed: [], kept: []}
failed_because:
  description: What LiteLLM said of each key or user at which the run failed.
  returned: after a failure in the middle
  type: dict
remaining:
  description: The keys and users that the next run will make, change or remove.
  returned: after a failure in the middle
  type: list
  elements: str
before:
  description: What was changed as it was before, C(keys) by alias and C(users) by id. Never a value.
  returned: success
  type: dict
  sample: {keys: {}, users: {}}
after:
  description: What was changed as it is now, read back from LiteLLM; in check mode as it would be.
  returned: success
  type: dict
  sample: {keys: {summit-user1: {user_id: summit-user1, max_budget: 5.0, models: [granite-3-8b-instruct]}}, users: {}}
"""

import contextlib
import secrets
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from typing import Any
from uuid import uuid4

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.rhpds.litemaas.plugins.module_utils.client import PAGE, Client, LiteLLMError, NotFound
from ansible_collections.rhpds.litemaas.plugins.module_utils.connection import CONNECTION, connect
from ansible_collections.rhpds.litemaas.plugins.module_utils.fields import spec_of
from ansible_collections.rhpds.litemaas.plugins.module_utils.key_set import (
    PENDING,
    RUN,
    USER_FIELDS,
    Change,
    Held,
    Plan,
    items_of,
    label_of,
    make_plan,
    names,
)
from ansible_collections.rhpds.litemaas.plugins.module_utils.keys import (
    KEY_FIELDS,
    ROTATING,
    SET,
    budget_id_of,
    check_team,
    hash_of,
    key_of,
    keys_of,
    lifetime,
    moment,
)
from ansible_collections.rhpds.litemaas.plugins.module_utils.keys_file import KeysFile
from ansible_collections.rhpds.litemaas.plugins.module_utils.resource import PRESENCE

SHARED = {**spec_of(KEY_FIELDS), "duration": {"type": "str"}}
ITEM = {
    "key_alias": {"type": "str", "required": True, "no_log": False},
    "user_id": {"type": "str"},
    "user_email": {"type": "str"},
    "key": {"type": "str", "no_log": True},
    **SHARED,
}
OPTIONS = {
    **CONNECTION,
    "name": {"type": "str", "required": True},
    "state": PRESENCE,
    "keys": {"type": "list", "elements": "dict", "options": ITEM, "no_log": False},
    "prefix": {"type": "str"},
    "count": {"type": "int"},
    "domain": {"type": "str"},
    "create_users": {"type": "bool", "default": True},
    "user_settings": {"type": "dict", "options": spec_of(USER_FIELDS)},
    **SHARED,
    "concurrency": {"type": "int", "default": 8},
    "purge": {"type": "bool", "default": False},
    "keys_file": {"type": "path", "no_log": False},
    "on_lost": {"type": "str", "choices": ["report", "rotate"], "default": "report"},
}

MOST = 64  # requests at once


class KeySet:
    """The set of one task.

    What a run returns, and what it reports after a failure, is read from LiteLLM rather than gathered from its answers: a write
    that broke off may have been done.
    """

    def __init__(self, client: Client, parameters: dict[str, Any]) -> None:
        self.client = client
        self.parameters = parameters
        self.label = parameters["name"]
        if not self.label.strip():
            raise LiteLLMError("name: is empty. Give the label of the set, such as summit-lab.")
        if not 1 <= parameters["concurrency"] <= MOST:
            raise LiteLLMError(f"concurrency: must be 1 to {MOST}. It is {parameters['concurrency']}.")
        self.items = items_of(parameters)
        self.file = KeysFile(parameters["keys_file"]) if parameters["keys_file"] else None
        self.stored: dict[str, str] | None = None
        # A file tells which values are known; no key then needs to say which run made it.
        self.run = None if self.file else uuid4().hex
        self.values: dict[str, str] = {}  # of the keys that this run makes, by alias
        self.failed: dict[str, str] = {}  # why, by alias or user id
        self.answered: list[Change] = []  # what LiteLLM has confirmed

    def ensure(self, check_mode: bool = False) -> dict[str, Any]:
        """Make LiteLLM hold the set, and return the task's result."""
        with self.file.alone() if self.file else contextlib.nullcontext():
            self.stored = self.file.read() if self.file else None
            return self._ensure(check_mode)

    def _ensure(self, check_mode: bool) -> dict[str, Any]:
        before = self._read()
        plan = make_plan(self.items, before, self.parameters, self.stored)
        for team_id in {change.sent["team_id"] for change in plan.keys if change.sent.get("team_id")}:
            check_team(self.client, team_id)
        self._draw(plan, before)
        content = self._content(plan, before)
        unwritten = self.file is not None and (content != self.stored or not self.file.is_private())
        if check_mode or not (plan.changes or unwritten):
            return self._result(plan, before, None, changed=bool(plan.changes or unwritten))
        if unwritten:
            self.file.write({**self.stored, **content})
        after = self._apply(plan) if plan.changes else before
        if self.file and content != {**self.stored, **content}:
            self.file.write(content)
        return self._result(plan, before, after, changed=True)

    def _read(self) -> Held:
        parameters = self.parameters
        people = parameters["state"] == "absent" or parameters["purge"] or any(item.user_id or item.user_email for item in self.items)
        with ThreadPoolExecutor(1) as pool:
            users = pool.submit(self._users if people else list)
            # What is made meanwhile moves the pages: a key can be read twice.
            keys = {key["token"]: key for key in keys_of(self.client)}
            return Held(list(keys.values()), users.result())

    def _users(self) -> list[dict[str, Any]]:
        # By id: the end of a page must not fall between users that were made in the same millisecond.
        return list(self.client.pages("/user/list", "users", sort_by="user_id", sort_order="asc"))

    def _draw(self, plan: Plan, held: Held) -> None:
        """Choose the values of the keys to be made: the operator's, one that a run wrote and could not send any more, or a new one."""
        for change in plan.keys:
            if change.is_new_value:
                begun = change.verb == "created" or change.record["key_alias"] != change.name
                written = (self.stored or {}).get(change.name) if begun else None
                unsent = written if written and hash_of(written) not in held.by_token else None
                self.values[change.name] = change.item.key or unsent or f"sk-{secrets.token_urlsafe(24)}"

    def _content(self, plan: Plan, held: Held) -> dict[str, str] | None:
        """Return what the file shall hold in the end."""
        if self.file is None:
            return None
        content = {**self.stored, **{item.key_alias: item.key for item in self.items if item.key}, **self.values}
        if self.parameters["purge"] or self.parameters["state"] == "absent":
            wanted = {item.key_alias for item in self.items}
            valid = held.by_token.keys() - {change.record["token"] for change in plan.removed_keys}
            content = {alias: value for alias, value in content.items() if alias in wanted or hash_of(value) in valid}
        return content

    def _apply(self, plan: Plan) -> Held:
        """Carry the plan out, and return what LiteLLM holds then. Raises LiteLLMError that says what was done and what was not."""
        made = [change for change in plan.keys if change.is_new_value]
        # A key that marks an earlier run's values as lost goes when all of them have got new ones.
        marked = [change for change in made if change.record and change.record["metadata"].get(PENDING)]
        first = [change for change in made if change not in marked][:1] or marked[:1]
        for act, changes in (
            (self._write_user, plan.users),
            (self._make_first, first),
            (self._write_key, [change for change in plan.keys if change not in first and change not in marked]),
            (self._write_key, [change for change in marked if change not in first]),
            (self._mark, plan.marks),
            (self._delete_keys, _batches(plan.removed_keys)),
            (self._delete_users, _batches(plan.removed_users)),
        ):
            self._each(act, changes)
        try:
            after = self._read()
        except LiteLLMError as error:
            raise self._report(plan, None, " ".join(self.failed.values()) or str(error)) from error
        undone = [change for change in plan.changes if not self._is_done(change, after)]
        if undone:
            raise self._report(plan, after, " ".join(dict.fromkeys(self.failed.values())) or self._not_taken(undone, after))
        try:
            for key in after.keys:
                if self.run and key["metadata"].get(RUN) == self.run and key["metadata"].get(PENDING):
                    self.client.post("/key/update", {"key": key["token"], "metadata": _without_mark(key)})
        except LiteLLMError as error:
            raise self._report(plan, after, str(error)) from error
        return after

    def _each(self, act: Callable[[Any], None], things: list[Any]) -> None:
        """Do this to each of them, as many at a time as the task says; after a failure nothing is begun any more."""

        def one(thing: Any) -> None:
            changes = thing if isinstance(thing, list) else [thing]
            if self.failed:
                return
            try:
                act(thing)
            except LiteLLMError as error:
                self.failed.update({change.name: str(error) for change in changes})
            else:
                self.answered.extend(changes)

        with ThreadPoolExecutor(self.parameters["concurrency"]) as pool:
            list(pool.map(one, things))

    def _write_user(self, change: Change) -> None:
        if change.verb == "created":
            body = {"user_id": change.name, "auto_create_key": False, "metadata": {SET: self.label}}
            self.client.post("/user/new", {**body, **change.sent})
        else:
            self.client.post("/user/update", {"user_id": change.name, **change.sent})

    def _make_first(self, change: Change) -> None:
        """Make the key that tells, should this run end here, that its values were lost; and look at it before others are made like it."""
        self._write_key(change, {PENDING: True} if self.run else {})
        made = key_of(self.client, hash_of(self.values[change.name]))
        if made and change.wrong(made) and change.verb == "created":
            self.client.post("/key/delete", {"keys": [made["token"]]})
            raise LiteLLMError(f"{self._sentence(change, made)} The key was not kept.")

    def _write_key(self, change: Change, marks: dict[str, Any] | None = None) -> None:
        if change.left:
            self.client.post("/key/delete", {"keys": [key["token"] for key in change.left]})
        if change.is_new_value:
            self._make_key(change, marks or {})
        elif change.sent:
            self.client.post("/key/update", {"key": change.record["token"], **change.sent})

    def _make_key(self, change: Change, marks: dict[str, Any]) -> None:
        """Each step leaves what the next run needs to go on: the old key renamed, the new one made, the old one removed."""
        old, body = change.record, {"key_alias": change.name, "key": self.values[change.name], **change.sent}
        body["metadata"] = {**body.get("metadata", {}), SET: self.label, **({RUN: self.run} if self.run else {}), **marks}
        if old is None:
            self.client.post("/key/generate", body)
            return
        body["budget_id"] = budget_id_of(self.client, old["token"])
        if old["key_alias"] == change.name:
            self.client.post("/key/update", {"key": old["token"], "key_alias": change.name + ROTATING})
        self.client.post("/key/generate", {name: value for name, value in body.items() if value is not None})
        self.client.post("/key/delete", {"keys": [old["token"]]})

    def _mark(self, change: Change) -> None:
        metadata = {**change.record["metadata"], PENDING: True}
        self.client.post("/key/update", {"key": change.record["token"], "metadata": metadata})

    def _delete_keys(self, changes: list[Change]) -> None:
        with contextlib.suppress(NotFound):  # they are gone already
            self.client.post("/key/delete", {"keys": [change.record["token"] for change in changes]})

    def _delete_users(self, changes: list[Change]) -> None:
        ids = [change.name for change in changes]
        try:
            self.client.post("/user/delete", {"user_ids": ids})
        except NotFound:  # LiteLLM removes nobody when one of them is gone already
            there = {user["user_id"] for user in self._users()}
            if there.intersection(ids):
                self.client.post("/user/delete", {"user_ids": [user_id for user_id in ids if user_id in there]})

    def _now(self, change: Change, held: Held) -> dict[str, Any] | None:
        """Return what LiteLLM holds of a change's subject."""
        if change.kind == "user":
            return held.by_id.get(change.name)
        token = hash_of(self.values[change.name]) if change.is_new_value else change.record["token"]
        return held.by_token.get(token)

    def _is_done(self, change: Change, held: Held, *, in_every_field: bool = True) -> bool:
        record = self._now(change, held)
        if change.verb == "removed":
            return record is None
        if record is None or record.get("key_alias", change.name) != change.name:
            return False
        if change.wrong(record) and (in_every_field or change.verb == "updated"):
            return False
        gone = [*change.left, *([change.record] if change.verb == "rotated" else [])]
        return not any(key["token"] in held.by_token for key in gone)

    def _not_taken(self, undone: list[Change], held: Held) -> str:
        sentences = defaultdict(list)
        for change in undone:
            record = self._now(change, held)
            taken = record is None or change.verb == "removed" or not change.wrong(record)
            sentence = "Somebody else changed the set at the same time." if taken else self._sentence(change, record)
            sentences[sentence].append(change.name)
        return " ".join(f"{sentence} ({names(those)})" for sentence, those in sentences.items())

    def _sentence(self, change: Change, record: dict[str, Any]) -> str:
        field = change.wrong(record)[0]
        release = f"LiteLLM {self.client.version()}".strip()
        if field.is_clear(change.wanted[field.name]):
            return f"{release} can't clear {field.name} of a {change.kind}: it still is {field.shown(record)}."
        return f"{release} did not take {field.name} = {field.kind.show(change.wanted[field.name])}: it is {field.shown(record)}."

    def _report(self, plan: Plan, after: Held | None, reason: str) -> LiteLLMError:
        """What was done, as far as LiteLLM tells, and what is left. No value is in it: Ansible displays every failure."""
        done = [
            change for change in plan.changes if (self._is_done(change, after, in_every_field=False) if after else change in self.answered)
        ]
        lost = [] if self.file else [change.name for change in done if change.is_new_value and not change.item.key]
        text = f"{reason} {len(done)} of {len(plan.changes)} changes were made; run the task again, and it makes the rest."
        if lost:
            text += f" Nobody has the values of {names(lost)}: with on_lost=rotate the next run gives them new ones."
        remaining = [change.name for change in plan.changes if change not in done]
        facts = {"changed": bool(done), "lost": [*plan.lost, *lost], "failed_because": self.failed, "remaining": remaining}
        return LiteLLMError(text, **facts, **_listed(done, plan))

    def _result(self, plan: Plan, before: Held, after: Held | None, *, changed: bool) -> dict[str, Any]:
        """Return the task's result; `after` is None where it is a prediction, or nothing has changed."""
        verbs = {change.name: change.verb for change in plan.keys}
        by_alias = {key["key_alias"]: key for key in (after or before).keys if label_of(key) == self.label}
        keys = []
        for item in plan.items:
            status = verbs.get(item.key_alias, "unchanged")
            key = by_alias.get(item.key_alias) if after or status in ("updated", "unchanged") else None
            shown = {"key_alias": item.key_alias, "token": key and key["token"], "user_id": item.user_id, "user_email": item.user_email}
            shown |= {"expires": key and key["expires"], "status": status}
            if after and self.file is None and item.key_alias in self.values and not item.key:
                shown["key"] = self.values[item.key_alias]
            keys.append(shown)
        views = {
            "before": _by_kind(plan.changes, lambda change: _view(change, change.record)),
            "after": _by_kind(plan.changes, lambda change: _view(change, self._now(change, after)) if after else _predicted(change)),
        }
        return {
            "changed": changed,
            "virtual_keys": keys,
            "lost": plan.lost,
            "warnings": self._warnings(plan, keys),
            **_listed(plan.changes, plan),
            **views,
        }

    def _warnings(self, plan: Plan, keys: list[dict[str, Any]]) -> list[str]:
        now = datetime.now(timezone.utc)
        expired = [key["key_alias"] for key in keys if key["expires"] and moment(key["expires"]) < now]
        where = "keys_file does not have" if self.file else "nobody has"
        remedy = "on_lost=rotate gives them new values"
        return [
            f"{sentence.format(names(those))}."
            for those, sentence in (
                (plan.lost, f"Keys exist whose values {where}; {remedy}: {{}}"),
                (expired, "Keys have expired; give a longer duration, or remove the set: {}"),
                (
                    plan.twins,
                    "Several keys have one alias, and nothing tells which is in use; remove one by litellm_key and its token: {}",
                ),
                (plan.kept_users, "Users are kept, since they have keys that are not this set's: {}"),
            )
            if those
        ]


def _batches(changes: list[Change]) -> list[list[Change]]:
    return [changes[start : start + PAGE] for start in range(0, len(changes), PAGE)]


def _without_mark(key: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in key["metadata"].items() if name != PENDING}


def _listed(changes: list[Change], plan: Plan) -> dict[str, Any]:
    """Return the names of what is changed, by kind and verb."""

    def those(kind: str, *verbs: str) -> dict[str, list[str]]:
        return {verb: [change.name for change in changes if (change.kind, change.verb) == (kind, verb)] for verb in verbs}

    users = those("user", "created", "updated", "removed")
    return {**those("key", "created", "updated", "rotated", "removed"), "users": {**users, "kept": plan.kept_users}}


def _by_kind(changes: list[Change], view: Callable[[Change], dict[str, Any] | None]) -> dict[str, Any]:
    views: dict[str, Any] = {"keys": {}, "users": {}}
    for change in changes:
        shown = view(change)
        if shown is not None:
            views[f"{change.kind}s"][change.name] = shown
    return views


def _view(change: Change, record: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return what is shown of a key or a user."""
    if record is None:
        return None
    shown = {field.name: field.shown(record) for field in change.fields}
    if change.kind == "key":
        metadata = {name: value for name, value in shown["metadata"].items() if name not in (SET, RUN, PENDING)}
        shown |= {"metadata": metadata, "expires": record["expires"]}
    return shown


def _predicted(change: Change) -> dict[str, Any] | None:
    """Return what would be shown after the change."""
    if change.verb == "removed":
        return None
    shown = _view(change, change.record or {"metadata": {}, "expires": None})
    for field in change.fields:
        if field.name in change.wanted:
            wanted = change.wanted[field.name]
            shown[field.name] = wanted if field.is_clear(wanted) else field.kind.show(field.kind.merge(shown[field.name], wanted))
    if change.verb == "updated" and "duration" in change.sent:
        life = lifetime(change.item.duration)
        shown["expires"] = life and (moment(change.record["created_at"]) + life).isoformat()
    return shown


def main() -> None:
    module = AnsibleModule(
        argument_spec=OPTIONS,
        supports_check_mode=True,
        mutually_exclusive=[("keys", "prefix"), ("keys", "count"), ("keys", "domain")],
        required_together=[("prefix", "count")],
        required_by={"domain": ("prefix",)},
        required_if=[("state", "present", ("keys", "prefix"), True)],
    )
    parameters = module.params
    try:
        result = KeySet(connect(parameters, parameters["concurrency"]), parameters).ensure(module.check_mode)
    except LiteLLMError as error:
        module.fail_json(msg=str(error), **error.facts)
    for warning in result.pop("warnings"):
        module.warn(warning)
    if module._diff:
        result["diff"] = {"before": result["before"], "after": result["after"]}
    module.exit_json(**result)


if __name__ == "__main__":
    main()
