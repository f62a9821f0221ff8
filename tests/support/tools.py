"""For the tests of tools and backends: settings for the stack, started backends, and LiteLLM's tables for a test alone."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager

import psycopg
from litemaas_mcp.backends import Backends
from litemaas_mcp.backends.database import LITELLM_COLUMNS
from litemaas_mcp.settings import Settings
from psycopg import sql


def settings_of(stack, **changes) -> Settings:
    """Settings for the stack, with the role that may only read."""
    return Settings(
        **{
            "litellm_api_url": stack.litellm_url,
            "litellm_api_key": stack.litellm_master_key,
            "database_url": stack.database_readonly_url,
            "litemaas_database_url": stack.litemaas_readonly_url,
            "mcp_api_key": "not used here",
            **changes,
        }
    )


@asynccontextmanager
async def started(settings: Settings):
    backends = Backends.of(settings)
    await backends.start()
    try:
        yield backends
    finally:
        await backends.stop()


class Scratch:
    """LiteLLM's tables, empty, in a schema of their own: what a test puts there is all that there is."""

    def __init__(self, connection: psycopg.Connection, url: str) -> None:
        self.connection = connection
        self.name = f"scratch_{uuid.uuid4().hex[:12]}"
        self.url = f"{url}{'&' if '?' in url else '?'}schema={self.name}"

    def insert(self, table: str, **values) -> None:
        self.connection.execute(
            sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
                sql.Identifier(self.name, table),
                sql.SQL(", ").join(map(sql.Identifier, values)),
                sql.SQL(", ").join(map(sql.Placeholder, values)),
            ),
            values,
        )

    def usage(self, day, *, user_id="u1", api_key="k1", model="openai/m1", model_group="m1", requests=1, failures=0, **values) -> None:
        """A row of LiteLLM's daily aggregates."""
        defaults = {"custom_llm_provider": "openai", "prompt_tokens": 10, "completion_tokens": 5, "spend": 0.1}
        keys = {"user_id": user_id, "date": str(day), "api_key": api_key, "model": model, "model_group": model_group}
        counts = {"api_requests": requests, "failed_requests": failures, "successful_requests": requests - failures}
        self.insert("LiteLLM_DailyUserSpend", id=uuid.uuid4().hex, updated_at="2026-01-01", **keys, **counts, **defaults | values)


@contextmanager
def scratch_schema(owner: psycopg.Connection, url: str) -> Iterator[Scratch]:
    scratch = Scratch(owner, url)
    schema = sql.Identifier(scratch.name)
    owner.execute(sql.SQL("CREATE SCHEMA {}").format(schema))
    try:
        for table in LITELLM_COLUMNS:
            copy = sql.SQL("CREATE TABLE {}.{} (LIKE public.{} INCLUDING ALL)")
            owner.execute(copy.format(schema, sql.Identifier(table), sql.Identifier(table)))
        yield scratch
    finally:
        owner.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(schema))
