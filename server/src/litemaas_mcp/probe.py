"""`litemaas-mcp probe-databases`: whether the databases that a deployment was given answer, and which of them LiteLLM uses."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import asyncpg

from litemaas_mcp.backends.database import normalise_url
from litemaas_mcp.errors import Failure

VARIABLES = ("DATABASE_URL", "LITELLM_DATABASE_URL")


def probe(report: Path | None) -> int:
    """Ask the databases of DATABASE_URL and LITELLM_DATABASE_URL, and write what each answers, as JSON, to the report and the output.

    For each variable there is `litellm`, whether the database holds LiteLLM's tables, or `error`, why it can't be asked. It is for the
    caller to judge that: returns 0 unless a variable is missing.
    """
    missing = [name for name in VARIABLES if not os.environ.get(name)]
    if missing:
        print(f"probe-databases: set {' and '.join(missing)} to the URL of a PostgreSQL database.", file=sys.stderr)
        return 2
    answers = json.dumps({name: asyncio.run(_ask(os.environ[name])) for name in VARIABLES})
    print(answers)
    if report:
        report.write_text(answers, encoding="utf-8")
    return 0


async def _ask(url: str) -> dict[str, bool | str]:
    try:
        dsn, path = normalise_url(url)
        connection = await asyncpg.connect(dsn, server_settings=path | {"application_name": "litemaas-mcp probe-databases"}, timeout=10)
    except (Failure, asyncpg.PostgresError) as error:  # PostgreSQL names the user and the database, and no password
        return {"error": str(error)}
    except (OSError, TimeoutError, asyncpg.InterfaceError) as error:
        return {"error": f"the server can't be reached ({type(error).__name__})"}
    try:
        return {"litellm": await connection.fetchval("SELECT to_regclass('\"LiteLLM_UserTable\"') IS NOT NULL")}
    finally:
        await connection.close()
