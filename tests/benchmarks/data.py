"""Scratch tables in LiteLLM's own shape: 60 days of traffic, 3 million log rows and the daily rows that belong to them.

They lie in a schema of their own beside LiteLLM's tables, made like those with all their indexes, and are filled in SQL.
194 users with a key each ask 8 models 50,000 times a day, three models are free, one call in twenty fails:
10,864 daily rows in 7 days, as when the deployer in use today was measured. `today` is the last day.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from urllib.parse import urlsplit

import psycopg
from litemaas_mcp.backends.database import LITELLM_COLUMNS

SCHEMA = "bench"
TABLES = ("LiteLLM_SpendLogs", *LITELLM_COLUMNS)
DAYS, CALLS_PER_DAY, USERS, MODELS = 60, 50_000, 194, 8
WINDOW = 7  # days that the measured questions ask for

USERS_AND_KEYS = f"""
    insert into "LiteLLM_UserTable" (user_id, user_email, user_role, models, spend, max_budget, budget_duration)
        select 'bench-' || u, 'bench-' || u || '@example.com', 'internal_user', '{{}}', u, 1000, '30d'
        from generate_series(0, {USERS - 1}) u;
    insert into "LiteLLM_VerificationToken" (token, key_name, key_alias, user_id, models, spend, max_budget, expires, created_at)
        select encode(sha256(('bench-' || u)::bytea), 'hex'), 'sk-...', 'bench-key-' || u, 'bench-' || u, '{{}}', u, 100,
               now() + u * interval '1 day', now() - u * interval '1 hour'
        from generate_series(0, {USERS - 1}) u
"""
# Filled as LiteLLM fills them, so that a row is as wide as its own (about 500 bytes). The metadata is left out: LiteLLM's 3 kB of it
# lie out of line, where neither question looks.
LOG_COLUMNS = """
    request_id, call_type, api_key, spend, total_tokens, prompt_tokens, completion_tokens, "startTime", "endTime", "completionStartTime",
    model, model_id, model_group, custom_llm_provider, api_base, "user", cache_hit, cache_key, request_tags, session_id, litellm_call_id,
    request_duration_ms, status
"""
LOGS = f"""
    insert into "LiteLLM_SpendLogs" ({LOG_COLUMNS})
        select 'chatcmpl-' || gen_random_uuid(), 'acompletion', encode(sha256(('bench-' || u)::bytea), 'hex'),
               case when m < 3 then 0 else (prompt + completion) * (m + 1) * 1e-7 end, prompt + completion, prompt, completion,
               at, at + interval '2 seconds', at + interval '1 second',
               'openai/bench-model-' || m, md5('bench-model-' || m), 'bench-model-' || m, 'openai', 'http://models.example.com:8000/v1/',
               'bench-' || u, 'None', 'Cache OFF', '["User-Agent: bench", "User-Agent: bench/1.0"]', gen_random_uuid(), gen_random_uuid(),
               2000, case worked when 1 then 'success' else 'failure' end
        from (select (i %% {USERS * MODELS}) / {MODELS} as u, i %% {MODELS} as m, worked,
                     (200 + i::bigint * 31 %% 1800) * worked as prompt, (50 + i::bigint * 17 %% 700) * worked as completion,
                     %(first)s::timestamp + (i / {CALLS_PER_DAY}) * interval '1 day' + (i %% {CALLS_PER_DAY}) * interval '1.7 seconds' as at
              from generate_series(0, {DAYS * CALLS_PER_DAY - 1}) i, lateral (select (i / 7 %% 20 <> 0)::int as worked) outcome) calls
"""
DAILY_COLUMNS = """
    id, user_id, date, api_key, model, model_group, custom_llm_provider, endpoint, prompt_tokens, completion_tokens, spend,
    api_requests, successful_requests, failed_requests, updated_at
"""
# In the order of days, as LiteLLM comes to write them.
DAILY = f"""
    insert into "LiteLLM_DailyUserSpend" ({DAILY_COLUMNS})
        select gen_random_uuid(), "user", date("startTime")::text, api_key, model, model_group, custom_llm_provider, '/chat/completions',
               sum(prompt_tokens), sum(completion_tokens), sum(spend), count(*), count(*) filter (where status = 'success'),
               count(*) filter (where status = 'failure'), now()
        from "LiteLLM_SpendLogs" group by "user", date("startTime"), api_key, model, model_group, custom_llm_provider
        order by date("startTime")
