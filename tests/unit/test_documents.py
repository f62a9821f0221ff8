"""Generated documents are what their generator would write now."""

from __future__ import annotations

from litemaas_mcp.app import TOOLS

from scripts.generate_docs import PAGE, environment, page, tools


def test_the_servers_tables_are_up_to_date():
    assert PAGE.read_text() == page(PAGE.read_text()), "run `make docs`"


def test_the_tables_name_every_tool_and_the_variables_without_a_default():
    assert [name for tool in TOOLS if f"| `{(name := tool.name)}` |" not in tools()] == []
    required = [line.split("`")[1] for line in environment().splitlines() if "| required |" in line]
    assert required == ["LITELLM_API_URL", "LITELLM_API_KEY", "DATABASE_URL", "MCP_API_KEY"]
