"""The database backend: what its URLs may say, what it may read, and how it bears an outage."""

from __future__ import annotations

import asyncio
import time
import uuid
from datetime import UTC, datetime
from urllib.parse import urlsplit

import psycopg
import pytest
from litemaas_mcp.backends.database import LITELLM_COLUMNS, LITELLM_CONNECTIONS, LITEMAAS_COLUMNS, Database, normalise_url
from litemaas_mcp.errors import Failure, Unavailable
from litemaas_mcp.settings import SettingsError

from tests.support.tcp_proxy import TcpProxy
from tests.support.tools import settings_of, started

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("given", "dsn"),
    [
        ("postgres://u:p@h/d", "postgresql://u:p@h/d"),
        ("postgresql+asyncpg://u:p@h:5432/d", "postgresql://u:p@h:5432/d"),
        ("postgresql://u:p@h/d?connection_limit=5&pool_timeout=60&pgbouncer=true&connect_timeout=3", "postgresql://u:p@h/d"),
        ("postgresql://u:p@h/d?sslmode=require&sslaccept=strict", "postgresql://u:p@h/d?sslmode=require"),
        ("postgresql://u:p@h/d?sslmode=no-verify", "postgresql://u:p@h/d?sslmode=require"),
        ("postgresql://u:p%40%2Fs@h/d", "postgresql://u:p%40%2Fs@h/d"),
        ("postgresql://u:p@s/s#w?r:d%@h:1/d", "postgresql://u:p%40s%2Fs%23w%3Fr%3Ad%25@h:1/d"),
        ("postgresql://u@h/d", "postgresql://u@h/d"),
        ("postgresql://u:p@[::1]:5432/d", "postgresql://u:p@[::1]:5432/d"),
        ("postgresql:///d?host=/run/postgresql", "postgresql:///d?host=%2Frun%2Fpostgresql"),
    ],
)
def test_urls_as_production_writes_them_are_taken(given, dsn):
    assert normalise_url(given) == (dsn, {})


def test_a_schema_in_the_url_becomes_the_search_path():
    assert normalise_url("postgresql://u:p@h/d?schema=LiteLLM")[1] == {"search_path": '"LiteLLM"'}


def test_what_is_no_database_url_is_refused_without_repeating_it():
    with pytest.raises(Failure) as caught:
        normalise_url("mysql://u:a-secret@h/d")
    assert "a-secret" not in str(caught.value)


async def test_the_session_is_read_only_in_utc_and_limited(alone):
    pool = await alone.database._litellm()
    names = ("default_transaction_read_only", "statement_timeout", "TimeZone", "application_name")
    rows = await pool.rows("SELECT name, setting FROM pg_settings WHERE name = ANY($1)", list(names))
    settings = {row["name"]: row["setting"] for row in rows}
    assert settings == dict(zip(names, ("on", "10000", "UTC", "litemaas-mcp"), strict=True))
    with pytest.raises(Exception, match="read-only transaction"):
        await pool.rows('UPDATE "LiteLLM_UserTable" SET spend = 0')


async def test_the_reader_role_may_ask_every_question(backends):
    """Each query of the server, with the role that create-reader made."""
    database, now = backends.database, datetime.now(UTC)
    today = now.date()
    await database.users(5)
    await database.users(5, (0.0, "x"))
    await database.users_named("nobody")
    await database.names_like("nobody")
    await database.litemaas_users([str(uuid.uuid4())])
    for group in ("model", "user", "key", "day", "provider"):
        await database.spend(group, 5, today, today, "m", "u")
        await database.spend(group, 5, None, today)
    await database.daily_totals(today, today)
    await database.models_used()
    await database.keys(5, now)
    for status in ("active", "expired", "blocked"):
        await database.keys(5, now, (now, "x"), "u", today, today, status)
    assert await database.litemaas_models() is not None
    await database.stored_checks()
    await database.stored_checks("m")
    assert await database.ping()
    assert "LiteLLM_UserTable" in await database.describe()
    assert "models" in await database.describe_litemaas()


@pytest.mark.parametrize(
    ("url", "granted"),
    [("database_readonly_url", LITELLM_COLUMNS), ("litemaas_readonly_url", LITEMAAS_COLUMNS)],
    ids=["LiteLLM", "LiteMaaS"],
)
def test_the_reader_role_may_read_nothing_else(stack, url, granted):
    with psycopg.connect(getattr(stack, url)) as reader:
        readable = reader.execute(
            """SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
            WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v', 'm', 'p') AND a.attnum > 0 AND NOT a.attisdropped
                AND has_column_privilege(c.oid, a.attnum, 'SELECT')"""
        ).fetchall()
        assert set(readable) <= {(table, column) for table, columns in (LITELLM_COLUMNS | LITEMAAS_COLUMNS).items() for column in columns}
        assert {table for table, _ in readable} >= granted.keys()
        may_write = reader.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' "
            "AND has_table_privilege(oid, 'INSERT, UPDATE, DELETE, TRUNCATE')"
        ).fetchall()
        assert may_write == []


