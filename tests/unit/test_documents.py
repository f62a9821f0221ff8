"""Generated documents are what their generator would write now."""

from __future__ import annotations

import pytest
from litemaas_mcp.app import TOOLS

from scripts.generate_docs import PAGES, environment, modules, renewed, tools


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_documents_tables_are_up_to_date(page):
    assert page.read_text() == renewed(page), "run `make docs`"


def test_the_tables_name_every_tool_and_the_variables_without_a_default():
    assert [name for tool in TOOLS if f"| `{(name := tool.name)}` |" not in tools()] == []
    required = [line.split("`")[1] for line in environment().splitlines() if "| required |" in line]
    assert required == ["LITELLM_API_URL", "LITELLM_API_KEY", "DATABASE_URL", "MCP_API_KEY"]


def test_the_modules_table_shows_what_a_module_wants_but_not_how_it_connects():
    (row,) = [line for line in modules().splitlines() if line.startswith("| `litellm_user_budget` |")]
    assert "**`user`**, `max_budget`, `budget_duration`" in row
    assert "`api_key`" not in row
