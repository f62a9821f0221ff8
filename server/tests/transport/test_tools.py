"""What every tool promises: a title, explicit hints, plain schemas, answers that keep to them, errors that help."""

from __future__ import annotations

import json
import os
from pathlib import Path

import jsonschema
import psycopg
import pytest

from tests.support.mcp_http import RawClient

from .conftest import TOKEN

SNAPSHOT = Path(__file__).with_name("tools.json")
WRITES = {"update_user_budget"}


@pytest.fixture(scope="module")
def tools(server) -> dict[str, dict]:
    with RawClient(server.url, TOKEN) as client:
        return {tool["name"]: tool for tool in client.result("tools/list")["tools"]}


def test_the_tools_are_those_of_the_snapshot(tools):
    """A change of a name, description or schema is a change of the interface: it must be meant.

    To renew the snapshot: `UPDATE_SNAPSHOTS=1 make test`, or with pytest on this file; then read its diff.
    """
    listed = json.dumps(tools, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        SNAPSHOT.write_text(listed)
    assert json.loads(SNAPSHOT.read_text()) == json.loads(listed), "UPDATE_SNAPSHOTS=1 renews tools.json"


def test_every_tool_says_what_it_is_and_what_it_does(tools):
    assert len(tools) == 8
    for name, tool in tools.items():
        assert tool["title"], name
        assert len(tool["description"]) > 40, name
        hints = tool["annotations"]
        for hint in "readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint":
            assert isinstance(hints.get(hint), bool), f"{name}: {hint}"
        assert hints["readOnlyHint"] is (name not in WRITES), name
        if hints["readOnlyHint"]:
            assert hints["destructiveHint"] is False, name


def test_schemas_are_plain_and_describe_every_argument(tools):
    for name, tool in tools.items():
        arguments = tool["inputSchema"]
        assert arguments["type"] == "object", name
        assert "anyOf" not in json.dumps(arguments), name
        assert tool["outputSchema"]["type"] == "object", name
        assert "$ref" not in json.dumps(tool), name
        for argument, schema in arguments["properties"].items():
            assert schema.get("description"), f"{name}.{argument}"
            assert "type" in schema or "enum" in schema, f"{name}.{argument}"


@pytest.mark.parametrize(
    ("tool", "arguments", "rows"),
    [
        ("list_models", {}, "models"),
        ("get_model_health", {"live": False}, "endpoints"),
        ("list_users", {"limit": 2}, "users"),
        ("get_spend_summary", {}, "rows"),
        *(("get_spend_summary", {"group_by": group}, "rows") for group in ("user", "key", "day", "provider")),
        ("get_daily_stats", {"days": 2}, "days"),
        ("get_pod_status", {}, "pods"),
        ("list_virtual_keys", {"limit": 2}, "keys"),
    ],
)
@pytest.mark.parametrize("revision", ["2025-06-18", "2026-07-28"])
def test_answers_keep_to_their_schema_and_say_whether_they_are_cut(client, tools, tool, arguments, rows, revision):
    client.revision = revision
    result = client.call(tool, **arguments)
    assert not result.get("isError"), result
    jsonschema.validate(result["structuredContent"], tools[tool]["outputSchema"])
    assert isinstance(result["structuredContent"][rows], list)
    assert isinstance(result["structuredContent"]["truncated"], bool)
    assert result["content"][0]["type"] == "text"
    assert result["content"][0]["text"].strip()


@pytest.mark.parametrize("tool", ["list_users", "list_virtual_keys"])
def test_a_cut_answer_gives_the_way_to_the_rest(client, tool):
    first = client.call(tool, limit=1)["structuredContent"]
    assert first["truncated"] is True
    assert first["next_cursor"]
    second = client.call(tool, limit=1, cursor=first["next_cursor"])["structuredContent"]
    rows = tool.removeprefix("list_").removeprefix("virtual_")
    assert first[rows] != second[rows]


@pytest.mark.parametrize(
    ("tool", "arguments", "field"),
    [
        ("get_daily_stats", {"days": 0}, "days"),
        ("get_daily_stats", {"days": 367}, "days"),
        ("get_daily_stats", {"days": "seven"}, "days"),
        ("get_spend_summary", {"date_from": "yesterday"}, "date_from"),
        ("get_spend_summary", {"date_from": "2026-02-30"}, "date_from"),
        ("get_spend_summary", {"date_from": "2026-03-02", "date_to": "2026-03-01"}, "date_from"),
        ("get_spend_summary", {"group_by": "colour"}, "group_by"),
        ("list_users", {"limit": -1}, "limit"),
        ("list_users", {"cursor": "nonsense"}, "cursor"),
        ("list_virtual_keys", {"status": "lost"}, "status"),
        ("list_virtual_keys", {"cursor": "nonsense"}, "cursor"),
        ("update_user_budget", {"max_budget": 5}, "user_id"),
        ("update_user_budget", {"user_id": "somebody", "max_budget": -1}, "max_budget"),
        ("get_daily_stats", {"dayz": 3}, "dayz"),
        ("list_models", {"model": "x"}, "model"),
    ],
)
@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
def test_a_bad_argument_is_a_tool_error_that_names_it(client, tool, arguments, field, revision):
    client.revision = revision
    text = client.error_of(tool, **arguments)
    assert field in text
    for internal in "pydantic", "Traceback", "validation error", "asyncpg", "https://errors":
        assert internal not in text, text


def test_an_unknown_tool_is_named_with_its_nearest(client):
    response = client.request("tools/call", {"name": "get_daily_stat", "arguments": {}})
    assert "get_daily_stats" in response.text


def test_a_tool_that_fails_inside_says_what_failed_and_not_how(start, stack):
    server = start(DATABASE_URL=stack.database_readonly_url.rpartition("/")[0] + "/postgres", LITEMAAS_DATABASE_URL=None)
    server.wait_for("/readyz")
    with RawClient(server.url, TOKEN) as client:
        text = client.error_of("get_daily_stats")
    assert "database" in text.lower()
    for internal in "asyncpg", "Traceback", "relation", "SELECT", "Error:", ".py":
        assert internal not in text, text


def test_read_only_hides_and_refuses_the_tool_that_writes(start, stack):
    server = start(READ_ONLY="true")
    server.wait_for("/readyz")
    user = 'select user_id, max_budget from "LiteLLM_UserTable" where user_id <> %s order by user_id limit 1'
    with psycopg.connect(stack.database_url, autocommit=True) as database, RawClient(server.url, TOKEN) as client:
        user_id, budget = database.execute(user, ("default_user_id",)).fetchone()
        for revision in "2025-11-25", "2026-07-28":
            client.revision = revision
            assert {tool["name"] for tool in client.result("tools/list")["tools"]}.isdisjoint(WRITES)
            assert "read-only" in client.error_of("update_user_budget", user_id=user_id, max_budget=(budget or 0) + 1)
        assert database.execute(user, ("default_user_id",)).fetchone() == (user_id, budget)
