#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One virtual key of LiteLLM."""

from __future__ import annotations

DOCUMENTATION = r"""
module: litellm_key
short_description: Manage a virtual key of LiteLLM
version_added: 0.4.0
description:
  - Makes, changes, rotates and removes one virtual key. For a workshop's worth of keys see M(rhpds.litemaas.litellm_keys).
  - A key is named by its alias, by its hash, or by its value. An option that is left out leaves the field as it is.
  - LiteLLM tells the value of a key once, when it makes it. It is in the result of the run that made the key, and nowhere else afterwards;
    neither a playbook's output nor a callback, such as AAP's, gets it. Tasks with C(async) are refused, since another module would display
    it.
author: RHDP (@rhpds)
extends_documentation_fragment:
  - rhpds.litemaas.connection
  - rhpds.litemaas.attributes
  - rhpds.litemaas.attributes.actiongroup
options:
  key_alias:
    description:
      - The key's alias. The task fails when several keys have it, and names their hashes.
      - Together with O(token) it is the alias that the key shall have.
    type: str
  token:
    description: The hash (SHA-256, 64 hexadecimal digits) by which LiteLLM knows the key.
    type: str
  key:
    description:
      - The value of the key, for a key to be made with a value of your own, or to name a key by its value.
      - V(sk-) and 13 or more letters, digits, C(-) and C(_).
    type: str
  state:
    description:
      - With V(present) the key is made unless it exists, and changed where it differs.
      - With V(absent) it is removed.
      - With V(rotated) it gets a new value, and keeps alias, owner, limits, permissions, metadata, spend and the moment at which it
        expires. The old value is valid until the new key is there. A key that has expired
        needs a O(duration). A rotation that was cut off is finished by the next run with V(rotated).
        A rotated key's metadata says in C(litemaas_replaces) which hash it replaces. LiteLLM reckons the end of the budget's period anew,
        so that one of no whole day, week or month never ends when the key is rotated more often than that.
    type: str
    choices: [present, absent, rotated]
    default: present
  rotate_older_than:
    description:
      - With O(state=rotated), how old the key's value must be to be replaced, such as V(30d) or V(12h). A younger one is kept, and the
        task is C(ok).
      - Without it every run rotates.
    type: str
  duration:
    description:
      - How long the key is valid after it was made, such as V(30d), V(12h) or V(1mo) (30 days). V(unlimited), V(null) or LiteLLM's V(-1)
        make it valid for ever.
      - For a key that exists, too, it counts from the moment at which the key was made. LiteLLM is told only when the key would expire
        more than two minutes earlier or later.
      - Without it a new key is valid for ever.
    type: str
  user_id:
    description: The id of the user whom the key belongs to. The user must exist.
    type: str
  team_id:
    description: The id of the team that the key belongs to. The team must exist.
    type: str
  budget_id:
    description: The named budget (M(rhpds.litemaas.litellm_budget)) whose limits the key has. It must exist.
    type: str
  models:
    description: The models, or model access groups, that the key may use. An empty list allows every model that the owner may use.
    type: list
    elements: str
  max_budget:
    description:
      - US dollars that the key may spend in each O(budget_duration), or in all when there is none.
      - V(unlimited) or V(null) as a text clears it.
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
  metadata:
    description: What to store with the key. Names that are not given stay as they are; a name whose value is null is removed.
    type: dict
  object_permission:
    description: What the key may reach beside models. Parts that are not given stay as they are; an empty list or mapping clears a part.
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
    description: Whether LiteLLM refuses the key for the time being.
    type: bool
seealso:
  - module: rhpds.litemaas.litellm_keys
  - module: rhpds.litemaas.litellm_key_info
"""

EXAMPLES = r"""
- name: A key for the demo, five dollars a week for a month
  rhpds.litemaas.litellm_key:
    key_alias: demo
    models: [granite-3-8b-instruct]
    max_budget: 5
    budget_duration: weekly
    duration: 30d
  register: made

- name: Hand its value over, when it was made just now
  ansible.builtin.copy:
    content: "{{ made.key }}"
    dest: demo.key
    mode: "0600"
  when: made.key is defined
  no_log: true

- name: Let the key call one MCP server's tools
  rhpds.litemaas.litellm_key:
    key_alias: demo
    object_permission:
      mcp_servers: [fs]

- name: A new value every 30 days
  rhpds.litemaas.litellm_key:
    key_alias: demo
    state: rotated
    rotate_older_than: 30d
  register: rotated

- name: Remove it
  rhpds.litemaas.litellm_key:
    key_alias: demo
    state: absent
"""

