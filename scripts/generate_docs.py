"""`make docs`: the tables of docs/server.md, generated from the server's settings and tools. A test fails when they differ."""

from __future__ import annotations

from pathlib import Path

from litemaas_mcp.app import TOOLS
from litemaas_mcp.settings import Settings
from pydantic_core import PydanticUndefined

PAGE = Path(__file__).resolve().parents[1] / "docs" / "server.md"


def environment() -> str:
    rows = [f"| `{name.upper()}` | {_default(field.default)} | {field.description} |" for name, field in Settings.model_fields.items()]
    return "\n".join(["| variable | default | what it is |", "|---|---|---|", *rows])


def tools() -> str:
    rows = []
    for tool in TOOLS:
        bound = tool.bind(None, deadline=1)
        required = bound.parameters.get("required", [])
        parameters = [_parameter(name, schema, name in required) for name, schema in bound.parameters["properties"].items()]
        summary = bound.description.split("\n\n")[0].replace("\n", " ")
        rows.append(f"| `{tool.name}` | {', '.join(parameters)} | {'writes' if tool.writes else 'reads'} | {summary} |")
    return "\n".join(["| tool | parameters | reads or writes | what it answers |", "|---|---|---|---|", *rows])


def page(text: str) -> str:
    """Return the page's text with its generated parts made anew."""
    for name, table in (("environment", environment()), ("tools", tools())):
        before, mark, rest = text.partition(f"<!-- generated: {name} -->\n")
        _, end, after = rest.partition("<!-- end -->")
        assert end, f"{PAGE.name} has no place for {name}"
        text = f"{before}{mark}\n{table}\n\n{end}{after}"
    return text


def _default(value: object) -> str:
    if value is PydanticUndefined:
        return "required"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`" if value not in (None, ()) else ""


def _parameter(name: str, schema: dict, required: bool) -> str:
    default = schema.get("default")
    if required:
        return f"`{name}`"
    return f"`{name}={default}`" if default not in (None, False) else f"`{name}`?"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
