"""The history: rows straight into LiteLLM's spend tables, in the shape that this very LiteLLM writes.

No column is known here by version. Each row is a copy of one that LiteLLM wrote itself for a real completion (one that
succeeded and one that failed; gateway.complete makes both), with the time, caller, model, tokens and price of a planned
request put in. So LiteLLM 1.81.0, which leaves the provider, the endpoint and the tokens of failures empty, and 1.106.2, which
fills them in, each get a history like their own.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import plan
from psycopg import Connection, sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

FLUSH_TIMEOUT = 90  # seconds; LiteLLM writes its spend tables in batches, some seconds after the calls
CALLERS = [key.token for key, _, _ in plan.completions()]
# the columns of a daily row that tell it from others, beside its user or team
DAILY_KEY = ("date", "api_key", "model", "custom_llm_provider", "mcp_namespaced_tool_name", "endpoint")
DAILY_TABLES = {"LiteLLM_DailyUserSpend": "user_id", "LiteLLM_DailyTeamSpend": "team_id"}
# LiteLLM resets 30d budgets on the first of a month, 7d ones on Mondays, 1d ones at midnight
WINDOWS = "(VALUES ('1d', interval '1 day'), ('7d', interval '7 days'), ('30d', interval '1 month')) AS windows(duration, length)"


def now() -> datetime:
    """Return the time as LiteLLM stores it: UTC without a zone."""
    return datetime.now(UTC).replace(tzinfo=None)


# --- what the proxy wrote --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Written:
    """What LiteLLM has on record for the callers of the real completions since a moment."""

    logs: int
    aggregated: int
    unbooked: float  # dollars in the logs that the keys' own sums do not hold yet


def wait_for_flush(database: Connection, since: datetime, sent: int, booked_before: float) -> None:
    """Wait until the `sent` completions are in the logs, in the daily rows and in the keys' spend."""
    deadline = time.monotonic() + FLUSH_TIMEOUT
    while (written := _written(database, since, booked_before)) and not (
        written.logs >= sent and written.aggregated >= sent and written.unbooked < 1e-9
    ):
        if time.monotonic() > deadline:
            raise SystemExit(f"seed: after {FLUSH_TIMEOUT} s LiteLLM had written only {written} of {sent} completions")
        time.sleep(0.5)


def booked(database: Connection) -> float:
    """Return the dollars on the keys of the real completions."""
    query = 'SELECT coalesce(sum(spend), 0) FROM "LiteLLM_VerificationToken" WHERE token = ANY(%s)'
    return database.execute(query, [CALLERS]).fetchone()[0]


def _written(database: Connection, since: datetime, booked_before: float) -> Written:
    logs, spent = database.execute(
        'SELECT count(*), coalesce(sum(spend), 0) FROM "LiteLLM_SpendLogs" WHERE api_key = ANY(%s) AND "startTime" >= %s', [CALLERS, since]
    ).fetchone()
    aggregated = database.execute(
        'SELECT coalesce(sum(api_requests), 0) FROM "LiteLLM_DailyUserSpend" WHERE api_key = ANY(%s) AND updated_at >= %s', [CALLERS, since]
    ).fetchone()[0]
    written = Written(logs, int(aggregated), booked_before + spent - booked(database))
    database.commit()
    return written


# --- the shape ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shape:
    """One log row and its daily rows as LiteLLM wrote them: for calls that succeeded or for calls that failed."""

    log: dict[str, Any]
    daily: dict[str, dict[str, Any]]  # by table

    @classmethod
    def of(cls, database: Connection, status: str) -> Shape:
        rows = database.cursor(row_factory=dict_row)
        log = rows.execute(
            """SELECT * FROM "LiteLLM_SpendLogs" WHERE status = %s AND api_key = ANY(%s) AND model_id <> ''
               ORDER BY "startTime" DESC LIMIT 1""",
            [status, CALLERS],
        ).fetchone()
        count = sql.Identifier("failed_requests" if status == "failure" else "successful_requests")
        daily = {
            table: rows.execute(
                sql.SQL("SELECT * FROM {} WHERE api_key = ANY(%s) AND {} > 0 AND model_group = %s LIMIT 1").format(
                    sql.Identifier(table), count
                ),
                [CALLERS, log["model_group"]],
            ).fetchone()
            for table in DAILY_TABLES
        }
        return cls(log, daily)


# --- writing -----------------------------------------------------------------------------------------------------------


def write(database: Connection, seeded_on: date) -> int:
    """Write the days of history that are missing, all or none; return how many log rows came."""
    with database.transaction():
        days = [day for day in plan.history(seeded_on) if not _written_before(database, day)]
        if not days:
            return 0
        shapes = {False: Shape.of(database, "success"), True: Shape.of(database, "failure")}
        rows = [(request, _log(request, shapes[request.failed], *moment)) for day in days for request, *moment in _timed(day, seeded_on)]
        if not rows:
            return 0
        _copy(database, "LiteLLM_SpendLogs", [row for _, row in rows])
        for table, owner in DAILY_TABLES.items():
            _aggregate(database, table, owner, rows, shapes)
        return len(rows)


