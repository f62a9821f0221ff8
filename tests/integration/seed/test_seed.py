"""The seeded data: consistent with itself, the same when seeded again, and added to on a later day."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from types import ModuleType

import psycopg
import pytest

from conftest import ROOT
from tests.questions.truth import seed_plan, today

SEED = ROOT / "roles/litemaas_local/files/seed"
PLAN = seed_plan()
TOKENS = [key.token for key in PLAN.KEYS]

# Everything that the log and the daily rows both know, for the calls with seeded keys.
DISAGREEING = """
WITH logged AS (
    SELECT {logged_owner} AS owner, to_char("startTime", 'YYYY-MM-DD') AS date, api_key, model, model_group, count(*) AS requests,
        count(*) FILTER (WHERE status = 'failure') AS failures, sum(prompt_tokens) AS prompt, sum(completion_tokens) AS completion,
        sum(spend) AS spend
    FROM "LiteLLM_SpendLogs" WHERE api_key = ANY(%(tokens)s) GROUP BY 1, 2, 3, 4, 5
), daily AS (
    SELECT {owner} AS owner, date, api_key, model, model_group, sum(api_requests) AS requests, sum(failed_requests) AS failures,
        sum(api_requests) - sum(successful_requests) AS unsuccessful, sum(prompt_tokens) AS prompt, sum(completion_tokens) AS completion,
        sum(spend) AS spend
    FROM "{table}" WHERE api_key = ANY(%(tokens)s) GROUP BY 1, 2, 3, 4, 5
)
SELECT * FROM logged FULL JOIN daily USING (owner, date, api_key, model, model_group)
WHERE (logged.requests, logged.failures, logged.failures, logged.prompt, logged.completion)
    IS DISTINCT FROM (daily.requests, daily.failures, daily.unsuccessful, daily.prompt, daily.completion)
    OR abs(logged.spend - daily.spend) > 1e-9
