"""A set of keys and their users: what a task wants, what LiteLLM holds, and the plan that leads from one to the other."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from ansible_collections.rhpds.litemaas.plugins.module_utils.client import LiteLLMError
from ansible_collections.rhpds.litemaas.plugins.module_utils.fields import COUNT, DOLLARS, NAMES, PERIOD, TEXT, Field, Kind, wanted_of
from ansible_collections.rhpds.litemaas.plugins.module_utils.keys import (
    KEY_FIELDS,
    REPLACES,
    ROTATING,
    SET,
    check_value,
    expiry,
    hash_of,
    lifetime,
    sent_duration,
    successor,
)

# What the metadata of a set's keys say beside SET. What does not carry the set's label is never changed.
RUN = "litemaas_run"  # the run that made the key, where its value was to be in that run's result
# The first key that a run makes carries this until every value of the run is on its way into the result. Found later, it tells that
# the values of all keys of that run were lost.
PENDING = "litemaas_pending"

KEY_OF_SET = (Field("user_id", TEXT), *KEY_FIELDS)
USER_FIELDS = (
    Field("user_role", TEXT, more={"choices": ["internal_user", "internal_user_viewer"]}),
    Field("models", NAMES, cleared=[]),
    Field("max_budget", DOLLARS, clear=None),
    Field("budget_duration", PERIOD, clear=None),
    Field("tpm_limit", COUNT, clear=None),
    Field("rpm_limit", COUNT, clear=None),
)
EMAIL = Kind({"type": "str"}, same=lambda have, wanted: have.lower() == wanted.lower())
USER_OF_SET = (Field("user_email", EMAIL), *USER_FIELDS)

NAMED = 10  # how many names a sentence holds; the result has all of them


@dataclass(frozen=True)
class Item:
    """A key that the task wants. `settings` are the fields that it names; `key` is a value of the operator's own."""

    key_alias: str
    user_id: str | None = None
    user_email: str | None = None
    key: str | None = field(default=None, repr=False)
    duration: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Held:
    """What LiteLLM holds: every key and, where they matter, every user."""

    keys: list[dict[str, Any]]
    users: list[dict[str, Any]] = field(default_factory=list)

    @cached_property
    def by_token(self) -> dict[str, dict[str, Any]]:
        return {key["token"]: key for key in self.keys}

    @cached_property
    def by_id(self) -> dict[str, dict[str, Any]]:
        return {user["user_id"]: user for user in self.users}


@dataclass(frozen=True, eq=False)
class Change:
    """One thing to do.

    Attributes:
        kind: key or user.
        verb: created, updated, rotated or removed; marked when a key is to carry PENDING.
        name: the key's alias, or the user's id.
        record: what LiteLLM holds of it now; of a rotated key, the one with the old value.
        sent: the fields to send.
        wanted: the fields that it shall have afterwards.
        left: keys to be removed, which a rotation or a race left.
        item: the key that the task wants.
    """

    kind: str
    verb: str
    name: str
    record: dict[str, Any] | None = None
    sent: dict[str, Any] = field(default_factory=dict)
    wanted: dict[str, Any] = field(default_factory=dict)
    left: tuple[dict[str, Any], ...] = ()
    item: Item | None = None

    @property
    def fields(self) -> tuple[Field, ...]:
        return KEY_OF_SET if self.kind == "key" else USER_OF_SET

    @property
    def is_new_value(self) -> bool:
        """Whether a key is made."""
        return self.kind == "key" and self.verb in ("created", "rotated")

    def wrong(self, record: dict[str, Any]) -> list[Field]:
        """Return the fields in which a record is not what is wanted."""
        return differing(self.fields, record, self.wanted)


@dataclass
class Plan:
    """What a run has to do, and what it has to say.

    Attributes:
        items: the keys that the task wants, with the ids of their users.
        users: users to be made or changed.
        keys: keys to be made, changed or rotated.
        marks: keys that take over the mark of a run whose marked key goes.
        removed_keys: keys to be removed.
        removed_users: users to be removed.
        kept_users: ids of users that would be removed, did they not have keys that the set does not own.
        lost: aliases of keys whose values nobody has, and which stay as they are.
        twins: aliases that several of the set's keys have, and nobody knows which one is in use.
    """

    items: list[Item] = field(default_factory=list)
    users: list[Change] = field(default_factory=list)
    keys: list[Change] = field(default_factory=list)
    marks: list[Change] = field(default_factory=list)
    removed_keys: list[Change] = field(default_factory=list)
    removed_users: list[Change] = field(default_factory=list)
    kept_users: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    twins: list[str] = field(default_factory=list)

    @property
    def changes(self) -> list[Change]:
        return [*self.users, *self.keys, *self.removed_keys, *self.removed_users]


