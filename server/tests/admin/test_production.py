"""What a production server must pass, as far as this profile has it: the entry, the protocol, outages, leaving, the end."""

from __future__ import annotations

import http.client
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import mcp
import pytest
from mcp.client.streamable_http import streamable_http_client

from tests.support.http_stand_in import HttpStandIn
from tests.support.mcp_http import LEGACY, MODERN, RawClient, request_parts
from tests.support.tcp_proxy import TcpProxy

from .conftest import Caller


@pytest.fixture
def proxy(stack):
    """The way to LiteLLM, to be cut, hung and healed."""
    with TcpProxy("127.0.0.1", httpx.URL(stack.litellm_url).port) as proxy:
        proxy.url = f"http://127.0.0.1:{proxy.port}"
        yield proxy


def eventually(condition, seconds: float, what: str) -> None:
    deadline = time.perf_counter() + seconds
    while not condition():
        assert time.perf_counter() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


def test_health_is_exactly_that_needs_no_key_and_does_not_ask_litellm(start):
    with RawClient(start(LITELLM_BASE_URL="http://127.0.0.1:1").url) as client:
        response = client.get("/health", Host="10.128.0.17:3100")
        assert (response.status_code, response.text) == (200, '{"status":"ok"}')
        assert [client.get(path).status_code for path in ("/livez", "/readyz", "/", "/admin/mcp")] == [200, 200, 404, 404]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example.com"}, 403),
        ({"Host": "evil.example.com"}, 421),
        ({"Host": "10.128.0.17:3100"}, 421),
        ({"Host": "admin.apps.example.com"}, 200),
        ({"Host": "localhost:3100"}, 200),
    ],
)
def test_only_known_hosts_and_origins_reach_the_tools(admin, revision, headers, status):
    admin.revision = revision
    assert admin.request("tools/list", **headers).status_code == status


