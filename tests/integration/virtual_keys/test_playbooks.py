"""The playbooks that an operator runs, against the stack: what they do, what they say, and what they refuse."""

from __future__ import annotations

import httpx
import psycopg
import pytest

from tests.integration.virtual_keys.conftest import PROVIDER_KEY, Outcome, Workshop


def done(outcome: Outcome) -> Outcome:
    assert outcome.code == 0, outcome.said
    return outcome


def works(workshop: Workshop, value: str) -> bool:
    answer = httpx.get(f"{workshop.stack.litellm_url}/key/info", headers={"Authorization": f"Bearer {value}"})
    return answer.status_code == 200


def test_manage_budgets_sets_several_users_limits_once(workshop: Workshop):
    users = [f"user{number}@{workshop.domain}" for number in (1, 2)]
    for user in users:
        workshop.post("/user/new", user_id=user, auto_create_key=False)
    budget = {"litemaas_users": ",".join(users), "litemaas_max_budget": 20, "litemaas_budget_duration": "weekly"}
    assert done(workshop.playbook("manage_budgets", **budget)).changed == 1
    assert [(user["max_budget"], user["budget_duration"]) for user in workshop.users().values()] == [(20.0, "7d")] * 2
    assert done(workshop.playbook("manage_budgets", **budget)).changed == 0


def test_manage_budgets_lists_who_is_near_the_limit(workshop: Workshop):
    for number, spend in (1, 9.5), (2, 7.0), (3, 1.0):
        workshop.post("/user/new", user_id=f"user{number}@{workshop.domain}", auto_create_key=False, max_budget=10)
        with psycopg.connect(workshop.stack.database_url) as connection:
            update = 'UPDATE "LiteLLM_UserTable" SET spend = %s WHERE user_id = %s'
            connection.execute(update, (spend, f"user{number}@{workshop.domain}"))
    said = done(workshop.playbook("manage_budgets")).said
    assert f" 95 %        9.50 of      10.00 USD  user1@{workshop.domain}" in said
    assert f"user2@{workshop.domain}" not in said
    said = done(workshop.playbook("manage_budgets", litemaas_near_limit=0.7)).said
    assert said.index(f"user1@{workshop.domain}") < said.index(f"user2@{workshop.domain}")
    assert f"user3@{workshop.domain}" not in said


def test_manage_virtual_keys_makes_lists_and_removes_a_workshop(workshop: Workshop):
    workshop_ = {"litemaas_set": workshop.alias, "litemaas_prefix": f"{workshop.alias}-", "litemaas_count": 3}
    create = workshop_ | {"litemaas_action": "create", "litemaas_models": ["all-proxy-models"], "litemaas_max_budget": 2}
    done(workshop.playbook("manage_virtual_keys", **create))
    aliases = [f"{workshop.alias}-{number}" for number in (1, 2, 3)]
    assert list(workshop.keys()) == list(workshop.users()) == sorted(workshop.written) == aliases
    assert all(works(workshop, value) for value in workshop.written.values())
    assert done(workshop.playbook("manage_virtual_keys", **create)).changed == 0
    said = done(workshop.playbook("manage_virtual_keys", litemaas_set=workshop.alias)).said
    assert all(alias in said for alias in aliases)
    assert "0.00 USD of 2.00" in said
    for changed in (1, 0):
        outcome = done(workshop.playbook("manage_virtual_keys", litemaas_action="delete", litemaas_set=workshop.alias))
        assert outcome.changed == changed
    assert (workshop.keys(), workshop.users(), workshop.written) == ({}, {}, {})
    assert '"None."' in done(workshop.playbook("manage_virtual_keys", litemaas_set=workshop.alias)).said


def test_manage_virtual_keys_makes_shows_rotates_and_removes_one_key(workshop: Workshop):
    one = {"litemaas_key_alias": workshop.alias}
    done(workshop.playbook("manage_virtual_keys", litemaas_action="create", litemaas_duration="1d", **one))
    [file] = workshop.folder.glob("litellm-keys-*.json")
    assert file.stat().st_mode & 0o777 == 0o600
    before = workshop.written[workshop.alias]
    assert works(workshop, before)
    assert workshop.keys()[workshop.alias]["token"] in done(workshop.playbook("manage_virtual_keys", litemaas_action="info", **one)).said
    done(workshop.playbook("manage_virtual_keys", litemaas_action="rotate", **one))
    after = workshop.written[workshop.alias]
    assert (works(workshop, before), works(workshop, after)) == (False, True)
    done(workshop.playbook("manage_virtual_keys", litemaas_action="delete", **one))
    assert workshop.keys() == {}


def test_manage_models_has_the_models_as_the_list_says(workshop: Workshop):
    model = {
        "model_name": workshop.alias,
        "litellm_params": {"model": "openai/x", "api_base": workshop.stack.stub_url, "api_key": PROVIDER_KEY},
    }
    query = 'SELECT count(*) FROM "LiteLLM_ProxyModelTable" WHERE model_name = %s'
    try:
        assert done(workshop.playbook("manage_models", litemaas_models=[model])).changed == 1
        assert done(workshop.playbook("manage_models", litemaas_models=[model])).changed == 0
        assert workshop.alias in done(workshop.playbook("manage_models")).said
    finally:
        done(workshop.playbook("manage_models", litemaas_models=[{"model_name": workshop.alias, "state": "absent"}]))
    assert workshop.rows(query, workshop.alias)[0]["count"] == 0


@pytest.mark.parametrize(
    ("playbook", "variables", "named"),
    [
        ("manage_budgets", {"litemaas_users": "somebody"}, "litemaas_max_budget"),
        ("manage_budgets", {"litemaas_users": "nobody-has-this-name", "litemaas_max_budget": 1}, "nobody-has-this-name"),
        ("manage_virtual_keys", {"litemaas_action": "make"}, "litemaas_action"),
        ("manage_virtual_keys", {"litemaas_action": "create"}, "litemaas_key_alias"),
        ("manage_virtual_keys", {"litemaas_action": "create", "litemaas_set": "summit"}, "litemaas_count"),
        ("manage_virtual_keys", {"litemaas_action": "rotate", "litemaas_set": "summit"}, "litemaas_key_alias"),
        ("manage_virtual_keys", {"litemaas_action": "delete"}, "litemaas_key_alias"),
        ("manage_models", {"litemaas_models": {"model_name": "x"}}, "litemaas_models must be a list"),
    ],
)
def test_what_is_missing_is_named(workshop: Workshop, playbook: str, variables: dict[str, str], named: str):
    outcome = workshop.playbook(playbook, **variables)
    assert outcome.code == 2
    assert named in outcome.said.partition("fatal: ")[2] + outcome.said.partition("failed: ")[2]


@pytest.mark.parametrize("playbook", ["manage_budgets", "manage_virtual_keys", "manage_models"])
def test_without_an_address_the_variable_is_named(workshop: Workshop, playbook: str):
    outcome = workshop.playbook(playbook, env={"LITELLM_API_URL": ""})
    assert outcome.code == 2
    assert "Set the environment variable LITELLM_API_URL" in outcome.said