def items_of(parameters: dict[str, Any]) -> list[Item]:
    """Return the keys that the task's options describe. Raises LiteLLMError, naming option and key."""
    if parameters["state"] == "absent":
        return []
    if parameters["prefix"] is not None:
        listed = _pattern(parameters["prefix"], parameters["count"], parameters["domain"])
    else:
        listed = parameters["keys"]
    items = [_item(number, parameters, given) for number, given in enumerate(listed, 1)]
    for option, values in ("key_alias", [item.key_alias for item in items]), ("key", [item.key for item in items if item.key]):
        twice = {value for value in values if values.count(value) > 1} if len(set(values)) < len(values) else set()
        if twice:
            aliases = [item.key_alias for item in items if getattr(item, option) in twice]
            raise LiteLLMError(f"keys: {option} must differ from key to key, and is the same for {names(dict.fromkeys(aliases))}.")
    return items


def _pattern(prefix: str, count: int, domain: str | None) -> list[dict[str, Any]]:
    if not prefix.strip():
        raise LiteLLMError("prefix: is empty. Give what stands before the number, such as user.")
    if count < 1:
        raise LiteLLMError(f"count: must be 1 or more. It is {count}. To remove the set use state: absent.")
    emails = f"{{}}@{domain.lstrip('@')}" if domain else None
    numbered = [f"{prefix}{number}" for number in range(1, count + 1)]
    return [{"key_alias": name, "user_id": name, "user_email": emails and emails.format(name)} for name in numbered]


def _item(number: int, shared: dict[str, Any], given: dict[str, Any]) -> Item:
    alias = given["key_alias"]
    if not alias.strip() or alias.endswith(ROTATING):
        raise LiteLLMError(f"keys: the key_alias of key number {number} is empty, or ends with {ROTATING!r}.")
    user_id, user_email = given.get("user_id") or None, given.get("user_email") or None
    if user_email and not re.fullmatch(r"[^@\s]+@[^@\s]+", user_email):
        raise LiteLLMError(f"keys: {alias}: user_email: must be an e-mail address, such as {alias}@example.com. It is {user_email!r}.")
    settings = {
        name: shared[name] if given.get(name) is None else given[name] for name in (*(each.name for each in KEY_FIELDS), "duration")
    }
    try:
        wanted = wanted_of(KEY_FIELDS, settings)
        if reserved := [name for name in wanted.get("metadata", ()) if name in (SET, RUN, PENDING)]:
            raise LiteLLMError(f"metadata: {names(reserved)} is what this module writes itself.")
        if settings["duration"] is not None:
            lifetime(settings["duration"])
        return Item(alias, user_id, user_email, given.get("key") and check_value(given["key"]), settings["duration"], wanted)
    except LiteLLMError as error:
        raise LiteLLMError(f"keys: {alias}: {error}") from None


def make_plan(items: list[Item], held: Held, parameters: dict[str, Any], values: dict[str, str] | None) -> Plan:
    """Compare what is wanted with what LiteLLM holds; nothing is asked and nothing is written.

    Args:
        items: the keys that the task wants; none to remove the set.
        held: what LiteLLM holds.
        parameters: the task's options.
        values: what keys_file holds, or None without one.

    Raises:
        LiteLLMError: a key or a user is somebody else's.
    """
    plan = Plan()
    label = parameters["name"]
    ours = sorted((key for key in held.keys if label_of(key) == label), key=lambda key: key["created_at"])
    _plan_users(plan, items, held, parameters)
    _refuse_strangers(items, held, label)
    by_alias = defaultdict(list)
    for key in ours:
        by_alias[key["key_alias"]].append(key)
    pending = {key["metadata"][RUN] for key in ours if key["metadata"].get(PENDING) and key["metadata"].get(RUN)}
    for item in plan.items:
        _plan_key(plan, item, by_alias, pending, parameters["on_lost"], values)
    if parameters["purge"] or parameters["state"] == "absent":
        _plan_removal(plan, held, label)
    going = {change.record["token"] for change in plan.changes if change.kind == "key" and change.verb in ("rotated", "removed")}
    for run in pending:
        staying = [key for key in ours if key["metadata"].get(RUN) == run and key["token"] not in going]
        if staying and not any(key["metadata"].get(PENDING) for key in staying):
            plan.marks.append(Change("key", "marked", staying[0]["key_alias"], staying[0]))
    return plan


