"""PostgreSQL, read only: every SQL statement of the server, and the columns that they read."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, time
from typing import Any, Literal
from urllib.parse import parse_qsl, quote, unquote, urlencode

import asyncpg

from litemaas_mcp.errors import Failure, Unavailable
from litemaas_mcp.settings import Settings, SettingsError

log = logging.getLogger(__name__)

Row = dict[str, Any]
Group = Literal["model", "user", "key", "day", "provider"]

# All that the server reads: `create-reader` grants exactly these columns. They exist in LiteLLM 1.81 and 1.106 and in
# LiteMaaS from 0.3 on. Raw keys and credentials (api_keys.lite_llm_key_value, litellm_params, …) are not among them.
LITELLM_COLUMNS: dict[str, tuple[str, ...]] = {
    "LiteLLM_UserTable": (
        *("user_id", "user_alias", "user_email", "spend", "max_budget"),
        *("budget_duration", "budget_reset_at", "tpm_limit", "rpm_limit"),
    ),
    "LiteLLM_VerificationToken": (
        *("token", "key_alias", "user_id", "team_id", "spend", "max_budget", "budget_duration"),
        *("models", "expires", "blocked", "created_at"),
    ),
    "LiteLLM_TeamTable": ("team_id", "team_alias"),
    "LiteLLM_DailyUserSpend": (
        *("user_id", "date", "api_key", "model", "model_group", "custom_llm_provider", "prompt_tokens"),
        *("completion_tokens", "spend", "api_requests", "failed_requests"),
    ),
    "LiteLLM_HealthCheckTable": ("model_name", "status", "healthy_count", "unhealthy_count", "checked_at"),
}
LITEMAAS_COLUMNS: dict[str, tuple[str, ...]] = {
    "models": (
        *("id", "provider", "availability", "input_cost_per_token", "output_cost_per_token"),
        *("tpm", "rpm", "max_tokens", "restricted_access"),
    ),
    "users": ("id", "username", "email", "max_budget", "budget_duration"),
}

LITELLM_CONNECTIONS = 10
LITEMAAS_CONNECTIONS = 4
QUEUE = 2.0  # seconds that a call may wait for one of these before it is told that the database is busy
CONNECT = 5.0  # seconds to connect

SESSION_KEYS = "litellm-dashboard"  # the team of the keys that LiteLLM's UI makes for its own sessions
ADMIN = "default_user_id"  # LiteLLM's own administrator, no person

# How a daily row is named by each grouping. The public model name is the group; calls that LiteLLM makes itself have none.
_GROUPS: dict[Group, str] = {
    "model": "coalesce(nullif(model_group, ''), nullif(model, ''), 'unknown')",
    "user": "coalesce(nullif(user_id, ''), 'none')",
    "key": "api_key",
    "day": "date",
    "provider": "coalesce(nullif(custom_llm_provider, ''), 'unknown')",
}
_COLUMNS = {
    "requests": "api_requests",
    "failures": "failed_requests",
    "prompt_tokens": "prompt_tokens",
    "completion_tokens": "completion_tokens",
    "total_spend": "spend",
}
_SUMS = ", ".join(f"sum({column}) AS {name}" for name, column in _COLUMNS.items())


class Database:
    """LiteLLM's tables and, where there are any, LiteMaaS's.

    Which of the two URLs holds which is found out by looking, since in LiteMaaS 0.3 both live in one database. Every
    session is read-only; a query ends at `database_timeout`, on the server too, and with the call that asked for it.

    Every method raises `Unavailable` when the database is down, too slow or busy, and `Failure` when it refuses us. It is
    found again by the next call after it is back.
    """

    def __init__(self, settings: Settings) -> None:
        urls = {
            "DATABASE_URL": (settings.database_url, LITELLM_CONNECTIONS),
            "LITEMAAS_DATABASE_URL": (settings.litemaas_database_url, LITEMAAS_CONNECTIONS),
        }
        self._pools = [_Pool(name, url.get_secret_value(), size, settings.database_timeout) for name, (url, size) in urls.items() if url]
        self._found: dict[str, _Pool] = {}

    async def start(self) -> None:
        """Get ready; connects at the first question."""
        for pool in self._pools:
            await pool.start()

    async def stop(self) -> None:
        """Close every connection."""
        for pool in self._pools:
            await pool.stop()

    async def ping(self) -> bool:
        """Whether LiteLLM's database answers, also when every connection for calls is busy."""
        return await (self._found.get("LiteLLM_UserTable") or self._pools[0]).ping()

    async def describe(self) -> str:
        """Say what can be read of LiteLLM's tables."""
        return await self._describe(await self._litellm(), LITELLM_COLUMNS)

    async def describe_litemaas(self) -> str:
        """Say what can be read of LiteMaaS's tables."""
        pool = await self._litemaas()
        return (
            await self._describe(pool, LITEMAAS_COLUMNS) if pool else "no such tables: restrictions and user names of LiteMaaS are unknown"
        )

    # Users

    async def users(self, limit: int, after: tuple[float, str] | None = None) -> tuple[list[Row], int]:
        """Users by spend, descending, and how many there are in all; LiteLLM's own administrator is left out.

        Args:
            after: spend and id of the last one seen.
        """
        rows = await (await self._litellm()).rows(
            f"""WITH total AS (SELECT count(*) AS total FROM "LiteLLM_UserTable" WHERE user_id <> $1)
            SELECT u.*, total FROM total LEFT JOIN (
                SELECT {_USER} FROM "LiteLLM_UserTable"
                WHERE user_id <> $1 AND ($2::float8 IS NULL OR spend < $2 OR (spend = $2 AND user_id > $3))
                ORDER BY spend DESC, user_id LIMIT {limit}) u ON true
            ORDER BY spend DESC, user_id""",
            *(ADMIN, *(after or (None, None))),
        )
        return [row for row in rows if row["user_id"]], rows[0]["total"]

    async def users_named(self, name: str) -> list[Row]:
        """The users with this id, or else all with this e-mail or user name, upper or lower case.

        User names are LiteMaaS's `username` and LiteLLM's `user_alias`.
        """
        try:
            ids, failure = await self._litemaas_ids(name), None
        except Failure as refused:
            ids, failure = [], refused
        rows = await (await self._litellm()).rows(
            f"""SELECT {_USER} FROM "LiteLLM_UserTable"
            WHERE user_id = $1 OR lower(user_email) = lower($1) OR lower(user_alias) = lower($1) OR user_id = ANY($2) ORDER BY user_id""",
            *(name, ids),
        )
        if not rows and failure:
            raise failure
        return [row for row in rows if row["user_id"] == name] or rows

    async def _litemaas_ids(self, name: str) -> list[str]:
        litemaas = await self._litemaas()
        sql = "SELECT id::text FROM users WHERE lower(username) = lower($1) OR lower(email) = lower($1)"
        return [row["id"] for row in await litemaas.rows(sql, name)] if litemaas else []

    async def names_like(self, name: str) -> list[Row]:
        """Up to 50 users (user_id, user_email, user_alias) whose names share the most pairs of letters with this one."""
        text = name.lower()
        return await (await self._litellm()).rows(
            """SELECT user_id, user_email, user_alias
            FROM "LiteLLM_UserTable", lower(concat_ws(' ', user_id, user_email, user_alias)) AS names
            WHERE user_id <> $2
            ORDER BY (SELECT count(*) FROM unnest($1::text[]) AS pair WHERE strpos(names, pair) > 0) DESC, length(names) LIMIT 50""",
            *([text[at : at + 2] for at in range(max(1, len(text) - 1))], ADMIN),
        )

    async def litemaas_users(self, user_ids: Iterable[str]) -> dict[str, Row]:
        """LiteMaaS's rows (id, username, max_budget, budget_duration) of these users by id; empty without LiteMaaS's tables."""
        litemaas = await self._litemaas()
        sql = "SELECT id::text, username, max_budget, budget_duration FROM users WHERE id::text = ANY($1)"
        return {row["id"]: row for row in await litemaas.rows(sql, list(user_ids))} if litemaas else {}

    # Spend, always from the daily aggregates: they grow with users, keys and models, not with requests

    async def spend(
        self, group: Group, limit: int, since: date | None, until: date | None, model: str | None = None, user_id: str | None = None
    ) -> tuple[list[Row], Row]:
        """Sums per group and over all, both days inclusive, in one query.

        Args:
            group: what a row stands for; its name is the column `name`.
            limit: rows at most: those of the highest spend, or the latest days.
            model: the public model name, or the provider's with or without the provider before it.

        Returns:
            The rows (name; requests, failures, prompt_tokens, completion_tokens, total_spend; `email`, `key_alias` and
            `user_id` where they apply) and the same sums over all groups, with `groups`, how many there are, and `first_day`,
            the first one with a record, where `since` is None.
        """
        where, args = ["true"], []

        def filter_by(condition: str, value: str | None) -> None:
            if value is not None:
                args.append(value)
                where.append(condition.replace("$", f"${len(args)}"))

        filter_by("date >= $", since and since.isoformat())
        filter_by("date <= $", until and until.isoformat())
        filter_by("user_id = $", user_id)
        # A public name wins over a provider's name that reads the same: two models may share a provider's.
        filter_by(
            f"""CASE WHEN EXISTS (SELECT FROM "LiteLLM_DailyUserSpend" WHERE model_group = $::text) THEN {_GROUPS["model"]} = $
            ELSE $ IN (model, custom_llm_provider || '/' || model, split_part(model, custom_llm_provider || '/', 2)) END""",
            model,
        )
        label, join = {
            "user": ("u.user_email AS email", 'LEFT JOIN "LiteLLM_UserTable" u ON u.user_id = g.name'),
            "key": (
                "t.key_alias, t.user_id, u.user_email AS email",
                'LEFT JOIN "LiteLLM_VerificationToken" t ON t.token = g.name LEFT JOIN "LiteLLM_UserTable" u ON u.user_id = t.user_id',
            ),
        }.get(group, ("NULL AS email", ""))
        order = "g.name DESC" if group == "day" else "g.total_spend DESC, g.requests DESC, g.name"
        matching = " AND ".join(where)
        first_day = "NULL" if since else f"""(SELECT min(date) FROM "LiteLLM_DailyUserSpend" WHERE {matching})"""
        # The totals come from the groups: adding them up again costs nothing beside reading the rows twice.
        totals = ", ".join(f"sum(g.{column}) OVER () AS {column}_in_all" for column in _COLUMNS)
        rows = await (await self._litellm()).rows(
            f"""WITH g AS (SELECT {_GROUPS[group]} AS name, {_SUMS} FROM "LiteLLM_DailyUserSpend" WHERE {matching} GROUP BY 1)
            SELECT g.*, count(*) OVER () AS groups, {totals}, {first_day} AS first_day, {label} FROM g {join}
            ORDER BY {order} LIMIT {limit}""",
            *args,
        )
        total = rows[0] if rows else {"groups": 0, "first_day": None}
        return rows, {"groups": total["groups"], "first_day": total["first_day"]} | {c: total.get(f"{c}_in_all", 0) for c in _COLUMNS}

    async def daily_totals(self, since: date, until: date) -> list[Row]:
        """Sums and the number of distinct models of each day that has any, both days inclusive, oldest first."""
        return await (await self._litellm()).rows(
            f"""SELECT date, {", ".join(f"sum({column}) AS {column}" for column in _COLUMNS)}, count(*) AS unique_models
            FROM (SELECT date, {_GROUPS["model"]} AS model, {_SUMS} FROM "LiteLLM_DailyUserSpend"
                WHERE date >= $1 AND date <= $2 GROUP BY 1, 2) AS by_model
            GROUP BY date ORDER BY date""",
            *(since.isoformat(), until.isoformat()),
        )

    async def models_used(self) -> list[str]:
        """Every model name that spend was ever recorded for, public or the provider's."""
        rows = await (await self._litellm()).rows(
            """SELECT DISTINCT name FROM "LiteLLM_DailyUserSpend", unnest(ARRAY[model_group, model]) AS name
            WHERE name <> '' ORDER BY name"""
        )
        return [row["name"] for row in rows]

    # Keys

    async def keys(
        self,
        limit: int,
        now: datetime,
        after: tuple[datetime | None, str] | None = None,
        user_id: str | None = None,
        expires_from: date | None = None,
        expires_until: date | None = None,
        status: Literal["active", "expired", "blocked"] | None = None,
    ) -> tuple[list[Row], int]:
        """Virtual keys, newest first, and how many there are in all with these filters. The UI's session keys are left out.

        The rows are token, key_alias, user_id, email, team, spend, max_budget, budget_duration, models, blocked, expires, expired
        and created_at: shaped here, since a hundred of them are the largest answer there is.

        Args:
            now: what decides which keys are expired.
            after: creation time and token of the last one seen.
            expires_from: with `expires_until` the days, both inclusive, on which the keys expire.
            status: expired is past its expiry, blocked is blocked, active is neither.
        """
        where: list[str] = [f"t.team_id IS DISTINCT FROM '{SESSION_KEYS}'"]
        args: list[Any] = [_naive(now)]

        def filter_by(condition: str, *values: Any) -> None:
            numbers = [f"${len(args) + number + 1}" for number in range(len(values))]
            args.extend(values)
            where.append(condition.format(*numbers))

        if user_id is not None:
            filter_by("t.user_id = {0}", user_id)
        if expires_from:
            filter_by("t.expires >= {0}", datetime.combine(expires_from, time()))
        if expires_until:
            filter_by("t.expires <= {0}", datetime.combine(expires_until, time.max))
        if status:
            where.append(
                {
                    "active": "(t.expires IS NULL OR t.expires > $1) AND t.blocked IS NOT TRUE",
                    "expired": "t.expires <= $1",
                    "blocked": "t.blocked",
                }[status]
            )
        matching = " AND ".join(where)
        if after:
            filter_by(
                "(coalesce(t.created_at, '-infinity'), t.token) < (coalesce({0}::timestamp, '-infinity'), {1})", _naive(after[0]), after[1]
            )
        rows = await (await self._litellm()).rows(
            f"""WITH total AS (SELECT count(*) AS total FROM "LiteLLM_VerificationToken" t WHERE {matching})
            SELECT total, token, key_alias, k.user_id, u.user_email AS email, coalesce(m.team_alias, k.team_id) AS team, k.spend,
                k.max_budget, k.budget_duration, coalesce(k.models, '{{}}') AS models, coalesce(k.blocked, false) AS blocked,
                k.expires AT TIME ZONE 'UTC' AS expires, coalesce(k.expires <= $1, false) AS expired,
                k.created_at AT TIME ZONE 'UTC' AS created_at
            FROM total LEFT JOIN (
                SELECT {_KEY} FROM "LiteLLM_VerificationToken" t WHERE {" AND ".join(where)}
                ORDER BY coalesce(t.created_at, '-infinity') DESC, t.token DESC LIMIT {limit}) k ON true
            LEFT JOIN "LiteLLM_UserTable" u ON u.user_id = k.user_id LEFT JOIN "LiteLLM_TeamTable" m ON m.team_id = k.team_id
            ORDER BY coalesce(k.created_at, '-infinity') DESC, k.token DESC""",
            *args,
        )
        return [row for row in rows if row["token"]], rows[0]["total"]

    # Models

    async def litemaas_models(self) -> dict[str, Row] | None:
        """LiteMaaS's models by name; None when there is no such table."""
        litemaas = await self._litemaas()
        if not litemaas:
            return None
        return {row["id"]: row for row in await litemaas.rows(f"SELECT {', '.join(LITEMAAS_COLUMNS['models'])} FROM models")}

    async def stored_checks(self, model: str | None = None) -> list[Row]:
        """The last stored health check (model, status, healthy_count, unhealthy_count, checked_at) of each model, or of one."""
        return await (await self._litellm()).rows(
            """SELECT DISTINCT ON (model_name)
                model_name AS model, status, healthy_count, unhealthy_count, checked_at AT TIME ZONE 'UTC' AS checked_at
            FROM "LiteLLM_HealthCheckTable"
            WHERE $1::text IS NULL OR model_name = $1 ORDER BY model_name, checked_at DESC""",
            model,
        )

    # Which pool

    async def _litellm(self) -> _Pool:
        pool = await self._holder_of("LiteLLM_UserTable", self._pools)
        if not pool:
            raise Failure("The database holds no LiteLLM tables: check DATABASE_URL.")
        return pool

    async def _litemaas(self) -> _Pool | None:
        return await self._holder_of("models", self._pools[::-1])

    async def _holder_of(self, table: str, pools: list[_Pool]) -> _Pool | None:
        if table not in self._found:
            for pool in pools:
                if (await pool.rows("SELECT to_regclass($1) IS NOT NULL AS here", f'"{table}"'))[0]["here"]:
                    self._found[table] = pool
                    break
        return self._found.get(table)

    async def _describe(self, pool: _Pool, columns: dict[str, tuple[str, ...]]) -> str:
        counts = [
            f'(SELECT count({names[0]}) FROM "{table}") AS "{table}"'
            for table, names in columns.items()
            if table != "LiteLLM_DailyUserSpend"
        ]
        row = (await pool.rows(f"SELECT current_user AS role, current_database() AS database, {', '.join(counts)}"))[0]
        return f"{row.pop('database')} as {row.pop('role')}: {', '.join(f'{number} rows in {table}' for table, number in row.items())}"


