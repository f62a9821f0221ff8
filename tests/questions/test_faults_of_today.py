"""The faults of the server in use today: each test fails on a server that has the fault. What is true is found past the server.

Faults of entry and transport (token, health endpoints, liveness) have their tests in server/tests/transport.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import psycopg
import pytest

from tests.questions.ask import client_of, differences
from tests.questions.questions import one_day, usage
from tests.questions.truth import Truth, moment, today

SETTLED = timedelta(days=3)  # LiteLLM writes late; nothing is written any more about days so long past


@pytest.fixture
def truth(stack) -> Iterator[Truth]:
    with Truth(stack) as truth:
        yield truth


@pytest.fixture
async def call(stack):
    """Calls a tool of the running server; its structured content. A tool error fails the test."""
    async with client_of(stack) as client:

        async def call(tool: str, **arguments: Any) -> dict[str, Any]:
            result = await client.call_tool(tool, arguments)
            assert not result.is_error, result.content[0].text
            return result.structured_content

        yield call


@pytest.fixture
async def error_of(stack):
    """Calls a tool that must answer with a tool error; its text."""
    async with client_of(stack) as client:

        async def error_of(tool: str, **arguments: Any) -> str:
            result = await client.call_tool(tool, arguments)
            assert result.is_error, f"answered as if all were well: {result.content[0].text}"
            return result.content[0].text

        yield error_of


@pytest.fixture
def new_user(truth) -> Iterator[Callable[..., dict]]:
    """Makes users through LiteLLM and deletes them."""
    made = []

    def make(**fields: Any) -> dict[str, Any]:
        name = f"fault{uuid.uuid4().hex[:10]}"
        body = {"user_id": name, "user_alias": name, "user_email": f"{name}@example.com", "auto_create_key": False} | fields
        truth.litellm.post("/user/new", json=body).raise_for_status()
        made.append(name)
        return truth.user(name)

    yield make
    truth.litellm.post("/user/delete", json={"user_ids": made})


def busy_day(truth: Truth) -> date:
    """A settled day with failures and with calls of free models: the latest weekday."""
    day = today() - SETTLED
    while day.weekday() > 4:
        day -= timedelta(days=1)
    assert truth.usage(day, day)["failures"] > 0
    return day


# --- spend


async def test_failures_are_counted(call, truth):
    """Theirs asked for spend > 0, and a failed request costs nothing: their failures were always 0."""
    day = busy_day(truth)
    answer = await call("get_spend_summary", **one_day(day))
    assert answer["total"]["failures"] == truth.usage(day, day)["failures"] > 0


async def test_free_models_are_counted(call, truth):
    """The same condition hid every model without a price."""
    day = busy_day(truth)
    free = {model.name for model in truth.plan.SERVED if not model.input_cost and not model.output_cost}
    rows = {row["model"]: usage(row) for row in (await call("get_spend_summary", **one_day(day)))["rows"]}
    for name in free:
        assert differences(truth.usage_by_model(day, day)[name], rows[name]) == []
        assert rows[name]["requests"] > 0
        assert rows[name]["total_spend"] == 0


async def test_the_last_day_belongs_to_the_answer(call, truth):
    """Theirs took date_to for its midnight: from and to the same day gave nothing."""
    day = busy_day(truth)
    answer = await call("get_spend_summary", **one_day(day))
    assert differences(truth.usage(day, day), usage(answer["total"])) == []
    week = {"date_from": (day - timedelta(days=6)).isoformat(), "date_to": day.isoformat()}
    assert differences(truth.usage(day - timedelta(days=6), day), usage((await call("get_spend_summary", **week))["total"])) == []


async def test_a_model_is_found_by_the_name_that_callers_use(call, truth):
    """Theirs compared the public name with the provider's: every filter by model gave nothing."""
    day = busy_day(truth)
    answer = await call("get_spend_summary", model="llama-scout-17b", **one_day(day))
    assert differences(truth.usage_by_model(day, day)["llama-scout-17b"], usage(answer["total"])) == []


