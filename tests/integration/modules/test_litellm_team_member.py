"""litellm_team_member against the real LiteLLM; the state is read from its database."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.modules.conftest import LiteLLM, name

LIMITS = ("max_budget_in_team", "budget_duration", "tpm_limit", "rpm_limit")
BUDGET = """
    select max_budget as max_budget_in_team, budget_duration, tpm_limit, rpm_limit
    from "LiteLLM_TeamMembership" join "LiteLLM_BudgetTable" using (budget_id) where team_id = %s and user_id = %s
"""


def given(litellm: LiteLLM, *members: str, **fields: Any) -> str:
    """Make a team of these users past the modules; return its id."""
    team = litellm.post("/team/new", **({"team_alias": name("team")} | fields))["team_id"]
    litellm.later("/team/delete", team_ids=[team])
    for user in members:
        litellm.post("/team/member_add", team_id=team, member={"role": "user", "user_id": user})
    return team


def key(litellm: LiteLLM, team: str, user: str) -> str:
    token = litellm.post("/key/generate", team_id=team, user_id=user)["token"]
    litellm.later("/key/delete", keys=[token])
    return token


def roster(litellm: LiteLLM, team: str) -> dict[str, str]:
    [row] = litellm.rows('select members_with_roles from "LiteLLM_TeamTable" where team_id = %s', team)
    return {member["user_id"]: member["role"] for member in row["members_with_roles"] if member["user_id"] != "default_user_id"}


def teams(litellm: LiteLLM, user: str) -> list[str]:
    [row] = litellm.rows('select teams from "LiteLLM_UserTable" where user_id = %s', user)
    return row["teams"]


def limits(litellm: LiteLLM, team: str, user: str) -> list[Any]:
    rows = litellm.rows(BUDGET, team, user) or [dict.fromkeys(LIMITS)]
    [row] = rows
    return [row[limit] for limit in LIMITS]


def member(litellm: LiteLLM, team: str, user: str, **options: Any) -> dict[str, Any]:
    return litellm.run("litellm_team_member", team_id=team, user_id=user, **options)


def test_create_again_change_absent_again(litellm: LiteLLM):
    address = f"{name('mail')}@example.com"
    user = litellm.user(user_email=address)
    team = given(litellm, team_alias=name("alias"))
    alias = litellm.rows('select team_alias from "LiteLLM_TeamTable" where team_id = %s', team)[0]["team_alias"]
    options = {"team_alias": alias, "user_email": address.upper(), "max_budget_in_team": "5.5", "tpm_limit": 100, "rpm_limit": "7"}
    predicted = litellm.run("litellm_team_member", check=True, **options)
    assert roster(litellm, team) == {}
    made = litellm.run("litellm_team_member", **options)
    assert made["changed"], made
    assert made == predicted
    assert made["after"] == {
        "team_id": team,
        "team_alias": alias,
        "user_id": user,
        "user_email": address,
        "spend": 0,
        "key_count": 0,
        "role": "user",
        "max_budget_in_team": 5.5,
        "budget_duration": None,
        "tpm_limit": 100,
        "rpm_limit": 7,
    }
    assert (roster(litellm, team), teams(litellm, user)) == ({user: "user"}, [team])
    assert limits(litellm, team, user) == [5.5, None, 100, 7]
    again = litellm.run("litellm_team_member", **options, role="user")
    assert (again["changed"], again["after"]) == (False, made["after"])

    change = {"team_id": team, "user_id": user, "max_budget_in_team": 6}
    predicted = litellm.run("litellm_team_member", check=True, **change)
    assert limits(litellm, team, user)[0] == 5.5
    changed = litellm.run("litellm_team_member", **change)
    assert changed == predicted
    assert changed["diff"] == {"before": made["after"], "after": made["after"] | {"max_budget_in_team": 6}}
    assert limits(litellm, team, user) == [6, None, 100, 7]
    assert not litellm.run("litellm_team_member", **change)["changed"]

    absent = {"team_id": team, "user_id": user, "state": "absent"}
    predicted = litellm.run("litellm_team_member", check=True, **absent)
    assert roster(litellm, team) == {user: "user"}
    removed = litellm.run("litellm_team_member", **absent)
    assert removed == predicted
    assert (removed["changed"], removed["after"]) == (True, None)
    assert (roster(litellm, team), teams(litellm, user)) == ({}, [])
    assert not litellm.run("litellm_team_member", **absent)["changed"]


def test_a_plain_member_is_made_once(litellm: LiteLLM):
    user = litellm.user()
    team = given(litellm)
    made = member(litellm, team, user)
    assert (made["changed"], made["after"]["role"]) == (True, "user")
    assert (roster(litellm, team), limits(litellm, team, user)) == ({user: "user"}, [None] * 4)
    assert not member(litellm, team, user)["changed"]
    assert member(litellm, team, user, rpm_limit=3)["changed"]
    assert limits(litellm, team, user) == [None, None, None, 3]
    assert teams(litellm, user) == [team]


def test_a_word_clears_one_limit_and_keeps_the_others(litellm: LiteLLM):
    user = litellm.user()
    team = given(litellm, user)
    assert member(litellm, team, user, max_budget_in_team=0, tpm_limit=9)["changed"]
    assert limits(litellm, team, user) == [0, None, 9, None]
    cleared = member(litellm, team, user, max_budget_in_team="unlimited")
    assert cleared["changed"]
    assert limits(litellm, team, user) == [None, None, 9, None]
    predicted = member(litellm, team, user, check=True, tpm_limit="null")
    assert member(litellm, team, user, tpm_limit="null") == predicted
    assert limits(litellm, team, user) == [None] * 4
    assert not member(litellm, team, user, max_budget_in_team="unlimited", tpm_limit="null")["changed"]


def test_a_role_alone_keeps_the_limits(litellm: LiteLLM):
    user = litellm.user()
    team = given(litellm, members_with_roles=[{"role": "admin", "user_id": user}])  # only so is one made without a licence
    assert not member(litellm, team, user, role="admin")["changed"]
    assert member(litellm, team, user, max_budget_in_team=4, rpm_limit=2)["changed"]
    assert member(litellm, team, user, role="user")["after"]["max_budget_in_team"] == 4
    assert (roster(litellm, team), limits(litellm, team, user)) == ({user: "user"}, [4, None, None, 2])


def test_a_role_alone_is_changed_where_there_are_no_limits(litellm: LiteLLM):
    user = litellm.user()
    team = given(litellm, members_with_roles=[{"role": "admin", "user_id": user}])
    predicted = member(litellm, team, user, check=True, role="user")
    assert member(litellm, team, user, role="user") == predicted
    assert roster(litellm, team) == {user: "user"}


def test_an_admin_needs_a_licence(litellm: LiteLLM):
    user, new = litellm.user(), litellm.user()
    team = given(litellm, user)
    for who in (user, new):
        done = member(litellm, team, who, role="admin")
        assert done["failed"]
        assert "Assigning team admins is a premium feature" in done["msg"]
    assert roster(litellm, team) == {user: "user"}


def test_a_members_period(litellm: LiteLLM):
    user = litellm.user()
    team = given(litellm)
    done = member(litellm, team, user, max_budget_in_team=5, budget_duration="weekly")
    if litellm.old:
        assert "LiteLLM 1.81.0 did not take budget_duration = 7d: it is None" in done["msg"]
        assert "The team member was not kept" in done["msg"]
        assert roster(litellm, team) == {}
        return
    assert done["changed"]
    assert limits(litellm, team, user) == [5, "7d", None, None]
    assert not member(litellm, team, user, budget_duration="1w")["changed"]
    assert member(litellm, team, user, rpm_limit=1)["changed"]
    assert limits(litellm, team, user) == [5, "7d", None, 1]
    assert member(litellm, team, user, budget_duration="unlimited")["changed"]
    assert limits(litellm, team, user) == [5, None, None, 1]


def test_no_key_is_lost_when_a_new_members_limit_is_not_taken(litellm: LiteLLM):
    user = litellm.user()
    team = given(litellm)
    token = key(litellm, team, user)
    done = member(litellm, team, user, budget_duration="weekly", max_budget_in_team=1)
    assert bool(done.get("failed")) == litellm.old
    if litellm.old:
        assert "who has keys of this team and therefore stays a member" in done["msg"]
        assert done["changed"]
    assert roster(litellm, team) == {user: "user"}
    assert litellm.rows('select user_id from "LiteLLM_VerificationToken" where token = %s', token) == [{"user_id": user}]


def test_the_teams_default_is_a_members_limit_and_no_other_members_changes(litellm: LiteLLM):
    first, second = litellm.user(), litellm.user()
    team = given(litellm, first, team_member_budget=7)
    assert not member(litellm, team, first, max_budget_in_team=7)["changed"]
    predicted = member(litellm, team, second, check=True, rpm_limit=2)
    assert member(litellm, team, second, rpm_limit=2) == predicted
    assert limits(litellm, team, second) == [7, None, None, 2]
    assert limits(litellm, team, first) == [7, None, None, None]
    assert member(litellm, team, first, max_budget_in_team=8)["changed"]
    assert limits(litellm, team, second)[0] == 7


@pytest.mark.parametrize("options", [{}, {"max_budget_in_team": 3}, {"max_budget_in_team": "unlimited"}, {"tpm_limit": "unlimited"}])
def test_what_a_new_member_gets_of_the_teams_default_is_predicted(litellm: LiteLLM, options: dict[str, Any]):
    user = litellm.user()
    team = given(litellm, team_member_budget=7, team_member_tpm_limit=50)
    predicted = member(litellm, team, user, check=True, **options)
    assert member(litellm, team, user, **options) == predicted
    expected = {"max_budget_in_team": 7, "tpm_limit": 50} if "max_budget_in_team" not in options or "unlimited" in options.values() else {}
    expected |= {name: None if value == "unlimited" else value for name, value in options.items()}
    assert limits(litellm, team, user) == [expected.get(limit) for limit in LIMITS]
    assert not member(litellm, team, user, **options)["changed"]


def test_leaving_takes_the_members_keys_of_this_team_only(litellm: LiteLLM):
    user, other = litellm.user(), litellm.user()
    team, elsewhere = given(litellm, user, other), given(litellm, user)
    gone = [key(litellm, team, user) for _ in range(2)]
    stay = [key(litellm, team, other), key(litellm, elsewhere, user)]
    done = member(litellm, team, user, state="absent")
    assert (done["changed"], done["before"]["key_count"]) == (True, 2)
    left = litellm.rows('select token from "LiteLLM_VerificationToken" where token = any(%s)', [*gone, *stay])
    assert {row["token"] for row in left} == set(stay)
    assert roster(litellm, team) == {other: "user"}


@pytest.mark.parametrize("check", [True, False])
def test_nobody_and_no_team_is_made(litellm: LiteLLM, check: bool):
    user = litellm.user(user_email=f"{name('some')}@example.com")
    team = given(litellm)
    alias = litellm.rows('select team_alias from "LiteLLM_TeamTable" where team_id = %s', team)[0]["team_alias"]
    for options, option in (
        ({"team_id": team, "user_id": user[:-1]}, "user_id"),
        ({"team_id": team, "user_email": "ome@example.com"}, "user_email"),
        ({"team_id": team[:-1], "user_id": user}, "team_id"),
        ({"team_alias": alias[:-1], "user_id": user}, "team_alias"),
        ({"team_alias": "", "user_id": user}, "team_alias"),
    ):
        done = litellm.run("litellm_team_member", check=check, **options)
        assert done["failed"]
        assert done["msg"].startswith(f"{option}: LiteLLM has no ")
        assert not litellm.run("litellm_team_member", check=check, state="absent", **options)["changed"]
    phantoms = 'select user_id from "LiteLLM_UserTable" where user_id = %s or user_email = %s'
    assert litellm.rows(phantoms, user[:-1], "ome@example.com") == []
    assert teams(litellm, user) == []
    assert roster(litellm, team) == {}


def test_candidates_are_named(litellm: LiteLLM):
    alias, address = name("twin"), f"{name('twin')}@example.com"
    twins = [given(litellm, team_alias=alias), given(litellm, team_alias=alias)]
    users = [litellm.user(user_email=address), litellm.user()]
    litellm.post("/user/update", user_id=users[1], user_email=address)
    for state in ("present", "absent"):
        done = litellm.run("litellm_team_member", team_alias=alias, user_id=users[0], state=state)
        assert all(twin in done["msg"] for twin in twins)
        done = litellm.run("litellm_team_member", team_id=twins[0], user_email=address, state=state)
        assert all(user in done["msg"] for user in users)
    assert roster(litellm, twins[0]) == {}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"max_budget_in_team": "-1"}, "max_budget_in_team: must be a number of US dollars"),
        ({"tpm_limit": "many"}, "tpm_limit: must be a whole number"),
        ({"budget_duration": "0d"}, "budget_duration: must be daily"),
        ({"role": "king"}, "value of role must be one of: admin, user"),
        ({"team_alias": "also"}, "mutually exclusive: team_id|team_alias"),
        ({"user_email": "also@example.com"}, "mutually exclusive: user_id|user_email"),
    ],
)
def test_bad_input_is_named_and_changes_nothing(litellm: LiteLLM, options: dict[str, Any], says: str):
    user = litellm.user()
    team = given(litellm)
    done = member(litellm, team, user, **options)
    assert done["failed"]
    assert says in done["msg"]
    assert roster(litellm, team) == {}
