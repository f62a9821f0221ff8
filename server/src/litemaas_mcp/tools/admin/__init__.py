"""LiteLLM's administration: tools whose first parameter is LiteLLM with the caller's own key, and whose answers are in one envelope.

`{"success": true, "data": …}`, or `{"success": false, "error": {"status", "message", "detail"}}` with `isError`, both as structured
content and as text.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Coroutine, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, ConfigDict, Field, SecretStr, StringConstraints
from pydantic_core import to_json

from litemaas_mcp.auth import passed_key
from litemaas_mcp.backends.admin import Admin
from litemaas_mcp.durations import normalise
from litemaas_mcp.errors import Failure
from litemaas_mcp.redaction import scrub, visible
from litemaas_mcp.tools import Answer, Tool, tool
from litemaas_mcp.tools.parts import cursor as cursor_at
from litemaas_mcp.tools.parts import position, same

LONGEST = 2000  # characters of one text in an answer: logs hold whole prompts

_ERROR = {
    "type": "object",
    "description": "what went wrong, when success is false",
    "properties": {
        "status": {"type": "integer", "description": "LiteLLM's HTTP status, or the one that says the same"},
        "message": {"type": "string", "description": "what went wrong and what to do"},
        "detail": {
            "type": "object",
            "description": "what LiteLLM answered, whole; empty when it was not asked",
            "additionalProperties": True,
        },
    },
    "required": ["status", "message", "detail"],
}


class Data(Answer):
    """The `data` of an envelope."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class AdminTool(Tool):
    """A tool that asks LiteLLM with the key of the request that it serves."""

    def source(self, backends: Admin, context: Any) -> Admin:
        request, client = context.request_context.request, context.request_context.session.client_params
        # Whoever configured the client can tell more exactly who it is than the client.
        named = request.headers.get("litellm-changed-by") or (_named(client.client_info) if client else None)
        return backends.of(passed_key(request), _sendable(named))

    def schema(self, answer: dict[str, Any]) -> dict[str, Any]:
        success = {"type": "boolean"}
        return {"type": "object", "properties": {"success": success, "data": answer, "error": _ERROR}, "required": ["success"]}

    def told(self, answer: Answer) -> tuple[dict[str, Any], str]:
        data = _clean(answer.model_dump(mode="json"))
        # The one answer that shows a key, which can't be had again.
        data |= {name: value.get_secret_value() for name, value in answer if isinstance(value, SecretStr)}
        return _told({"success": True, "data": data})

    def told_failure(self, failure: Failure) -> tuple[dict[str, Any], str]:
        error = {"status": failure.status, "message": str(failure), "detail": failure.detail or {}}
        return _told({"success": False, "error": _clean(error)})


# The decorator of the eleven.
admin_tool = partial(tool, kind=AdminTool)


def _told(envelope: dict[str, Any]) -> tuple[dict[str, Any], str]:
    return envelope, _json(envelope)


def _named(client: Any) -> str | None:
    """Return what a client calls itself."""
    return f"{client.name}/{client.version}" if client and client.name else None


def _sendable(name: str | None) -> str | None:
    """Return a name as a header can carry it."""
    return re.sub(r"[^\x21-\x7e]+", "-", name)[:100] if name else None


def _clean(value: Any) -> Any:
    """Return an answer without secrets, invisible characters, and the ends of very long texts."""
    if isinstance(value, str):
        # What LiteLLM itself shows of a key: sk-...abcd.
        if len(value) == 10 and value.startswith("sk-..."):
            return value
        text = visible(scrub(value))
        return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text) - LONGEST} more characters)"
    if isinstance(value, dict):
        # A name that is an identifier holds no key, and nearly all are: each answer has a thousand.
        return {name if name.isidentifier() else _clean(name): _clean(part) for name, part in value.items() if name != "password"}
    return [_clean(part) for part in value] if isinstance(value, list) else value


# What several tools share.

Page = Annotated[int, Field(ge=1, le=1_000_000, description="which page; cursor says the same")]
Size = Annotated[int, Field(ge=1, le=100, description="rows of a page")]
Cursor = Annotated[
    str | None,
    Field(description="next_cursor of the page before, with the same filters; its page and size count", max_length=500),
]
Id = Annotated[str, Field(min_length=1, max_length=256)]
# LiteLLM takes a filter of blanks for none.
Filter = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=256)]


def _no_boolean(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")
    return value


Number = BeforeValidator(_no_boolean)  # pydantic takes true for 1
Dollars = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False), Number]
Limit = Annotated[int, Field(ge=0, le=2**31 - 1), Number]
Row = dict[str, Any]
Period = Annotated[
    str | None, Field(description="length of the budget's period, such as daily, weekly, monthly, 12h, 30d or 1mo", max_length=20)
]
Tpm = Annotated[Limit | None, Field(description="tokens per minute")]
Rpm = Annotated[Limit | None, Field(description="requests per minute")]
Parallel = Annotated[Limit | None, Field(description="requests at the same time")]
Metadata = Annotated[Row | None, Field(description="notes of your own; on a change it replaces what is there")]
Permission = Annotated[
    Row | None, Field(description="what may be reached beside models, such as mcp_servers or vector_stores: lists of ids")
]
Brief = Annotated[list[Row], Field(description="as LiteLLM has them; fields that are null or empty are left out")]


