"""`litemaas-mcp check`: what the server can reach from here and what not, with remedies."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from litemaas_mcp.backends import Backends
from litemaas_mcp.errors import Failure
from litemaas_mcp.redaction import scrub
from litemaas_mcp.settings import Settings


async def check(settings: Settings) -> int:
    """Ask every backend once and print a line for each. Returns 0 when all of them answer, else 1."""
    backends = Backends.of(settings)
    await backends.start()
    questions: dict[str, Awaitable[str]] = {
        "LiteLLM's database": backends.database.describe(),
        "LiteMaaS's database": backends.database.describe_litemaas(),
        "LiteLLM": backends.litellm.describe(),
        "Kubernetes": backends.cluster.describe(),
    }
    if backends.litemaas:
        questions["LiteMaaS"] = backends.litemaas.describe()
    results = await asyncio.gather(
        *(asyncio.wait_for(question, settings.tool_timeout) for question in questions.values()), return_exceptions=True
    )
    await backends.stop()
    for name, result in zip(questions, results, strict=True):
        failed = isinstance(result, BaseException)
        reason = result if isinstance(result, (str, Failure)) else f"{type(result).__name__}: {result}"
        print(f"{'FAIL' if failed else 'ok  '} {name}: {scrub(str(reason))}")
    return 1 if any(isinstance(result, BaseException) for result in results) else 0
