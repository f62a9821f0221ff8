"""The protocol: revisions, methods, bodies, real clients."""

from __future__ import annotations

import json
import time
from urllib.parse import quote

import httpx2
import mcp
import pytest
from mcp.client.streamable_http import streamable_http_client

from tests.support.mcp_http import LEGACY, MODERN, RawClient, message, request_parts

from .conftest import TOKEN

TOOLS = {
    *("list_models", "get_model_health", "list_users", "get_spend_summary"),
    *("get_daily_stats", "get_pod_status", "update_user_budget", "list_virtual_keys"),
}


def initialize(client, asked: str):
    usual, _ = request_parts("initialize", None, "2025-11-25")
    del usual["MCP-Protocol-Version"]  # not known before the answer
    params = {"protocolVersion": asked, "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}}
    body = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
    return client.http.post(client.url, json=body, headers={**usual, **client.headers})


@pytest.mark.parametrize("revision", LEGACY)
def test_every_older_revision_initializes_lists_and_calls(client, revision):
    client.revision = revision
    result = message(initialize(client, revision))["result"]
    assert result["protocolVersion"] == revision
    assert result["serverInfo"]["name"]
    assert client.request("notifications/initialized").status_code < 300
    assert {tool["name"] for tool in client.result("tools/list")["tools"]} == TOOLS
    assert len(client.call("get_daily_stats", days=3)["structuredContent"]["days"]) == 3


def test_initialize_with_an_unknown_revision_is_answered_with_one_that_we_speak(client):
    assert message(initialize(client, "1999-01-01"))["result"]["protocolVersion"] in LEGACY


def test_the_current_revision_discovers_lists_and_calls_without_a_session(client):
    discovered = client.request("server/discover")
    assert discovered.status_code == 200
    assert "mcp-session-id" not in discovered.headers
    result = message(discovered)["result"]
    assert MODERN in result["supportedVersions"]
    assert result["instructions"]
    assert {tool["name"] for tool in client.result("tools/list")["tools"]} == TOOLS
    assert len(client.call("get_daily_stats", days=3)["structuredContent"]["days"]) == 3


@pytest.mark.parametrize("revision", ["1999-01-01", "2026-07-29", "latest", "0"])
def test_an_unknown_revision_is_a_clear_400(client, revision):
    client.revision = revision
    response = client.request("tools/list")
    assert response.status_code == 400
    error = message(response)["error"]
    assert "version" in error["message"].lower()
    assert MODERN in json.dumps(error)


@pytest.mark.parametrize("revision", LEGACY)
def test_a_batch_is_a_clear_400(client, revision):
    client.revision = revision
    headers, body = request_parts("tools/list", None, revision)
    batch = b"[" + body + b"," + body.replace(b'"id":1', b'"id":2') + b"]"
    response = client.http.post(client.url, content=b" \n" + batch, headers={**headers, **client.headers})
    assert response.status_code == 400
    assert "batch" in message(response)["error"]["message"].lower()


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "HEAD"])
@pytest.mark.parametrize("revision", ["2025-11-25", MODERN])
def test_other_methods_are_405_at_once(client, method, revision):
    started = time.perf_counter()
    headers = {"Accept": "text/event-stream", "MCP-Protocol-Version": revision, **client.headers}
    response = client.http.request(method, client.url, headers=headers)
    assert response.status_code == 405
    assert "POST" in response.headers["allow"]
    assert time.perf_counter() - started < 2


def test_a_trailing_slash_is_served_without_a_redirect(server):
    with RawClient(f"{server.url}/?token={quote(TOKEN, safe='')}") as client:
        response = client.request("tools/list")
        assert response.status_code == 200
        assert len(message(response)["result"]["tools"]) == len(TOOLS)


@pytest.mark.parametrize("revision", ["2025-11-25", MODERN])
@pytest.mark.parametrize("known_length", [True, False], ids=["with a length", "chunked"])
def test_five_megabytes_are_413(client, revision, known_length):
    headers, body = request_parts("tools/call", {"name": "get_daily_stats", "arguments": {"x": "y" * 5_000_000}}, revision)
    content = body if known_length else (body[at : at + 65536] for at in range(0, len(body), 65536))
    response = client.http.post(client.url, content=content, headers={**headers, **client.headers})
    assert response.status_code == 413


@pytest.mark.parametrize("revision", ["2025-11-25", MODERN])
@pytest.mark.parametrize("body", [b"", b"{", b"not json", b'{"jsonrpc":"2.0"}', b"null", b"\xff\xfe"])
def test_what_is_no_json_rpc_message_is_400(client, revision, body):
    headers, _ = request_parts("tools/list", None, revision)
    response = client.http.post(client.url, content=body, headers={**headers, **client.headers})
    assert response.status_code == 400
    assert "error" in response.json()


def test_headers_of_the_current_revision_must_match_the_body(client):
    assert client.request("tools/call", {"name": "get_daily_stats", "arguments": {}}, **{"Mcp-Name": "list_users"}).status_code == 400
    assert client.request("tools/list", **{"Mcp-Method": "tools/call"}).status_code == 400


@pytest.mark.parametrize("mode", ["auto", "legacy", MODERN])
@pytest.mark.parametrize("token_in", ["header", "query"])
@pytest.mark.anyio
async def test_the_sdk_client_asks_every_way(server, mode, token_in):
    url = server.url if token_in == "header" else f"{server.url}?token={quote(TOKEN, safe='')}"
    headers = {"Authorization": f"Bearer {TOKEN}"} if token_in == "header" else {}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=60, trust_env=False) as http,
        mcp.Client(streamable_http_client(url, http_client=http), mode=mode) as client,
    ):
        assert {tool.name for tool in (await client.list_tools()).tools} == TOOLS
        result = await client.call_tool("get_daily_stats", {"days": 4})
    assert not result.is_error
    assert len(result.structured_content["days"]) == 4
    assert result.content[0].text
