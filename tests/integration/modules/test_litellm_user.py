"""litellm_user against the real LiteLLM; the state is read from its database."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.modules.conftest import LiteLLM, name

FIELDS = (
    "user_email",
    "user_alias",
    "user_role",
    "models",
    "max_budget",
    "budget_duration",
    "tpm_limit",
    "rpm_limit",
    "max_parallel_requests",
    "metadata",
    "teams",
)


def stored(litellm: LiteLLM, user_id: str) -> list[dict[str, Any]]:
    return litellm.rows('select * from "LiteLLM_UserTable" where user_id = %s', user_id)


def called(litellm: LiteLLM, *words: str) -> set[str]:
    """The ids of those whose id or e-mail is one of these."""
    rows = litellm.rows(
        'select user_id from "LiteLLM_UserTable" where user_id = any(%s) or lower(user_email) = any(%s)',
        list(words),
        [word.lower() for word in words],
    )
    return {row["user_id"] for row in rows}


def roster(litellm: LiteLLM, team_id: str) -> dict[str, str]:
    [row] = litellm.rows('select members_with_roles from "LiteLLM_TeamTable" where team_id = %s', team_id)
    return {member["user_id"]: member["role"] for member in row["members_with_roles"] if member["user_id"] != "default_user_id"}


def team(litellm: LiteLLM, **fields: Any) -> str:
    made = litellm.post("/team/new", **({"team_alias": name("team")} | fields))["team_id"]
    litellm.later("/team/delete", team_ids=[made])
    return made


def user(litellm: LiteLLM, **options: Any) -> dict[str, Any]:
    done = litellm.run("litellm_user", **options)
    if (after := done.get("after")) and not options.get("check"):
        litellm.later("/user/delete", user_ids=[after["user_id"]])
    return done


def test_create_again_change_absent_again(litellm: LiteLLM):
    user_id, group = name("user"), team(litellm)
    options = {
        "user_id": user_id,
        "user_email": f"{user_id}@example.com",
        "user_alias": f"{user_id}-alias",
        "user_role": "internal_user",
        "models": ["one", "two"],
        "max_budget": "12.34",
        "budget_duration": "weekly",
        "tpm_limit": 1000,
        "rpm_limit": "20",
        "max_parallel_requests": 3,
        "metadata": {"lab": "summit", "seat": 7},
        "teams": [group],
    }
    predicted = litellm.run("litellm_user", check=True, **options)
    assert stored(litellm, user_id) == []
    made = user(litellm, **options)
    assert made["changed"], made
    assert made == predicted
    [row] = stored(litellm, user_id)
    truth = options | {"max_budget": 12.34, "budget_duration": "7d", "rpm_limit": 20}
    assert {field: row[field] for field in FIELDS} == {field: truth[field] for field in FIELDS}
    assert roster(litellm, group) == {user_id: "user"}
    assert litellm.rows('select token from "LiteLLM_VerificationToken" where user_id = %s', user_id) == []

    again = user(litellm, **(options | {"models": ["two", "one"], "budget_duration": "1w"}))
    assert (again["changed"], again["before"], again["after"]) == (False, made["after"], made["after"])
    assert stored(litellm, user_id) == [row]

    change = {"user_id": user_id, "metadata": {"seat": 8, "lab": None}, "max_budget": 20}
    predicted = litellm.run("litellm_user", check=True, **change)
    assert stored(litellm, user_id) == [row]
    changed = user(litellm, **change)
    assert changed == predicted
    assert changed["diff"]["before"] == made["after"]
    assert changed["diff"]["after"] == made["after"] | {"metadata": {"seat": 8}, "max_budget": 20}
    [now] = stored(litellm, user_id)
    assert {column for column in row if row[column] != now[column]} == {"metadata", "max_budget", "updated_at"}
    assert (now["metadata"], now["max_budget"], now["budget_reset_at"]) == ({"seat": 8}, 20, row["budget_reset_at"])

    absent = {"user_id": user_id, "state": "absent"}
    predicted = litellm.run("litellm_user", check=True, **absent)
    assert len(stored(litellm, user_id)) == 1
    removed = litellm.run("litellm_user", **absent)
    assert removed == predicted
    assert (removed["changed"], removed["after"]) == (True, None)
    assert stored(litellm, user_id) == []
    assert roster(litellm, group) == {}
    assert not litellm.run("litellm_user", **absent)["changed"]


def test_an_email_alone_finds_or_makes_the_user(litellm: LiteLLM):
    address = f"{name('Mixed')}@Example.com"
    predicted = litellm.run("litellm_user", check=True, user_email=address)
    made = user(litellm, user_email=address)
    assert made["changed"]
    assert made["after"]["user_id"]
    assert predicted["after"] | {"user_id": made["after"]["user_id"]} == made["after"]
    found = user(litellm, user_email=address.lower(), tpm_limit=5)
    assert found["after"] == made["after"] | {"tpm_limit": 5}
    assert [row["tpm_limit"] for row in stored(litellm, made["after"]["user_id"])] == [5]
    assert litellm.run("litellm_user", user_email=address.upper(), state="absent")["changed"]
    assert stored(litellm, made["after"]["user_id"]) == []


def test_a_part_of_an_id_or_email_is_another_user(litellm: LiteLLM):
    first = litellm.user(user_email=f"{name('part')}@example.com", max_budget=1)
    [row] = stored(litellm, first)
    for other in ({"user_id": first[:-1]}, {"user_id": first.upper()}, {"user_email": row["user_email"][1:]}):
        made = user(litellm, **other, max_budget=2)
        assert made["before"] is None
        assert made["after"]["user_id"] != first
    assert not litellm.run("litellm_user", user_email=row["user_email"][2:], state="absent")["changed"]
    assert stored(litellm, first) == [row]


def test_users_of_one_email_are_named(litellm: LiteLLM):
    address = f"{name('twin')}@example.com"
    twins = [litellm.user(user_email=address), litellm.user()]
    litellm.post("/user/update", user_id=twins[1], user_email=address.upper())
    for state in ("present", "absent"):
        done = litellm.run("litellm_user", user_email=address, state=state, max_budget=1)
        assert done["failed"]
        assert all(twin in done["msg"] for twin in twins)
    assert [row["max_budget"] for twin in twins for row in stored(litellm, twin)] == [None, None]
    assert user(litellm, user_id=twins[0], user_email=address, max_budget=1)["changed"]


@pytest.mark.parametrize("check", [True, False])
def test_nobody_gets_the_email_of_another(litellm: LiteLLM, check: bool):
    owner, other = litellm.user(user_email=f"{name('own')}@example.com"), litellm.user()
    address = stored(litellm, owner)[0]["user_email"]
    new = name("new")
    for user_id in (other, new):
        done = litellm.run("litellm_user", check=check, user_id=user_id, user_email=address.upper())
        assert done["failed"]
        assert f"is the e-mail of {owner}" in done["msg"]
    assert called(litellm, address, new) == {owner}
    assert stored(litellm, other)[0]["user_email"] is None


def test_the_email_of_an_id_is_changed(litellm: LiteLLM):
    user_id = litellm.user(user_email=f"{name('old')}@example.com")
    address = f"{name('new')}@example.com"
    assert user(litellm, user_id=user_id, user_email=address)["diff"]["after"]["user_email"] == address
    assert stored(litellm, user_id)[0]["user_email"] == address
    assert not user(litellm, user_id=user_id, user_email=address.title())["changed"]


def test_options_left_out_or_null_are_no_difference(litellm: LiteLLM):
    user_id = litellm.user(
        user_role="proxy_admin_viewer", max_budget=5, budget_duration="2d", models=["m"], metadata={"a": {"b": 1}}, tpm_limit=9
    )
    [row] = stored(litellm, user_id)
    assert not user(litellm, user_id=user_id)["changed"]
    assert not user(litellm, user_id=user_id, max_budget=None, models=None, metadata={}, budget_duration=None)["changed"]
    assert stored(litellm, user_id) == [row]


def test_zero_is_a_limit_and_not_none(litellm: LiteLLM):
    user_id = litellm.user()
    assert user(litellm, user_id=user_id, max_budget=0, tpm_limit="0")["changed"]
    [row] = stored(litellm, user_id)
    assert (row["max_budget"], row["tpm_limit"]) == (0, 0)
    assert not user(litellm, user_id=user_id, max_budget=0, tpm_limit="0")["changed"]


@pytest.mark.parametrize("word", ["unlimited", "null"])
def test_a_word_clears_where_litellm_can(litellm: LiteLLM, word: str):
    user_id = litellm.user(max_budget=5, tpm_limit=100, rpm_limit=3, budget_duration="1d")
    limits = ("max_budget", "budget_duration", "tpm_limit", "rpm_limit")
    predicted = litellm.run("litellm_user", check=True, user_id=user_id, **dict.fromkeys(limits, word))
    assert [predicted["after"][limit] for limit in limits] == [None] * 4
    done = user(litellm, user_id=user_id, **dict.fromkeys(limits, word))
    [row] = stored(litellm, user_id)
    if litellm.old:
        assert "LiteLLM 1.81.0 can't clear max_budget of a user: it still is 5" in done["msg"]
        assert [row[limit] for limit in limits] == [5, "1d", 100, 3]
    else:
        assert done == predicted
        assert [row[limit] for limit in limits] == [None] * 4


def test_what_no_litellm_can_empty_is_said(litellm: LiteLLM):
    user_id = litellm.user(models=["one"], metadata={"only": 1})
    assert "can't clear models of a user: it still is ['one']" in user(litellm, user_id=user_id, models=[])["msg"]
    assert "did not take metadata" in user(litellm, user_id=user_id, metadata={"only": None})["msg"]
    assert user(litellm, user_id=user_id, models=["all-proxy-models"])["changed"]
    [row] = stored(litellm, user_id)
    assert (row["models"], row["metadata"]) == (["all-proxy-models"], {"only": 1})


def test_teams_are_the_whole_list_by_id_or_alias(litellm: LiteLLM):
    left, kept, joined = team(litellm), team(litellm), team(litellm, team_alias=name("joined"))
    alias = litellm.rows('select team_alias from "LiteLLM_TeamTable" where team_id = %s', joined)[0]["team_alias"]
    user_id = litellm.user(teams=[left, kept])
    keys = [litellm.post("/key/generate", user_id=user_id, team_id=group)["token"] for group in (left, left, kept)]
    litellm.later("/key/delete", keys=keys[2:])
    options = {"user_id": user_id, "teams": [alias, kept, joined], "max_budget": 3}
    predicted = litellm.run("litellm_user", check=True, **options)
    assert set(stored(litellm, user_id)[0]["teams"]) == {left, kept}
    done = user(litellm, **options)
    assert done == predicted
    assert (done["before"]["key_count"], done["after"]["key_count"]) == (3, 1)
    assert done["after"]["teams"] == sorted([kept, joined])
    assert stored(litellm, user_id)[0]["teams"] == [kept, joined]
    assert [roster(litellm, group) for group in (left, kept, joined)] == [{}, {user_id: "user"}, {user_id: "user"}]
    left_keys = litellm.rows('select token from "LiteLLM_VerificationToken" where user_id = %s', user_id)
    assert left_keys == [{"token": keys[2]}]
    assert not user(litellm, **options)["changed"]
    assert not user(litellm, user_id=user_id)["changed"]

    assert user(litellm, user_id=user_id, teams=[])["changed"]
    assert stored(litellm, user_id)[0]["teams"] == []
    assert not user(litellm, user_id=user_id, teams=[])["changed"]


@pytest.mark.parametrize("check", [True, False])
def test_an_unknown_or_ambiguous_team_changes_nothing(litellm: LiteLLM, check: bool):
    alias = name("double")
    twins = [team(litellm, team_alias=alias), team(litellm, team_alias=alias)]
    user_id = litellm.user()
    unknown = litellm.run("litellm_user", check=check, user_id=user_id, teams=[alias[:-1]], max_budget=1)
    assert f"teams: LiteLLM has no team whose id or alias is {alias[:-1]!r}" in unknown["msg"]
    several = litellm.run("litellm_user", check=check, user_id=user_id, teams=[alias], max_budget=1)
    assert all(twin in several["msg"] for twin in twins)
    [row] = stored(litellm, user_id)
    assert (row["max_budget"], row["teams"]) == (None, [])


def test_removing_a_user_tells_how_many_keys_go(litellm: LiteLLM):
    user_id = litellm.user()
    other = litellm.post("/key/generate", user_id=litellm.user())["token"]
    litellm.later("/key/delete", keys=[other])
    keys = [litellm.post("/key/generate", user_id=user_id)["token"] for _ in range(2)]
    done = litellm.run("litellm_user", user_id=user_id, state="absent")
    assert (done["changed"], done["before"]["key_count"]) == (True, 2)
    assert litellm.rows('select token from "LiteLLM_VerificationToken" where token = any(%s)', [*keys, other]) == [{"token": other}]


def test_no_password_is_shown(litellm: LiteLLM):
    user_id = litellm.user()
    litellm.rows('update "LiteLLM_UserTable" set password = %s where user_id = %s returning user_id', "hidden-word", user_id)
    for done in (user(litellm, user_id=user_id, max_budget=1), litellm.run("litellm_user", user_id=user_id, state="absent")):
        assert done["changed"]
        assert "hidden-word" not in str(done)
        assert "password" not in str(done)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"user_email": "nobody"}, "user_email: must be an e-mail"),
        ({"user_email": ""}, "user_email: must be an e-mail"),
        ({"user_id": " "}, "user_id: must not be empty"),
        ({"user_id": "default_user_id", "state": "absent"}, "default_user_id, which is LiteLLM's own"),
        ({"user_id": "u", "user_alias": ""}, "user_alias: must not be empty"),
        ({"user_id": "u", "max_budget": "-1"}, "max_budget: must be a number of US dollars"),
        ({"user_id": "u", "budget_duration": "soon"}, "budget_duration: must be daily"),
        ({"user_id": "u", "user_role": "king"}, "value of user_role must be one of: proxy_admin, proxy_admin_viewer"),
        ({"max_budget": 1}, "one of the following is required: user_id, user_email"),
    ],
)
def test_bad_input_is_named_and_changes_nothing(litellm: LiteLLM, options: dict[str, Any], says: str):
    done = litellm.run("litellm_user", **options)
    assert done["failed"]
    assert says in done["msg"]
    assert called(litellm, "u", " ", "nobody", "") == set()
    assert called(litellm, "default_user_id") == {"default_user_id"}