def _plan_users(plan: Plan, items: list[Item], held: Held, parameters: dict[str, Any]) -> None:
    """Plan the users, and give the keys the ids of theirs."""
    owners = {user["user_email"].lower(): user["user_id"] for user in held.users if user.get("user_email")}
    settings = _user_settings(parameters)
    _refuse_shared_emails(items, held)
    emails: dict[str, str] = {}  # the set's users, and the e-mails that the task gives them
    clashes = []
    for item in items:
        email = (item.user_email or "").lower()
        user_id = item.user_id or owners.get(email) or (str(uuid5(NAMESPACE_URL, f"mailto:{email}")) if email else None)
        plan.items.append(replace(item, user_id=user_id, settings={**item.settings, **({"user_id": user_id} if user_id else {})}))
        if user_id is None:
            continue
        user = held.by_id.get(user_id)
        theirs = user["user_email"] if user and user.get("user_email") and label_of(user) != parameters["name"] else email
        said = emails.setdefault(user_id, item.user_email or "") or email
        if email and (owners.setdefault(email, user_id) != user_id or theirs.lower() != email or said.lower() != email):
            clashes.append(f"{item.user_email} and {user_id}")
        emails[user_id] = emails[user_id] or item.user_email or ""
    if clashes:
        raise LiteLLMError(f"keys: these e-mails and users do not belong together: {names(clashes)}. Nothing was changed.")
    unknown = [user_id for user_id in emails if user_id not in held.by_id]
    if unknown and not parameters["create_users"]:
        raise LiteLLMError(f"keys: LiteLLM has no users {names(unknown)}. Nothing was changed. With create_users: true they are made.")
    for user_id, email in emails.items():
        wanted = {**settings, **({"user_email": email} if email else {})}
        user = held.by_id.get(user_id)
        if user is None:
            plan.users.append(Change("user", "created", user_id, sent=_new(USER_OF_SET, wanted), wanted=wanted))
        elif label_of(user) == parameters["name"] and (changes := _changes(USER_OF_SET, user, wanted)):
            plan.users.append(Change("user", "updated", user_id, user, changes, wanted))


def _refuse_shared_emails(items: list[Item], held: Held) -> None:
    having = defaultdict(list)
    for user in held.users:
        having[(user.get("user_email") or "").lower()].append(user["user_id"])
    for item in items:
        if item.user_email and not item.user_id and len(those := having[item.user_email.lower()]) > 1:
            raise LiteLLMError(f"keys: {item.user_email} is the e-mail of {names(sorted(those))}. Nothing was changed. Give user_id.")


def _user_settings(parameters: dict[str, Any]) -> dict[str, Any]:
    try:
        return wanted_of(USER_FIELDS, parameters["user_settings"] or {})
    except LiteLLMError as error:
        raise LiteLLMError(f"user_settings: {error}") from None


def _refuse_strangers(items: list[Item], held: Held, label: str) -> None:
    wanted = {item.key_alias for item in items}
    strangers = sorted(key["key_alias"] for key in held.keys if key.get("key_alias") in wanted and label_of(key) != label)
    if strangers:
        raise LiteLLMError(
            f"keys: {names(strangers)} exist already and do not belong to the set {label!r}. Nothing was changed. "
            "Give other aliases (another prefix), or remove those keys."
        )
    for item in items:
        holder = held.by_token.get(hash_of(item.key)) if item.key else None
        if holder and holder["key_alias"] not in _aliases(item):
            raise LiteLLMError(f"keys: {item.key_alias}: the value is another key's, {holder['key_alias']}. Nothing was changed.")


