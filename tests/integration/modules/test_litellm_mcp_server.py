"""litellm_mcp_server against the real LiteLLM; the state is read from its database, grants by what a key then sees."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from ansible_collections.rhpds.litemaas.plugins.modules import litellm_mcp_server

from tests.integration.modules.conftest import LiteLLM, name
from tests.integration.roles.test_gateway import litellm as another_litellm
from tests.support.http_stand_in import HttpStandIn

ROOT = Path(__file__).parents[3]
MODULE = "litellm_mcp_server"
TABLE = '"LiteLLM_MCPServerTable"'


def rows(litellm: LiteLLM, server_name: str) -> list[dict[str, Any]]:
    return litellm.rows(f"select * from {TABLE} where server_name = %s order by created_at", server_name)


def listed(litellm: LiteLLM, server_name: str) -> list[dict[str, Any]]:
    return [server for server in litellm.http.get("/v1/mcp/server").json() if server["server_name"] == server_name]


@pytest.fixture
def server(litellm: LiteLLM) -> Iterator[str]:
    """A server's name; whatever has it, or begins with it, goes when the test ends."""
    server_name = f"s{uuid.uuid4().hex[:10]}"
    yield server_name
    for row in litellm.rows(f"select server_id from {TABLE} where server_name like %s", f"{server_name}%"):
        litellm.http.delete(f"/v1/mcp/server/{row['server_id']}")


def options(litellm: LiteLLM, server_name: str, **more: Any) -> dict[str, Any]:
    """Our own server, as it is registered."""
    headers = {"Authorization": f"Bearer {litellm.stack.mcp_token}"}
    return {"server_name": server_name, "server_url": litellm.stack.mcp_url, "static_headers": headers} | more


def test_create_again_change_absent_again(litellm: LiteLLM, server: str):
    costs = {"default_cost_per_query": "0.01", "tool_name_to_cost_per_query": {"list_models": 0.02}}
    wanted = options(
        litellm,
        server,
        alias=f"{server}a",
        description="LiteMaaS",
        extra_headers=["x-request-id"],
        allowed_tools=["list_models", "list_users"],
        mcp_access_groups=["lab"],
        mcp_info={"logo_url": "https://example.com/logo.png", "mcp_server_cost_info": costs},
    )
    predicted = litellm.run(MODULE, check=True, **wanted)
    assert rows(litellm, server) == []
    made = litellm.run(MODULE, **wanted)
    assert made.get("changed"), made
    assert predicted == made
    assert made["after"]["secrets_sent"] == ["static_headers.Authorization"]
    [row] = rows(litellm, server)
    assert row["server_id"] == made["server_id"] == made["after"]["server_id"]
    assert (row["alias"], row["transport"], row["description"]) == (f"{server}a", "http", "LiteMaaS")
    assert (row["extra_headers"], row["mcp_access_groups"], row["allow_all_keys"]) == (["x-request-id"], ["lab"], False)
    assert row["mcp_info"]["mcp_server_cost_info"] == {
        "default_cost_per_query": 0.01,
        "tool_name_to_cost_per_query": {"list_models": 0.02},
    }

    again = litellm.run(MODULE, **wanted)
    assert not again["changed"], again["diff"]
    assert rows(litellm, server) == [row]

    change = {"server_name": server, "description": "changed", "allowed_tools": [], "mcp_info": {"logo_url": None}}
    predicted = litellm.run(MODULE, check=True, **change)
    assert rows(litellm, server) == [row]
    changed = litellm.run(MODULE, **change)
    assert changed["changed"], changed
    assert predicted == changed
    [now] = rows(litellm, server)
    assert (now["description"], now["allowed_tools"]) == ("changed", [])
    assert set(now["mcp_info"]) == {"mcp_server_cost_info"}
    kept = ("server_id", "alias", "url", "transport", "extra_headers", "mcp_access_groups", "auth_type")
    assert {field: now[field] for field in kept} == {field: row[field] for field in kept}
    [seen] = listed(litellm, server)
    assert seen["static_headers"] == wanted["static_headers"]
    assert not litellm.run(MODULE, **change)["changed"]

    absent = {"server_name": server, "state": "absent"}
    assert litellm.run(MODULE, check=True, **absent)["changed"]
    assert len(rows(litellm, server)) == 1
    removed = litellm.run(MODULE, **absent)
    assert (removed["changed"], removed["after"], removed["grants_removed"]) == (True, None, [])
    assert rows(litellm, server) == []
    assert listed(litellm, server) == []
    assert not litellm.run(MODULE, **absent)["changed"]