_USER = ", ".join(LITELLM_COLUMNS["LiteLLM_UserTable"])
_KEY = ", ".join(f"t.{column}" for column in LITELLM_COLUMNS["LiteLLM_VerificationToken"])


class _Pool:
    """Connections to one database, opened when needed.

    Statements are kept prepared (a small query takes 0.28 ms instead of 0.39), so a pgbouncer in between must pool whole
    sessions; the session's being read-only needs that too.
    """

    def __init__(self, name: str, url: str, size: int, timeout: float) -> None:
        try:
            self._dsn, path = normalise_url(url)
        except Failure as failure:
            raise SettingsError(f"{name}: {failure}") from failure
        self._name = name
        self._size, self._timeout = size, timeout
        # asyncpg's own queue would let callers wait as long as the slowest query; this one tells them "busy" soon.
        self._places = asyncio.Semaphore(size)
        self._pool: asyncpg.Pool | None = None
        self._session = {
            "application_name": "litemaas-mcp",
            "default_transaction_read_only": "on",
            "statement_timeout": str(round(timeout * 1000)),
            "timezone": "UTC",
            # Compiling costs more than it saves on every query that we have.
            "jit": "off",
        } | path

    async def start(self) -> None:
        self._pool = await asyncpg.create_pool(
            self._dsn,
            min_size=0,
            max_size=self._size + 1,  # one more than callers may take: the health check's
            timeout=CONNECT,
            server_settings=self._session,
            # A query leaves nothing behind in a session that a round trip to the server would have to reset.
            reset=_nothing_to_reset,
        )

    async def stop(self) -> None:
        if self._pool:
            self._pool.terminate()

    async def ping(self) -> bool:
        try:
            return bool(await self._fetch("SELECT true"))
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            log.debug("ping: %r", error)
            return False

    async def rows(self, sql: str, *args: Any) -> list[Row]:
        try:
            async with asyncio.timeout(QUEUE):
                await self._places.acquire()
        except TimeoutError:
            raise Unavailable(f"The database is busy: {self._size} queries are under way. Try again in a few seconds.") from None
        try:
            async with asyncio.timeout(self._timeout):
                return [dict(record) for record in await self._fetch(sql, *args)]
        except (TimeoutError, asyncpg.QueryCanceledError):
            raise Unavailable(f"The database did not answer within {self._timeout:g} s. Ask for less, or try again later.") from None
        except asyncpg.InsufficientPrivilegeError as error:
            log.warning("%s", error)
            raise Failure("The database role may not read what this question needs: run `litemaas-mcp create-reader` again.") from error
        except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError) as error:
            log.warning("%s", error)
            raise Failure("The database's tables are not those of a LiteLLM or LiteMaaS version that this server knows.") from error
        except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError) as error:
            raise Unavailable(f"The database refuses the server's user, password or database name: check {self._name}.") from error
        except (asyncpg.DataError, asyncpg.exceptions._base.DataError) as error:
            raise Failure("An argument holds characters that no text in the database can hold.") from error
        except (OSError, *_LOST) as error:
            log.warning("%s: %r", self._name, error)
            raise Unavailable(
                f"The database of {self._name} can't be reached. Ask again when it is back; if it is up, check that URL."
            ) from error
        finally:
            self._places.release()

    async def _fetch(self, sql: str, *args: Any) -> list[asyncpg.Record]:
        assert self._pool, "start() was not called"
        connection = await self._pool.acquire()
        try:
            result = await connection.fetch(sql, *args)
        except BaseException:
            # The query may still have to be cancelled on the server, which a hung server never answers: nobody waits for that.
            release = asyncio.create_task(self._pool.release(connection, timeout=CONNECT))
            _releasing.add(release)
            release.add_done_callback(_released)
            raise
        await self._pool.release(connection)
        return result


