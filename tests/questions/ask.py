"""Asking a running server the questions, through the SDK's client, and judging what it answers."""

from __future__ import annotations

import json
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from conftest import Stack
from tests.questions.questions import Question
from tests.questions.truth import Truth, today

# LiteLLM writes its log and its daily table in batches, one after the other, and health checks are in them too: for some
# seconds after a call they may differ.
SETTLING = 45  # seconds


@dataclass(frozen=True)
class Asked:
    """A question's answer. `faults` is empty when it is right."""

    answer: dict[str, Any]
    text: str
    milliseconds: float
    faults: list[str]


@asynccontextmanager
async def client_of(stack: Stack) -> AsyncIterator[Client]:
    """The SDK's client as Claude Code would connect: over HTTP, the token in a header, the protocol revision negotiated."""
    headers = {"Authorization": f"Bearer {stack.mcp_token}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=60, trust_env=False) as http,
        Client(streamable_http_client(stack.mcp_url, http_client=http)) as client,
    ):
        yield client


async def ask(client: Client, truth: Truth, question: Question) -> Asked:
    """Ask until the answer is right, or wrong for so long that waiting can't be it. One that midnight cuts in two is asked again."""
    deadline = time.monotonic() + SETTLING
    while True:
        asked, settled = await _ask_once(client, truth, question)
        if settled and (not asked.faults or time.monotonic() > deadline):
            return asked
        await anyio.sleep(1)


async def _ask_once(client: Client, truth: Truth, question: Question) -> tuple[Asked, bool]:
    day = today()
    with question.around(truth):
        started = time.perf_counter()
        result = await client.call_tool(question.tool, question.arguments(day))
        milliseconds = 1000 * (time.perf_counter() - started)
        text = "\n".join(block.text for block in result.content)
        answer = result.structured_content or {}
        if result.is_error:
            faults = [f"it answered with the error: {text}"]
        else:
            faults = [*differences(question.expected(truth, day), question.seen(answer)), *leaks(truth, text, answer)]
    return Asked(answer, text, milliseconds, faults), day == today()


def differences(expected: Any, seen: Any, place: str = "answer") -> list[str]:
    """Say where what was seen is not what was expected; dollars may differ by the noise of adding floats."""
    if isinstance(expected, dict) and isinstance(seen, dict):
        names = sorted({*expected, *seen}, key=str)
        found = [differences(expected.get(name, "nothing"), seen.get(name, "nothing"), f"{place}.{name}") for name in names]
    elif isinstance(expected, list) and isinstance(seen, list) and len(expected) == len(seen):
        found = [differences(*pair, f"{place}[{n}]") for n, pair in enumerate(zip(expected, seen, strict=True))]
    elif isinstance(expected, float) and isinstance(seen, int | float) and math.isclose(expected, seen, rel_tol=1e-9, abs_tol=1e-9):
        found = []
    else:
        found = [] if expected == seen else [[f"{place} is {seen!r}, but should be {expected!r}"]]
    return [fault for faults in found for fault in faults]


def leaks(truth: Truth, text: str, answer: dict[str, Any]) -> list[str]:
    """No answer may hold a key that opens anything."""
    said = text + json.dumps(answer)
    return [f"the raw key of {key.name} is in the answer" for key in truth.plan.KEYS if key.secret in said]