@pytest.mark.parametrize("days", [1, 7, 14])
async def test_n_days_are_n_days(call, days: int):
    """Theirs gave 8 for 7, and left out the days without any request."""
    first = today()
    answer = await call("get_daily_stats", days=days)
    last = date.fromisoformat(answer["days"][-1]["date"])
    assert first <= last <= today()
    assert [day["date"] for day in answer["days"]] == [(last - timedelta(days=n)).isoformat() for n in reversed(range(days))]


async def test_a_day_without_requests_is_a_row_of_zeros(call, truth):
    [*_, quiet] = [day for n in range(3, 18) if truth.plan.quiet(day := today() - timedelta(days=n))]
    answer = await call("get_daily_stats", days=20)
    [row] = [row for row in answer["days"] if row["date"] == quiet.isoformat()]
    assert usage(row) == {"requests": 0, "failures": 0, "total_tokens": 0, "total_spend": 0}


# --- budgets


def end_of_period(duration: str, day: date) -> datetime:
    """When LiteLLM resets such a budget: at midnight, on Monday, on the first of the month."""
    midnight = datetime.combine(day, time(), UTC)
    if duration == "30d":
        return (midnight.replace(day=1) + timedelta(days=31)).replace(day=1)
    return midnight + timedelta(days={"1d": 1, "7d": 7 - midnight.weekday()}[duration])


@pytest.mark.parametrize(("said", "stored"), [("daily", "1d"), ("weekly", "7d"), ("monthly", "30d")])
async def test_a_period_in_words_is_sent_as_litellm_understands_it(call, truth, new_user, said: str, stored: str):
    """Theirs sent the word. LiteLLM 1.81 knows none, and resets weekly and monthly budgets every midnight."""
    user, before = new_user(), today()
    await call("update_user_budget", user_id=user["user_id"], max_budget=500, budget_duration=said)
    kept = truth.user(user["user_id"])
    assert (kept["max_budget"], kept["budget_duration"]) == (500, stored)
    assert moment(kept["budget_reset_at"]) in {end_of_period(stored, day) for day in (before, today())}


async def test_a_period_that_was_not_mentioned_stays(call, truth, new_user):
    """Theirs had daily for a default: raising a monthly budget silently made it a daily one."""
    before = new_user(max_budget=10, budget_duration="30d")
    await call("update_user_budget", user_id=before["user_id"], max_budget=20)
    after = truth.user(before["user_id"])
    assert (after["max_budget"], after["budget_duration"], after["budget_reset_at"]) == (20, "30d", before["budget_reset_at"])


@pytest.mark.parametrize("typo", ["alopezmee", "alopezme@redhat.con", "A-LOPEZ-ME"])
async def test_a_typing_error_creates_nobody(error_of, truth, typo: str):
    """LiteLLM's update creates whom it does not know; theirs passed every name on."""
    people = {user["user_id"] for user in truth.users()}
    text = await error_of("update_user_budget", user_id=typo, max_budget=500, budget_duration="daily")
    assert {user["user_id"] for user in truth.users()} == people
    assert "alopezme@redhat.com" in text, "it does not say who may have been meant"
    assert truth.user("alopezme")["max_budget"] != 500


async def test_a_name_of_two_changes_neither(error_of, truth):
    both = {user["user_id"]: user["max_budget"] for user in truth.users() if user["user_alias"] == "scarter"}
    assert len(both) == 2
    text = await error_of("update_user_budget", user_id="scarter", max_budget=500)
    assert {user["user_id"]: user["max_budget"] for user in truth.users() if user["user_alias"] == "scarter"} == both
    assert all(user_id in text for user_id in both)


# --- lists