def _aliases(item: Item) -> tuple[str, str]:
    return (item.key_alias, item.key_alias + ROTATING)


def _plan_key(
    plan: Plan,
    item: Item,
    by_alias: dict[str, list[dict[str, Any]]],
    pending: set[str],
    on_lost: str,
    values: dict[str, str] | None,
) -> None:
    found, rotating = (by_alias[alias] for alias in _aliases(item))
    if not found and rotating:  # a rotation was cut off before the new key was made
        plan.keys.append(_rotation(item, rotating[-1]))
        return
    if not found:
        sent = _new(KEY_OF_SET, item.settings) | ({"duration": sent_duration(item.duration)} if item.duration else {})
        plan.keys.append(Change("key", "created", item.key_alias, None, sent, item.settings, item=item))
        return
    known = {hash_of(value) for value in (item.key, (values or {}).get(item.key_alias)) if value}
    key = next((key for key in found if key["token"] in known), found[0])
    twins = [twin for twin in found if twin is not key]
    if twins and key["token"] not in known:
        plan.twins.append(item.key_alias)
        twins = []
    left = (*rotating, *twins)
    lost = key["token"] not in known and (
        values is not None
        # litellm_key rotates a key together with its metadata, and hands the new value over.
        or (key["metadata"].get(RUN) in pending and REPLACES not in key["metadata"])
        or any(key["metadata"].get(REPLACES) == old["token"] for old in rotating)
    )
    if (item.key and hash_of(item.key) != key["token"]) or (lost and on_lost == "rotate"):
        plan.keys.append(_rotation(item, key, left))
        return
    if lost:
        plan.lost.append(item.key_alias)
    changes = _changes(KEY_OF_SET, key, item.settings)
    if item.duration and (duration := expiry(key, item.duration)):
        changes["duration"] = duration
    if changes or left:
        plan.keys.append(Change("key", "updated", item.key_alias, key, changes, item.settings, left, item))


def _rotation(item: Item, old: dict[str, Any], left: tuple[dict[str, Any], ...] = ()) -> Change:
    sent = successor(KEY_OF_SET, old, item.settings, item.duration)
    sent["metadata"] = {name: value for name, value in sent["metadata"].items() if name not in (RUN, PENDING, REPLACES)}
    return Change("key", "rotated", item.key_alias, old, sent, item.settings, left, item)


def _plan_removal(plan: Plan, held: Held, label: str) -> None:
    wanted = {alias for item in plan.items for alias in _aliases(item)}
    gone = [key for key in held.keys if label_of(key) == label and key["key_alias"] not in wanted]
    plan.removed_keys = [Change("key", "removed", key["key_alias"] or key["token"], key) for key in gone]
    tokens = {key["token"] for key in gone}
    holding = {key.get("user_id") for key in held.keys if key["token"] not in tokens}
    used = {item.user_id for item in plan.items}
    for user in held.users:
        if label_of(user) != label or user["user_id"] in used:
            continue
        if user["user_id"] in holding:  # LiteLLM removes a user's keys with the user
            plan.kept_users.append(user["user_id"])
        else:
            plan.removed_users.append(Change("user", "removed", user["user_id"], user))


def _new(fields: tuple[Field, ...], wanted: dict[str, Any]) -> dict[str, Any]:
    given = [each for each in fields if each.name in wanted and not each.is_clear(wanted[each.name])]
    return {each.name: each.sent(None, wanted[each.name]) for each in given}


def _changes(fields: tuple[Field, ...], record: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    return {each.name: each.sent(each.held(record), wanted[each.name]) for each in differing(fields, record, wanted)}


def differing(fields: tuple[Field, ...], record: dict[str, Any], wanted: dict[str, Any]) -> list[Field]:
    """Return the fields in which a record is not what is wanted."""
    return [each for each in fields if each.name in wanted and not each.same(each.held(record), wanted[each.name])]


def label_of(record: dict[str, Any]) -> str | None:
    """Return the label of the set that a key or a user belongs to."""
    return (record.get("metadata") or {}).get(SET)


def names(listed: Iterable[str]) -> str:
    """Return a few names in a row, and how many there are beside them."""
    listed = list(listed)
    return ", ".join(listed[:NAMED]) + (f" and {len(listed) - NAMED} more" if len(listed) > NAMED else "")
