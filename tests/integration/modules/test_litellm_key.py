"""litellm_key against the real LiteLLM; the state is read from its database."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.integration.modules.conftest import LiteLLM, name

LIMITS = ("max_budget", "budget_duration", "tpm_limit", "rpm_limit", "max_parallel_requests")
ROTATING = ".being-rotated"


def stored(litellm: LiteLLM, alias: str) -> list[dict[str, Any]]:
    query = """select k.*, coalesce(to_jsonb(p), '{}') as may from "LiteLLM_VerificationToken" k
        left join "LiteLLM_ObjectPermissionTable" p using (object_permission_id) where key_alias = %s"""
    return litellm.rows(query, alias)


def hashed(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def works(litellm: LiteLLM, key: str) -> bool:
    return litellm.http.get("/models", headers={"Authorization": f"Bearer {key}"}).status_code == 200


@pytest.fixture
def alias(litellm: LiteLLM) -> str:
    alias = name("key")
    litellm.later("/key/delete", key_aliases=[alias])
    litellm.later("/key/delete", key_aliases=[alias + ROTATING])
    return alias


def test_create_again_change_absent_again(litellm: LiteLLM, alias: str):
    user = litellm.user()
    options = {
        "key_alias": alias,
        "user_id": user,
        "models": ["granite", "llama"],
        "max_budget": 5,
        "budget_duration": "weekly",
        "duration": "30d",
        "tpm_limit": 10,
        "rpm_limit": 2,
        "max_parallel_requests": 3,
        "metadata": {"room": "B"},
        "object_permission": {"mcp_access_groups": ["g1", "g2"]},
        "blocked": True,
    }
    predicted = litellm.run("litellm_key", check=True, **options)
    assert stored(litellm, alias) == []
    assert "key" not in predicted
    made = litellm.run("litellm_key", **options)
    [row] = stored(litellm, alias)
    assert hashed(made["key"]) == row["token"] == made["after"]["token"]
    unknown = ("token", "created_at", "expires")
    assert {key: value for key, value in predicted["after"].items() if key not in unknown} == {
        key: value for key, value in made["after"].items() if key not in unknown
    }
    assert made["key"] not in str({key: value for key, value in made.items() if key != "key"})
    assert [row[limit] for limit in LIMITS] == [5, "7d", 10, 2, 3]
    assert (row["models"], row["metadata"], row["blocked"], row["user_id"]) == (["granite", "llama"], {"room": "B"}, True, user)
    assert row["may"]["mcp_access_groups"] == ["g1", "g2"]
    assert abs(row["expires"] - row["created_at"] - timedelta(days=30)) < timedelta(seconds=5)

    again = litellm.run("litellm_key", **(options | {"models": ["llama", "granite"]}))
    assert not again["changed"], again["diff"]
    assert "key" not in again
    assert stored(litellm, alias) == [row]

    change = {"key_alias": alias, "max_budget": "6.5", "blocked": False, "metadata": {"seat": 4}}
    predicted = litellm.run("litellm_key", check=True, **change)
    changed = litellm.run("litellm_key", **change)
    assert predicted == changed
    assert changed["diff"]["after"] == changed["diff"]["before"] | {
        "max_budget": 6.5,
        "blocked": False,
        "metadata": {"room": "B", "seat": 4},
    }
    [new] = stored(litellm, alias)
    assert {column for column in row if row[column] != new[column]} - {"settings_updated_at"} == {
        "max_budget",
        "blocked",
        "metadata",
        "updated_at",
    }
    assert works(litellm, made["key"])

    assert litellm.run("litellm_key", check=True, key_alias=alias, state="absent")["changed"]
    assert stored(litellm, alias) == [new]
    assert litellm.run("litellm_key", key_alias=alias, state="absent")["changed"]
    assert stored(litellm, alias) == []
    assert not litellm.run("litellm_key", key_alias=alias, state="absent")["changed"]
    assert not litellm.run("litellm_key", token=row["token"], state="absent")["changed"]


def test_a_key_that_was_deleted_is_made_anew(litellm: LiteLLM, alias: str):
    # 1.106 goes on answering /key/info for a deleted key.
    value = f"sk-{name('again')}"
    for _ in range(2):
        assert litellm.run("litellm_key", key_alias=alias, key=value)["changed"]
        assert works(litellm, value)
        assert litellm.run("litellm_key", key=value, state="absent")["changed"]
        assert stored(litellm, alias) == []


def test_limits_are_cleared_by_a_word(litellm: LiteLLM, alias: str):
    litellm.post(
        "/key/generate", key_alias=alias, max_budget=5, tpm_limit=3, rpm_limit=2, max_parallel_requests=1, models=["a"], duration="1d"
    )
    cleared = {"key_alias": alias, "models": [], "duration": "unlimited"} | dict.fromkeys((*LIMITS[:1], *LIMITS[2:]), "unlimited")
    assert litellm.run("litellm_key", **cleared)["changed"]
    [row] = stored(litellm, alias)
    assert [row[column] for column in (*LIMITS, "expires")] == [None] * 6
    assert row["models"] == []
    assert not litellm.run("litellm_key", **cleared)["changed"]


def test_a_budget_period_is_cleared_where_litellm_can(litellm: LiteLLM, alias: str):
    litellm.post("/key/generate", key_alias=alias, budget_duration="30d")
    done = litellm.run("litellm_key", key_alias=alias, budget_duration="unlimited")
    assert (stored(litellm, alias)[0]["budget_duration"] is None) == (not done.get("failed")) == (not litellm.old)
    if litellm.old:
        assert "LiteLLM 1.81.0 can't clear budget_duration of a key: it still is 30d" in done["msg"]


def test_metadata_named_null_goes_and_the_rest_stays(litellm: LiteLLM, alias: str):
    litellm.post("/key/generate", key_alias=alias, metadata={"a": 1, "b": 2, "c": {"d": 3}})
    assert litellm.run("litellm_key", key_alias=alias, metadata={"a": None, "b": 3})["after"]["metadata"] == {"b": 3, "c": {"d": 3}}
    assert stored(litellm, alias)[0]["metadata"] == {"b": 3, "c": {"d": 3}}
    assert not litellm.run("litellm_key", key_alias=alias, metadata={"a": None})["changed"]


def test_parts_of_the_permissions_that_are_not_named_stay(litellm: LiteLLM, alias: str):
    litellm.post("/key/generate", key_alias=alias, object_permission={"mcp_access_groups": ["g"], "agents": ["a"]})
    done = litellm.run("litellm_key", key_alias=alias, object_permission={"mcp_access_groups": [], "vector_stores": ["v"]})
    assert done["changed"]
    may = stored(litellm, alias)[0]["may"]
    assert (may["mcp_access_groups"], may["agents"], may["vector_stores"]) == ([], ["a"], ["v"])
    assert not litellm.run("litellm_key", key_alias=alias, object_permission={"mcp_access_groups": [], "vector_stores": ["v"]})["changed"]


def test_a_permission_that_litellm_drops_is_said_and_no_key_stays(litellm: LiteLLM, alias: str):
    done = litellm.run("litellm_key", key_alias=alias, object_permission={"mcp_servers": ["no-such-server"]})
    if litellm.old:  # it keeps names that it does not know
        assert done["changed"]
    else:
        assert done["failed"]
        assert "did not take object_permission" in done["msg"]
        assert "The key was not kept" in done["msg"]
        assert stored(litellm, alias) == []


def test_a_lifetime_counts_from_the_making_and_is_sent_only_when_it_differs(litellm: LiteLLM, alias: str):
    litellm.post("/key/generate", key_alias=alias, duration="30d")
    [row] = stored(litellm, alias)
    assert not litellm.run("litellm_key", key_alias=alias, duration="1mo")["changed"]
    assert stored(litellm, alias) == [row]
    predicted = litellm.run("litellm_key", key_alias=alias, duration="40d", check=True)["after"]["expires"]
    done = litellm.run("litellm_key", key_alias=alias, duration="40d")
    assert done["changed"]
    expires = stored(litellm, alias)[0]["expires"]
    assert abs(expires - row["created_at"] - timedelta(days=40)) < timedelta(minutes=2)
    assert abs(datetime.fromisoformat(predicted).replace(tzinfo=None) - expires) < timedelta(minutes=2)
    assert not litellm.run("litellm_key", key_alias=alias, duration="40d")["changed"]


def test_a_lifetime_that_is_over_is_refused(litellm: LiteLLM, alias: str):
    litellm.post("/key/generate", key_alias=alias)
    litellm.rows(
        "update \"LiteLLM_VerificationToken\" set created_at = created_at - interval '2 days' where key_alias = %s returning 1", alias
    )
    done = litellm.run("litellm_key", key_alias=alias, duration="1d")
    assert done["failed"]
    assert "duration: the key was made at" in done["msg"]
    assert stored(litellm, alias)[0]["expires"] is None


def test_a_value_of_ones_own(litellm: LiteLLM, alias: str):
    value = f"sk-{name('own')}"
    made = litellm.run("litellm_key", key_alias=alias, key=value, max_budget=1)
    assert stored(litellm, alias)[0]["token"] == hashed(value)
    assert value not in str(made["before"]) + str(made["after"]) + str(made["diff"])
    assert not litellm.run("litellm_key", key_alias=alias, key=value, max_budget=1)["changed"]
    other = litellm.run("litellm_key", key_alias=alias, key=f"sk-{name('other')}")
    assert other["failed"]
    assert "use state: rotated" in other["msg"]


@pytest.mark.parametrize("value", ["sk-short", "pk-0123456789abcdef", "sk-0123456789 abcdef"])
def test_a_value_that_litellm_would_not_take_is_refused_and_not_shown(litellm: LiteLLM, alias: str, value: str):
    done = litellm.run("litellm_key", key_alias=alias, key=value)
    assert done["failed"]
    assert done["msg"].startswith("key: must begin with sk-")
    assert value not in str(done)


def test_a_key_is_renamed_by_its_hash(litellm: LiteLLM, alias: str):
    litellm.post("/key/generate", key_alias=alias, max_budget=2)
    token = stored(litellm, alias)[0]["token"]
    new = name("renamed")
    litellm.later("/key/delete", key_aliases=[new])
    assert litellm.run("litellm_key", token=token, key_alias=new)["changed"]
    assert stored(litellm, alias) == []
    assert stored(litellm, new)[0]["token"] == token
    assert not litellm.run("litellm_key", token=token, key_alias=new)["changed"]


def test_an_alias_of_another_key_is_not_taken_over(litellm: LiteLLM, alias: str):
    litellm.post("/key/generate", key_alias=alias)
    value = f"sk-{name('stranger')}"
    litellm.post("/key/generate", key=value)
    litellm.later("/key/delete", keys=[hashed(value)])
    done = litellm.run("litellm_key", token=hashed(value), key_alias=alias)
    assert done["failed"]
    assert "belongs to another key" in done["msg"]


def test_keys_of_one_alias_are_named(litellm: LiteLLM, alias: str):
    litellm.post("/key/generate", key_alias=alias)
    twin = f"sk-{name('twin')}"
    litellm.post("/key/generate", key=twin)
    litellm.rows('update "LiteLLM_VerificationToken" set key_alias = %s where token = %s returning 1', alias, hashed(twin))
    done = litellm.run("litellm_key", key_alias=alias, state="absent")
    assert done["failed"]
    assert all(row["token"] in done["msg"] for row in stored(litellm, alias))
    assert len(stored(litellm, alias)) == 2
    assert litellm.run("litellm_key", token=hashed(twin), state="absent")["changed"]
    assert len(stored(litellm, alias)) == 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"key_alias": ""}, "key_alias: is empty"),
        ({"key_alias": "x" + ROTATING}, "belong to rotations"),
        ({"user_id": "no-such-user"}, "user_id: LiteLLM has no user 'no-such-user'"),
        ({"team_id": "no-such-team"}, "team_id: LiteLLM has no team 'no-such-team'"),
        ({"duration": "soon"}, "duration: must be"),
        ({"token": "f" * 64}, "token: LiteLLM has no key of the hash"),
        ({"state": "rotated"}, "state: there is no such key to rotate"),
    ],
)
def test_bad_input_is_named_and_makes_nothing(litellm: LiteLLM, alias: str, options: dict[str, Any], says: str):
    keys = litellm.rows('select count(*) from "LiteLLM_VerificationToken"')
    done = litellm.run("litellm_key", **({"key_alias": alias} | options))
    assert done["failed"]
    assert says in done["msg"]
    assert litellm.rows('select count(*) from "LiteLLM_VerificationToken"') == keys


KEEPS = ("key_alias", "user_id", "spend", *LIMITS, "models", "blocked", "allowed_routes", "aliases", "budget_id", "budget_reset_at")


@pytest.fixture
def rich(litellm: LiteLLM, alias: str) -> str:
    """The value of a key that has something in every field which a rotation keeps."""
    budget = name("budget")
    litellm.post("/budget/new", budget_id=budget, max_budget=9)
    litellm.later("/budget/delete", id=budget)
    fields = {
        "max_budget": 5,
        "budget_duration": "1d",
        "duration": "20d",
        "tpm_limit": 10,
        "rpm_limit": 2,
        "max_parallel_requests": 3,
        "models": ["m"],
        "metadata": {"room": "B"},
        "object_permission": {"mcp_access_groups": ["g"]},
        "allowed_routes": ["llm_api_routes"],
        "aliases": {"a": "m"},
        "spend": 1.25,
        "user_id": litellm.user(),
        "budget_id": budget,
    }
    return litellm.post("/key/generate", key_alias=alias, **fields)["key"]


def same_but_new(litellm: LiteLLM, old: dict[str, Any], alias: str, value: str) -> None:
    [row] = stored(litellm, alias)
    assert stored(litellm, alias + ROTATING) == []
    assert row["token"] == hashed(value) != old["token"]
    assert {column: row[column] for column in KEEPS} == {column: old[column] for column in KEEPS}
    assert row["metadata"] == old["metadata"] | {"litemaas_replaces": old["token"]}
    assert row["may"]["mcp_access_groups"] == old["may"]["mcp_access_groups"]
    assert abs(row["expires"] - old["expires"]) < timedelta(seconds=10)


def test_a_rotation_keeps_all_but_the_value(litellm: LiteLLM, alias: str, rich: str):
    [old] = stored(litellm, alias)
    predicted = litellm.run("litellm_key", key_alias=alias, state="rotated", check=True)
    assert predicted["changed"]
    assert stored(litellm, alias) == [old]
    done = litellm.run("litellm_key", key_alias=alias, state="rotated")
    same_but_new(litellm, old, alias, done["key"])
    assert (works(litellm, rich), works(litellm, done["key"])) == (False, True)
    [first] = stored(litellm, alias)
    again = litellm.run("litellm_key", key_alias=alias, state="rotated")
    assert stored(litellm, alias)[0]["metadata"] == {"room": "B", "litemaas_replaces": first["token"]}
    assert again["key"] != done["key"]


def test_a_young_value_is_kept_and_an_old_one_is_not(litellm: LiteLLM, alias: str, rich: str):
    aged = "update \"LiteLLM_VerificationToken\" set created_at = created_at - interval '31 days' where key_alias = %s returning 1"
    options = {"key_alias": alias, "state": "rotated", "rotate_older_than": "30d"}
    young = litellm.run("litellm_key", **options)
    assert not young["changed"]
    assert works(litellm, rich)
    litellm.rows(aged, alias)
    done = litellm.run("litellm_key", **options)
    assert done["changed"]
    assert not works(litellm, rich)
    assert not litellm.run("litellm_key", **options)["changed"]
    assert works(litellm, done["key"])


def test_an_expired_key_is_rotated_only_with_a_new_life(litellm: LiteLLM, alias: str, rich: str):
    litellm.rows("update \"LiteLLM_VerificationToken\" set expires = now() - interval '1 day' where key_alias = %s returning 1", alias)
    [old] = stored(litellm, alias)
    for check in (True, False):
        refused = litellm.run("litellm_key", key_alias=alias, state="rotated", check=check)
        assert f"duration: {alias!r} has expired at " in refused["msg"]
    assert stored(litellm, alias) == [old]
    done = litellm.run("litellm_key", key_alias=alias, state="rotated", duration="1d")
    assert works(litellm, done["key"])


def test_a_rotation_can_change_fields_too(litellm: LiteLLM, alias: str, rich: str):
    done = litellm.run("litellm_key", key_alias=alias, state="rotated", max_budget=8, metadata={"room": None}, duration="unlimited")
    assert done["changed"]
    [row] = stored(litellm, alias)
    assert (row["max_budget"], row["expires"], row["tpm_limit"]) == (8, None, 10)
    assert set(row["metadata"]) == {"litemaas_replaces"}


def test_a_rotation_to_a_value_of_ones_own_happens_once(litellm: LiteLLM, alias: str, rich: str):
    value = f"sk-{name('own')}"
    assert litellm.run("litellm_key", key_alias=alias, key=value, state="rotated")["changed"]
    assert stored(litellm, alias)[0]["token"] == hashed(value)
    assert not litellm.run("litellm_key", key_alias=alias, key=value, state="rotated")["changed"]


def cut_off(litellm: LiteLLM, alias: str, step: int) -> None:
    """Leave what a rotation leaves that was killed after its first, second or third step."""
    [old] = stored(litellm, alias)
    litellm.post("/key/update", key=old["token"], key_alias=alias + ROTATING)
    if step > 1:
        litellm.post("/key/generate", key_alias=alias, metadata={"litemaas_replaces": old["token"]}, spend=1.25)


@pytest.mark.parametrize("step", [1, 2])
def test_a_rotation_that_was_cut_off_is_finished(litellm: LiteLLM, alias: str, rich: str, step: int):
    [old] = stored(litellm, alias)
    cut_off(litellm, alias, step)
    assert works(litellm, rich)
    done = litellm.run("litellm_key", key_alias=alias, state="rotated", rotate_older_than="1d")
    assert done["changed"]
    same_but_new(litellm, old, alias, done["key"])
    assert not works(litellm, rich)


def test_a_rotation_that_was_cut_off_is_no_reason_to_make_a_second_key(litellm: LiteLLM, alias: str, rich: str):
    cut_off(litellm, alias, 1)
    done = litellm.run("litellm_key", key_alias=alias, max_budget=1)
    assert done["failed"]
    assert "Finish it with state: rotated" in done["msg"]
    assert stored(litellm, alias) == []


@pytest.mark.parametrize("step", [1, 2])
def test_absent_takes_what_a_rotation_left(litellm: LiteLLM, alias: str, rich: str, step: int):
    cut_off(litellm, alias, step)
    assert litellm.run("litellm_key", key_alias=alias, state="absent")["changed"]
    assert stored(litellm, alias) + stored(litellm, alias + ROTATING) == []
    assert not litellm.run("litellm_key", key_alias=alias, state="absent")["changed"]


def test_a_strangers_key_of_the_alias_is_not_removed_by_a_rotation(litellm: LiteLLM, alias: str, rich: str):
    cut_off(litellm, alias, 1)
    litellm.post("/key/generate", key_alias=alias)
    done = litellm.run("litellm_key", key_alias=alias, state="rotated")
    assert done["failed"]
    assert "was made anew" in done["msg"]
    assert len(stored(litellm, alias) + stored(litellm, alias + ROTATING)) == 2


def test_a_rotation_that_litellm_does_not_take_leaves_the_old_key(litellm: LiteLLM, alias: str, rich: str):
    if litellm.old:
        options = {"budget_duration": "unlimited"}  # what it can't clear it can leave out of a new key
        assert litellm.run("litellm_key", key_alias=alias, state="rotated", **options)["changed"]
        assert stored(litellm, alias)[0]["budget_duration"] is None
    else:
        done = litellm.run("litellm_key", key_alias=alias, state="rotated", object_permission={"mcp_servers": ["no-such-server"]})
        assert done["failed"]
        assert works(litellm, rich)
        assert stored(litellm, alias)[0]["token"] == hashed(rich)
        assert stored(litellm, alias + ROTATING) == []


def test_a_rotation_keeps_limits_of_zero_and_what_no_option_names(litellm: LiteLLM, alias: str):
    litellm.post(
        "/key/generate",
        key_alias=alias,
        max_budget=0,
        tpm_limit=0,
        rpm_limit=0,
        allowed_cache_controls=["no-store"],
        object_permission={"mcp_access_groups": ["g"]} | ({} if litellm.old else {"search_tools": ["s"], "blocked_tools": ["b"]}),
        **({} if litellm.old else {"tpd_limit": 7}),
    )
    [old] = stored(litellm, alias)
    predicted = litellm.run("litellm_key", key_alias=alias, state="rotated", models=["x"], check=True)["after"]
    done = litellm.run("litellm_key", key_alias=alias, state="rotated", models=["x"])
    assert done["changed"], done
    [new] = stored(litellm, alias)
    assert (new["max_budget"], new["tpm_limit"], new["rpm_limit"], new["models"]) == (0, 0, 0, ["x"])
    assert new["allowed_cache_controls"] == ["no-store"]
    assert {name: part for name, part in new["may"].items() if name != "object_permission_id"} == {
        name: part for name, part in old["may"].items() if name != "object_permission_id"
    }
    assert new.get("tpd_limit") == old.get("tpd_limit")
    assert predicted["token"] is None
    assert (predicted["models"], predicted["max_budget"]) == (["x"], 0)


def test_absent_takes_only_the_key_that_both_names_mean(litellm: LiteLLM, alias: str):
    litellm.post("/key/generate", key_alias=alias)
    [row] = stored(litellm, alias)
    for options in ({"token": "f" * 64, "key_alias": alias}, {"token": row["token"], "key_alias": name("nobody")}):
        assert litellm.run("litellm_key", state="absent", **options)["failed"]
        assert stored(litellm, alias) == [row]
    assert litellm.run("litellm_key", state="absent", token=row["token"], key_alias=alias)["changed"]


def test_a_value_given_as_a_hash_is_refused_and_not_said(litellm: LiteLLM):
    done = litellm.run("litellm_key", token="sk-a-value-and-no-hash", state="absent")
    assert done["msg"].startswith("token: must be a key's hash")
    assert "sk-a-value" not in done["msg"]


def test_a_budget_that_does_not_exist_is_named(litellm: LiteLLM, alias: str):
    done = litellm.run("litellm_key", key_alias=alias, budget_id="no-such-budget")
    assert "budget_id: LiteLLM has no budget 'no-such-budget'" in done["msg"]
    assert stored(litellm, alias) == []
