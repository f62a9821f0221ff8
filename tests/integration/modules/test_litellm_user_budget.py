"""litellm_user_budget against the real LiteLLM; the state is read from its database."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.modules.conftest import LiteLLM, name

LIMITS = ("max_budget", "budget_duration", "tpm_limit", "rpm_limit", "max_parallel_requests")


def stored(litellm: LiteLLM, user_id: str) -> dict[str, Any]:
    [row] = litellm.rows('select * from "LiteLLM_UserTable" where user_id = %s', user_id)
    return row


def budget(litellm: LiteLLM, user: str, **options: Any) -> dict[str, Any]:
    return litellm.run("litellm_user_budget", user=user, **options)


def test_the_first_run_sets_the_second_leaves(litellm: LiteLLM):
    user = litellm.user()
    options = {"max_budget": "12.34", "budget_duration": "weekly", "tpm_limit": "1000", "rpm_limit": 20, "max_parallel_requests": 3}
    predicted = budget(litellm, user, check=True, **options)
    assert [stored(litellm, user)[limit] for limit in LIMITS] == [None] * 5
    done = budget(litellm, user, **options)
    assert done["changed"]
    assert done["before"]["max_budget"] is None
    assert predicted == done
    assert done["diff"] == {"before": done["before"], "after": done["after"]}
    assert [stored(litellm, user)[limit] for limit in LIMITS] == [12.34, "7d", 1000, 20, 3]
    reset_at = stored(litellm, user)["budget_reset_at"]
    again = budget(litellm, user, **options)
    assert (again["changed"], again["before"]) == (False, done["after"])
    assert stored(litellm, user)["budget_reset_at"] == reset_at


def test_an_option_left_out_or_null_leaves_its_limit_alone(litellm: LiteLLM):
    user = litellm.user(max_budget=5, tpm_limit=100, budget_duration="30d")
    before = stored(litellm, user)
    done = budget(litellm, user, max_budget="6", tpm_limit=None)
    assert done["diff"]["after"]["max_budget"] == 6
    after = stored(litellm, user)
    assert {column for column in before if before[column] != after[column]} == {"max_budget", "updated_at"}


def test_the_budget_period_is_not_restarted_by_another_change(litellm: LiteLLM):
    user = litellm.user(max_budget=5, budget_duration="30d")
    reset_at = stored(litellm, user)["budget_reset_at"]
    assert budget(litellm, user, max_budget=6, budget_duration="monthly")["changed"]
    assert stored(litellm, user)["budget_reset_at"] == reset_at


def test_zero_is_a_budget_and_not_none(litellm: LiteLLM):
    user = litellm.user()
    assert budget(litellm, user, max_budget=0)["changed"]
    assert stored(litellm, user)["max_budget"] == 0
    assert not budget(litellm, user, max_budget="0.00")["changed"]


@pytest.mark.parametrize("word", ["unlimited", "null", "Unlimited"])
def test_a_word_clears_where_litellm_can(litellm: LiteLLM, word: str):
    user = litellm.user(max_budget=5, tpm_limit=100, rpm_limit=3, budget_duration="1d")
    cleared = dict.fromkeys(LIMITS[:4], word)
    done = budget(litellm, user, **cleared)
    if litellm.old:
        assert done["failed"]
        assert "LiteLLM 1.81.0 can't clear max_budget of a user: it still is 5" in done["msg"]
        assert stored(litellm, user)["max_budget"] == 5
    else:
        assert done["changed"]
        assert [stored(litellm, user)[limit] for limit in LIMITS[:4]] == [None] * 4
        assert not budget(litellm, user, **cleared)["changed"]


def test_what_no_litellm_can_clear_is_said(litellm: LiteLLM):
    user = litellm.user(max_parallel_requests=5)
    done = budget(litellm, user, max_parallel_requests="unlimited", rpm_limit=7)
    assert done["failed"]
    assert "can't clear max_parallel_requests of a user: it still is 5" in done["msg"]
    assert done["changed"]  # the other limit was set
    assert done["after"]["rpm_limit"] == 7


def test_a_user_is_found_by_id_email_alias_and_local_part(litellm: LiteLLM):
    local = name("local")
    user = litellm.user(user_email=f"{local}@example.com", user_alias=name("alias"))
    alias = stored(litellm, user)["user_alias"]
    for number, words in enumerate((user, f"{local}@example.com", f"{local.upper()}@Example.com", alias, local), 1):
        assert budget(litellm, words, max_budget=number)["after"]["user_id"] == user
    assert stored(litellm, user)["max_budget"] == 5


def test_a_part_of_an_id_or_email_is_nobody_and_nobody_is_created(litellm: LiteLLM):
    user = litellm.user(user_email=f"{name('part')}@example.com")
    address = stored(litellm, user)["user_email"]
    nobody = [user[:-1], address[1:], address.partition("@")[0][:-1]]
    for words in nobody:
        done = budget(litellm, words, max_budget=1)
        assert done["failed"]
        assert repr(words) in done["msg"]
        assert "Nobody was changed" in done["msg"]
    assert litellm.rows('select 1 from "LiteLLM_UserTable" where user_id = any(%s) or user_email = any(%s)', nobody, nobody) == []


def test_candidates_are_named_when_there_are_several(litellm: LiteLLM):
    alias = name("twin")
    twins = [litellm.user(user_alias=alias), litellm.user(user_email=f"{alias}@example.com")]
    done = budget(litellm, alias, max_budget=1)
    assert done["failed"]
    assert all(twin in done["msg"] for twin in twins)
    assert [stored(litellm, twin)["max_budget"] for twin in twins] == [None, None]


def test_spend_is_reset_once(litellm: LiteLLM):
    user = litellm.user()
    litellm.post("/user/update", user_id=user, spend=2.5)
    assert budget(litellm, user, reset_spend=True, check=True)["after"]["spend"] == 0
    assert stored(litellm, user)["spend"] == 2.5
    done = budget(litellm, user, reset_spend=True)
    assert (done["changed"], done["before"]["spend"], done["after"]["spend"]) == (True, 2.5, 0)
    assert stored(litellm, user)["spend"] == 0
    assert not budget(litellm, user, reset_spend=True)["changed"]


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("max_budget", "-1", "max_budget: must be a number of US dollars, 0 or more"),
        ("max_budget", "much", "or unlimited for none"),
        ("max_budget", "nan", "max_budget: must be"),
        ("max_budget", "inf", "max_budget: must be"),
        ("tpm_limit", "1.5", "tpm_limit: must be a whole number"),
        ("budget_duration", "fortnightly", "budget_duration: must be daily, weekly, monthly"),
        ("budget_duration", "0d", "budget_duration: must be"),
        ("user", " ", "user: is empty"),
    ],
)
def test_bad_input_is_named_and_changes_nothing(litellm: LiteLLM, option: str, value: str, says: str):
    user = litellm.user(max_budget=5)
    done = litellm.run("litellm_user_budget", **({"user": user, "rpm_limit": 5} | {option: value}))
    assert done["failed"]
    assert says in done["msg"]
    assert stored(litellm, user)["rpm_limit"] is None


def test_litellms_own_user_is_left_alone(litellm: LiteLLM):
    assert "is LiteLLM's own" in budget(litellm, "default_user_id", max_budget=1)["msg"]