"""
OWNERS = [("LiteLLM_DailyUserSpend", "user_id", '"user"'), ("LiteLLM_DailyTeamSpend", "team_id", "team_id")]


@pytest.fixture
def litellm_database(stack) -> Iterator[psycopg.Connection]:
    with psycopg.connect(stack.database_url) as connection:
        yield connection
        connection.rollback()


@pytest.fixture
def history(monkeypatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SEED))
    import history

    return history


def disagreeing(database: psycopg.Connection) -> list[tuple]:
    found = []
    for table, owner, logged_owner in OWNERS:
        query = DISAGREEING.format(table=table, owner=owner, logged_owner=logged_owner)
        found += database.execute(query, {"tokens": TOKENS}).fetchall()
    return found


def seeded_rows(database: psycopg.Connection) -> list[int]:
    """How many rows there are of what is seeded."""
    tables = {"SpendLogs": "api_key", "DailyUserSpend": "api_key", "DailyTeamSpend": "api_key", "VerificationToken": "token"}
    counts = [
        database.execute(f'SELECT count(*) FROM "LiteLLM_{table}" WHERE {column} = ANY(%s)', [TOKENS]).fetchone()[0]
        for table, column in tables.items()
    ]
    models = [model.id for model in PLAN.SERVED]
    counts += database.execute('SELECT count(*) FROM "LiteLLM_ProxyModelTable" WHERE model_id = ANY(%s)', [models]).fetchone()
    database.rollback()
    return counts


def seed_again(stack) -> tuple[dict, float]:
    environment = {
        "LITELLM_API_URL": stack.litellm_url,
        "LITELLM_API_KEY": stack.litellm_master_key,
        "DATABASE_URL": stack.database_url,
        "LITEMAAS_DATABASE_URL": stack.litemaas_database_url,
        "STUB_URL": stack.stub_url,
    }
    started = time.monotonic()
    ran = subprocess.run([sys.executable, SEED], env=os.environ | environment, capture_output=True, text=True, check=True)
    return json.loads(ran.stdout), time.monotonic() - started


def test_logs_and_daily_rows_agree(litellm_database):
    deadline = time.monotonic() + 45  # LiteLLM writes the log and the daily rows one after the other, seconds after a call
    while disagreeing(litellm_database) and time.monotonic() < deadline:
        litellm_database.rollback()
        time.sleep(1)
    assert disagreeing(litellm_database) == []


def test_the_history_is_where_the_plan_has_it(stack, litellm_database):
    days = PLAN.history(today())
    planned = {day.isoformat(): len(PLAN.traffic(day)) for day in days[:-1]}  # today's are joined by real completions
    logged = dict(
        litellm_database.execute(
            """SELECT to_char("startTime", 'YYYY-MM-DD'), count(*) FROM "LiteLLM_SpendLogs"
               WHERE request_id = ANY(%s) GROUP BY 1""",
            [[f"chatcmpl-{PLAN.identity(f'{day}/{n}')}" for day, number in planned.items() for n in range(number)]],
        )
    )
    assert logged == {day: number for day, number in planned.items() if number}
    future = litellm_database.execute('SELECT count(*) FROM "LiteLLM_SpendLogs" WHERE "startTime" > now() AT TIME ZONE $$UTC$$').fetchone()
    assert future == (0,)


def test_prices_are_litellms_own(litellm_database):
    """A planned call costs what LiteLLM computes for a real one with the same tokens: dollars per token times tokens."""
    prices = {model.id: model for model in PLAN.SERVED}
    rows = litellm_database.execute(
        """SELECT model_id, prompt_tokens, completion_tokens, spend FROM "LiteLLM_SpendLogs"
           WHERE status = 'success' AND api_key = ANY(%s)""",
        [TOKENS],
    ).fetchall()
    assert len(rows) > 5000
    assert {row for row in rows if row[3] != pytest.approx(prices[row[0]].price(row[1], row[2]), rel=1e-12)} == set()


def test_a_second_run_changes_nothing(stack, litellm_database):
    seed_again(stack)  # tops up, should midnight have passed since the stack was started
    before = seeded_rows(litellm_database)
    said, seconds = seed_again(stack)
    assert said == {"seeded_on": today().isoformat(), "changed": False}
    assert seconds < 3
    assert seeded_rows(litellm_database) == before


def test_data_of_another_edition_is_refused(stack, litellm_database):
    """Half of one plan and half of another would be neither."""
    before = seeded_rows(litellm_database)
    with psycopg.connect(stack.litemaas_database_url, autocommit=True) as litemaas:
        litemaas.execute("UPDATE litemaas_local.seeded_days SET edition = edition - 1")
        try:
            with pytest.raises(subprocess.CalledProcessError) as refused:
                seed_again(stack)
        finally:
            litemaas.execute("UPDATE litemaas_local.seeded_days SET edition = edition + 1")
    assert "make down PURGE=1" in refused.value.stderr
    assert refused.value.stdout == ""
    assert seeded_rows(litellm_database) == before


def test_a_later_day_is_added(stack, litellm_database, history):
    seed_again(stack)  # tops up, should midnight have passed
    tomorrow = today() + timedelta(days=1)
    while PLAN.quiet(tomorrow):
        tomorrow += timedelta(days=1)
    wanted = sum(len(PLAN.traffic(today() + timedelta(days=n))) for n in range(1, (tomorrow - today()).days + 1))
    with litellm_database.transaction(force_rollback=True):
        added = history.write(litellm_database, tomorrow)
        history.add_up_spend(litellm_database)
        assert added == wanted
        assert [row for row in disagreeing(litellm_database) if row[1] > today().isoformat()] == []
        assert history.write(litellm_database, tomorrow) == 0


def test_spend_is_that_of_the_current_budget_window(litellm_database):
    """Of those whose window ends later; LiteLLM resets the others some minutes after its end."""
    query = """
        SELECT owner.user_id FROM "LiteLLM_UserTable" owner WHERE user_id = ANY(%s)
        AND coalesce(budget_reset_at > now() AT TIME ZONE 'UTC', true)
        AND abs(owner.spend - coalesce((SELECT sum(log.spend) FROM "LiteLLM_SpendLogs" log
            WHERE log."user" = owner.user_id AND log."startTime" >= CASE budget_duration
                WHEN '1d' THEN budget_reset_at - interval '1 day' WHEN '7d' THEN budget_reset_at - interval '7 days'
                WHEN '30d' THEN budget_reset_at - interval '1 month' ELSE '-infinity' END), 0)) > 1e-9"""
    assert litellm_database.execute(query, [[user.id for user in PLAN.USERS]]).fetchall() == []


def test_litemaas_names_what_litellm_has(stack, litellm_database):
    with psycopg.connect(stack.litemaas_database_url) as litemaas:
        users = {str(row[0]) for row in litemaas.execute("SELECT id FROM users")}
        models = {row[0] for row in litemaas.execute("SELECT id FROM models")}
        keys = {row[0] for row in litemaas.execute("SELECT key_hash FROM api_keys")}
        subscribed = {row[0] for row in litemaas.execute("SELECT DISTINCT model_id FROM subscriptions")}
    known = {row[0] for row in litellm_database.execute('SELECT user_id FROM "LiteLLM_UserTable"')}
    tokens = {row[0] for row in litellm_database.execute('SELECT token FROM "LiteLLM_VerificationToken"')}
    served = {model.name for model in PLAN.SERVED}
    assert users - known == {"00000000-0000-0000-0000-000000000001"}, "LiteMaaS's system user is the only one that LiteLLM does not know"
    assert keys <= tokens
    assert models - served == {"mixtral-8x7b-instruct"}
    assert served - models == {"phi-4-preview"}
    assert subscribed <= models & served
