"""What is planned for a set of keys, from what is wanted and what LiteLLM holds."""

from __future__ import annotations

from itertools import count

import pytest
from ansible_collections.rhpds.litemaas.plugins.module_utils.client import LiteLLMError
from ansible_collections.rhpds.litemaas.plugins.module_utils.key_set import PENDING, RUN, Held, Item, items_of, make_plan, names
from ansible_collections.rhpds.litemaas.plugins.module_utils.keys import REPLACES, ROTATING, SET, hash_of

OPTIONS = {"name": "lab", "state": "present", "create_users": True, "user_settings": None, "purge": False, "on_lost": "report"}
SECONDS = count(10)


def key(alias, value=None, user_id=None, label="lab", **metadata):
    marks = {SET: label, **metadata} if label else metadata
    moment = f"2026-11-21T05:00:{next(SECONDS):02}.000000Z"
    token = hash_of(value or f"sk-{alias}-{moment}")
    return {"token": token, "key_alias": alias, "user_id": user_id, "created_at": moment, "expires": None, "metadata": marks, "spend": 0.0}


def user(user_id, email=None, label="lab"):
    return {"user_id": user_id, "user_email": email, "metadata": {SET: label} if label else {}}


def plan(items, keys=(), users=(), values=None, **options):
    return make_plan(
        [Item(item) if isinstance(item, str) else item for item in items], Held(list(keys), list(users)), {**OPTIONS, **options}, values
    )


def verbs(changes):
    return [(change.verb, change.name) for change in changes]


def test_a_pattern_is_numbered_from_one():
    shared = {"keys": None, "prefix": "u", "count": 2, "domain": "@example.com", "max_budget": "5", "duration": "1d", "state": "present"}
    fields = dict.fromkeys(("models", "budget_duration", "tpm_limit", "rpm_limit", "max_parallel_requests", "team_id", "metadata"))
    items = items_of({**fields, "object_permission": None, "blocked": None, **shared})
    assert [(item.key_alias, item.user_id, item.user_email) for item in items] == [
        ("u1", "u1", "u1@example.com"),
        ("u2", "u2", "u2@example.com"),
    ]
    assert items[0].settings == {"max_budget": 5.0}


def test_what_is_missing_is_made_and_what_is_there_stays():
    made = plan([Item("a", "a"), Item("b", "b")], [key("a", user_id="a")], [user("a")])
    assert verbs(made.keys) == [("created", "b")]
    assert verbs(made.users) == [("created", "b")]
    assert not plan(["a"], [key("a")]).changes


def test_only_fields_that_differ_are_sent():
    have = {**key("a"), "max_budget": 5.0, "tpm_limit": 10}
    [change] = plan([Item("a", settings={"max_budget": 6.0, "tpm_limit": 10})], [have]).keys
    assert (change.verb, change.sent) == ("updated", {"max_budget": 6.0})


def test_users_of_other_sets_are_used_as_they_are():
    made = plan([Item("a", "a")], [], [user("a", label="other")], user_settings={"max_budget": "5"})
    assert made.users == []
    assert made.items[0].settings == {"user_id": "a"}


def test_the_id_of_a_user_known_by_email_alone_is_the_same_in_every_run():
    ids = [plan([Item("a", user_email=email)]).users[0].name for email in ("A@example.com", "a@example.com")]
    assert ids[0] == ids[1]
    assert plan([Item("a", user_email="A@example.com")], [], [user("x", "a@Example.com", None)]).items[0].user_id == "x"


@pytest.mark.parametrize(
    "items",
    [
        [Item("a", "a", "x@example.com")],  # x's
        [Item("a", "mine", "new@example.com"), Item("b", "mine", "other@example.com")],
        [Item("a", "a", "new@example.com"), Item("b", "b", "NEW@example.com")],
        [Item("a", "strange", "new@example.com")],  # a stranger with another e-mail
    ],
)
def test_emails_and_ids_of_different_people_are_refused(items):
    with pytest.raises(LiteLLMError, match="do not belong together"):
        plan(items, [], [user("x", "x@example.com", None), user("strange", "strange@example.com", None)])


def test_one_user_can_have_several_keys():
    made = plan([Item("a", "u"), Item("b", "u", "u@example.com"), Item("c", "u")])
    assert verbs(made.users) == [("created", "u")]
    assert made.users[0].sent == {"user_email": "u@example.com"}


