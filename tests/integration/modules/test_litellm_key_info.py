"""litellm_key_info against the real LiteLLM, compared with its database."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.modules.conftest import LiteLLM, name


def test_every_page_is_read_and_sessions_of_the_web_pages_are_left_out(litellm: LiteLLM):
    prefix = name("many")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: litellm.post("/key/generate", key_alias=f"{prefix}-{number}"), range(130)))
    litellm.later("/key/delete", key_aliases=[f"{prefix}-{number}" for number in range(130)])
    session = litellm.post("/key/generate", key_alias=f"{prefix}-session")["token"]
    litellm.later("/key/delete", keys=[session])
    litellm.rows('update "LiteLLM_VerificationToken" set team_id = %s where token = %s returning 1', "litellm-dashboard", session)
    result = litellm.run("litellm_key_info")
    truth = litellm.rows('select token from "LiteLLM_VerificationToken" where team_id is distinct from %s', "litellm-dashboard")
    assert {key["token"] for key in result["virtual_keys"]} == {row["token"] for row in truth}
    assert result["total"] == len(truth) > 130
    assert not result["changed"]


def test_filters(litellm: LiteLLM):
    alias, user, label = name("alias"), litellm.user(), name("set")
    key = litellm.post(
        "/key/generate", key_alias=alias, user_id=user, max_budget=5, spend=4, budget_duration="7d", metadata={"litemaas_set": label}
    )
    litellm.later("/key/delete", keys=[key["token"]])
    for options in (
        {"key_alias": alias},
        {"token": key["token"]},
        {"key": key["key"]},
        {"user_id": user},
        {"set": label},
        {"user_id": user, "near_limit": 0.8},
    ):
        result = litellm.run("litellm_key_info", **options)
        assert [each["token"] for each in result["virtual_keys"]] == [key["token"]], options
    [shown] = result["virtual_keys"]
    assert (shown["spend"], shown["max_budget"], shown["budget_used"], shown["budget_duration"]) == (4, 5, 0.8, "7d")
    assert key["key"] not in str(result)
    for options in (
        {"key_alias": alias[:-1]},
        {"user_id": user, "near_limit": 0.81},
        {"set": label, "key_alias": "x"},
        {"key": "sk-nobody"},
    ):
        assert litellm.run("litellm_key_info", **options)["virtual_keys"] == [], options


@pytest.mark.parametrize(("budget", "spend", "used"), [(None, 3, None), (0, 0, 1), (10, 2.5, 0.25)])
def test_how_much_of_a_budget_is_used(litellm: LiteLLM, budget: float | None, spend: float, used: float | None):
    key = litellm.post("/key/generate", key_alias=name("used"), spend=spend, **({} if budget is None else {"max_budget": budget}))
    litellm.later("/key/delete", keys=[key["token"]])
    assert litellm.run("litellm_key_info", token=key["token"])["virtual_keys"][0]["budget_used"] == used
    near = litellm.run("litellm_key_info", token=key["token"], near_limit=0.2)
    assert near["total"] == int(used is not None)