@pytest.mark.parametrize("asked", LEGACY)
def test_every_older_revision_initializes(admin, asked):
    params = {"protocolVersion": asked, "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}}
    admin.revision = asked
    result = admin.result("initialize", params)
    assert (result["protocolVersion"], result["serverInfo"]["name"]) == (asked, "litellm-admin")
    assert len(admin.result("tools/list")["tools"]) == 11


def test_the_current_revision_discovers(admin):
    assert MODERN in admin.result("server/discover")["supportedVersions"]
    admin.revision = "1999-01-01"
    assert admin.request("tools/list").status_code == 400


@pytest.mark.parametrize("mode", ["auto", "legacy", MODERN])
@pytest.mark.anyio
async def test_the_sdk_client_asks_every_way(admin_server, stack, mode):
    import httpx2

    headers = {"Authorization": f"Bearer {stack.litellm_master_key}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=60, trust_env=False) as http_client,
        mcp.Client(streamable_http_client(admin_server.url, http_client=http_client), mode=mode) as client,
    ):
        assert len((await client.list_tools()).tools) == 11
        assert (await client.call_tool("litellm_user_list", {"page_size": 2})).structured_content["success"] is True
        assert (await client.call_tool("litellm_user_info", {"user_id": "nobody-at-all"})).is_error


def test_other_methods_are_405_and_a_slash_is_served_without_redirect(admin):
    for method in "GET", "DELETE":
        assert admin.http.request(method, admin.url, headers=admin.headers).status_code == 405
    admin.url += "/"
    assert admin.request("tools/list").status_code == 200


def test_five_megabytes_are_413_and_no_json_is_400(admin, revision):
    headers, body = request_parts("tools/call", {"name": "litellm_user_list", "arguments": {"role": "x" * 5_000_000}}, revision)
    assert admin.http.post(admin.url, content=body, headers={**headers, **admin.headers}).status_code == 413
    for broken in b"", b"{", b"not json", b"[]":
        assert admin.http.post(admin.url, content=broken, headers={**headers, **admin.headers}).status_code == 400


def test_an_unknown_tool_is_named_with_its_nearest_in_the_envelope(admin, revision):
    admin.revision = revision
    error = admin.error("litellm_users_list")
    assert error["status"] == 404
    assert error["message"] == "There is no tool 'litellm_users_list': did you mean litellm_user_list?"


def test_a_litellm_that_is_gone_or_hangs_is_told_in_time_and_found_again(start, stack, proxy, revision):
    server = start(LITELLM_BASE_URL=proxy.url, LITELLM_TIMEOUT="4")
    with Caller(server.url, stack.litellm_master_key, revision=revision) as admin:
        proxy.cut()
        assert (error := admin.error("litellm_user_list"))["status"] == 503
        assert "can't be reached" in error["message"]
        proxy.heal()
        assert admin.data("litellm_user_list", page_size=1)
        proxy.hang()
        started = time.perf_counter()
        assert admin.error("litellm_user_list")["status"] == 504
        assert time.perf_counter() - started < 7
        assert admin.get("/health").status_code == 200
        proxy.heal()
        assert admin.data("litellm_user_list", page_size=1)


def test_a_write_whose_answer_is_lost_says_so_and_is_not_repeated(start, stack, relay, new_user):
    user = new_user()["user_id"]
    relay.fails = lambda asked: "after" if asked.method == "POST" else None
    with Caller(start(LITELLM_BASE_URL=relay.url).url, stack.litellm_master_key) as admin:
        error = admin.error("litellm_user_update", user_id=user, max_budget=3)
    assert error["status"] == 500
    assert "no space left" in error["message"]
    assert "Whether the change arrived is not known" in error["message"]
    assert relay.count("/user/update") == 1


@pytest.mark.parametrize(("tool", "looked"), [("litellm_user_create", "litellm_user_list"), ("litellm_key_generate", "litellm_key_list")])
def test_a_lost_answer_about_something_new_says_where_to_look_before_another_call(start, stack, relay, tool, looked, name, owner):
    relay.fails = lambda asked: "after" if asked.method == "POST" else None
    with Caller(start(LITELLM_BASE_URL=relay.url).url, stack.litellm_master_key) as admin:
        message = admin.error(tool, **({"user_id": name} if "user" in tool else {"key_alias": name}))["message"]
    try:
        assert f"Whether the change arrived is not known. Before you call again, look for it with {looked}, sorted by created_at" in message
        assert "same arguments" not in message
    finally:
        owner.execute('delete from "LiteLLM_UserTable" where user_id = %s', (name,))
        owner.execute('delete from "LiteLLM_VerificationToken" where key_alias = %s', (name,))


@pytest.mark.parametrize("tool", ["litellm_user_create", "litellm_user_update", "litellm_key_update"])
def test_a_change_that_can_not_be_read_back_says_that_it_was_made(start, stack, relay, tool, new_user, new_key, name, owner):
    written = []

    def fails(asked):
        if asked.method == "POST":
            written.append(asked)
        return "before" if asked.method == "GET" and written else None

    relay.fails = fails
    key, user = new_key()["token"], new_user()["user_id"]
    named = {"litellm_user_create": {"user_id": name}, "litellm_user_update": {"user_id": user}, "litellm_key_update": {"key": key}}[tool]
    with Caller(start(LITELLM_BASE_URL=relay.url).url, stack.litellm_master_key) as admin:
        error = admin.error(tool, **named, max_budget=3)
    try:
        (field, value), *_ = named.items()
        assert error["status"] == 500
        assert error["message"].startswith(f"The change was made ({field} {value}); reading it back failed: LiteLLM failed with HTTP 500")
    finally:
        owner.execute('delete from "LiteLLM_UserTable" where user_id = %s', (name,))


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("litellm_user_delete", {"user_ids": ["0", "1@example.com", "2@example.com"]}),
        ("litellm_key_delete", {"keys": ["0" * 64, "1" * 64, "2" * 64]}),
    ],
)
def test_after_the_first_failure_of_many_lookups_the_others_stop(start, stack, tool, arguments):
    """A lookup that waits would come back to LiteLLM with its next question after the answer."""
    refused = threading.Event()

    def answer(asked):
        if asked.path.endswith(("=0", "0" * 64)):
            return 403, {"error": {"message": "not this one", "code": "403"}}
        refused.wait(5)
        return 404, {"error": {"message": "unknown", "code": "404"}}

    with HttpStandIn(answer) as stand_in, Caller(start(LITELLM_BASE_URL=stand_in.url).url, stack.litellm_master_key) as admin:
        error = admin.error(tool, **arguments)
        assert (error["status"], error["message"]) == (403, "LiteLLM refused with HTTP 403: not this one")
        asked = len(stand_in.asked)
        refused.set()
        time.sleep(0.5)
        assert len(stand_in.asked) == asked