def test_keys_without_the_name_are_refused():
    with pytest.raises(LiteLLMError, match="a exist already and do not belong to the set 'lab'"):
        plan(["a", "b"], [key("a", label="other"), key("b")])


def test_without_a_mark_and_without_a_file_nothing_is_lost():
    keys = [key("a", **{RUN: "1"}), key("b"), key("c", **{PENDING: True})]  # the last is of no run
    assert plan("abc", keys, on_lost="rotate").changes == []


def test_all_keys_of_a_marked_run_are_lost_and_no_others():
    keys = [key("a", **{RUN: "1", PENDING: True}), key("b", **{RUN: "1"}), key("c", **{RUN: "2"}), key("d", **{RUN: "1", REPLACES: "x"})]
    assert plan("abcd", keys).lost == ["a", "b"]
    assert verbs(plan("abcd", keys, on_lost="rotate").keys) == [("rotated", "a"), ("rotated", "b")]


def test_with_a_file_lost_is_what_it_does_not_have():
    keys = [key("a", "sk-a", **{RUN: "1", PENDING: True}), key("b", "sk-b"), key("c", "sk-c")]
    assert plan("abc", keys, values={"a": "sk-a", "b": "sk-other"}).lost == ["b", "c"]


def test_a_mark_moves_when_its_key_goes_and_others_stay_lost():
    keys = [key("a", **{RUN: "1", PENDING: True}), key("b", **{RUN: "1"}), key("c", **{RUN: "1"})]
    assert plan("abc", keys).marks == []
    assert verbs(plan("bc", keys, purge=True).marks) == [("marked", "b")]
    assert plan("abc", keys, on_lost="rotate").marks == []
    assert verbs(plan("ab", keys, on_lost="rotate").marks) == [("marked", "c")]
    assert plan([], keys, state="absent").marks == []


def test_a_rotation_that_was_cut_off_is_finished_whatever_on_lost_says():
    old = {**key("a" + ROTATING, "sk-old", **{RUN: "1"}), "spend": 2.0}
    [change] = plan(["a"], [old]).keys
    assert (change.verb, change.record, change.sent["spend"]) == ("rotated", old, 2.0)
    assert RUN not in change.sent["metadata"]
    new = key("a", "sk-new")
    [change] = plan(["a"], [old, new], values={"a": "sk-new"}).keys
    assert (change.verb, change.sent, change.left) == ("updated", {}, (old,))


def test_what_litellm_key_left_half_rotated_is_lost():
    old = key("a" + ROTATING, "sk-old")
    assert plan(["a"], [old, key("a", "sk-new", **{REPLACES: old["token"]})]).lost == ["a"]


def test_of_twins_the_known_one_stays():
    one, two = key("a", "sk-one"), key("a", "sk-two")
    assert plan(["a"], [one, two]).twins == ["a"]
    assert plan(["a"], [one, two]).changes == []
    [change] = plan(["a"], [one, two], values={"a": "sk-two"}).keys
    assert change.left == (one,)


def test_purge_and_absent_take_keys_and_users_of_the_set_alone():
    keys = [key("a", user_id="a"), key("b", user_id="b"), key("c" + ROTATING), key("s", label="other", user_id="s"), key("n", label=None)]
    users = [user("a"), user("b"), user("s", label="other"), user("n", label=None), user("idle")]
    assert plan([Item("a", "a")], keys, users).changes == []
    purged = plan([Item("a", "a")], keys, users, purge=True)
    assert verbs(purged.changes) == [("removed", "b"), ("removed", "c" + ROTATING), ("removed", "b"), ("removed", "idle")]
    assert len(plan([], keys, users, state="absent").changes) == 6


def test_a_user_with_a_key_that_stays_is_kept():
    keys = [key("a", user_id="u"), key("own", user_id="u", label=None)]
    removed = plan([], keys, [user("u")], state="absent")
    assert (removed.removed_users, removed.kept_users) == ([], ["u"])


def test_a_sentence_names_ten():
    assert names("abcdefghij") == "a, b, c, d, e, f, g, h, i, j"
    assert names("abcdefghijkl") == "a, b, c, d, e, f, g, h, i, j and 2 more"
