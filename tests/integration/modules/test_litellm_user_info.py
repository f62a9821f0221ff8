"""litellm_user_info against the real LiteLLM."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.modules.conftest import LiteLLM, name

FIELDS = {
    "user_id",
    "user_email",
    "user_alias",
    "user_role",
    "spend",
    "max_budget",
    "budget_used",
    "budget_duration",
    "budget_reset_at",
    "tpm_limit",
    "rpm_limit",
    "models",
    "teams",
    "metadata",
    "key_count",
    "created_at",
}


def info(litellm: LiteLLM, **filters: Any) -> dict[str, Any]:
    done = litellm.run("litellm_user_info", **filters)
    assert not done.get("failed"), done
    assert not done["changed"]
    assert done["total"] == len(done["users"])
    return done


def ids(litellm: LiteLLM, **filters: Any) -> list[str]:
    return [user["user_id"] for user in info(litellm, **filters)["users"]]


def test_a_user_is_shown_as_stored_and_nothing_more(litellm: LiteLLM):
    user = litellm.user(
        user_email=f"{name('info')}@example.com",
        user_alias=name("alias"),
        user_role="internal_user",
        max_budget=8,
        budget_duration="30d",
        tpm_limit=100,
        models=["a-model"],
        metadata={"lab": 1},
    )
    litellm.post("/user/update", user_id=user, spend=2)
    key = litellm.post("/key/generate", user_id=user)
    litellm.later("/key/delete", keys=[key["token"]])
    [shown] = info(litellm, user_id=user)["users"]
    [row] = litellm.rows('select * from "LiteLLM_UserTable" where user_id = %s', user)
    assert set(shown) == FIELDS
    for field in ("user_id", "user_email", "user_alias", "user_role", "max_budget", "budget_duration", "tpm_limit", "rpm_limit", "spend"):
        assert shown[field] == row[field]
    assert (shown["models"], shown["teams"], shown["metadata"]) == (["a-model"], [], {"lab": 1})
    assert shown["budget_used"] == 0.25
    assert shown["key_count"] == 1
    assert shown["budget_reset_at"] == row["budget_reset_at"].strftime("%Y-%m-%dT%H:%M:%SZ")
    assert shown["created_at"] == row["created_at"].strftime("%Y-%m-%dT%H:%M:%SZ")
    assert info(litellm, user_email=row["user_email"])["users"] == [shown]  # the list tells the same as the single look-up


def test_filters_match_the_whole_value(litellm: LiteLLM):
    local, alias = name("whole"), name("alias")
    user = litellm.user(user_email=f"{local}@example.com", user_alias=alias)
    litellm.user(user_id=f"{user}-more", user_email=f"{local}@example.com.au", user_alias=f"{alias}-more")
    assert ids(litellm, user_id=user) == [user]
    assert ids(litellm, user_id=user[:-1]) == []
    assert ids(litellm, user_id=user.upper()) == []
    assert ids(litellm, user_email=f"{local.upper()}@example.com") == [user]
    assert ids(litellm, user_email=local) == []
    assert ids(litellm, user_alias=alias) == [user]
    assert ids(litellm, user_alias=alias, user_email="nobody@example.com") == []


@pytest.mark.parametrize("sign", [" ", "+", "%2B", "&", "#", "ü"])
def test_a_user_id_may_hold_any_sign(litellm: LiteLLM, sign: str):
    user = litellm.user(user_id=f"{name('a')}{sign}b@example.com")
    assert ids(litellm, user_id=user) == [user]


def test_roles_and_teams(litellm: LiteLLM):
    team = litellm.post("/team/new", team_alias=name("team"))["team_id"]
    litellm.later("/team/delete", team_ids=[team])
    viewer = litellm.user(user_role="internal_user_viewer", teams=[team])
    user = litellm.user(user_role="internal_user", teams=[team])
    assert ids(litellm, team_id=team) == sorted([viewer, user])
    assert ids(litellm, team_id=team, user_role="internal_user_viewer") == [viewer]
    assert viewer in ids(litellm, user_role="internal_user_viewer")
    assert user not in ids(litellm, user_role="internal_user_viewer")
    assert ids(litellm, team_id=team, user_id=user) == [user]


def test_who_is_near_the_limit_comes_with_the_nearest_first(litellm: LiteLLM):
    domain = name("near")

    def spender(budget: float | None, spend: float) -> str:
        user = litellm.user(user_email=f"{name('u')}@{domain}.com", **({} if budget is None else {"max_budget": budget}))
        litellm.post("/user/update", user_id=user, spend=spend)
        return user

    over, near, far, none = spender(10, 12), spender(10, 8), spender(10, 7.9), spender(None, 100)
    zero = litellm.user(max_budget=0)
    mine = {over, near, far, none, zero}
    found = info(litellm, near_limit=0.8)["users"]
    assert [user["user_id"] for user in found if user["user_id"] in mine] == [over, zero, near]
    assert [user["budget_used"] for user in found if user["user_id"] in mine] == [1.2, 1.0, 0.8]
    assert [user["budget_used"] for user in found] == sorted((user["budget_used"] for user in found), reverse=True)
    assert {user["user_id"] for user in info(litellm, near_limit=0)["users"]} & mine == mine - {none}


def test_every_page_is_read_and_the_proxys_own_user_left_out(litellm: LiteLLM):
    made = [litellm.user() for _ in range(105)]
    listed = ids(litellm)
    assert set(made) <= set(listed)
    assert len(listed) == len(set(listed))
    stored = [row["user_id"] for row in litellm.rows('select user_id from "LiteLLM_UserTable"')]
    assert "default_user_id" in stored
    assert "default_user_id" not in listed
    assert ids(litellm, user_id="default_user_id") == []


@pytest.mark.parametrize("near_limit", [-0.1, 1.01, "nan"])
def test_a_bad_fraction_is_named(litellm: LiteLLM, near_limit: Any):
    done = litellm.run("litellm_user_info", near_limit=near_limit)
    assert done["failed"]
    assert "near_limit: must be a fraction from 0 to 1" in done["msg"]
