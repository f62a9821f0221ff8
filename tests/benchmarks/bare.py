"""What the server is measured against: the MCP SDK's own server with as little as possible in it.

`constant` answers a constant. `spend_by_logs` and `days_by_logs` ask the log table the questions of get_spend_summary and
get_daily_stats the way the LiteMaaS deployer in use today asks them, so that transport is equal and only the question differs;
one at a time, as that server does: its calls per second were the same with 1 and with 16 callers.
Environment: PORT, and DATABASE_URL for the two questions.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, datetime, time, timedelta
from typing import Any

import asyncpg
import uvicorn
from mcp.server.mcpserver import MCPServer

PUBLIC_NAME = "regexp_replace(model, '^[^/]+/', '')"  # the model's name without its provider
pool: asyncpg.Pool | None = None


@asynccontextmanager
async def lifespan(_server: MCPServer) -> AsyncIterator[None]:
    global pool
    if "DATABASE_URL" not in os.environ:
        yield
        return
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=1, max_size=1) as pool:
        yield


server = MCPServer("bare", lifespan=lifespan, log_level="WARNING")


@server.tool()
async def constant() -> dict[str, Any]:
    return {"answer": "pong"}


@server.tool()
async def spend_by_logs(date_from: date, date_to: date) -> dict[str, Any]:
    rows = await pool.fetch(
        f"""select {PUBLIC_NAME} as model, count(*) as requests, sum(total_tokens) as total_tokens, sum(spend) as total_spend,
                   count(*) filter (where status = 'failure') as failures
            from "LiteLLM_SpendLogs" where spend > 0 and "startTime" >= $1 and "startTime" < $2 group by 1 order by 4 desc""",
        datetime.combine(date_from, time()),
        datetime.combine(date_to + timedelta(days=1), time()),
    )
    return {"rows": [dict(row) for row in rows]}


@server.tool()
async def days_by_logs(date_from: date) -> dict[str, Any]:
    rows = await pool.fetch(
        f"""select date("startTime")::text as date, count(*) as requests, sum(total_tokens) as total_tokens, sum(spend) as total_spend,
                   count(*) filter (where status = 'failure') as failures, count(distinct {PUBLIC_NAME}) as unique_models
            from "LiteLLM_SpendLogs" where spend > 0 and "startTime" >= $1 group by 1 order by 1 desc""",
        datetime.combine(date_from, time()),
    )
    return {"days": [dict(row) for row in rows]}


if __name__ == "__main__":
    app = server.streamable_http_app(stateless_http=True)
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), access_log=False, log_level="warning")
