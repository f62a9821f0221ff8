"""Who may enter, from where, and what is said to the others."""

from __future__ import annotations

import hmac
import subprocess
from urllib.parse import quote

import pytest
from litemaas_mcp.auth import RequireToken

from tests.support.mcp_http import RawClient, request_parts
from tests.support.server import COMMAND

from .conftest import TOKEN


def refused(response) -> None:
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert response.headers["content-type"] == "application/json"
    assert response.json()["error"] == "unauthorized"
    assert TOKEN not in response.text


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer wrong",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN}x",
        TOKEN,
        f"Basic {TOKEN}",
        f"Bearer {TOKEN} x",
    ],
)
def test_without_the_whole_token_nobody_enters(client, authorization):
    client.headers = {} if authorization is None else {"Authorization": authorization}
    refused(client.request("tools/list"))


def test_the_token_is_accepted_as_bearer_in_any_case(client):
    for scheme in "Bearer", "bearer", "BEARER":
        client.headers = {"Authorization": f"{scheme} {TOKEN}"}
        assert client.result("tools/list")["tools"]


def test_the_token_is_accepted_url_decoded_in_the_query(server):
    with RawClient(f"{server.url}?token={quote(TOKEN, safe='')}") as client:
        assert client.result("tools/list")["tools"]


@pytest.mark.parametrize(
    "query", ["", "?token=", "?token=wrong", f"?token={quote(TOKEN[:-1], safe='')}", f"?TOKEN={quote(TOKEN, safe='')}"]
)
def test_without_the_whole_token_in_the_query_nobody_enters(server, query):
    with RawClient(server.url + query) as client:
        refused(client.request("tools/list"))


def test_a_token_given_twice_is_no_token(server):
    with RawClient(f"{server.url}?token={quote(TOKEN, safe='')}&token=wrong") as client:
        refused(client.request("tools/list"))


def test_the_query_token_can_be_switched_off(start):
    server = start(ALLOW_QUERY_TOKEN="false")
    server.wait_for("/readyz")
    with RawClient(f"{server.url}?token={quote(TOKEN, safe='')}") as client:
        refused(client.request("tools/list"))
    with RawClient(server.url, TOKEN) as client:
        assert client.result("tools/list")["tools"]


def test_the_previous_token_is_accepted_beside_the_current_one(start):
    server = start(MCP_API_KEY_PREVIOUS="previous-token")
    server.wait_for("/readyz")
    for token in TOKEN, "previous-token":
        with RawClient(server.url, token) as client:
            assert client.result("tools/list")["tools"]
    with RawClient(server.url, "another-token") as client:
        refused(client.request("tools/list"))


@pytest.mark.parametrize("key", [None, "", " "])
def test_without_a_token_of_its_own_the_server_refuses_to_start(environment, key):
    variables = {**environment, "MCP_API_KEY": key, "PORT": "0"}
    done = subprocess.run(
        [COMMAND, "serve"],
        env={name: value for name, value in variables.items() if value is not None},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode != 0
    assert "MCP_API_KEY" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.anyio
async def test_tokens_are_compared_as_digests_in_constant_time(monkeypatch):
    compared = []
    genuine = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append((a, b)) or genuine(a, b))
    entered = []

    async def app(scope, receive, send):
        entered.append(scope)

    async def nothing(*_):
        return {"type": "http.request", "body": b""}

    entry = RequireToken(app, ["first-token", "second-token"], allow_query=True)
    for presented in b"x", b"first-token", b"a much longer token than either of them is":
        headers = [(b"authorization", b"Bearer " + presented)]
        await entry({"type": "http", "headers": headers, "query_string": b"", "path": "/mcp"}, nothing, nothing)
    assert len(entered) == 1
    # Every presented token against every accepted one, whichever matched, and never the tokens themselves.
    assert len(compared) == 6
    assert {len(value) for pair in compared for value in pair} == {32}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example.com"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "evil.example.com"}, 421),
        ({"Host": "litemaas-mcp.apps.example.com.evil.example.com"}, 421),
        ({"Host": "10.128.0.17:8080"}, 421),
        ({"Host": "litemaas-mcp.apps.example.com"}, 200),
        ({"Host": "litemaas-mcp.apps.example.com", "Origin": "https://litemaas-mcp.apps.example.com"}, 200),
        ({"Host": "localhost:8080"}, 200),
        ({"Host": "127.0.0.1:8080", "Origin": "http://localhost:6274"}, 200),
    ],
)
@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
def test_only_known_hosts_and_origins_reach_the_tools(client, headers, status, revision):
    client.revision = revision
    assert client.request("tools/list", **headers).status_code == status


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/health"])
def test_probes_need_no_token_and_no_known_host(client, path):
    response = client.get(path, Host="10.128.0.17:8080", Origin="https://evil.example.com")
    assert response.status_code == 200


def test_health_is_exactly_what_it_always_was(client):
    response = client.get("/health")
    assert response.text == '{"status":"healthy","database":true,"litellm":true}'
    assert response.headers["content-type"] == "application/json"


def test_unknown_paths_give_nothing_away(client):
    for path in "/", "/mcp/tools", "/docs", "/metrics", "/.env":
        response = client.get(path)
        assert (response.status_code, TOKEN in response.text) == (404, False), path


def test_a_wrong_token_is_refused_before_the_body_is_read(server):
    headers, body = request_parts("tools/list", None, "2026-07-28")
    with RawClient(server.url, "wrong") as client:
        refused(client.http.post(server.url, content=b"x" * 5_000_000, headers={**headers, **client.headers}))
        refused(client.http.post(server.url, content=body[:10], headers={**headers, **client.headers}))