RETURN = r"""
key:
  description: The value of the key.
  returned: when the run made or rotated the key, and O(key) was not given
  type: str
  sample: sk-xxxxxxxxxxxxxxxxxxxxxx
before:
  description: The key as it was; null when there was none. Never its value.
  returned: success
  type: dict
  sample: &key
    token: 5eb825767fb59afc7d7cfb1febedf950fa90c70aa6564b51ef43165755eb0682
    key_alias: demo
    created_at: "2026-11-21T05:54:19.284000Z"
    expires: "2026-12-21T05:54:19.282000Z"
    spend: 1.25
    user_id: null
    team_id: null
    budget_id: null
    models: [granite-3-8b-instruct]
    max_budget: 5.0
    budget_duration: 7d
    tpm_limit: null
    rpm_limit: null
    max_parallel_requests: null
    metadata: {}
    object_permission: {}
    blocked: false
after:
  description:
    - The key as it is now, read back from LiteLLM; null when it is removed.
    - In check mode as it would be. What only LiteLLM knows (C(token), C(created_at), C(expires)) is null there for a key to be made.
  returned: success
  type: dict
  sample: *key
"""

import contextlib
from datetime import datetime, timedelta, timezone
from typing import Any

from ansible_collections.rhpds.litemaas.plugins.module_utils import durations
from ansible_collections.rhpds.litemaas.plugins.module_utils.client import LiteLLMError
from ansible_collections.rhpds.litemaas.plugins.module_utils.fields import TEXT, Field
from ansible_collections.rhpds.litemaas.plugins.module_utils.keys import (
    KEY_FIELDS,
    REPLACES,
    ROTATING,
    budget_id_of,
    check_team,
    check_token,
    check_value,
    expiry,
    hash_of,
    key_of,
    keys_of,
    lifetime,
    moment,
    new_value,
    sent_duration,
    successor,
)
from ansible_collections.rhpds.litemaas.plugins.module_utils.resource import Resource, run
from ansible_collections.rhpds.litemaas.plugins.module_utils.users import user_of


