"""Prisma's Python client, as LiteLLM uses it, on our stand-in for its query engine and a real PostgreSQL."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

DRIVER = Path(__file__).with_name("prisma_driver.py")
Ask = Callable[..., object]


class PrismaError(Exception):
    """What Prisma's client raised, by the name of its class."""


@pytest.fixture(scope="module")
def ask(scratch_stack) -> Iterator[Ask]:
    """Runs the body of an async function in LiteLLM's environment: ask("return await db.litellm_config.count()")."""
    proxy = Path(f"/proc/{scratch_stack.up().description['pids']['litellm']}")
    environment = dict(entry.split("=", 1) for entry in (proxy / "environ").read_text().split("\0") if entry)
    python = (proxy / "cmdline").read_text().split("\0")[0]
    with subprocess.Popen([python, DRIVER], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as driver:

        def asked(body: str) -> object:
            driver.stdin.write(json.dumps(body) + "\n")
            driver.stdin.flush()
            answer = json.loads(driver.stdout.readline())
            if "error" in answer:
                raise PrismaError(f"{answer['error']}: {answer['message']}")
            return answer["result"]

        assert json.loads(driver.stdout.readline()) == "connected"
        yield asked
        driver.stdin.close()
        assert driver.wait(10) == 0


@pytest.fixture
def rows(scratch) -> Callable[[str], list[tuple]]:
    """The truth by another way: SQL as the database's owner."""

    def query(sql: str) -> list[tuple]:
        with psycopg.connect(scratch.description["database_url"]) as connection:
            return connection.execute(sql).fetchall()

    return query


@pytest.fixture
def mark() -> str:
    """A name that no other test uses."""
    return f"engine-{uuid.uuid4().hex[:12]}"


def budget(identity: str, **more: object) -> str:
    values = {"budget_id": identity, "created_by": "test", "updated_by": "test"} | more
    return f"await db.litellm_budgettable.create(data={values!r})"


def test_what_is_created_is_found_updated_and_deleted(ask, rows, mark) -> None:
    ask(budget(mark, max_budget=3.0, tpm_limit=2**40))
    assert rows(f"select max_budget, tpm_limit from \"LiteLLM_BudgetTable\" where budget_id = '{mark}'") == [(3.0, 2**40)]
    found = ask(f"return (await db.litellm_budgettable.find_unique(where={{'budget_id': {mark!r}}})).model_dump(mode='json')")
    assert (found["max_budget"], found["tpm_limit"], found["rpm_limit"]) == (3.0, 2**40, None)
    assert isinstance(found["max_budget"], float)
    ask(f"await db.litellm_budgettable.update(where={{'budget_id': {mark!r}}}, data={{'max_budget': None}})")
    assert rows(f"select max_budget from \"LiteLLM_BudgetTable\" where budget_id = '{mark}'") == [(None,)]
    ask(f"await db.litellm_budgettable.delete(where={{'budget_id': {mark!r}}})")
    assert ask(f"return await db.litellm_budgettable.find_unique(where={{'budget_id': {mark!r}}})") is None
    assert rows(f"select budget_id from \"LiteLLM_BudgetTable\" where budget_id = '{mark}'") == []


def test_an_update_of_many_changes_those_and_counts_them(ask, rows, mark) -> None:
    for number in range(3):
        ask(budget(f"{mark}-{number}", max_budget=float(number)))
    where = f"{{'budget_id': {{'startswith': {mark!r}}}, 'max_budget': {{'gte': 1}}}}"
    assert ask(f"return await db.litellm_budgettable.update_many(where={where}, data={{'tpm_limit': 7}})") == 2
    assert rows(f"select max_budget, tpm_limit from \"LiteLLM_BudgetTable\" where budget_id like '{mark}%' order by 1") == [
        (0.0, None),
        (1.0, 7),
        (2.0, 7),
    ]
    nothing = f"return await db.litellm_budgettable.update_many(where={{'budget_id': '{mark}-none'}}, data={{'tpm_limit': 8}})"
    assert ask(nothing) == 0
    assert ask(f"return await db.litellm_budgettable.delete_many(where={{'budget_id': {{'startswith': {mark!r}}}}})") == 3


def test_many_are_created_and_grouped(ask, mark) -> None:
    ask(f"""
        await db.litellm_budgettable.create_many(data=[
            {{'budget_id': f'{mark}-{{n}}', 'created_by': f'{mark}-{{n % 2}}', 'updated_by': 'test', 'max_budget': n}} for n in range(5)])
    """)
    groups = ask(f"""
        return await db.litellm_budgettable.group_by(
            by=['created_by'], where={{'budget_id': {{'startswith': {mark!r}}}}}, order={{'created_by': 'asc'}},
            sum={{'max_budget': True}}, count=True)
    """)
    assert [(group["created_by"], group["_sum"]["max_budget"], group["_count"]["_all"]) for group in groups] == [
        (f"{mark}-0", 6, 3),
        (f"{mark}-1", 4, 2),
    ]
    page = ask(f"""
        found = await db.litellm_budgettable.find_many(
            where={{'budget_id': {{'startswith': {mark!r}}}}}, order={{'max_budget': 'desc'}}, skip=1, take=2)
        return [row.max_budget for row in found]
    """)
    assert page == [3, 2]


@pytest.mark.parametrize(
    "value",
    [{"a": [1, 2.0, None], "ü": "\"'\\\n"}, [], "a string", '{"not": "parsed"}', 0.1, 3, True, {"$type": "DateTime", "value": "x"}],
    ids=str,
)
def test_a_json_field_comes_back_as_it_went_in(ask, rows, mark, value) -> None:
    ask(f"await db.litellm_config.create(data={{'param_name': {mark!r}, 'param_value': Json({value!r})}})")
    assert rows(f"select param_value from \"LiteLLM_Config\" where param_name = '{mark}'") == [(value,)]
    found = ask(f"return (await db.litellm_config.find_first(where={{'param_value': {{'equals': Json({value!r})}}}})).param_value")
    assert found == value
    assert type(found) is type(value)


def test_an_upsert_makes_and_then_changes(ask, rows, mark) -> None:
    upsert = f"""
        row = {{'param_name': {mark!r}, 'param_value': Json({{'n': %d}})}}
        await db.litellm_config.upsert(where={{'param_name': {mark!r}}}, data={{'create': row, 'update': row}})
    """
    ask(upsert % 1)
    ask(upsert % 2)
    assert rows(f"select param_value from \"LiteLLM_Config\" where param_name = '{mark}'") == [({"n": 2},)]


def test_a_transaction_is_kept_whole_or_not_at_all(ask, rows, mark) -> None:
    body = """
        async with db.tx() as tx:
            await tx.litellm_config.create(data={'param_name': '%s', 'param_value': Json(1)})
            assert await tx.litellm_config.find_unique(where={'param_name': '%s'})
            assert not await db.litellm_config.find_unique(where={'param_name': '%s'}), 'seen from outside'
            %s
    """
    with pytest.raises(PrismaError, match="ZeroDivisionError"):
        ask(body % (mark, mark, mark, "1 / 0"))
    assert rows(f"select param_name from \"LiteLLM_Config\" where param_name = '{mark}'") == []
    ask(body % (mark, mark, mark, "pass"))
    assert rows(f"select param_name from \"LiteLLM_Config\" where param_name = '{mark}'") == [(mark,)]


def test_a_transaction_that_takes_too_long_is_rolled_back_and_says_so(ask, rows, mark) -> None:
    with pytest.raises(PrismaError, match="TransactionExpiredError"):
        ask(f"""
            from datetime import timedelta
            async with db.tx(timeout=timedelta(milliseconds=200)) as tx:
                await tx.litellm_config.create(data={{'param_name': {mark!r}, 'param_value': Json(1)}})
                await asyncio.sleep(0.6)
                await tx.litellm_config.count()
        """)
    assert rows(f"select param_name from \"LiteLLM_Config\" where param_name = '{mark}'") == []


def test_a_batch_is_kept_whole_or_not_at_all(ask, rows, mark) -> None:
    body = """
        async with db.batch_() as batch:
            for name in %r:
                batch.litellm_config.create(data={'param_name': name, 'param_value': Json([])})
    """
    with pytest.raises(PrismaError, match="UniqueViolationError"):
        ask(body % [mark, f"{mark}-2", mark])
    assert rows(f"select param_name from \"LiteLLM_Config\" where param_name like '{mark}%'") == []
    ask(body % [mark, f"{mark}-2"])
    assert sorted(rows(f"select param_name from \"LiteLLM_Config\" where param_name like '{mark}%'")) == [(mark,), (f"{mark}-2",)]


def test_raw_queries_keep_their_types(ask) -> None:
    [row] = ask("""
        return await db.query_raw('''select 1 as i, 2::bigint as b, 1.5::float8 as f, 'x'::text as t, null::text as n, true as yes,
            array['a','b'] as l, '{"k": [1]}'::jsonb as j, interval '1 day' as v, timestamp '2026-03-25 10:00:00' as at,
            $1::text as p''', 'given')
    """)
    # The client leaves bigints as they come: a string.
    assert (row["i"], int(row["b"]), row["f"], row["t"], row["n"], row["yes"]) == (1, 2, 1.5, "x", None, True)
    assert (row["l"], row["j"], row["v"], row["p"]) == (["a", "b"], {"k": [1]}, "1 day", "given")
    assert row["at"].startswith("2026-03-25T10:00:00")
    assert ask("return await db.execute_raw('update \"LiteLLM_Config\" set param_name = param_name where false')") == 0


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("await db.litellm_budgettable.create(data={'budget_id': 'x', 'created_by': 'x'})", "MissingRequiredValueError"),
        ("await db.litellm_config.find_unique_or_raise(where={'param_name': 'nobody-has-this'})", "RecordNotFoundError"),
        ("await db.litellm_config.update_many(where={'no_such_field': 1}, data={})", "FieldNotFoundError"),
        ("await db.query_raw('select * from no_such_table')", "RawQueryError|TableNotFoundError"),
    ],
)
def test_errors_are_those_of_the_native_engine(ask, body, error) -> None:
    with pytest.raises(PrismaError, match=error):
        ask(body)