_LOST = (asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError, asyncpg.InterfaceError, asyncpg.InsufficientResourcesError)
_releasing: set[asyncio.Task[None]] = set()


def _released(task: asyncio.Task[None]) -> None:
    _releasing.discard(task)
    if not task.cancelled() and task.exception():
        log.debug("a connection was closed: %r", task.exception())


async def _nothing_to_reset(connection: asyncpg.Connection) -> None:
    pass


_HOST = r"(?:\[[^\]]+\]|[^\[\]/?@:,]*)(?::\d+)?"
_URL = re.compile(
    r"(?s)postgres(?:ql)?(?:\+\w+)?://(?:(?P<user>[^:@/]*)(?::(?P<password>.*))?@)?"
    rf"(?P<host>{_HOST}(?:,{_HOST})*)(?:/(?P<name>[^?]*))?(?:\?(?P<query>.*))?"
)
_KNOWN = ("host", "port", "sslmode", "sslrootcert", "sslcert", "sslkey", "target_session_attrs")


def normalise_url(url: str) -> tuple[str, dict[str, str]]:
    """Return the URL as asyncpg takes it, and the search path as a session setting where the URL names a schema.

    Accepts what Prisma, SQLAlchemy and node-postgres accept: `postgresql+asyncpg://`, `?schema=`, `?connection_limit=` and
    other parameters that mean nothing here, and characters in the password that should have been percent-encoded.

    Raises:
        Failure: it is no PostgreSQL URL.
    """
    match = _URL.fullmatch(url.strip())
    if not match:
        raise Failure("this is not of the form postgresql://user:password@host:port/database")
    given = dict(parse_qsl(match["query"] or ""))
    if given.get("sslmode") == "no-verify":  # node-postgres's word for libpq's "require"
        given["sslmode"] = "require"
    who = ":".join(quote(unquote(part), safe="") for part in (match["user"], match["password"]) if part is not None)
    query = urlencode({name: given[name] for name in _KNOWN if name in given})
    name = quote(unquote(match["name"] or ""), safe="")
    dsn = f"postgresql://{who + '@' if who else ''}{match['host']}/{name}{'?' + query if query else ''}"
    return dsn, {"search_path": f'"{given["schema"]}"'} if given.get("schema") else {}


def _naive(moment: datetime | None) -> datetime | None:
    """LiteLLM's timestamps are UTC without saying so."""
    return moment.astimezone(UTC).replace(tzinfo=None) if moment else None
