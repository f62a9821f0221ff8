"""What the eleven promise: names, hints, plain schemas, one envelope; and how they are switched off, and on beside LiteMaaS's own."""

from __future__ import annotations

import json
import os
from pathlib import Path

import jsonschema
import pytest

from tests.support.server import ServerProcess

from .conftest import Caller

SNAPSHOT = Path(__file__).with_name("tools.json")
READING = {"litellm_user_list", "litellm_user_info", "litellm_key_list", "litellm_key_info", "litellm_usage_spend_logs"}
WRITING = {f"litellm_{subject}" for subject in ("user_create", "user_update", "user_delete", "key_generate", "key_update", "key_delete")}


def listed(caller: Caller) -> dict[str, dict]:
    return {tool["name"]: tool for tool in caller.result("tools/list")["tools"]}


def test_the_tools_are_those_of_the_snapshot(admin):
    """To renew it: UPDATE_SNAPSHOTS=1 with pytest on this file; then read its diff: it is the interface."""
    text = json.dumps(listed(admin), indent=2, ensure_ascii=False, sort_keys=True) + "\n"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        SNAPSHOT.write_text(text)
    assert json.loads(SNAPSHOT.read_text()) == json.loads(text), "UPDATE_SNAPSHOTS=1 renews tools.json"


def test_every_tool_says_what_it_is_and_what_it_does(admin):
    tools = listed(admin)
    assert tools.keys() == READING | WRITING
    for name, tool in tools.items():
        assert tool["title"]
        assert len(tool["description"]) > 40
        hints = tool["annotations"]
        assert hints["readOnlyHint"] is (name in READING), name
        assert hints["destructiveHint"] is name.endswith(("_update", "_delete")), name
        assert hints["idempotentHint"] is (name in READING or name.endswith("_update")), name
        assert hints["openWorldHint"] is False, name


def test_schemas_are_plain_and_describe_every_argument(admin):
    for name, tool in listed(admin).items():
        text = json.dumps([tool["inputSchema"], tool["outputSchema"]])
        for word in '"anyOf"', '"oneOf"', '"$ref"', '"$defs"':
            assert word not in text, name
        assert tool["inputSchema"]["additionalProperties"] is False
        for argument, schema in tool["inputSchema"]["properties"].items():
            assert schema.get("description"), f"{name}.{argument}"
            assert "type" in schema, f"{name}.{argument}"
        assert tool["outputSchema"]["required"] == ["success"]


def test_answers_keep_to_their_schema_and_say_the_same_as_text(admin, revision, new_user, new_key, name):
    admin.revision = revision
    schemas = {tool: each["outputSchema"] for tool, each in listed(admin).items()}
    user, key = new_user()["user_id"], new_key()["key_alias"]
    made = f"{name}-made"
    asked: list[tuple[str, dict]] = [
        ("litellm_user_list", {"page_size": 3}),
        ("litellm_user_info", {"user_id": user}),
        ("litellm_user_create", {"user_id": made}),
        ("litellm_user_update", {"user_id": made, "max_budget": 1}),
        ("litellm_key_list", {"size": 3}),
        ("litellm_key_info", {"key": key}),
        ("litellm_key_generate", {"key_alias": made, "user_id": made}),
        ("litellm_key_update", {"key": made, "max_budget": 1}),
        ("litellm_key_delete", {"keys": [made]}),
        ("litellm_user_delete", {"user_ids": [made]}),
        ("litellm_usage_spend_logs", {"page_size": 3}),
    ]
    assert {tool for tool, _ in asked} == READING | WRITING
    refused = [("litellm_user_info", {"user_id": "nobody-at-all"}), ("litellm_user_list", {"page": 0}), ("litellm_user_list", {"x": 1})]
    for tool, arguments in asked + refused:
        result = admin.call(tool, **arguments)
        assert bool(result.get("isError")) is ((tool, arguments) in refused), result
        jsonschema.validate(result["structuredContent"], schemas[tool])
        assert json.loads(result["content"][0]["text"]) == result["structuredContent"]
        assert ("data" in result["structuredContent"]) is not ("error" in result["structuredContent"])


