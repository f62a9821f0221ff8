"""The workload: as AgnosticD v1 and v2 call it, for one user and for a workshop; made, made again, interrupted, removed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.integration.virtual_keys.conftest import ROLE, Workshop, hash_of, role

MANY = {"litellm_vkey_multi_user": True, "litellm_vkey_user_count": 3}
OURS = "ocp4_workload_litemaas_virtual_keys_"


def data_of(workshop: Workshop, alias: str) -> dict[str, str]:
    """What a user is to be told of the key of that alias."""
    return {
        "litellm_api_base_url": f"{workshop.stack.litellm_url}/v1",
        "litellm_virtual_key": workshop.values[alias],
        "litellm_key_alias": alias,
        "litellm_key_id": hash_of(workshop.values[alias]),
    }


def test_a_single_user_gets_a_key_and_is_told(workshop: Workshop):
    outcome = workshop.provision(litellm_vkey_max_budget=2.5, litellm_vkey_duration="3d", litellm_vkey_metadata={"lab": "x"})
    [key] = workshop.keys().values()
    assert (key["key_alias"], key["user_id"]) == (workshop.alias, workshop.alias)
    assert (key["models"], key["max_budget"]) == (["all-proxy-models"], 2.5)
    assert abs(key["expires"].replace(tzinfo=UTC) - datetime.now(UTC) - timedelta(days=3)) < timedelta(minutes=5)
    assert key["metadata"]["lab"] == "x"
    assert list(workshop.users()) == [workshop.alias]
    assert workshop.user_data == data_of(workshop, workshop.alias)
    assert workshop.keys_file.stat().st_mode & 0o777 == 0o600
    assert outcome.fact == {
        "alias": workshop.alias,
        "api_base_url": f"{workshop.stack.litellm_url}/v1",
        "api_endpoint": workshop.stack.litellm_url,
        "changed": True,
        "duration": "3d",
        "key": workshop.values[workshop.alias],
        "key_id": key["token"],
        "models": ["all-proxy-models"],
        "state": "present",
        "user_id": workshop.alias,
    }
    told = httpx.get(f"{workshop.stack.litellm_url}/key/info", headers={"Authorization": f"Bearer {outcome.fact['key']}"})
    assert told.json()["info"]["key_alias"] == workshop.alias


def test_each_user_of_a_workshop_gets_a_key_and_is_told(workshop: Workshop):
    outcome = workshop.provision(**MANY, litellm_vkey_max_budget=0)
    aliases = [f"{workshop.alias}-user{number}" for number in (1, 2, 3)]
    ids = [f"user{number}@{workshop.domain}" for number in (1, 2, 3)]
    keys = workshop.keys()
    assert list(keys) == aliases
    assert [(key["user_id"], key["max_budget"]) for key in keys.values()] == [(user_id, 0) for user_id in ids]
    assert list(workshop.users()) == ids
    assert workshop.user_data == {"users": {f"user{number}": data_of(workshop, alias) for number, alias in enumerate(aliases, 1)}}
    assert outcome.fact["user_count"] == 3
    assert outcome.fact["keys"] == [
        {
            "user": f"user{number}",
            "alias": alias,
            "user_id": f"user{number}@{workshop.domain}",
            "key": workshop.values[alias],
            "key_id": keys[alias]["token"],
        }
        for number, alias in enumerate(aliases, 1)
    ]


@pytest.mark.parametrize("many", [{}, MANY], ids=["one user", "a workshop"])
def test_a_second_run_changes_nothing_and_tells_the_same(workshop: Workshop, many: dict[str, Any]):
    first = workshop.provision(**many)
    keys, users, data = workshop.keys(), workshop.users(), workshop.user_data
    (workshop.output / "user-data.yaml").unlink()
    second = workshop.provision(**many)
    assert second.changed == 1  # the user data
    assert workshop.provision(**many).changed == 0
    assert (workshop.keys(), workshop.users(), workshop.user_data) == (keys, users, data)
    assert second.fact == first.fact | {"changed": False}


def test_check_mode_makes_nothing(workshop: Workshop):
    outcome = workshop.provision("--check", "--diff", **MANY)
    assert outcome.changed == 1
    assert (workshop.keys(), workshop.users(), list(workshop.output.iterdir())) == ({}, {}, [])


@pytest.mark.parametrize("many", [pytest.param({}, marks=pytest.mark.long), MANY], ids=["one user", "a workshop"])
def test_destroying_twice_leaves_nothing_and_nobody_elses_keys_alone(workshop: Workshop, many: dict[str, Any]):
    workshop.provision(**many)
    owner = next(iter(workshop.users()))
    workshop.post("/key/generate", key_alias=f"{workshop.alias}-of-somebody-else", user_id="somebody else")
    workshop.post("/key/generate", key_alias=f"{workshop.alias}-of-one-of-ours", user_id=owner)
    outcome = workshop.destroy()
    assert outcome.changed == 1  # the keys, and with them the file of their values
    assert list(workshop.keys()) == [f"{workshop.alias}-of-one-of-ours", f"{workshop.alias}-of-somebody-else"]
    assert list(workshop.users()) == [owner]  # with the user LiteLLM would remove the key that is not ours
    assert not workshop.keys_file.exists()
    assert outcome.fact == {"alias": workshop.alias, "state": "absent", "changed": True}
    again = workshop.destroy()
    assert (again.changed, again.fact["changed"]) == (0, False)


def test_destroying_keeps_other_values_of_a_shared_file(workshop: Workshop):
    workshop.provision(**MANY)
    other = "sk-of-another-set"
    workshop.post("/key/generate", key_alias=f"{workshop.alias}-other-set", key=other)
    workshop.keys_file.write_text(json.dumps(json.loads(workshop.keys_file.read_text()) | {"another": other}))
    workshop.destroy()
    assert json.loads(workshop.keys_file.read_text()) == {"another": other}


def test_destroying_needs_no_more_than_address_key_and_alias(workshop: Workshop):
    workshop.provision(**MANY)
    bare = {"litellm_vkey_api_url": workshop.stack.litellm_url, "litellm_vkey_master_key": workshop.stack.litellm_master_key}
    outcome = workshop.run(role("remove"), bare | {"litellm_vkey_alias": workshop.alias, "output_dir": "/nonexistent"})
    assert outcome.code == 0, outcome.said
    assert (workshop.keys(), workshop.users()) == ({}, {})


@pytest.mark.long
def test_state_absent_removes_too(workshop: Workshop):
    workshop.provision(**MANY)
    workshop.provision(**MANY, litellm_vkey_state="absent")
    assert (workshop.keys(), workshop.users()) == ({}, {})


def test_as_agnosticd_v1_calls_it_on_a_bastion(workshop: Workshop):
    bastion = {"hosts": "bastion", "vars": {"ansible_python_interpreter": "/opt/virtualenvs/k8s/bin/python"}}
    outcome = workshop.run(role("create", **bastion), workshop.variables | MANY)
    assert outcome.code == 0, outcome.said
    assert len(workshop.keys()) == 3
    assert list(workshop.user_data["users"]) == ["user1", "user2", "user3"]
    outcome = workshop.run(role("destroy", **bastion), workshop.variables | MANY)
    assert outcome.code == 0, outcome.said
    assert (workshop.keys(), workshop.users()) == ({}, {})


def test_as_agnosticd_v2_calls_it_from_a_list_of_workloads(workshop: Workshop):
    """With the connection in the environment, and guid for the alias."""
    guid, workshop.alias = workshop.alias, f"virtkey-{workshop.alias}"
    include = {
        "ansible.builtin.include_role": {"name": "{{ workload_loop_var }}"},
        "vars": {"ACTION": "provision"},
        "loop": "{{ workloads }}",
        "loop_control": {"loop_var": "workload_loop_var"},
    }
    play = {
        "environment": {"K8S_AUTH_HOST": "https://127.0.0.1:1", "K8S_AUTH_API_KEY": "none", "K8S_AUTH_VERIFY_SSL": "true"},
        "tasks": [include],
    }
    environment = {"LITELLM_API_URL": f"{workshop.stack.litellm_url}/", "LITELLM_API_KEY": workshop.stack.litellm_master_key}
    outcome = workshop.run(play, {"guid": guid, "workloads": [ROLE], f"{OURS}models": ["all-proxy-models"]}, env=environment)
    assert outcome.code == 0, outcome.said
    assert list(workshop.keys()) == [workshop.alias]
    assert workshop.user_data == data_of(workshop, workshop.alias)


def test_an_action_that_is_not_its_own_does_nothing(workshop: Workshop):
    outcome = workshop.run(role("stop"), workshop.variables)
    assert (outcome.code, outcome.changed, workshop.keys()) == (0, 0, {}), outcome.said


@pytest.mark.parametrize("far", [pytest.param(1, marks=pytest.mark.long), 30], ids=["at the first key", "in the middle"])
def test_killed_and_run_again_there_are_exactly_the_keys_that_were_asked_for(workshop: Workshop, far: int):
    many = {"litellm_vkey_multi_user": True, "litellm_vkey_user_count": 60}
    workshop.killed_when(lambda: len(workshop.keys()) >= far, **many)
    assert len(workshop.keys()) < 60
    workshop.provision(**many)
    numbers = range(1, 61)
    assert set(workshop.keys()) == {f"{workshop.alias}-user{number}" for number in numbers}
    assert set(workshop.users()) == {f"user{number}@{workshop.domain}" for number in numbers}
    assert workshop.stray_keys() == 0
    assert {alias: hash_of(value) for alias, value in workshop.values.items()} == {
        alias: key["token"] for alias, key in workshop.keys().items()
    }
    assert {user: told["litellm_virtual_key"] for user, told in workshop.user_data["users"].items()} == {
        f"user{number}": workshop.values[f"{workshop.alias}-user{number}"] for number in numbers
    }


def test_a_lost_value_is_named_and_replaced_only_when_asked(workshop: Workshop):
    workshop.provision(**MANY)
    before = workshop.keys()
    workshop.keys_file.unlink()
    outcome = workshop.run(role("provision"), workshop.variables | MANY)
    assert outcome.code == 2
    for said in (f"{workshop.alias}-user1", "ocp4_workload_litemaas_virtual_keys_on_lost: rotate", str(workshop.keys_file)):
        assert said in outcome.said
    assert workshop.keys() == before
    workshop.provision(**MANY, **{f"{OURS}on_lost": "rotate"})
    keys = workshop.keys()
    assert (list(keys), workshop.stray_keys()) == (list(before), 0)
    assert {key["token"] for key in keys.values()}.isdisjoint(key["token"] for key in before.values())
    assert workshop.user_data["users"]["user2"] == data_of(workshop, f"{workshop.alias}-user2")


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"litellm_vkey_api_url": ""}, "api_url"),
        ({"litellm_vkey_api_url": "litellm.example.com"}, "api_url"),
        ({"litellm_vkey_master_key": ""}, "master_key"),
        ({"litellm_vkey_alias": ""}, "alias"),
        ({"litellm_vkey_models": []}, "models"),
        ({"litellm_vkey_models": ["all-proxy-models", "of-another-house"]}, "LiteLLM has no of-another-house."),
        ({"litellm_vkey_duration": "a while"}, "duration"),
        ({"litellm_vkey_max_budget": "much"}, "max_budget"),
        ({"litellm_vkey_state": "gone"}, "state"),
        (MANY | {"litellm_vkey_user_count": 0}, "user_count"),
        (MANY | {"litellm_vkey_user_prefix": ""}, "user_prefix"),
        ({f"{OURS}secret_name": "keys"}, "secret_namespace"),
        ({f"{OURS}on_lost": "weep"}, "on_lost"),
    ],
)
def test_a_wrong_variable_is_named_before_anything_is_made(workshop: Workshop, wrong: dict[str, Any], named: str):
    outcome = workshop.run(role("provision"), workshop.variables | wrong)
    assert outcome.code == 2
    assert named in outcome.said.partition("fatal: ")[2]
    assert (workshop.keys(), workshop.users(), list(workshop.output.iterdir())) == ({}, {}, [])
