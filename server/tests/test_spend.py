"""get_spend_summary and get_daily_stats against LiteLLM's own tables, filled with known rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from litemaas_mcp.errors import Failure, Unavailable
from litemaas_mcp.tools.spend import LIMIT, get_daily_stats, get_spend_summary, key_label

from tests.support.tools import settings_of, started

pytestmark = pytest.mark.anyio


@pytest.fixture
def today():
    return datetime.now(UTC).date()


def by(answer, field):
    return {getattr(row, field): row for row in answer.rows}


async def test_both_days_are_inclusive(alone, scratch):
    for day in ("2026-03-24", "2026-03-25", "2026-03-26", "2026-03-27"):
        scratch.usage(day)
    answer = await get_spend_summary(alone, date_from="2026-03-25", date_to="2026-03-26", group_by="day")
    assert [row.date for row in answer.rows] == ["2026-03-26", "2026-03-25"]
    one = await get_spend_summary(alone, date_from="2026-03-25", date_to="2026-03-25")
    assert one.total.requests == 1
    assert (one.date_from, one.date_to, one.time_zone) == ("2026-03-25", "2026-03-25", "UTC")


async def test_failures_and_free_models_count(alone, scratch):
    scratch.usage("2026-03-25", model_group="free", requests=7, failures=0, spend=0.0, prompt_tokens=70, completion_tokens=30)
    scratch.usage(
        "2026-03-25", model_group="broken", model="openai/broken", requests=4, failures=4, spend=0.0, prompt_tokens=0, completion_tokens=0
    )
    scratch.usage("2026-03-25", model_group="paid", model="openai/paid", requests=2, failures=1, spend=1.5)
    answer = await get_spend_summary(alone)
    assert [row.model for row in answer.rows] == ["paid", "free", "broken"]
    rows = by(answer, "model")
    assert (rows["free"].requests, rows["free"].total_tokens, rows["free"].total_spend) == (7, 100, 0)
    assert (rows["broken"].requests, rows["broken"].failures) == (4, 4)
    assert (answer.total.requests, answer.total.failures, answer.total.total_spend) == (13, 5, 1.5)


async def test_sums_carry_no_noise_of_binary_fractions(alone, scratch):
    for spend in (0.1, 0.2):
        scratch.usage("2026-03-25", api_key=f"k{spend}", spend=spend)
    answer = (await get_spend_summary(alone)).model_dump(mode="json")
    assert answer["total"]["total_spend"] == 0.3
    assert answer["rows"][0]["total_spend"] == 0.3


async def test_a_model_is_found_by_its_public_and_its_provider_name(alone, scratch):
    scratch.usage("2026-03-25", model="openai/gpt-4o", model_group="public", api_key="a")
    scratch.usage("2026-03-25", model="gpt-4o", model_group=None, api_key="b")
    scratch.usage("2026-03-25", model="openai/other", model_group="other", api_key="c")
    assert (await get_spend_summary(alone, model="public")).total.requests == 1
    assert (await get_spend_summary(alone, model="gpt-4o")).total.requests == 2
    assert (await get_spend_summary(alone, model="openai/gpt-4o")).total.requests == 2


async def test_a_public_name_wins_over_another_models_provider_name(alone, scratch):
    scratch.usage("2026-03-25", model="openai/gpt-4o", model_group="gpt-4o", api_key="a")
    scratch.usage("2026-03-25", model="openai/gpt-4o", model_group="gpt-4o-restricted", api_key="b", requests=5)
    assert (await get_spend_summary(alone, model="gpt-4o")).total.requests == 1
    assert (await get_spend_summary(alone, model="openai/gpt-4o")).total.requests == 6


async def test_a_model_that_nobody_knows_is_an_error_with_near_misses(alone, scratch):
    scratch.usage("2026-03-25", model_group="llama-scout-17b")
    with pytest.raises(Failure, match=r"model: there is no model 'lama-scout-17b'.*llama-scout-17b"):
        await get_spend_summary(alone, model="lama-scout-17b")


async def test_a_known_model_without_use_on_those_days_is_an_empty_answer(alone, scratch):
    scratch.usage("2026-03-25", model_group="m1")
    answer = await get_spend_summary(alone, model="m1", date_from="2026-03-26", date_to="2026-03-27")
    assert (answer.rows, answer.total.requests, answer.total_rows, answer.truncated) == ([], 0, 0, False)


@pytest.mark.parametrize("name", ["u-one", "One@Example.com", "ONE"])
async def test_a_user_is_found_by_id_email_or_name(alone, scratch, name):
    scratch.insert("LiteLLM_UserTable", user_id="u-one", user_email="one@example.com", user_alias="one")
    scratch.usage("2026-03-25", user_id="u-one", spend=2.0)
    scratch.usage("2026-03-25", user_id="u-two", spend=3.0)
    answer = await get_spend_summary(alone, user_id=name)
    assert (answer.user_id, answer.total.total_spend) == ("u-one", 2.0)


async def test_the_groups(alone, scratch):
    token = "ab" * 32
    scratch.insert("LiteLLM_UserTable", user_id="u1", user_email="one@example.com")
    scratch.insert("LiteLLM_VerificationToken", token=token, key_alias="workshop", user_id="u1")
    scratch.usage("2026-03-25", user_id="u1", api_key=token, spend=3.0)
    scratch.usage("2026-03-25", user_id="", api_key="cd" * 32, spend=2.0, custom_llm_provider="anthropic")
    scratch.usage("2026-03-26", user_id=None, api_key="litellm-internal-health-check", model_group="", spend=1.0)
    users = by(await get_spend_summary(alone, group_by="user"), "user_id")
    assert (users["u1"].email, users["u1"].total_spend, users["none"].total_spend) == ("one@example.com", 3.0, 3.0)
    keys = (await get_spend_summary(alone, group_by="key")).rows
    assert [row.key_alias for row in keys] == ["workshop", "cdcdcdcdcdcd…", "litellm-internal-health-check"]
    assert (keys[0].user_id, keys[0].email) == ("u1", "one@example.com")
    providers = by(await get_spend_summary(alone, group_by="provider"), "provider")
    assert (providers["openai"].requests, providers["anthropic"].requests) == (2, 1)
    assert [row.date for row in (await get_spend_summary(alone, group_by="day")).rows] == ["2026-03-26", "2026-03-25"]


def test_a_key_is_never_shown_even_where_litellm_recorded_it():
    label = key_label("sk-a-raw-key-of-somebody", None)
    assert "sk-" not in label
    assert len(label) == 13


async def test_without_dates_the_answer_covers_all_and_says_so(alone, scratch, today):
    scratch.usage("2024-02-29")
    scratch.usage(today)
    answer = await get_spend_summary(alone)
    assert (answer.date_from, answer.date_to, answer.total.requests) == ("2024-02-29", str(today), 2)


async def test_days_to_come_are_fine(alone, scratch, today):
    scratch.usage(today)
    tomorrow = str(today + timedelta(days=1))
    assert (await get_spend_summary(alone, date_from=tomorrow)).total.requests == 0
    assert (await get_spend_summary(alone, date_to=tomorrow)).total.requests == 1


@pytest.mark.parametrize("text", ["25 March", "2026-3-25T00:00:00", "20260325", "2026-02-30", "yesterday", "2026-W13-3"])
@pytest.mark.parametrize("field", ["date_from", "date_to"])
async def test_what_is_no_date_is_refused_by_field(alone, field, text):
    with pytest.raises(Failure, match=f"{field}: .*YYYY-MM-DD"):
        await get_spend_summary(alone, **{field: text})


async def test_days_in_the_wrong_order_are_refused(alone):
    with pytest.raises(Failure, match="date_from: 2026-03-26 is after date_to"):
        await get_spend_summary(alone, date_from="2026-03-26", date_to="2026-03-25")


async def test_a_cut_answer_says_so_and_its_total_has_all(alone, scratch):
    scratch.connection.execute(
        f"""INSERT INTO {scratch.name}."LiteLLM_DailyUserSpend" (id, user_id, date, api_key, model_group, api_requests, spend, updated_at)
        SELECT n, n, '2026-03-25', 'k', 'm', 1, n, now() FROM generate_series(1, {LIMIT + 7}) n"""
    )
    answer = await get_spend_summary(alone, group_by="user")
    assert (len(answer.rows), answer.truncated, answer.total_rows, answer.total.requests) == (LIMIT, True, LIMIT + 7, LIMIT + 7)
    assert answer.rows[0].user_id == str(LIMIT + 7)
    assert f"Showing {LIMIT} of {LIMIT + 7}" in answer.text()


async def test_the_text_tells_range_zone_total_and_rows(alone, scratch):
    scratch.usage("2026-03-25", requests=1234, failures=1, prompt_tokens=1_000_000, spend=0.000015)
    text = (await get_spend_summary(alone, date_from="2026-03-25", date_to="2026-03-25")).text()
    assert "from 2026-03-25 to 2026-03-25, both inclusive, UTC" in text
    assert "Total: 1,234 requests (1 failed), 1,000,005 tokens, $0.000015" in text
    assert "m1 | 1,234 | 1 | 1,000,005 | $0.000015" in text


@pytest.mark.parametrize("days", [1, 7, 366])
async def test_daily_stats_are_exactly_n_days(alone, scratch, today, days):
    scratch.usage(today, model_group="a", requests=3, failures=1)
    scratch.usage(today, model_group="b", model="openai/b")
    scratch.usage(today - timedelta(days=days - 1), api_key="first")
    scratch.usage(today - timedelta(days=days), api_key="before")
    answer = await get_daily_stats(alone, days=days)
    assert [day.date for day in answer.days] == [str(today - timedelta(days=n)) for n in reversed(range(days))]
    assert (answer.days[-1].requests >= 4, answer.days[-1].failures) == (True, 1)
    assert answer.total.requests == 5
    assert all(day.requests == 0 and day.unique_models == 0 for day in answer.days[1:-1])


async def test_daily_stats_count_different_models(alone, scratch, today):
    for model, key in (("a", "k1"), ("a", "k2"), ("b", "k1"), (None, "k3")):
        scratch.usage(today, model_group=model, api_key=key, model="openai/x")
    assert (await get_daily_stats(alone, days=1)).days[0].unique_models == 3


async def test_an_unknown_model_is_no_error_while_litellm_is_down(stack, scratch):
    async with started(
        settings_of(stack, database_url=scratch.url, litemaas_database_url=None, litellm_api_url="http://127.0.0.1:9")
    ) as backends:
        assert (await get_spend_summary(backends, model="m1")).rows == []
        with pytest.raises(Unavailable, match="LiteLLM can't be reached"):
            await backends.litellm.deployments()
