"""Whose key is used: the caller's, for this request, and nobody's else."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.support.mcp_http import MODERN
from tests.support.server import COMMAND
from tests.support.tcp_proxy import TcpProxy

from .conftest import Caller

CANARY = "sk-canary-/+=%~key"  # not only of letters


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer sk-",
        "Bearer nonsense",
        "Basic sk-1234",
        "sk-1234",
        "Bearer sk-1234 sk-5678",
        "Bearer sk-12\t34",
        "Bearer Sk-1234",
    ],
)
def test_without_a_litellm_key_it_is_401_and_litellm_is_not_called(start, relay, authorization, revision):
    server = start(LITELLM_BASE_URL=relay.url)
    with Caller(server.url, revision=revision) as caller:
        caller.headers = {} if authorization is None else {"Authorization": authorization}
        for response in (
            caller.request("tools/list"),
            caller.request("tools/call", {"name": "litellm_user_list", "arguments": {}}),
            caller.http.post(f"{server.url}?token=sk-1234", headers=caller.headers),
        ):
            assert response.status_code == 401
            assert response.headers["www-authenticate"].startswith("Bearer")
            assert response.json()["error"] == "unauthorized"
    assert relay.asked == []


def test_two_keys_are_none(start, relay):
    server = start(LITELLM_BASE_URL=relay.url)
    response = httpx.post(server.url, headers=[("Authorization", "Bearer sk-1234"), ("Authorization", "Bearer sk-5678")], trust_env=False)
    assert response.status_code == 401
    assert relay.asked == []


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_the_header_goes_on_unchanged(start, relay, revision, scheme):
    with Caller(start(LITELLM_BASE_URL=relay.url).url, revision=revision) as caller:
        caller.headers = {"Authorization": f"{scheme} {CANARY}"}
        assert caller.error("litellm_user_list")["status"] == 401
    assert [asked.headers["authorization"] for asked in relay.asked] == [f"{scheme} {CANARY}"]


def test_a_client_that_names_itself_is_named_to_litellm(start, relay, stack, new_user):
    user = new_user()["user_id"]
    server = start(LITELLM_BASE_URL=relay.url)
    for revision, named in (MODERN, "raw/1"), ("2025-11-25", None):
        relay.asked.clear()
        with Caller(server.url, stack.litellm_master_key, revision=revision) as admin:
            admin.data("litellm_user_update", user_id=user, spend=len(revision) + (named is None))
        (written,) = [asked for asked in relay.asked if asked.method == "POST"]
        assert written.headers.get("litellm-changed-by") == named


def test_who_the_configuration_names_is_named_to_litellm_before_the_client_itself(start, relay, stack, new_user):
    user = new_user()["user_id"]
    with Caller(start(LITELLM_BASE_URL=relay.url).url, stack.litellm_master_key) as admin:
        for number, (sent, named) in enumerate(
            (("jane@example.com", "jane@example.com"), ("Jane Dö\tx" + "y" * 200, f"Jane-D-x{'y' * 92}"))
        ):
            relay.asked.clear()
            admin.headers["litellm-changed-by"] = sent.encode()
            admin.data("litellm_user_update", user_id=user, spend=number + 1)
            assert {asked.headers.get("litellm-changed-by") for asked in relay.asked} == {named}


def test_every_write_names_who_changed(start, relay, stack, name, new_user):
    user = new_user()["user_id"]
    with Caller(start(LITELLM_BASE_URL=relay.url).url, stack.litellm_master_key) as admin:
        admin.data("litellm_user_create", user_id=name)
        admin.data("litellm_key_generate", key_alias=name, user_id=name)
        admin.data("litellm_key_update", key=name, max_budget=1)
        admin.data("litellm_key_delete", keys=[name])
        admin.data("litellm_user_update", user_id=user, max_budget=1)
        admin.data("litellm_user_delete", user_ids=[name])
    written = {asked.path: asked.headers.get("litellm-changed-by") for asked in relay.asked if asked.method == "POST"}
    paths = ("/user/new", "/user/update", "/user/delete", "/key/generate", "/key/update", "/key/delete")
    assert written == dict.fromkeys(paths, "raw/1")


def test_a_key_that_litellm_does_not_know_is_refused_readably_and_not_repeated(admin, revision):
    admin.revision = revision
    admin.headers = {"Authorization": "Bearer sk-canary-unknown-0123456789"}
    result = admin.call("litellm_key_list")
    error = result["structuredContent"]["error"]
    assert error["status"] == 401
    assert "Invalid proxy server token" in error["message"]
    assert error["detail"]["error"]["type"] == "token_not_found_in_db"
    assert "canary" not in str(result)


def test_an_expired_key_is_refused_readably(admin, new_key, owner):
    key = new_key(duration="1d")
    owner.execute("""update "LiteLLM_VerificationToken" set expires = now() - interval '1 hour' where token = %s""", (key["token"],))
    admin.headers = {"Authorization": f"Bearer {key['key']}"}
    error = admin.error("litellm_user_list")
    assert error["status"] in (400, 401)
    assert "expired" in error["message"].lower()


def test_a_key_without_rights_gets_litellms_own_refusal(admin, new_user, new_key, owner, name):
    user = new_user(user_role="internal_user")["user_id"]
    other = new_user()["user_id"]
    foreign = new_key(user_id=other)["token"]
    admin.headers = {"Authorization": f"Bearer {new_key(user_id=user)['key']}"}
    for tool, arguments in (
        ("litellm_user_list", {}),
        ("litellm_user_create", {"user_id": name}),
        ("litellm_user_update", {"user_id": other, "max_budget": 1}),
        ("litellm_user_delete", {"user_ids": [other]}),
        ("litellm_key_info", {"key": foreign}),
        ("litellm_key_generate", {"user_id": other, "key_alias": name}),
        ("litellm_key_update", {"key": foreign, "max_budget": 1}),
        ("litellm_key_delete", {"keys": [foreign]}),
    ):
        error = admin.error(tool, **arguments)
        assert error["status"] in (401, 403), tool
        assert "admin" in error["message"].lower() or "not allowed" in error["message"], tool
        assert "{" not in error["message"], tool
    ids = {row[0] for row in owner.execute('select user_id from "LiteLLM_UserTable"').fetchall()}
    assert other in ids
    assert name not in ids
    keys = owner.execute('select token, max_budget, key_alias from "LiteLLM_VerificationToken" where user_id = %s', (other,)).fetchall()
    assert [key[:2] for key in keys] == [(foreign, None)]
    # The calls of others are not among those that it is shown.
    logs = admin.call("litellm_usage_spend_logs", start_date="2020-01-01")["structuredContent"]
    assert logs["data"]["data"] == [] if logs["success"] else logs["error"]["status"] in (401, 403)
    # What LiteLLM allows is allowed.
    assert admin.data("litellm_user_info", user_id=user)["user_id"] == user


def test_two_callers_at_once_each_act_with_their_own_key(admin_server, new_user, new_key):
    callers = []
    for _ in range(2):
        user = new_user(user_role="internal_user")["user_id"]
        callers.append((user, new_key(user_id=user)))

    def ask(number: int) -> None:
        user, key = callers[number % 2]
        with Caller(admin_server.url, key["key"], revision=MODERN if number % 4 < 2 else "2025-11-25") as caller:
            for _ in range(10):
                assert [each["token"] for each in caller.data("litellm_key_list")["keys"]] == [key["token"]]
                assert caller.data("litellm_user_info", user_id=user)["user_id"] == user

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(ask, range(16)))


def test_two_callers_on_one_connection_each_act_with_their_own_key(admin, new_user, new_key):
    keys = [new_key(user_id=new_user(user_role="internal_user")["user_id"]) for _ in range(2)]
    for number in range(10):
        key = keys[number % 2]
        admin.headers = {"Authorization": f"Bearer {key['key']}"}
        assert [each["token"] for each in admin.data("litellm_key_list")["keys"]] == [key["token"]]


def test_a_cookie_of_one_caller_is_not_sent_for_another(start, relay, stack):
    relay.headers = {"set-cookie": "session=canary; Path=/"}
    with Caller(start(LITELLM_BASE_URL=relay.url).url, stack.litellm_master_key) as admin:
        for _ in range(3):
            admin.data("litellm_user_list")
    assert [asked for asked in relay.asked if "cookie" in asked.headers] == []


def test_no_key_is_in_the_log(start, stack, revision):
    """At LOG_LEVEL=DEBUG, after calls that succeed, are refused, fail inside, and are no HTTP at all."""
    with TcpProxy("127.0.0.1", httpx.URL(stack.litellm_url).port) as proxy:
        server = start(LITELLM_BASE_URL=f"http://127.0.0.1:{proxy.port}", LITELLM_TIMEOUT="4")
        with Caller(server.url, stack.litellm_master_key, revision=revision) as caller:
            assert caller.data("litellm_user_list")
            made = caller.data("litellm_key_generate", duration="1h")
            caller.data("litellm_key_delete", keys=[made["key"]])
            caller.headers = {"Authorization": f"Bearer {CANARY}"}
            caller.error("litellm_user_list")
            caller.error("litellm_user_list", page=0)
            caller.request("tools/list", Host="evil.example.com")
            caller.http.post(server.url, content=b"not json", headers=caller.headers)
            caller.http.get(server.url, headers=caller.headers)
            proxy.hang()
            assert caller.error("litellm_user_list")["status"] == 504
            proxy.cut()
            assert caller.error("litellm_user_list")["status"] == 503
            proxy.heal()
        server.stop()
    assert "litellm_user_list answered" in server.output
    for secret in stack.litellm_master_key, made["key"], CANARY:
        assert secret not in server.output


def test_without_an_address_it_refuses_to_start():
    for value in None, "", "litellm:4000", "http://user:canary@litellm":
        environment = {} if value is None else {"LITELLM_BASE_URL": value}
        done = subprocess.run(
            [COMMAND, "serve", "--profile", "litellm-admin"], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 2
        assert "LITELLM_BASE_URL: " in done.stderr
        assert "canary" not in done.stderr


def test_a_misspelt_tool_refuses_to_start():
    environment = {"LITELLM_BASE_URL": "http://litellm:4000", "ADMIN_TOOLS": "litellm_user_list,litellm_user_lost"}
    done = subprocess.run([COMMAND, "serve", "--profile", "litellm-admin"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "ADMIN_TOOLS: There is no tool 'litellm_user_lost': did you mean litellm_user_list?" in done.stderr
