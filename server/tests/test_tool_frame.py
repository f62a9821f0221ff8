"""What `@tool` adds to a function: a deadline, errors that tell nothing of the inside, plain schemas, visible text."""

from __future__ import annotations

import asyncio
from typing import Annotated

import pytest
from litemaas_mcp.errors import Failure, Unsure
from litemaas_mcp.tools import Answer, plain_schema, tool
from pydantic import BaseModel, Field

pytestmark = pytest.mark.anyio


class Row(BaseModel):
    name: str
    price: Annotated[float | None, Field(alias="price_$/1M")] = None


class Rows(Answer):
    rows: list[Row]

    def text(self) -> str:
        return f"{len(self.rows)} rows: {self.rows[0].name}"


@tool(title="Subject")
async def subject(backends: str, what: str = "answer", size: Annotated[int | None, Field(ge=1, description="how many")] = None) -> Rows:
    """Do what is asked."""
    if what == "fail":
        raise Failure("size: must be more, not sk-canary-0123456789")
    if what == "crash":
        raise RuntimeError("canary")
    if what == "hang":
        await asyncio.sleep(30)
    return Rows(rows=[Row(name=f"{backends}\u202e")])


async def call(**arguments):
    bound = subject.bind("from the backends", 0.2)
    return await bound.run(arguments, None, convert_result=True)


async def test_an_answer_has_text_and_structured_content_by_alias_without_invisible_characters():
    result = await call()
    assert result.structured_content == {"rows": [{"name": "from the backends", "price_$/1M": None}]}
    assert result.content[0].text == "1 rows: from the backends"


async def test_a_failure_is_told_without_its_secrets():
    result = await call(what="fail")
    assert (result.is_error, result.content[0].text) == (True, "size: must be more, not ***")


async def test_a_crash_says_what_failed_and_not_how(caplog):
    result = await call(what="crash")
    assert result.is_error
    assert result.content[0].text == "subject failed inside the server. The cause is in the server's log."
    assert "RuntimeError: canary" in caplog.text


async def test_a_call_ends_at_its_deadline():
    result = await asyncio.wait_for(call(what="hang"), 5)
    assert result.is_error
    assert "longer than 0.2 s" in result.content[0].text


@tool(title="Writer", writes=True, destructive=True)
async def writer(backends: str, what: str) -> Rows:
    """Write."""
    if what == "crash":
        raise RuntimeError("canary")
    await asyncio.sleep(30)
    return Rows(rows=[])


@pytest.mark.parametrize("what", ["hang", "crash"])
async def test_a_write_that_ends_half_way_says_that_it_may_have_arrived(what):
    result = await writer.bind("", 0.2).run({"what": what}, None, convert_result=True)
    assert result.is_error
    assert "Whether the change arrived is not known" in result.content[0].text


@tool(title="Maker", writes=True, idempotent=False, unsure="Look first.")
async def maker(backends: str, what: str) -> Rows:
    """Make another one with each call."""
    if what == "lost":
        raise Unsure("The connection was lost. Whether the change arrived is not known.")
    if what == "crash":
        raise RuntimeError("canary")
    await asyncio.sleep(30)
    return Rows(rows=[])


@pytest.mark.parametrize("what", ["lost", "hang", "crash"])
async def test_a_write_that_must_not_be_repeated_says_how_to_make_sure(what):
    result = await maker.bind("", 0.2).run({"what": what}, None, convert_result=True)
    assert result.content[0].text.endswith("Whether the change arrived is not known. Look first.")
    result = await writer.bind("", 0.2).run({"what": "hang"}, None, convert_result=True)
    assert result.content[0].text.endswith("Whether the change arrived is not known. Call again with the same arguments to make sure.")


def test_schemas_hold_neither_references_nor_unions():
    bound = subject.bind("", 1)
    assert bound.parameters["properties"] == {
        "what": {"type": "string", "default": "answer"},
        "size": {"type": "integer", "minimum": 1, "description": "how many"},
    }
    assert bound.parameters["additionalProperties"] is False
    row = bound.output_schema["properties"]["rows"]["items"]
    assert row["properties"] == {"name": {"type": "string"}, "price_$/1M": {"type": ["number", "null"]}}


def test_a_property_called_title_is_kept():
    class Book(BaseModel):
        title: str

    assert plain_schema(Book.model_json_schema())["properties"] == {"title": {"type": "string"}}


def test_the_first_parameter_is_not_part_of_the_schema_and_a_direct_call_is_the_plain_function():
    assert "backends" not in subject.bind("", 1).parameters["properties"]
    assert asyncio.run(subject("direct")).rows[0].name.startswith("direct")