@pytest.mark.parametrize(
    ("url", "question"),
    [
        ("litemaas_readonly_url", "SELECT lite_llm_key_value FROM api_keys"),
        ("litemaas_readonly_url", "SELECT * FROM users"),
        ("database_readonly_url", 'SELECT litellm_params FROM "LiteLLM_ProxyModelTable"'),
        ("database_readonly_url", 'SELECT credential_values FROM "LiteLLM_CredentialsTable"'),
        ("database_readonly_url", 'SELECT password FROM "LiteLLM_UserTable"'),
        ("database_readonly_url", 'SELECT key_name FROM "LiteLLM_VerificationToken"'),
        ("database_readonly_url", 'SELECT messages FROM "LiteLLM_SpendLogs"'),
    ],
)
def test_raw_keys_and_credentials_are_refused_to_the_reader(stack, url, question):
    with psycopg.connect(getattr(stack, url)) as reader, pytest.raises(psycopg.errors.InsufficientPrivilege):
        reader.execute(question)


async def test_a_role_without_the_grants_is_told_the_remedy(owner, scratch, stack):
    owner.execute(f'GRANT USAGE ON SCHEMA {scratch.name} TO "{urlsplit(stack.database_readonly_url).username}"')
    url = f"{stack.database_readonly_url}{'&' if '?' in stack.database_readonly_url else '?'}schema={scratch.name}"
    async with started(settings_of(stack, database_url=url, litemaas_database_url=None)) as backends:
        with pytest.raises(Failure, match="litemaas-mcp create-reader"):
            await backends.database.users(5)


async def test_tables_of_another_version_are_named_as_the_cause(alone, scratch):
    scratch.connection.execute(f'ALTER TABLE {scratch.name}."LiteLLM_DailyUserSpend" RENAME COLUMN spend TO cost')
    with pytest.raises(Failure, match="not those of a LiteLLM or LiteMaaS version"):
        await alone.database.spend("model", 5, None, None)


async def test_both_sets_of_tables_in_one_database(scratch, stack):
    """As LiteMaaS 0.3 deploys them: whichever of the two URLs leads there."""
    owner = scratch.connection
    owner.execute(
        f"""CREATE TABLE {scratch.name}.models (id text, provider text, availability text, input_cost_per_token numeric,
            output_cost_per_token numeric, tpm int, rpm int, max_tokens int, restricted_access boolean);
        CREATE TABLE {scratch.name}.users (id uuid, username text, email text, max_budget numeric, budget_duration text);
        INSERT INTO {scratch.name}.models (id) VALUES ('m1')"""
    )
    nothing = f"{stack.database_url}{'&' if '?' in stack.database_url else '?'}schema=nowhere"
    for first, second in ((scratch.url, None), (scratch.url, scratch.url), (nothing, scratch.url), (scratch.url, nothing)):
        async with started(settings_of(stack, database_url=first, litemaas_database_url=second)) as backends:
            assert list(await backends.database.litemaas_models()) == ["m1"]
            assert await backends.database.users(5) == ([], 0)


async def test_without_litemaas_tables_all_else_works(alone):
    assert await alone.database.litemaas_models() is None
    assert await alone.database.litemaas_users(["x"]) == {}
    assert await alone.database.users_named("x") == []
    assert "no such tables" in await alone.database.describe_litemaas()


async def test_a_database_without_litellms_tables_is_named_by_its_variable(stack):
    url = f"{stack.database_url}{'&' if '?' in stack.database_url else '?'}schema=nowhere"
    async with started(settings_of(stack, database_url=url, litemaas_database_url=None)) as backends:
        with pytest.raises(Failure, match="DATABASE_URL"):
            await backends.database.users(5)


@pytest.mark.parametrize("name", ["a\0b", "\ud800"])
async def test_text_that_postgresql_cannot_hold_is_the_callers_error(alone, name):
    with pytest.raises(Failure, match="characters"):
        await alone.database.users_named(name)


