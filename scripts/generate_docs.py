"""`make docs`: the tables of docs/, generated from the server's settings and tools and from the modules. A test fails when they differ."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import yaml
from litemaas_mcp.app import ADMIN_TOOLS, TOOLS
from litemaas_mcp.settings import AdminSettings, ServeSettings, Settings
from litemaas_mcp.tools import Tool
from pydantic_core import PydanticUndefined

ROOT = Path(__file__).resolve().parents[1]


def environment(settings: type[ServeSettings] = Settings) -> str:
    fields = sorted(settings.model_fields.items(), key=lambda each: not each[1].is_required())
    rows = [f"| `{name.upper()}` | {_default(field.default)} | {field.description} |" for name, field in fields]
    return "\n".join(["| variable | default | what it is |", "|---|---|---|", *rows])


def tools(declared: tuple[Tool, ...] = TOOLS) -> str:
    rows = []
    for tool in declared:
        bound = tool.bind(None, deadline=1)
        required = bound.parameters.get("required", [])
        parameters = [_parameter(name, schema, name in required) for name, schema in bound.parameters["properties"].items()]
        summary = bound.description.split("\n\n")[0].replace("\n", " ")
        rows.append(f"| `{tool.name}` | {', '.join(parameters)} | {'writes' if tool.writes else 'reads'} | {summary} |")
    return "\n".join(["| tool | parameters | reads or writes | what it answers |", "|---|---|---|---|", *rows])


def modules() -> str:
    rows = []
    for file in sorted((ROOT / "plugins/modules").glob("litellm_*.py")):
        document = yaml.safe_load(_constant(file, "DOCUMENTATION"))
        options = [f"**`{name}`**" if each.get("required") else f"`{name}`" for name, each in document["options"].items()]
        rows.append(f"| `{document['module']}` | {document['short_description']} | {', '.join(options)} |")
    return "\n".join(["| module | what it does | options, **required** ones bold |", "|---|---|---|", *rows])


def variables() -> str:
    parts = []
    for role in sorted(path.name for path in (ROOT / "roles").glob("ocp4_*")):
        specification = yaml.safe_load((ROOT / "roles" / role / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]
        rows = [
            f"| `{name}` | {_variable_default(each)} | {_sentences(each['description'])} |"
            for name, each in specification["options"].items()
        ]
        parts += [f"## {role}", "", "| variable | default | what it is |", "|---|---|---|", *rows, ""]
    return "\n".join(parts).rstrip()


PAGES: dict[Path, dict[str, Callable[[], str]]] = {
    ROOT / "docs/server.md": {"environment": environment, "tools": tools},
    ROOT / "docs/admin.md": {"environment": partial(environment, AdminSettings), "tools": partial(tools, ADMIN_TOOLS)},
    ROOT / "docs/modules.md": {"modules": modules},
    ROOT / "docs/variables.md": {"variables": variables},
}


def renewed(page: Path) -> str:
    """Return the page's text with its generated parts made anew."""
    text = page.read_text()
    for name, table in PAGES[page].items():
        before, mark, rest = text.partition(f"<!-- generated: {name} -->\n")
        _, end, after = rest.partition("<!-- end -->")
        assert end, f"{page.name} has no place for {name}"
        text = f"{before}{mark}\n{table()}\n\n{end}{after}"
    return text


def _constant(file: Path, name: str) -> str:
    """Return a string that a file assigns to a name, without running the file."""
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.Assign) and [target.id for target in node.targets] == [name]:
            return ast.literal_eval(node.value)
    raise AssertionError(f"{file.name} has no {name}")


def _variable_default(option: dict) -> str:
    default = option.get("default")
    if default in (None, "", [], {}):
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`".replace("|", "\\|")


def _sentences(description: str | list[str]) -> str:
    """Return a description in one line, without the marks that only ansible-doc knows."""
    text = " ".join(description) if isinstance(description, list) else description
    return re.sub(r"\b[A-Z]\(([^)]*)\)", r"`\1`", text).replace("|", "\\|").replace("\n", " ")


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
    for page in PAGES:
        page.write_text(renewed(page))