def test_read_only_hides_and_refuses_the_six_that_write(start, stack, revision, owner, name):
    with Caller(start(READ_ONLY="true").url, stack.litellm_master_key, revision=revision) as admin:
        assert listed(admin).keys() == READING
        for tool in WRITING:
            error = admin.error(tool, user_id=name)
            assert error["status"] == 403
            assert error["message"] == f"{tool} is switched off: this server is read-only."
        assert admin.data("litellm_user_list", page_size=1)
    assert owner.execute('select 1 from "LiteLLM_UserTable" where user_id = %s', (name,)).fetchone() is None


def test_only_the_allowed_tools_are_there(start, stack, revision):
    server = start(ADMIN_TOOLS="litellm_user_list, litellm_user_create")
    with Caller(server.url, stack.litellm_master_key, revision=revision) as admin:
        assert listed(admin).keys() == {"litellm_user_list", "litellm_user_create"}
        assert admin.error("litellm_key_list")["message"] == "litellm_key_list is switched off: this server does not offer it."
        assert admin.data("litellm_user_list", page_size=1)


@pytest.fixture
def litemaas(stack) -> dict[str, str]:
    """What the profile litemaas needs."""
    return {
        "MCP_API_KEY": "its-own-token",
        "LITELLM_API_URL": stack.litellm_url,
        "LITELLM_API_KEY": stack.litellm_master_key,
        "DATABASE_URL": stack.database_readonly_url,
    }


def test_the_profile_litemaas_serves_them_at_admin_mcp_with_the_callers_key(litemaas, stack, new_user, new_key, revision):
    key = new_key(user_id=new_user(user_role="internal_user")["user_id"])
    with ServerProcess(litemaas | {"ADMIN_MCP": "true"}) as server:
        server.wait_for("/health")
        with Caller(f"{server.origin}/admin/mcp", key["key"], revision=revision) as caller:
            assert listed(caller).keys() == READING | WRITING
            assert [each["token"] for each in caller.data("litellm_key_list")["keys"]] == [key["token"]]
            assert caller.error("litellm_user_list")["status"] in (401, 403)
            caller.url += "/"
            assert listed(caller)
        with Caller(server.url, "its-own-token", revision=revision) as caller:
            assert "list_models" in listed(caller)
            caller.url = f"{server.origin}/admin/mcp"
            assert caller.request("tools/list").status_code == 401
            caller.url, caller.headers = server.url, {"Authorization": f"Bearer {stack.litellm_master_key}"}
            assert caller.request("tools/list").status_code == 401


def test_the_switches_hold_for_the_mounted_tools_too(litemaas, stack, name):
    changes = {"ADMIN_MCP": "true", "READ_ONLY": "true", "ADMIN_TOOLS": "litellm_user_list,litellm_user_create"}
    with ServerProcess(litemaas | changes) as server:
        server.wait_for("/readyz")
        with Caller(f"{server.origin}/admin/mcp", stack.litellm_master_key) as caller:
            assert listed(caller).keys() == {"litellm_user_list"}
            for tool, why in ("litellm_user_create", "this server is read-only"), ("litellm_key_list", "this server does not offer it"):
                error = caller.error(tool)
                assert (error["status"], error["message"]) == (403, f"{tool} is switched off: {why}.")
            assert caller.error("litellm_lost")["status"] == 404


def test_off_by_default_there_is_no_such_path(litemaas, stack):
    with ServerProcess(litemaas) as server:
        server.wait_for("/readyz")
        with Caller(f"{server.origin}/admin/mcp", stack.litellm_master_key) as caller:
            assert caller.request("tools/list").status_code == 404


def test_the_mounted_tools_may_have_another_litellm(litemaas, stack, relay):
    with ServerProcess(litemaas | {"ADMIN_MCP": "true", "LITELLM_BASE_URL": relay.url}) as server:
        server.wait_for("/readyz")
        with Caller(f"{server.origin}/admin/mcp", stack.litellm_master_key) as caller:
            caller.data("litellm_user_list")
    assert relay.count("/user/list") == 1