"""
TENFOLD_DAILY = f"""
    insert into "LiteLLM_DailyUserSpend" ({DAILY_COLUMNS})
        select gen_random_uuid(), user_id || '-' || copy, {DAILY_COLUMNS.partition("user_id,")[2].replace("api_key", "api_key || copy", 1)}
        from "LiteLLM_DailyUserSpend", generate_series(1, 9) copy order by date
"""
# Only the days asked for: the index on "startTime" keeps the others out of both questions, and the disk free.
TENFOLD_LOGS = f"""
    insert into "LiteLLM_SpendLogs" ({LOG_COLUMNS})
        select 'chatcmpl-' || gen_random_uuid(), {LOG_COLUMNS.partition("request_id,")[2]}
        from "LiteLLM_SpendLogs", generate_series(1, 9) copy where "startTime" >= %(window)s
"""


class Scratch:
    """The scratch tables: `url` (owner) finds them first, `reader_url` finds nothing else. Each step says how long it took."""

    def __init__(self, owner_url: str, reader_url: str):
        self.url = f"{owner_url}?options=-csearch_path%3D{SCHEMA}"
        self.reader_url = f"{reader_url}?schema={SCHEMA}"
        self.today: date = datetime.now(UTC).date()
        self.since = self.today - timedelta(days=WINDOW - 1)

    def fill(self) -> None:
        with self._step("3 million log rows") as connection:
            connection.execute(USERS_AND_KEYS)
            self._without_indexes(connection, LOGS, {"first": self.today - timedelta(days=DAYS - 1)})
        with self._step("their daily rows") as connection:
            connection.execute(DAILY)

    def tenfold_daily_rows(self) -> None:
        with self._step("ten times the daily rows") as connection:
            connection.execute(TENFOLD_DAILY)

    def tenfold_log_rows(self) -> None:
        with self._step(f"ten times the log rows of the last {WINDOW} days") as connection:
            self._without_indexes(connection, TENFOLD_LOGS, {"window": self.since})

    def counts(self) -> dict[str, int]:
        """Rows of both tables, in all and in the days asked for, and the size of the log table in MB."""
        with psycopg.connect(self.url) as connection:
            row = connection.execute(
                """select (select count(*) from "LiteLLM_SpendLogs"),
                          (select count(*) from "LiteLLM_SpendLogs" where "startTime" >= %(since)s),
                          (select count(*) from "LiteLLM_DailyUserSpend"),
                          (select count(*) from "LiteLLM_DailyUserSpend" where date >= %(since)s::text),
                          pg_total_relation_size('"LiteLLM_SpendLogs"') / 1000000""",
                {"since": self.since},
            ).fetchone()
        return dict(zip(("logs", "logs_asked", "daily", "daily_asked", "logs_mb"), row, strict=True))

    @contextmanager
    def _step(self, what: str) -> Iterator[psycopg.Connection]:
        started = time.perf_counter()
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("set synchronous_commit = off; set maintenance_work_mem = '512MB'; set timezone = 'UTC'")
            yield connection
            connection.execute("vacuum analyze " + ", ".join(f'"{table}"' for table in TABLES))
        print(f"{time.perf_counter() - started:6.1f} s  {what}", flush=True)

    @staticmethod
    def _without_indexes(connection: psycopg.Connection, insert: str, parameters: dict[str, date]) -> None:
        """Run an insert into the log table with its secondary indexes dropped, and make them again: half the time."""
        query = """select indexrelid::regclass::text, pg_get_indexdef(indexrelid) from pg_index
                   where indrelid = '"LiteLLM_SpendLogs"'::regclass and not indisprimary"""
        indexes = connection.execute(query).fetchall()
        for name, _ in indexes:
            connection.execute(f"drop index {name}")
        connection.execute(insert, parameters)
        for _, definition in indexes:
            connection.execute(definition)


@contextmanager
def scratch_tables(owner_url: str, reader_url: str) -> Iterator[Scratch]:
    """Make empty tables like LiteLLM's, readable for the reader, and drop them at the end."""
    reader = urlsplit(reader_url).username
    with psycopg.connect(owner_url, autocommit=True) as owner:
        owner.execute(f"drop schema if exists {SCHEMA} cascade; create schema {SCHEMA}")
        for table in TABLES:
            owner.execute(f'create table {SCHEMA}."{table}" (like public."{table}" including all)')
        owner.execute(f"grant usage on schema {SCHEMA} to {reader}; grant select on all tables in schema {SCHEMA} to {reader}")
    try:
        yield Scratch(owner_url, reader_url)
    finally:
        with psycopg.connect(owner_url, autocommit=True) as owner:
            owner.execute(f"drop schema {SCHEMA} cascade")
