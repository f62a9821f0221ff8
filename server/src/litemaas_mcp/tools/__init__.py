"""What a tool is: a function that turns a question into a typed answer, declared with `@tool`.

A tool's first parameter receives the backends; the others, with their annotations and descriptions, become the input schema.
It returns an `Answer`; it raises `Failure` for what the caller should read. `Tool.bind` adds what every call needs: the
deadline, errors that tell nothing of the inside, and text without invisible characters. A profile may say otherwise what the first
parameter is and how answers look: see `admin`.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, get_type_hints

import mcp.server.mcpserver.tools as sdk
from mcp.types import CallToolResult, TextContent, ToolAnnotations
from pydantic import BaseModel, ConfigDict

from litemaas_mcp.errors import AGAIN, UNSURE, Failure, Unavailable, Unsure
from litemaas_mcp.redaction import scrub, visible, visible_json

log = logging.getLogger(__name__)


class Answer(BaseModel):
    """A tool's result: fields with their units, dumped by alias as structured content, and `text`, what a model reads."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    def text(self) -> str:
        raise NotImplementedError


@dataclass(frozen=True)
class Tool:
    """A declared tool. Called directly it is the plain function: `await get_daily_stats(backends, days=3)`."""

    fn: Callable[..., Awaitable[Answer]]
    title: str
    annotations: ToolAnnotations
    unsure: str  # how to make sure of a write that broke off

    @property
    def name(self) -> str:
        return self.fn.__name__

    @property
    def writes(self) -> bool:
        return not self.annotations.read_only_hint

    def __call__(self, *args: Any, **kwargs: Any) -> Awaitable[Answer]:
        return self.fn(*args, **kwargs)

    def bind(self, backends: Any, deadline: float) -> sdk.Tool:
        """Return the SDK's tool that answers from these backends within `deadline` seconds."""
        first, *parameters = inspect.signature(self.fn, eval_str=True).parameters.values()

        async def call(context: Any, **arguments: Any) -> CallToolResult:
            started = time.perf_counter()
            result = await self._run(deadline, {first.name: self.source(backends, context), **arguments})
            log.info("%s %s %.0f ms", self.name, "failed" if result.is_error else "answered", 1000 * (time.perf_counter() - started))
            return result

        call.__signature__ = inspect.Signature(parameters, return_annotation=CallToolResult)  # type: ignore[attr-defined]
        call.__doc__ = inspect.getdoc(self.fn)
        bound = sdk.Tool.from_function(
            call, name=self.name, title=self.title, annotations=self.annotations, structured_output=False, context_kwarg="context"
        )
        bound.parameters = plain_schema(bound.parameters, nullable=False) | {"additionalProperties": False}
        # The answer is a model already: its schema is published, and the SDK need not validate every answer again.
        answer: type[Answer] = get_type_hints(self.fn)["return"]
        bound.fn_metadata.output_schema = self.schema(plain_schema(answer.model_json_schema(mode="serialization", by_alias=True)))
        return bound

    def source(self, backends: Any, context: Any) -> Any:
        """What the function's first parameter receives in a call with this context of the SDK's."""
        return backends

    def schema(self, answer: dict[str, Any]) -> dict[str, Any]:
        """The schema of the structured content, made of the answer's."""
        return answer

    def told(self, answer: Answer) -> tuple[dict[str, Any], str]:
        """An answer as structured content and as text."""
        return visible_json(answer.model_dump_json(by_alias=True)), visible(answer.text())

    def told_failure(self, failure: Failure) -> tuple[dict[str, Any] | None, str]:
        """A failure as structured content and as text."""
        return None, visible(scrub(str(failure)))

    def failed(self, failure: Failure) -> CallToolResult:
        structured, text = self.told_failure(failure)
        return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=structured, is_error=True)

    async def _run(self, deadline: float, arguments: dict[str, Any]) -> CallToolResult:
        try:
            async with asyncio.timeout(deadline):
                answer = await self.fn(**arguments)
            structured, text = self.told(answer)
        except Unsure as failure:
            return self.failed(Unsure(f"{failure} {self.unsure}", failure.status, failure.detail))
        except Failure as failure:
            return self.failed(failure)
        except TimeoutError:
            advice = f"{UNSURE} {self.unsure}" if self.writes else "Ask for less, or try again later."
            return self.failed(Unavailable(f"{self.name} took longer than {deadline:g} s and was stopped. {advice}", 504))
        except Exception:
            log.exception("%s raised", self.name)
            advice = f" {UNSURE} {self.unsure}" if self.writes else ""
            return self.failed(Unavailable(f"{self.name} failed inside the server. The cause is in the server's log.{advice}", 500))
        return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=structured)


def tool(
    *,
    title: str,
    writes: bool = False,
    destructive: bool = False,
    idempotent: bool = True,
    unsure: str = AGAIN,
    kind: type[Tool] = Tool,
) -> Callable[[Callable[..., Awaitable[Answer]]], Tool]:
    """Declare a tool. Reading is the default; a tool that `writes` is hidden and refused in read-only mode.

    `unsure` says how to make sure of a write that broke off, where repeating it would do it twice.
    """
    annotations = ToolAnnotations(
        title=title, read_only_hint=not writes, destructive_hint=destructive, idempotent_hint=idempotent, open_world_hint=False
    )
    return lambda fn: kind(fn, title, annotations, unsure)


def plain_schema(schema: dict[str, Any], nullable: bool = True) -> dict[str, Any]:
    """Return pydantic's JSON schema without `$defs`, generated titles, and `anyOf` for a value that may be null.

    Some clients reject the first and the last. With `nullable` false such a value is described as if it could only be
    left out: right for arguments, where null means the same.
    """
    definitions = schema.get("$defs", {})

    def plain(node: Any) -> Any:
        if isinstance(node, list):
            return [plain(item) for item in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            node = definitions[node["$ref"].rpartition("/")[2]] | {key: value for key, value in node.items() if key != "$ref"}
        if "anyOf" in node:
            options = [option for option in node["anyOf"] if option.get("type") != "null"]
            if len(options) == 1:
                rest = {key: value for key, value in node.items() if key != "anyOf" and not (key == "default" and value is None)}
                option = plain(options[0])
                return option | ({"type": [option["type"], "null"]} if nullable else {}) | plain(rest)
        # A property may itself be called "title"; only a string there is a generated title.
        return {key: plain(value) for key, value in node.items() if key != "$defs" and not (key == "title" and isinstance(value, str))}

    return plain(schema)