class Rows(Data):
    """A page of a list."""

    total: Annotated[int, Field(description="rows in all, with these filters")]
    page: int
    page_size: int
    total_pages: int
    truncated: Annotated[bool, Field(description="whether there are more rows after these")]
    next_cursor: Annotated[str | None, Field(description="pass as cursor for the next page")]


def place(tool: str, cursor: str | None, page: int, size: int, filters: Row, *settled: str) -> tuple[int, int]:
    """Return which page to ask for, and of which size. Raises `Failure` when the cursor is another list's.

    Args:
        filters: what the list is asked for, by which the cursor knows it.
        settled: what the cursor carries beside: see `paged`.
    """
    at = position(tool, cursor, int, int, str, *[str] * len(settled))
    if at and at[2] != _digest(filters):
        raise Failure("cursor: it belongs to a list with other filters. Repeat those of the call that gave it, or leave it out.")
    return (at[0], at[1]) if at else (page, size)


def paged(tool: str, page: int, size: int, filters: Row, *settled: str, total: int, pages: int, uncounted: bool = False) -> dict[str, Any]:
    """Return the fields of `Rows`.

    Args:
        settled: what the first call settled for all pages, and its caller did not say.
        uncounted: whether there are rows after these that LiteLLM did not count.
    """
    more = page < pages or uncounted
    following = cursor_at(tool, page + 1, size, _digest(filters), *settled) if more else None
    return {"total": total, "page": page, "page_size": size, "total_pages": pages, "truncated": more, "next_cursor": following}


def _digest(filters: Row) -> str:
    return hashlib.sha256(to_json(sorted(filters.items()))).hexdigest()[:12]


def brief(row: Row) -> Row:
    """Return a row without what says nothing."""
    parts = {name: brief(part) if isinstance(part, dict) else part for name, part in row.items()}
    return {name: part for name, part in parts.items() if part not in (None, "", [], {})}


def duration(field: str, value: str | None) -> str | None:
    """Return a duration as every LiteLLM version understands it. Raises `Failure`, naming the field."""
    try:
        return normalise(value) if value else None
    except ValueError as error:
        raise Failure(f"{field}: {value!r:.40} {error}.") from None


def given(**fields: Any) -> dict[str, Any]:
    """Return the fields that were given: null is left out."""
    return {name: value for name, value in fields.items() if value is not None}


def hash_of(key: str) -> str:
    """Return the hash by which LiteLLM names a key. Whoever names one by its value is understood; the value goes no further."""
    return hashlib.sha256(key.encode()).hexdigest() if key.startswith("sk-") else key


def changes(before: Row, fields: dict[str, Any], clear: list[Any] | None) -> dict[str, Any]:
    """Return what is to be sent: what differs, since each write of a period moves its reset date. To be cleared is to become null.

    Raises `Failure` when nothing at all was asked for, or one field both set and cleared.
    """
    if both := sorted(set(clear or ()) & fields.keys()):
        raise Failure(f"clear: {both[0]} is also given a value: say one or the other.")
    wanted = fields | dict.fromkeys(clear or ())
    if not wanted:
        raise Failure("Nothing to change: give at least one field, or clear one.")
    return {name: value for name, value in wanted.items() if name not in before or not same(before[name], value)}


Found = TypeVar("Found")


async def all_of(lookups: Iterable[Coroutine[Any, Any, Found]]) -> list[Found]:
    """Return what they all find. Raises what the first of them raises; the others are stopped before."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(lookup) for lookup in lookups]
    except* Failure as failures:
        first = failures.exceptions[0]
    else:
        return [task.result() for task in tasks]
    raise first


@contextmanager
def reading_back(changed: str) -> Iterator[None]:
    """Make a `Failure` in this block say that the change before it was made."""
    try:
        yield
    except Failure as failure:
        text = f"The change was made ({changed}); reading it back failed: {failure}"
        raise Failure(text, failure.status, failure.detail) from failure


def check_kept(after: Row, sent: dict[str, Any]) -> None:
    """Raise `Failure` when LiteLLM accepted a change and did not keep it: 1.81 drops a user's nulls, all versions an empty list."""
    wrong = [
        f"{name} is {_json(after[name])} instead of {_json(value)}"
        for name, value in sent.items()
        # These are kept elsewhere, a row of their own, the date that comes of a duration; or go on changing.
        if name in after and name not in ("object_permission", "duration", "spend") and not _kept(_folded(after[name]), _folded(value))
    ]
    if wrong:
        raise Failure(f"LiteLLM accepted the change but did not keep all of it: {'; '.join(wrong)}. The rest is done.", 502)


def _kept(stored: Any, wanted: Any) -> bool:
    if isinstance(stored, dict) and isinstance(wanted, dict):
        return stored.keys() == wanted.keys() and all(_kept(stored[name], part) for name, part in wanted.items())
    if isinstance(stored, list) and isinstance(wanted, list):
        return len(stored) == len(wanted) and all(map(_kept, stored, wanted))
    # So 1.106 keeps and shows what a callback's metadata hold.
    return same(stored, wanted) or (isinstance(stored, str) and stored.startswith("litellm_enc::"))


def _json(value: Any) -> str:
    return to_json(value).decode()


def _folded(value: Any) -> Any:
    # LiteLLM writes e-mails in small letters.
    return value.lower() if isinstance(value, str) and "@" in value else value