class Key(Resource):
    kind = "key"
    identity = ("token", "key_alias", "created_at", "expires", "spend")
    fields = (Field("user_id", TEXT), Field("budget_id", TEXT, clear=None), *KEY_FIELDS)
    options = {
        "key_alias": {"type": "str", "no_log": False},
        "token": {"type": "str", "no_log": False},
        "key": {"type": "str", "no_log": True},
        "state": {"type": "str", "choices": ["present", "absent", "rotated"], "default": "present"},
        "rotate_older_than": {"type": "str"},
        "duration": {"type": "str"},
    }
    constraints = {"required_one_of": [("key_alias", "token", "key")], "mutually_exclusive": [("token", "key")]}

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.value: str | None = None  # of the key that was made
        self.alias = self._alias()
        key, token = self.parameters["key"], self.parameters["token"]
        self.token = hash_of(check_value(key)) if key else token and check_token(token)
        if self.parameters["duration"]:
            sent_duration(self.parameters["duration"])

    def ensure(self, check_mode: bool = False) -> dict[str, Any]:
        rotating = self.parameters["state"] == "rotated" and self._rotation(check_mode)
        result = rotating or super().ensure(check_mode)
        return result | ({"key": self.value} if self.value else {})

    def find(self) -> dict[str, Any] | None:
        record = key_of(self.client, self.token) if self.token else None
        if self.alias and (record is None or record["key_alias"] != self.alias):
            record = self._by_alias(record)
        if self.alias and record is None and self.parameters["state"] != "rotated":
            record = self._left_by_a_rotation()
        return self._whole(record)

    def reread(self, record: dict[str, Any] | None) -> dict[str, Any] | None:
        return self._whole(key_of(self.client, record["token"]))

    def _absent(self, record: dict[str, Any] | None, check_mode: bool) -> dict[str, Any]:
        left = self._one(record["key_alias"] + ROTATING) if record and record["key_alias"] else None
        if left and not check_mode:
            self.delete(left)
        return super()._absent(record, check_mode)

    def extra(self, record: dict[str, Any]) -> dict[str, Any]:
        changes = {"key_alias": self.alias} if self.alias and record["key_alias"] != self.alias else {}
        left = expiry(record, self.parameters["duration"]) if self.parameters["duration"] else None
        return changes | ({"duration": left} if left else {})

    def create(self, values: dict[str, Any]) -> None:
        if self.parameters["token"]:
            raise LiteLLMError(f"token: LiteLLM has no key of the hash {self.token}. To make a key leave it out, and give key_alias.")
        self._check_owners(values)
        duration = self.parameters["duration"] and sent_duration(self.parameters["duration"])
        self._generate({"key_alias": self.alias, "key": self.parameters["key"], "duration": duration, **values})

    def update(self, record: dict[str, Any], changes: dict[str, Any]) -> None:
        self._check_owners(changes)
        self.client.post("/key/update", {"key": record["token"], **changes})

    def delete(self, record: dict[str, Any]) -> None:
        self.client.post("/key/delete", {"keys": [record["token"]]})

    def predicted(self, before: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
        if "duration" not in changes:
            return super().predicted(before, changes)
        life = lifetime(self.parameters["duration"])
        expires = life and (moment(before["created_at"]) + life).isoformat()
        return super().predicted(before, changes) | {"expires": expires}

    def named(self) -> dict[str, Any]:
        return {"token": self.token, "key_alias": self.alias, "created_at": None, "expires": None, "spend": 0.0}

    def _alias(self) -> str | None:
        alias = self.parameters["key_alias"]
        if alias is not None and not alias.strip():
            raise LiteLLMError("key_alias: is empty. Give a name, or leave the option out.")
        if alias and alias.endswith(ROTATING):
            raise LiteLLMError(f"key_alias: names that end with {ROTATING!r} belong to rotations under way.")
        return alias

    def _by_alias(self, record: dict[str, Any] | None) -> dict[str, Any] | None:
        """Return the one key of the alias; `record` is the key that token or key name, which has another alias."""
        named = self._one(self.alias)
        if named is None:
            if record is not None and self.parameters["state"] == "absent":
                raise LiteLLMError(f"key_alias: the key {record['token']} is called {record['key_alias']!r}. Give the one or the other.")
            return record
        if record is not None:
            raise LiteLLMError(f"key_alias: {self.alias!r} belongs to another key, {named['token']}. Aliases are unique.")
        if self.token and self.parameters["state"] != "rotated":
            option = "key" if self.parameters["key"] else "token"
            raise LiteLLMError(f"{option}: {self.alias!r} is a key of another value. To give it a new value use state: rotated.")
        return named

    def _one(self, alias: str) -> dict[str, Any] | None:
        found = keys_of(self.client, key_alias=alias)
        if len(found) > 1:
            raise LiteLLMError(
                f"key_alias: several keys are called {alias!r}: {', '.join(sorted(key['token'] for key in found))}. Give token."
            )
        return found[0] if found else None

    def _left_by_a_rotation(self) -> dict[str, Any] | None:
        left = self._one(self.alias + ROTATING)
        if left is not None and self.parameters["state"] == "present":
            raise LiteLLMError(f"key_alias: the rotation of {self.alias!r} was cut off. Finish it with state: rotated.")
        return left

    def _whole(self, record: dict[str, Any] | None) -> dict[str, Any] | None:
        return record and {**record, "budget_id": budget_id_of(self.client, record["token"])}

    def _check_owners(self, values: dict[str, Any]) -> None:
        # LiteLLM gives keys to users that don't exist.
        if values.get("user_id") and user_of(self.client, values["user_id"]) is None:
            raise LiteLLMError(f"user_id: LiteLLM has no user {values['user_id']!r}. Make the user first, with litellm_user.")
        if values.get("team_id"):
            check_team(self.client, values["team_id"])
        if values.get("budget_id") and not self.client.ask("/budget/info", {"budgets": [values["budget_id"]]}):
            raise LiteLLMError(f"budget_id: LiteLLM has no budget {values['budget_id']!r}. Make it first, with litellm_budget.")

    def _generate(self, body: dict[str, Any]) -> None:
        value = self.parameters["key"] or new_value()
        try:
            self.client.post("/key/generate", {name: part for name, part in body.items() if part is not None} | {"key": value})
        except LiteLLMError:
            if not self.parameters["key"]:  # should LiteLLM have made it all the same, nobody would have its value
                with contextlib.suppress(LiteLLMError):
                    self.client.post("/key/delete", {"keys": [hash_of(value)]})
            raise
        if not self.parameters["key"]:
            self.value = value

    def _rotation(self, check_mode: bool) -> dict[str, Any] | None:
        """Rotate; return None when the key is young enough to be kept, which then is like any key that is present."""
        current = self.find()
        alias = self.alias or (current and current["key_alias"])
        if current is not None and not alias:
            raise LiteLLMError("state: a key without an alias can't be rotated. Give it one first, by token and key_alias.")
        old = self._whole(self._one(alias + ROTATING)) if alias else None
        if old is None and current is None:
            raise LiteLLMError("state: there is no such key to rotate. Make it with state: present.")
        if old is None and not self._is_old(current):
            return None
        expires = moment((old or current)["expires"])
        if expires and expires < datetime.now(timezone.utc) and not self.parameters["duration"]:
            raise LiteLLMError(
                f"duration: {alias!r} has expired at {expires.isoformat()}, and so would a new value. Give how long it shall live from now."
            )
        before = self.view(old or current) | {"key_alias": alias}
        if check_mode:
            given = {field.name: self._expected(field, field.held(old or current)) for field in self._given()}
            token = self.token if self.parameters["key"] else None
            made = self.named() | {"token": token, "key_alias": alias, "spend": before["spend"]}
            return {"changed": True, "before": before, "after": before | made | given}
        self.alias = alias
        return {"changed": True, "before": before, "after": self._rotate(old, current)}

    def _is_old(self, key: dict[str, Any]) -> bool:
        age = self.parameters["rotate_older_than"]
        if age is None:
            return key["token"] != self.token or not self.parameters["key"]
        try:
            return datetime.now(timezone.utc) - moment(key["created_at"]) >= timedelta(seconds=durations.seconds(age))
        except ValueError as error:
            raise LiteLLMError(f"rotate_older_than: {error}. It is {age!r}.") from None

    def _rotate(self, old: dict[str, Any] | None, current: dict[str, Any] | None) -> dict[str, Any]:
        """Each step leaves what the next run needs to go on: the old key renamed, the new one made, the old one removed."""
        if old is None:
            old, current = current, None
            self.client.post("/key/update", {"key": old["token"], "key_alias": self.alias + ROTATING})
        elif current is not None and current["metadata"].get(REPLACES) != old["token"]:
            raise LiteLLMError(
                f"key_alias: {self.alias!r} was made anew while it was being rotated. Remove one of {old['token']}, {current['token']}."
            )
        elif current is not None and current["token"] != self.token:
            self.delete(current)  # its value was never handed over
            current = None
        if current is None:
            self._generate(self._successor(old))
        after = self._whole(self._one(self.alias))
        try:
            self._verify(after, None)
        except LiteLLMError:
            if after is not None:
                self.delete(after)
            self.client.post("/key/update", {"key": old["token"], "key_alias": self.alias})
            raise
        self.delete(old)
        return self.view(after)

    def _successor(self, old: dict[str, Any]) -> dict[str, Any]:
        """Return what to send for a key that takes the old one's place."""
        body = successor(self.fields, old, self.wanted, self.parameters["duration"])
        body["metadata"] = body.get("metadata", {}) | {REPLACES: old["token"]}
        return {"key_alias": self.alias, "key": self.parameters["key"], **body}


def main() -> None:
    run(Key)


if __name__ == "__main__":
    main()