def test_a_timestamp_comes_back_as_the_same_moment(ask, rows, mark) -> None:
    reset = ask(f"""
        from datetime import datetime, timezone
        moment = datetime(2026, 3, 25, 23, 59, 59, 123000, timezone.utc)
        row = await db.litellm_budgettable.create(
            data={{'budget_id': {mark!r}, 'created_by': 'x', 'updated_by': 'x', 'budget_reset_at': moment}})
        found = await db.litellm_budgettable.find_first(where={{'budget_id': {mark!r}, 'budget_reset_at': {{'lte': moment}}}})
        return found.budget_reset_at.isoformat()
    """)
    assert reset == "2026-03-25T23:59:59.123000+00:00"
    assert (
        str(rows(f"select budget_reset_at from \"LiteLLM_BudgetTable\" where budget_id = '{mark}'")[0][0]) == "2026-03-25 23:59:59.123000"
    )


def test_queries_run_beside_each_other(ask) -> None:
    took = ask("""
        import time
        begun = time.monotonic()
        await asyncio.gather(*(db.query_raw('select 1 as one from pg_sleep(0.5)') for _ in range(5)))
        return time.monotonic() - begun
    """)
    assert took < 1.5


def test_postgres_may_go_away_and_come_back(ask, scratch) -> None:
    count = "return await db.litellm_config.count()"
    before = ask(count)
    postgres = scratch.description["pids"]["postgres"]
    sessions = Path(f"/proc/{postgres}/task/{postgres}/children").read_text().split()
    os.kill(postgres, signal.SIGKILL)
    try:
        # They live on until they notice, and may answer once more.
        until = time.monotonic() + 10
        while any(Path(f"/proc/{pid}").exists() for pid in sessions):
            assert time.monotonic() < until
            time.sleep(0.05)
        # The first to notice hears of the lost connection, by whoever of the two was quicker; the next is told what is wrong.
        with pytest.raises(PrismaError, match=r"terminating connection|Server has closed the connection|Can't reach database server"):
            ask(count)
        with pytest.raises(PrismaError, match="Can't reach database server"):
            ask(count)
    finally:
        up = scratch.play()
    assert up.code == 0, up.output
    assert ask(count) == before