def _written_before(database: Connection, day: date) -> bool:
    found = database.execute('SELECT 1 FROM "LiteLLM_SpendLogs" WHERE request_id = %s', [_request_id(day, 0)]).fetchone()
    return plan.quiet(day) or found is not None


def _request_id(day: date, number: int) -> str:
    return f"chatcmpl-{plan.identity(f'{day.isoformat()}/{number}')}"


def _timed(day: date, seeded_on: date) -> list[tuple[plan.Request, datetime, str]]:
    """Return the day's requests with start and request id; those of the seed's own day are squeezed into what has passed of it."""
    midnight = datetime(day.year, day.month, day.day)
    length = min(timedelta(days=1), now() - midnight - timedelta(seconds=20)) if day == seeded_on else timedelta(days=1)
    length = max(length, timedelta(seconds=1))
    return [(request, midnight + request.moment * length, _request_id(day, n)) for n, request in enumerate(plan.traffic(day))]


def _log(request: plan.Request, shape: Shape, start: datetime, request_id: str) -> dict[str, Any]:
    """Return the log row of `request`: the shape's, with every column that belongs to the single call replaced."""
    key, model = request.key, request.model
    # LiteLLM 1.81 counts no tokens and names no provider when a call failed
    prompt_tokens = request.prompt_tokens if shape.log["prompt_tokens"] else 0
    completion_tokens = request.completion_tokens
    tokens = {"total_tokens": prompt_tokens + completion_tokens, "prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens}
    spend = 0.0 if request.failed else model.price(prompt_tokens, completion_tokens)
    took = timedelta(milliseconds=request.duration)
    row = shape.log | tokens | {
        "request_id": request_id,
        "litellm_call_id": request_id.removeprefix("chatcmpl-"),
        "session_id": plan.identity(f"session/{request_id}"),
        "api_key": key.token,
        "spend": spend,
        "startTime": start,
        "endTime": start + took,
        "completionStartTime": start + took,
        "request_duration_ms": request.duration,
        "created_at": start + took,
        "updated_at": start + took,
        "model": model.upstream,
        "model_id": model.id,
        "model_group": model.name,
        "custom_llm_provider": shape.log["custom_llm_provider"] and model.provider,
        "user": key.owner_id or "",
        "team_id": key.team or "",
        "metadata": _metadata(request, shape.log["metadata"], tokens, spend),
    }  # fmt: skip
    return {column: row[column] for column in shape.log}


def _metadata(request: plan.Request, shape: dict[str, Any], tokens: dict[str, int], spend: float) -> dict[str, Any]:
    """Return the log row's metadata, without the parts that are long and the same in every row."""
    key, model = request.key, request.model
    team = next((team.alias for team in plan.TEAMS if team.id == key.team), None)
    values = {
        "user_api_key": key.token,
        "user_api_key_alias": key.alias,
        "user_api_key_user_id": key.owner_id,
        "user_api_key_team_id": key.team,
        "user_api_key_team_alias": team,
        "original_model_group": model.name,
        "model_map_information": None,
    }
    if request.failed:
        values["error_information"] = (shape.get("error_information") or {}) | {"traceback": ""}
    else:
        costs = {"input_cost": tokens["prompt_tokens"] * model.input_cost, "output_cost": tokens["completion_tokens"] * model.output_cost}
        values["usage_object"] = (shape.get("usage_object") or {}) | tokens
        values["cost_breakdown"] = (shape.get("cost_breakdown") or {}) | costs | {"total_cost": spend, "original_cost": spend}
    return {name: values.get(name, value) for name, value in shape.items()}


Logged = tuple[plan.Request, dict[str, Any]]


def _aggregate(database: Connection, table: str, owner: str, rows: list[Logged], shapes: dict[bool, Shape]) -> None:
    """Add the log rows up as LiteLLM does: one row per owner, day, key, model, provider and endpoint."""
    sums: dict[tuple, dict[str, Any]] = {}
    for request, log in rows:
        shape = shapes[request.failed].daily[table]
        place = {
            owner: log["user" if owner == "user_id" else owner],
            "date": log["startTime"].date().isoformat(),
            "api_key": log["api_key"],
            "model": log["model"],
            "custom_llm_provider": shape["custom_llm_provider"] and log["custom_llm_provider"],
            "mcp_namespaced_tool_name": shape["mcp_namespaced_tool_name"],
            "endpoint": shape["endpoint"],
        }
        identity = tuple(place.values())
        if identity not in sums:
            stamp = {"id": plan.identity(f"{table}/{identity}"), "created_at": log["endTime"], "updated_at": log["endTime"]}
            counters = {column: 0 for column, value in shape.items() if isinstance(value, int | float)}
            sums[identity] = shape | place | stamp | counters | {"model_group": log["model_group"]}
        total = sums[identity]
        counts = {
            "prompt_tokens": log["prompt_tokens"],
            "completion_tokens": log["completion_tokens"],
            "spend": log["spend"],
            "api_requests": 1,
            "successful_requests": int(not request.failed),
            "failed_requests": int(request.failed),
            "total_response_time_ms": 0 if request.failed else request.duration,
            "timed_requests": int(not request.failed),
        }
        for column in counts.keys() & total.keys():
            total[column] += counts[column]
    counted = [column for column, value in next(iter(sums.values())).items() if isinstance(value, int | float)]
    _copy(database, table, list(sums.values()), owner, counted)


def _copy(database: Connection, table: str, rows: list[dict[str, Any]], owner: str | None = None, added: list[str] | None = None) -> None:
    """Copy `rows` into `table`; a daily row that LiteLLM has already begun gets the `added` columns added."""
    columns = list(rows[0])
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    target, staging = sql.Identifier(table), sql.Identifier("seed_rows")
    database.execute(sql.SQL("CREATE TEMPORARY TABLE {} (LIKE {} INCLUDING DEFAULTS) ON COMMIT DROP").format(staging, target))
    with database.cursor().copy(sql.SQL("COPY {} ({}) FROM STDIN").format(staging, names)) as copy:
        for row in rows:
            copy.write_row([Jsonb(value) if isinstance(value, dict | list) else value for value in row.values()])
    conflict = sql.SQL("")
    if owner and added:
        more = sql.SQL(", ").join(sql.SQL("{0} = kept.{0} + excluded.{0}").format(sql.Identifier(column)) for column in added)
        same = sql.SQL(", ").join(map(sql.Identifier, (owner, *DAILY_KEY)))
        conflict = sql.SQL("ON CONFLICT ({}) DO UPDATE SET {}").format(same, more)
    database.execute(sql.SQL("INSERT INTO {} AS kept ({}) SELECT {} FROM {} {}").format(target, names, names, staging, conflict))
    database.execute(sql.SQL("DROP TABLE {}").format(staging))


# --- dates and sums ----------------------------------------------------------------------------------------------------


def put_dates(database: Connection, seeded_on: date) -> int:
    """Give users and keys the dates the plan has for them (the API knows only durations from now on); return how many changed."""
    noon = datetime(seeded_on.year, seeded_on.month, seeded_on.day, 12)
    changed = 0
    with database.transaction():
        for n, user in enumerate(plan.USERS):
            joined = noon - timedelta(days=user.joined, minutes=n)
            query = 'UPDATE "LiteLLM_UserTable" SET created_at = %s WHERE user_id = %s AND created_at IS DISTINCT FROM %s'
            changed += database.execute(query, [joined, user.id, joined]).rowcount
        for n, key in enumerate(plan.KEYS):
            dates = [noon - timedelta(days=key.created, minutes=n), key.expires and key.expires(seeded_on)]
            query = """UPDATE "LiteLLM_VerificationToken" SET created_at = %s, expires = %s
                       WHERE token = %s AND (created_at, expires) IS DISTINCT FROM (%s, %s)"""
            changed += database.execute(query, [*dates, key.token, *dates]).rowcount
    return changed


def add_up_spend(database: Connection) -> None:
    """Make the spend that LiteLLM keeps per user, key and team the sum of their logs since their budget's window began.

    A window ends at budget_reset_at and is as long as its budget_duration; without one it never began.
    """
    owners = {
        "LiteLLM_UserTable": ("user_id", "user", [user.id for user in plan.USERS]),
        "LiteLLM_VerificationToken": ("token", "api_key", [key.token for key in plan.KEYS]),
        "LiteLLM_TeamTable": ("team_id", "team_id", [team.id for team in plan.TEAMS]),
    }
    statement = f"""
        UPDATE {{table}} AS owner SET spend = coalesce((
            SELECT sum(log.spend) FROM "LiteLLM_SpendLogs" log WHERE log.{{logged}} = owner.{{key}} AND log."startTime" >= coalesce(
                (SELECT owner.budget_reset_at - length FROM {WINDOWS} WHERE duration = owner.budget_duration), '-infinity')
        ), 0) WHERE owner.{{key}} = ANY(%s)"""
    with database.transaction():
        for table, (key, logged, ids) in owners.items():
            parts = {"table": sql.Identifier(table), "key": sql.Identifier(key), "logged": sql.Identifier(logged)}
            database.execute(sql.SQL(statement).format(**parts), [ids])
        _add_up_lifetime(database)


def _add_up_lifetime(database: Connection) -> None:
    """Fill in the two columns of a key that newer versions have: what it spent in all, and when it was last used."""
    query = "SELECT column_name FROM information_schema.columns WHERE table_name = 'LiteLLM_VerificationToken'"
    known = {row[0] for row in database.execute(query)}
    for column, value in {"total_spend": "coalesce(sum(spend), 0)", "last_active": 'max("startTime")'}.items():
        if column in known:
            statement = f"""UPDATE "LiteLLM_VerificationToken" SET {{}} = (SELECT {value} FROM "LiteLLM_SpendLogs" WHERE api_key = token)
                            WHERE token = ANY(%s)"""
            database.execute(sql.SQL(statement).format(sql.Identifier(column)), [[key.token for key in plan.KEYS]])