async def test_a_wrong_password_is_told_without_it(stack):
    parts = urlsplit(stack.database_url)
    url = f"postgresql://nobody_{uuid.uuid4().hex}:a-secret@{parts.hostname}:{parts.port}{parts.path}"
    async with started(settings_of(stack, database_url=url, litemaas_database_url=None)) as backends:
        with pytest.raises(Unavailable, match="check DATABASE_URL") as caught:
            await backends.database.users(5)
        assert "a-secret" not in str(caught.value)


@pytest.fixture
def relay(stack):
    """A way to the database that can be cut and hung."""
    parts = urlsplit(stack.database_readonly_url)
    with TcpProxy(parts.hostname, parts.port or 5432) as relay:
        relay.settings = settings_of(
            stack,
            database_url=parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{relay.port}").geturl(),
            litemaas_database_url=None,
            database_timeout=1,
        )
        yield relay


async def test_down_at_the_start_and_back_later(relay):
    relay.cut()
    async with started(relay.settings) as backends:
        assert not await backends.database.ping()
        with pytest.raises(Unavailable, match="can't be reached"):
            await backends.database.users(1)
        relay.heal()
        assert await backends.database.ping()
        await backends.database.users(1)


async def test_cut_in_the_middle_and_back_later(relay):
    async with started(relay.settings) as backends:
        await backends.database.users(1)
        relay.cut()
        assert not await backends.database.ping()
        with pytest.raises(Unavailable):
            await backends.database.users(1)
        relay.heal()
        await backends.database.users(1)


async def test_a_hung_database_is_told_in_time_and_found_again(relay):
    async with started(relay.settings) as backends:
        await backends.database.users(1)
        relay.hang()
        started_at = time.monotonic()
        with pytest.raises(Unavailable, match="did not answer within 1 s"):
            await backends.database.users(1)
        assert time.monotonic() - started_at < 1.5
        relay.heal()
        await backends.database.users(1)


async def test_too_many_callers_are_told_soon_and_the_health_check_is_not_among_them(scratch, stack):
    settings = settings_of(stack, database_url=scratch.url, litemaas_database_url=None)
    async with started(settings) as backends:
        pool = await backends.database._litellm()
        slow = [asyncio.create_task(pool.rows("SELECT pg_sleep(4)")) for _ in range(LITELLM_CONNECTIONS)]
        await asyncio.sleep(0.5)
        started_at = time.monotonic()
        assert await backends.database.ping()
        assert time.monotonic() - started_at < 0.5
        results = await asyncio.gather(*(pool.rows("SELECT 1 AS one") for _ in range(50)), return_exceptions=True)
        assert 1.5 < time.monotonic() - started_at < 3.5
        assert all(isinstance(result, Unavailable) and "busy" in str(result) for result in results)
        await asyncio.gather(*slow)
        assert await pool.rows("SELECT 1 AS one") == [{"one": 1}]


async def test_a_call_that_is_given_up_ends_its_query_on_the_server(scratch, stack):
    mark = f"given-up-{uuid.uuid4().hex}"
    running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%%' || %s || '%%' AND state = 'active' AND pid <> pg_backend_pid()"

    async def count() -> int:
        return scratch.connection.execute(running, [mark]).fetchone()[0]

    async def until(number: int) -> None:
        for _ in range(100):
            if await count() == number:
                return
            await asyncio.sleep(0.03)
        pytest.fail(f"there are still not {number} such queries")

    async with started(settings_of(stack, database_url=scratch.url, litemaas_database_url=None)) as backends:
        pool = await backends.database._litellm()
        call = asyncio.create_task(pool.rows(f"SELECT pg_sleep(8), '{mark}'"))
        await until(1)
        call.cancel()
        await until(0)
        # The connection is whole: it serves the next call.
        assert await pool.rows("SELECT 1 AS one") == [{"one": 1}]


async def test_a_slow_query_ends_at_the_timeout_on_the_server_too(scratch, stack):
    async with started(settings_of(stack, database_url=scratch.url, litemaas_database_url=None, database_timeout=0.5)) as backends:
        pool = await backends.database._litellm()
        started_at = time.monotonic()
        with pytest.raises(Unavailable, match=r"within 0\.5 s"):
            await pool.rows("SELECT pg_sleep(5)")
        assert time.monotonic() - started_at < 1.5


def test_a_url_that_makes_no_connection_is_named_by_its_variable(stack):
    for name in ("database_url", "litemaas_database_url"):
        with pytest.raises(SettingsError, match=f"^{name.upper()}: this is not of the form") as caught:
            Database(settings_of(stack, **{name: "postgresql://u:a-secret@h:port/d"}))
        assert "a-secret" not in str(caught.value)
