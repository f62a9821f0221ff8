"""litellm_team against the real LiteLLM; the state is read from its database."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.modules.conftest import LiteLLM, name

FIELDS = ("team_alias", "models", "max_budget", "budget_duration", "tpm_limit", "rpm_limit", "blocked", "metadata")
PERMISSIONS = 'select p.* from "LiteLLM_ObjectPermissionTable" p join "LiteLLM_TeamTable" using (object_permission_id) where team_id = %s'


def stored(litellm: LiteLLM, alias: str) -> list[dict[str, Any]]:
    return litellm.rows('select * from "LiteLLM_TeamTable" where team_alias = %s order by team_id', alias)


def given(litellm: LiteLLM, **fields: Any) -> str:
    """Make a team past the module; return its id."""
    made = litellm.post("/team/new", **({"team_alias": name("team")} | fields))["team_id"]
    litellm.later("/team/delete", team_ids=[made])
    return made


def alias_of(litellm: LiteLLM, team_id: str) -> str:
    return litellm.rows('select team_alias from "LiteLLM_TeamTable" where team_id = %s', team_id)[0]["team_alias"]


def team(litellm: LiteLLM, **options: Any) -> dict[str, Any]:
    done = litellm.run("litellm_team", **options)
    if after := done.get("after"):
        litellm.later("/team/delete", team_ids=[after["team_id"]])
    return done


def test_create_again_change_absent_again(litellm: LiteLLM):
    alias = name("team")
    options = {
        "team_alias": alias,
        "models": ["one", "two"],
        "max_budget": "12.34",
        "budget_duration": "2w",
        "tpm_limit": "1000",
        "rpm_limit": 20,
        "blocked": True,
        "metadata": {"lab": "summit", "seats": [1, 2]},
        "object_permission": {"vector_stores": ["v1"], "mcp_access_groups": ["g1", "g2"]},
    }
    predicted = litellm.run("litellm_team", check=True, **options)
    assert stored(litellm, alias) == []
    made = team(litellm, **options)
    assert made["changed"], made
    [row] = stored(litellm, alias)
    assert made["after"]["team_id"] == row["team_id"]
    assert predicted["after"] | {"team_id": row["team_id"]} == made["after"]
    truth = options | {"max_budget": 12.34, "budget_duration": "14d", "tpm_limit": 1000}
    assert {field: row[field] for field in FIELDS} == {field: truth[field] for field in FIELDS}
    [permissions] = litellm.rows(PERMISSIONS, row["team_id"])
    assert (permissions["vector_stores"], permissions["mcp_access_groups"]) == (["v1"], ["g1", "g2"])

    again = team(litellm, **(options | {"models": ["two", "one"], "budget_duration": "14d"}))
    assert (again["changed"], again["after"]) == (False, made["after"])
    assert stored(litellm, alias) == [row]

    change = {
        "team_alias": alias,
        "max_budget": 20,
        "metadata": {"lab": None},
        "object_permission": {"vector_stores": []},
        "blocked": False,
    }
    predicted = litellm.run("litellm_team", check=True, **change)
    assert stored(litellm, alias) == [row]
    changed = team(litellm, **change)
    assert changed == predicted
    expected = {"max_budget": 20, "metadata": {"seats": [1, 2]}, "object_permission": {"mcp_access_groups": ["g1", "g2"]}, "blocked": False}
    assert changed["diff"] == {"before": made["after"], "after": made["after"] | expected}
    [now] = stored(litellm, alias)
    assert {column for column in row if row[column] != now[column]} - {"updated_at"} == {"max_budget", "metadata", "blocked"}
    assert now["budget_reset_at"] == row["budget_reset_at"]
    [permissions] = litellm.rows(PERMISSIONS, row["team_id"])
    assert (permissions["vector_stores"], permissions["mcp_access_groups"]) == ([], ["g1", "g2"])
    assert not team(litellm, **change)["changed"]

    absent = {"team_alias": alias, "state": "absent"}
    predicted = litellm.run("litellm_team", check=True, **absent)
    assert len(stored(litellm, alias)) == 1
    removed = team(litellm, **absent)
    assert removed == predicted
    assert (removed["changed"], removed["after"]) == (True, None)
    assert stored(litellm, alias) == []
    assert not team(litellm, **absent)["changed"]


def test_teams_of_one_alias_are_named_and_no_more_are_made(litellm: LiteLLM):
    alias = name("twin")
    twins = sorted(given(litellm, team_alias=alias) for _ in range(2))
    for state in ("present", "absent"):
        done = litellm.run("litellm_team", team_alias=alias, state=state, max_budget=1)
        assert done["failed"]
        assert all(twin in done["msg"] for twin in twins)
    assert [row["team_id"] for row in stored(litellm, alias)] == twins
    assert team(litellm, team_id=twins[0], team_alias=alias, max_budget=1)["changed"]
    assert [row["max_budget"] for row in stored(litellm, alias)] == [1, None]
    assert team(litellm, team_id=twins[0], state="absent")["changed"]
    assert not team(litellm, team_alias=alias)["changed"]


def test_a_part_of_an_alias_is_another_team(litellm: LiteLLM):
    first = alias_of(litellm, given(litellm, max_budget=1))
    for alias in (first[:-1], first.upper()):
        assert team(litellm, team_alias=alias, max_budget=2)["before"] is None
    assert not team(litellm, team_alias=first[1:], state="absent")["changed"]
    assert stored(litellm, first)[0]["max_budget"] == 1


def test_the_alias_of_an_id_is_changed_but_never_to_anothers(litellm: LiteLLM):
    first, other = given(litellm), given(litellm)
    taken, alias = alias_of(litellm, other), name("renamed")
    for check in (True, False):
        done = litellm.run("litellm_team", check=check, team_id=first, team_alias=taken)
        assert f"is the alias of {other}" in done["msg"]
        done = litellm.run("litellm_team", check=check, team_id=name("new"), team_alias=taken)
        assert f"is the alias of {other}" in done["msg"]
    assert len(stored(litellm, taken)) == 1
    assert team(litellm, team_id=first, team_alias=alias)["after"]["team_alias"] == alias
    assert alias_of(litellm, first) == alias


def test_a_team_is_made_with_the_id_that_was_given_but_not_without_an_alias(litellm: LiteLLM):
    team_id, alias = name("id"), name("team")
    for check in (True, False):
        done = litellm.run("litellm_team", check=check, team_id=team_id, max_budget=1)
        assert f"LiteLLM has no team {team_id!r}. To make it give team_alias too" in done["msg"]
    assert not team(litellm, team_id=team_id, state="absent")["changed"]
    predicted = litellm.run("litellm_team", check=True, team_id=team_id, team_alias=alias)
    assert team(litellm, team_id=team_id, team_alias=alias) == predicted
    assert [row["team_id"] for row in stored(litellm, alias)] == [team_id]


def test_options_left_out_or_null_are_no_difference(litellm: LiteLLM):
    fields = {"max_budget": 5, "budget_duration": "7d", "models": ["m"], "metadata": {"a": {"b": 1}}, "tpm_limit": 9, "blocked": True}
    alias = alias_of(litellm, given(litellm, **fields, object_permission={"vector_stores": ["v"]}))
    rows = stored(litellm, alias)
    assert not team(litellm, team_alias=alias)["changed"]
    assert not team(litellm, team_alias=alias, max_budget=None, models=None, metadata={}, object_permission={}, blocked=None)["changed"]
    assert stored(litellm, alias) == rows


def test_a_word_clears_and_zero_does_not(litellm: LiteLLM):
    limits = ("max_budget", "budget_duration", "tpm_limit", "rpm_limit")
    alias = alias_of(litellm, given(litellm, max_budget=5, budget_duration="7d", tpm_limit=9, rpm_limit=9, models=["m"]))
    assert team(litellm, team_alias=alias, max_budget=0)["changed"]
    assert stored(litellm, alias)[0]["max_budget"] == 0
    cleared = {"team_alias": alias, "models": [], **dict.fromkeys(limits, "unlimited")}
    predicted = litellm.run("litellm_team", check=True, **cleared)
    done = team(litellm, **cleared)
    assert done["changed"]
    assert done == predicted
    [row] = stored(litellm, alias)
    assert [row[limit] for limit in limits] == [None] * 4
    assert row["models"] == []
    assert not team(litellm, **cleared)["changed"]


def test_metadata_loses_its_last_name(litellm: LiteLLM):
    alias = alias_of(litellm, given(litellm, metadata={"only": 1}))
    assert team(litellm, team_alias=alias, metadata={"only": None})["after"]["metadata"] == {}
    assert stored(litellm, alias)[0]["metadata"] == {}


def test_removing_a_team_tells_how_many_keys_go_and_leaves_the_members(litellm: LiteLLM):
    team_id, user = given(litellm), litellm.user()
    litellm.post("/team/member_add", team_id=team_id, member={"role": "user", "user_id": user})
    keys = [litellm.post("/key/generate", team_id=team_id, **extra)["token"] for extra in ({}, {"user_id": user}, {"duration": "1s"})]
    other = litellm.post("/key/generate", user_id=user)["token"]
    done = team(litellm, team_id=team_id, state="absent")
    assert (done["changed"], done["before"]["key_count"]) == (True, 3)
    assert litellm.rows('select token from "LiteLLM_VerificationToken" where token = any(%s)', [*keys, other]) == [{"token": other}]
    assert litellm.rows('select teams from "LiteLLM_UserTable" where user_id = %s', user) == [{"teams": []}]


def test_credentials_of_callbacks_are_kept_and_not_shown(litellm: LiteLLM):
    secret = name("hidden")
    variables = {"langfuse_public_key": secret, "langfuse_secret_key": secret}
    logging = [{"callback_name": "langfuse", "callback_type": "success", "callback_vars": variables}]
    alias = alias_of(litellm, given(litellm, metadata={"logging": logging}))
    before = stored(litellm, alias)[0]["metadata"]["logging"]
    done = team(litellm, team_alias=alias, metadata={"lab": 1})
    assert done["changed"]
    assert secret not in str(done)
    assert done["after"]["metadata"]["logging"][0]["callback_vars"] == dict.fromkeys(variables, "***")
    assert stored(litellm, alias)[0]["metadata"] == {"lab": 1, "logging": before}


def test_every_page_of_aliases_is_read(litellm: LiteLLM):
    part = name("many")
    for number in range(105):
        given(litellm, team_alias=f"{part}-{number}")
    last = given(litellm, team_id=f"zzz-{part}", team_alias=part)
    done = team(litellm, team_alias=part, max_budget=1)
    assert done["before"]["team_id"] == last


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"team_alias": " "}, "team_alias: must not be empty"),
        ({"team_id": "", "team_alias": "t"}, "team_id: must not be empty"),
        ({"team_alias": "t", "max_budget": "-1"}, "max_budget: must be a number of US dollars"),
        ({"team_alias": "t", "tpm_limit": "1.5"}, "tpm_limit: must be a whole number"),
        ({"team_alias": "t", "budget_duration": "soon"}, "budget_duration: must be daily"),
        ({"max_budget": 1}, "one of the following is required: team_alias, team_id"),
    ],
)
def test_bad_input_is_named_and_changes_nothing(litellm: LiteLLM, options: dict[str, Any], says: str):
    done = litellm.run("litellm_team", **options)
    assert done["failed"]
    assert says in done["msg"]
    assert stored(litellm, "t") == []