def test_a_tool_that_fails_inside_tells_so_in_the_envelope_and_not_how(start, stack):
    with HttpStandIn(lambda asked: (200, {"users": []})) as stand_in:  # a list without its total
        server = start(LITELLM_BASE_URL=stand_in.url)
        with Caller(server.url, stack.litellm_master_key) as admin:
            error = admin.error("litellm_user_list")
    assert error == {
        "status": 500,
        "message": "litellm_user_list failed inside the server. The cause is in the server's log.",
        "detail": {},
    }
    assert "KeyError" in server.output


def test_without_openapi_a_newer_filter_is_not_said_to_be_lacking_and_it_is_asked_for_once(start, stack, relay):
    relay.answer = lambda asked: (404, {"detail": "Not Found"}) if asked.path == "/openapi.json" else relay._pass_on(asked)
    with Caller(start(LITELLM_BASE_URL=relay.url).url, stack.litellm_master_key) as admin:
        for _ in range(3):
            error = admin.error("litellm_user_list", search="x")
            assert error["message"].startswith("search: whether this LiteLLM has this filter, or would ignore it, can't be found out")
        assert admin.data("litellm_user_list", user_email="x", page_size=1)
    assert relay.count("/openapi.json") == 1


def test_lists_ask_litellm_once(start, stack, relay, new_key):
    key = new_key()["token"]
    with Caller(start(LITELLM_BASE_URL=relay.url).url, stack.litellm_master_key) as admin:
        for tool, arguments in (
            ("litellm_user_list", {"role": "internal_user"}),
            ("litellm_key_list", {}),
            ("litellm_usage_spend_logs", {}),
            ("litellm_key_info", {"key": key}),
        ):
            relay.asked.clear()
            admin.data(tool, **arguments)
            assert len(relay.asked) == 1, tool


def test_a_proxy_that_is_no_litellm_is_no_crash(start, stack):
    for status, body, said in (200, b"<html>", 503), (200, {"odd": 1}, 502), (200, [], 502), (404, {"detail": "Not Found"}, 404):
        with HttpStandIn(lambda asked, answer=(status, body): answer) as stand_in:
            server = start(LITELLM_BASE_URL=stand_in.url)
            with Caller(server.url, stack.litellm_master_key) as admin:
                for tool in "litellm_user_list", "litellm_key_list", "litellm_usage_spend_logs":
                    assert admin.error(tool)["status"] == said, (tool, body)


def test_clients_that_leave_cancel_their_requests_and_free_every_connection(start, stack, proxy, revision):
    server = start(LITELLM_BASE_URL=proxy.url, LITELLM_TIMEOUT="60")
    with Caller(server.url, stack.litellm_master_key, revision=revision) as admin:
        assert admin.data("litellm_user_list", page_size=1)
        files = server.open_files()
        proxy.hang()
        headers, body = request_parts("tools/call", {"name": "litellm_user_list", "arguments": {}}, revision)
        leaving = []
        for _ in range(120):  # more than the pool of connections is large
            connection = http.client.HTTPConnection("127.0.0.1", server.port)
            connection.request("POST", "/mcp", body, {**headers, **admin.headers})
            leaving.append(connection)
        eventually(lambda: server.open_files() > files + 200, 20, "every call is under way")
        for connection in leaving:
            connection.close()
        eventually(lambda: server.open_files() <= files, 1, "every connection is closed")
        proxy.cut()  # what the proxy still holds of them must not reach LiteLLM now
        proxy.heal()
        started = time.perf_counter()
        assert admin.data("litellm_user_list", page_size=1)
        assert time.perf_counter() - started < 2


def test_a_call_in_flight_at_sigterm_completes(start, stack, proxy, revision):
    server = start(LITELLM_BASE_URL=proxy.url)
    with Caller(server.url, stack.litellm_master_key, revision=revision) as admin, ThreadPoolExecutor(1) as pool:
        proxy.hang()
        call = pool.submit(admin.data, "litellm_user_list", page_size=1)
        time.sleep(0.3)
        server.terminate()
        threading.Timer(2, proxy.heal).start()
        started = time.perf_counter()
        assert len(call.result(10)["users"]) == 1
        server.wait(10)
        assert time.perf_counter() - started < 10