@pytest.mark.parametrize(("tool", "rows", "name"), [("list_virtual_keys", "keys", "total"), ("list_users", "users", "total")])
async def test_a_list_says_that_it_is_cut_and_how_to_get_the_rest(call, truth, tool: str, rows: str, name: str):
    """Theirs stopped at 100 rows without a word."""
    everything = len(list(truth.keys())) if tool == "list_virtual_keys" else len(truth.users())
    pages, cursor = [], {}
    while not pages or pages[-1]["next_cursor"]:
        pages.append(await call(tool, limit=4, **cursor))
        cursor = {"cursor": pages[-1]["next_cursor"]}
    assert [page["truncated"] for page in pages] == [True] * (len(pages) - 1) + [False]
    assert {page[name] for page in pages} == {everything}
    found = [json.dumps(row, sort_keys=True) for page in pages for row in page[rows]]
    assert len(found) == len(set(found)) == everything


# --- models


async def test_rows_of_models_are_readable(call, stack, truth):
    """Theirs read litellm_params from the table, where its strings are encrypted."""
    said = json.dumps(await call("list_models"))
    with psycopg.connect(stack.database_url) as database:
        rows = database.execute('SELECT litellm_params FROM "LiteLLM_ProxyModelTable"').fetchall()
    stored = {value for (parameters,) in rows for value in parameters.values() if isinstance(value, str)}
    assert len(stored) > len(rows), "nothing encrypted to look for"
    assert not [value for value in stored if value in said]


async def test_models_tell_restriction_and_limits(call, truth):
    """Theirs gave neither, though the document promises both."""
    rows = {row["model"]: row for row in (await call("list_models"))["models"]}
    for model in truth.plan.SERVED:
        row = rows[model.name]
        assert (row["tpm"], row["rpm"]) == (model.tpm, model.rpm)
        assert row["restricted"] is (model.restricted if model.in_litemaas else None)


async def test_a_broken_model_is_an_answer_and_an_unknown_one_an_error(call, error_of):
    """LiteLLM answers 503 for the first; to theirs both looked alike."""
    answer = await call("get_model_health", model="broken-mistral-7b")
    assert (answer["healthy"], answer["unhealthy"]) == (0, 1)
    assert "llama-scout-17b" in await error_of("get_model_health", model="lama-scout-17b")


# --- pods


async def test_a_pending_pod_is_not_ready(call, truth):
    """Theirs asked whether all of its containers are ready, of which a pod that waits for a node has none."""
    pods = {pod["name"]: pod for pod in (await call("get_pod_status"))["pods"]}
    pending = [name for name, pod in truth.pods().items() if pod["phase"] == "Pending"]
    assert pending
    assert [pods[name]["ready"] for name in pending] == [False] * len(pending)


async def test_the_pod_of_a_completed_job_is_no_fault(call, truth):
    """Theirs called it unready for ever."""
    answer = await call("get_pod_status")
    completed = [name for name, pod in truth.pods().items() if pod["phase"] == "Succeeded"]
    assert completed
    assert answer["completed"] == len(completed)
    assert answer["not_ready"] == sum(pod["ready"] is False for pod in truth.pods().values())


# --- errors


@pytest.mark.parametrize(
    ("tool", "arguments", "field"),
    [
        ("get_spend_summary", {"date_from": "25 March"}, "date_from"),
        ("get_spend_summary", {"date_from": "2026-03-26", "date_to": "2026-03-25"}, "date_from"),
        ("get_spend_summary", {"user_id": "nobody-at-all"}, "user_id"),
        ("get_spend_summary", {"model": "no-such-model"}, "model"),
        ("get_daily_stats", {"days": 0}, "days"),
        ("get_model_health", {"model": "no-such-model"}, "model"),
        ("list_virtual_keys", {"status": "lost"}, "status"),
        ("list_virtual_keys", {"cursor": "not-one"}, "cursor"),
        ("update_user_budget", {"user_id": "alopezme", "max_budget": -1}, "max_budget"),
        ("update_user_budget", {"user_id": "alopezme", "max_budget": 1, "budget_duration": "sometimes"}, "budget_duration"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else value,
)
async def test_an_error_is_an_error_and_names_the_field(error_of, tool: str, arguments: dict, field: str):
    """Theirs answered errors as text of a successful call."""
    assert field in await error_of(tool, **arguments)
