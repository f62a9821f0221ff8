"""litellm_spend_info against the real LiteLLM and its seeded history; the truth is summed by SQL."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from ansible_collections.rhpds.litemaas.plugins.module_utils import spend

from tests.integration.modules.conftest import LiteLLM, name

MODULE = "litellm_spend_info"
SUMS = """
    coalesce(sum(spend), 0) as spend, coalesce(sum(prompt_tokens), 0)::bigint as prompt_tokens,
    coalesce(sum(completion_tokens), 0)::bigint as completion_tokens,
    coalesce(sum(prompt_tokens + completion_tokens), 0)::bigint as total_tokens,
    coalesce(sum(api_requests), 0)::bigint as api_requests, coalesce(sum(successful_requests), 0)::bigint as successful_requests,
    coalesce(sum(failed_requests), 0)::bigint as failed_requests
"""
COLUMNS = {"day": "date", "model": "model_group", "user": "user_id", "key": "api_key", "team": "team_id"}
IDENTITIES = {"day": "day", "model": "model", "user": "user_id", "key": "token", "team": "team_id"}


def ago(days: int) -> str:
    return (datetime.now(UTC).date() - timedelta(days=days)).isoformat()


def truth(litellm: LiteLLM, group: str, first: str, last: str, where: str = "true", *values: str) -> dict[str | None, dict[str, Any]]:
    """The sums by what they are grouped by; no team is an empty text there, and null here."""
    table = "LiteLLM_DailyTeamSpend" if group == "team" or "team_id" in where else "LiteLLM_DailyUserSpend"
    column = COLUMNS[group]
    rows = litellm.rows(
        f'select {column} as name, {SUMS} from "{table}" where date between %s and %s and {where} group by 1', first, last, *values
    )
    return {row.pop("name") or None: approximate(row) for row in rows}


def approximate(figures: dict[str, Any]) -> dict[str, Any]:
    return figures | {"spend": pytest.approx(figures["spend"], rel=1e-9, abs=1e-12)}


def sums(result: dict[str, Any]) -> dict[str | None, dict[str, Any]]:
    assert not result.get("failed"), result["msg"]
    identity = IDENTITIES[result_group(result)]
    return {row[identity]: {figure: row[figure] for figure in spend.FIGURES} for row in result["rows"]}


def result_group(result: dict[str, Any]) -> str:
    return next(group for group, identity in IDENTITIES.items() if identity in result["rows"][0])


@pytest.mark.parametrize("group", COLUMNS)
def test_the_sums_are_those_of_the_database(litellm: LiteLLM, group: str):
    first, last = ago(60), ago(1)
    result = litellm.run(MODULE, start_date=first, end_date=last, group_by=group)
    found = {identity: figures for identity, figures in sums(result).items() if group != "day" or figures["api_requests"]}
    assert found == truth(litellm, group, first, last)
    [whole] = litellm.rows(f'select {SUMS} from "LiteLLM_DailyUserSpend" where date between %s and %s', first, last)
    assert result["totals"] == approximate(whole)
    assert (result["truncated"], result["row_count"], result["changed"]) == (False, len(result["rows"]), False)
    assert result["totals"]["failed_requests"] > 0
    if group == "model":
        free = {row["model"] for row in result["rows"] if row["spend"] == 0}
        assert {"phi-4-preview", "llama-guard-3-1b", "broken-mistral-7b"} <= free
    if group != "day":
        assert result["rows"] == sorted(result["rows"], key=lambda row: (-row["spend"], -row["api_requests"]))


@pytest.mark.parametrize("group", COLUMNS)
def test_every_page_counts(litellm: LiteLLM, group: str, monkeypatch: pytest.MonkeyPatch):
    """A week of the seeded history fits in one page, so pages are made small; those of 1.81 are in no order."""
    whole = litellm.run(MODULE, start_date=ago(20), end_date=ago(1), group_by=group)
    monkeypatch.setattr(spend, "ROWS", {"user": 25, "team": 1_000_000})
    paged = litellm.run(MODULE, start_date=ago(20), end_date=ago(1), group_by=group)
    assert sums(paged) == {identity: approximate(figures) for identity, figures in sums(whole).items()}


def test_seven_days_are_seven_and_days_without_requests_are_there(litellm: LiteLLM):
    result = litellm.run(MODULE, start_date=ago(6))
    assert [row["day"] for row in result["rows"]] == [ago(days) for days in range(6, -1, -1)]
    assert (result["start_date"], result["end_date"]) == (ago(6), ago(0))
    empty = litellm.run(MODULE, start_date="2001-02-27", end_date="2001-03-01")
    assert [row["day"] for row in empty["rows"]] == ["2001-02-27", "2001-02-28", "2001-03-01"]
    assert set(empty["totals"].values()) == {0}


def test_one_day_is_that_whole_day(litellm: LiteLLM):
    day = max(truth(litellm, "day", ago(30), ago(1)))
    result = litellm.run(MODULE, start_date=day, end_date=day)
    assert sums(result) == truth(litellm, "day", day, day)
    assert result["totals"]["api_requests"] > 0


@pytest.mark.parametrize("group", ["day", "model", "user", "key"])
def test_a_model_is_filtered_by_its_public_name(litellm: LiteLLM, group: str):
    model = "llama-scout-17b"  # the provider calls it hosted_vllm/llama-4-scout-17b-16e
    result = litellm.run(MODULE, start_date=ago(30), end_date=ago(1), group_by=group, model=model)
    found = {identity: figures for identity, figures in sums(result).items() if figures["api_requests"]}
    assert found == truth(litellm, group, ago(30), ago(1), "model_group = %s", model)


@pytest.mark.parametrize("group", ["day", "model", "user", "key"])
def test_a_user_is_filtered(litellm: LiteLLM, group: str):
    [user] = litellm.rows('select user_id from "LiteLLM_UserTable" where user_email = %s', "alopezme@redhat.com")
    result = litellm.run(MODULE, start_date=ago(30), end_date=ago(1), group_by=group, user_id=user["user_id"])
    found = {identity: figures for identity, figures in sums(result).items() if figures["api_requests"]}
    assert found == truth(litellm, group, ago(30), ago(1), "user_id = %s", user["user_id"])
    if group == "user":
        assert (result["rows"][0]["user_email"], result["rows"][0]["user_alias"]) == ("alopezme@redhat.com", "alopezme")


@pytest.mark.parametrize("group", ["day", "model", "key", "team"])
def test_a_team_is_filtered(litellm: LiteLLM, group: str):
    [team] = litellm.rows('select team_id from "LiteLLM_TeamTable" where team_alias = %s', "AI Business Unit")
    result = litellm.run(MODULE, start_date=ago(30), end_date=ago(1), group_by=group, team_id=team["team_id"])
    found = {identity: figures for identity, figures in sums(result).items() if figures["api_requests"]}
    assert found == truth(litellm, group, ago(30), ago(1), "team_id = %s", team["team_id"])
    if group == "team":
        assert result["rows"][0]["team_alias"] == "AI Business Unit"


@pytest.mark.parametrize("group", ["day", "model", "user", "key", "team"])
def test_a_key_is_filtered_by_alias_and_hash(litellm: LiteLLM, group: str):
    [key] = litellm.rows('select token from "LiteLLM_VerificationToken" where key_alias = %s', "jkim-agent")
    days = {"start_date": ago(30), "end_date": ago(1), "group_by": group}
    result = litellm.run(MODULE, **days, key_alias="jkim-agent")
    assert result == litellm.run(MODULE, **days, token=key["token"])
    found = {identity: figures for identity, figures in sums(result).items() if figures["api_requests"]}
    assert found == truth(litellm, group, ago(30), ago(1), "api_key = %s", key["token"])
    if group == "key":
        assert result["rows"][0]["key_alias"] == "jkim-agent"


def test_a_cut_is_told_and_totals_are_of_all(litellm: LiteLLM):
    days = {"start_date": ago(30), "end_date": ago(1), "group_by": "user"}
    whole, cut = litellm.run(MODULE, **days), litellm.run(MODULE, **days, limit=2)
    assert cut == whole | {"rows": whole["rows"][:2], "truncated": True}
    assert cut["row_count"] == len(whole["rows"]) > 2


class Day:
    """A day of long ago with its own history."""

    def __init__(self, litellm: LiteLLM) -> None:
        self.litellm = litellm
        self.date = (date(2002, 1, 1) + timedelta(days=random.randrange(6000))).isoformat()

    def add(self, user: str, key: str, model: str | None, provider_model: str, spend: float = 0.5) -> None:
        self.litellm.rows(
            'insert into "LiteLLM_DailyUserSpend" (id, user_id, date, api_key, model, model_group, custom_llm_provider, prompt_tokens, '
            "completion_tokens, spend, api_requests, successful_requests, failed_requests, updated_at) "
            "values (%s, %s, %s, %s, %s, %s, 'openai', 10, 5, %s, 2, 1, 1, now()) returning id",
            *(str(uuid.uuid4()), user, self.date, key, provider_model, model, spend),
        )

    def sum(self, **options: Any) -> dict[str, Any]:
        return self.litellm.run(MODULE, start_date=self.date, end_date=self.date, **options)


@pytest.fixture
def day(litellm: LiteLLM) -> Iterator[Day]:
    made = Day(litellm)
    yield made
    litellm.rows('delete from "LiteLLM_DailyUserSpend" where date = %s returning id', made.date)


def test_a_key_of_several_users_is_told_apart_where_litellm_can(litellm: LiteLLM, day: Day):
    one, two, key = name("user"), name("user"), name("key")
    day.add(one, key, "m1", "openai/m1", 0.5)
    day.add(two, key, "m2", "openai/m2", 0.25)
    assert {row["user_id"]: row["spend"] for row in day.sum(group_by="user")["rows"]} == {one: 0.5, two: 0.25}
    assert {row["model"]: row["spend"] for row in day.sum(group_by="model")["rows"]} == {"m1": 0.5, "m2": 0.25}
    refused = day.sum(group_by="model", user_id=one)
    assert refused["failed"]
    assert f"On {day.date} the key {key} worked for {', '.join(sorted((one, two)))}" in refused["msg"]


def test_what_has_no_model_or_user_is_not_lost(litellm: LiteLLM, day: Day):
    user, key = name("user"), name("key")
    day.add(user, key, None, "openai/x")
    day.add(user, key, "m1", "openai/m1")
    day.add("", key, "m1", "openai/m2")
    models = {row["model"]: row["api_requests"] for row in day.sum(group_by="model")["rows"]}
    assert models == {"m1": 4, None if litellm.old else "openai/x": 2}  # 1.106 puts the provider's name in its place
    assert {row["user_id"]: row["api_requests"] for row in day.sum(group_by="user")["rows"]} == {user: 4, None: 2}
    assert day.sum()["totals"]["api_requests"] == 6


def test_a_removed_key_and_user_still_count(litellm: LiteLLM, day: Day):
    user, key = name("user"), uuid.uuid4().hex * 2
    day.add(user, key, "gone", "openai/gone")
    assert day.sum(token=key, user_id=user, model="gone")["totals"]["api_requests"] == 2
    [row] = day.sum(group_by="user")["rows"]
    assert (row["user_id"], row["user_email"]) == (user, None)


def test_sums_of_doubles_have_no_noise(litellm: LiteLLM, day: Day):
    for spent in (0.1, 0.2, 1e-09):
        day.add(name("user"), name("key"), "m", "openai/m", spent)
    assert day.sum()["totals"]["spend"] == 0.300000001


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"start_date": "yesterday"}, "start_date: must be a day, such as 2026-11-01. It is 'yesterday'"),
        ({"start_date": "20261101"}, "start_date: must be a day"),
        ({"start_date": "2026-02-30"}, "start_date: must be a day"),
        ({"end_date": "2026-11-1"}, "end_date: must be a day"),
        ({"start_date": "2026-11-02", "end_date": "2026-11-01"}, "start_date: 2026-11-02 lies after end_date, 2026-11-01"),
        ({"start_date": "0001-01-01"}, "start_date: 0001-01-01 to 2026-11-10 are more than ten years"),
        ({"limit": 0}, "limit: must be 1 or more"),
        ({"group_by": "team", "user_id": "x"}, "LiteLLM keeps sums of users and sums of teams, none of both"),
        ({"model": "llama-scout-17"}, "model: LiteLLM serves no model named 'llama-scout-17'"),
        ({"user_id": "alopez"}, "user_id: LiteLLM has no user 'alopez'"),
        ({"key_alias": "jkim"}, "key_alias: LiteLLM has no key with the alias 'jkim'"),
        ({"token": "0" * 64}, "token: LiteLLM has no key of the hash"),
        ({"team_id": "no-team"}, "team_id: LiteLLM has no team 'no-team'"),
    ],
)
def test_bad_input_is_named(litellm: LiteLLM, wrong: dict[str, Any], says: str):
    result = litellm.run(MODULE, **({"start_date": "2026-11-01", "end_date": "2026-11-10"} | wrong))
    assert result["failed"]
    assert says in result["msg"]


def test_a_key_that_sees_only_its_own_spend_is_refused(litellm: LiteLLM):
    """LiteLLM would answer it with the spend of its owner, as if it were all."""
    user = litellm.user(user_role="internal_user")
    key = litellm.post("/key/generate", user_id=user)["key"]
    for module, options in ((MODULE, {"start_date": ago(30)}), ("litellm_model_info", {})):
        result = litellm.run(module, api_key=key, **options)
        assert result["failed"]
        assert "api_key: LiteLLM lets only an administrator do this" in result["msg"]
