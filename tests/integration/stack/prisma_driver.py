"""Runs in LiteLLM's own environment: reads lines of Python (JSON strings) for LiteLLM's Prisma client, writes a JSON line for each.

A line is the body of an async function that has `db` (the connected client) and `Json`; what it returns is the answer.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import textwrap

from prisma import Json, Prisma


async def answer(db: Prisma, body: str) -> dict:
    scope: dict = {"db": db, "Json": Json, "asyncio": asyncio}
    exec("async def asked():\n" + textwrap.indent(textwrap.dedent(body), "    "), scope)
    try:
        return {"result": await scope["asked"]()}
    except Exception as error:  # noqa: BLE001 - whatever the client raises is the answer
        return {"error": type(error).__name__, "message": str(error)}


async def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # the engine prints its version
    db = Prisma()
    await db.connect()
    print(json.dumps("connected"), file=answers)
    for line in sys.stdin:
        print(json.dumps(await answer(db, json.loads(line)), default=str), file=answers)
    await db.disconnect()


asyncio.run(main())
