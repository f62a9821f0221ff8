"""LiteLLM's client: errors in words, one retry of reads, outages, certificates."""

from __future__ import annotations

import asyncio
import time

import httpx
import pytest
from litemaas_mcp.backends.http import Refused, brief, message
from litemaas_mcp.backends.litellm import LiteLLM
from litemaas_mcp.errors import Failure, Unavailable
from litemaas_mcp.settings import SettingsError

from tests.support.certificates import private_authority
from tests.support.http_stand_in import HttpStandIn
from tests.support.tcp_proxy import TcpProxy
from tests.support.tools import settings_of, started

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (
            {"error": {"message": "{'error': 'User with id u1 already exists'}", "type": "x", "code": "400"}},
            "User with id u1 already exists",
        ),
        ({"error": {"message": "plain", "type": "x", "param": None, "code": "404"}}, "plain"),
        ({"detail": "Not Found"}, "Not Found"),
        ({"detail": {"error": "Model with ID x not found"}}, "Model with ID x not found"),
        ({"detail": [{"type": "missing", "loc": ["body", "max_budget"], "msg": "Field required"}]}, "body.max_budget: Field required"),
        ({"error": "just a string"}, "just a string"),
        ({"error": {"message": "{'broken"}}, "{'broken"),
        ({"status": "unhealthy"}, "{'status': 'unhealthy'}"),
        (["odd"], ""),
    ],
)
def test_each_shape_of_litellms_errors_is_one_text(body, text):
    assert message(httpx.Response(400, json=body)) == text


def test_what_is_no_json_is_told_by_its_status():
    assert message(httpx.Response(502, content=b"<html>")) == "Bad Gateway"


def test_errors_are_short_and_hold_no_keys_and_no_stack():
    stack = "Traceback (most recent call last):\n  File x"
    text = brief(f"litellm.AuthError: bad key sk-abcdef1234567890 at http://u:pw@h/v1\nstack trace: {stack}")
    assert "sk-abc" not in text
    assert "u:pw" not in text
    assert "File" not in text
    assert len(brief("x" * 999)) == 300


@pytest.mark.parametrize(
    "error",
    [
        "Incorrect API key provided: gsk_abcdefghijklmnop1234567890abcdefghij",
        "GET https://host/v1?key=AIza-short&alt=json",
        '{"api_key": "short1"}',
        "Authorization: Bearer short1",
        "password=short1, user=x",
        "bad key sk-ant-api03-abcdefgh",
    ],
)
def test_keys_of_every_provider_are_left_out(error):
    text = brief(error)
    assert "***" in text
    assert not [secret for secret in ("gsk_", "AIza", "short1", "api03") if secret in text]


def test_what_helps_is_left_in():
    text = "User 9c5b4b11-e7cd-4750-8ab1-d6b8911c5cff not found in key table of litellm.proxy.management_endpoints"
    assert brief(text) == text


async def test_a_refused_key_is_told_with_the_remedy_and_without_the_key(stack):
    async with started(settings_of(stack, litellm_api_key="sk-wrong-key-for-the-test")) as backends:
        with pytest.raises(Unavailable, match="LiteLLM refuses the server's key: check LITELLM_API_KEY") as caught:
            await backends.litellm.deployments()
        assert "wrong-key" not in str(caught.value)
        # Readiness needs no key.
        assert await backends.litellm.ping()


async def test_an_unknown_user_is_none(backends):
    assert await backends.litellm.user("nobody-of-this-name") is None


async def test_litellm_refuses_in_its_own_words(backends):
    with pytest.raises(Refused, match=r"LiteLLM refused with HTTP 4\d\d: .*max_budget") as caught:
        await backends.litellm.update_user("nobody-of-this-name", {"max_budget": "much"})
    assert caught.value.status in (400, 422)
    assert await backends.litellm.user("nobody-of-this-name") is None


async def test_describe_says_what_is_served(backends):
    assert "models" in await backends.litellm.describe()


async def test_a_page_that_is_no_litellm_is_not_healthy(stack):
    """Another server's 404, or a 200 without LiteLLM's words, is no LiteLLM."""
    for status, body in (
        (404, {"detail": "Not Found"}),
        (200, b"<html>"),
        (200, {"status": "healthy", "db": "disconnected"}),
        (503, {"status": "unhealthy"}),
    ):
        with HttpStandIn(lambda asked, answer=(status, body): answer) as stand_in:
            async with started(settings_of(stack, litellm_api_url=stand_in.url)) as backends:
                assert not await backends.litellm.ping()
        assert stand_in.asked[0].path == "/health/readiness"


@pytest.fixture
def relay(stack):
    url = httpx.URL(stack.litellm_url)
    with TcpProxy(url.host, url.port) as relay:
        relay.url = f"http://127.0.0.1:{relay.port}"
        yield relay


async def test_down_and_back(stack, relay):
    relay.cut()
    async with started(settings_of(stack, litellm_api_url=relay.url)) as backends:
        assert not await backends.litellm.ping()
        with pytest.raises(Unavailable, match="LiteLLM can't be reached"):
            await backends.litellm.deployments()
        relay.heal()
        assert await backends.litellm.ping()
        relay.cut()
        relay.heal()
        # The kept connection is dead: a read is asked again on a new one.
        assert await backends.litellm.deployments()


async def test_a_hung_litellm_is_told_in_time(stack, relay):
    async with started(settings_of(stack, litellm_api_url=relay.url, litellm_timeout=0.5)) as backends:
        relay.hang()
        started_at = time.monotonic()
        with pytest.raises(Unavailable, match=r"LiteLLM did not answer within 0\.5 s"):
            await backends.litellm.deployments()
        assert time.monotonic() - started_at < 2
        relay.heal()
        assert await backends.litellm.deployments()


async def test_a_lost_connection_is_tried_again_for_a_read_and_never_for_a_write(stack):
    tries: list[str] = []

    async def lose(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        tries.append(head.split()[0].decode())
        writer.close()

    server = await asyncio.start_server(lose, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, started(settings_of(stack, litellm_api_url=url)) as backends:
        with pytest.raises(Unavailable):
            await backends.litellm.deployments()
        with pytest.raises(Unavailable, match="Whether the change arrived is not known"):
            await backends.litellm.update_user("u", {"max_budget": 1})
    assert tries == ["GET", "GET", "POST"]


async def test_a_redirect_is_not_followed(stack):
    """It would carry the key elsewhere."""
    with HttpStandIn(lambda asked: (200, {"data": []})) as other:
        with HttpStandIn(lambda asked: (302, b"")) as stand_in:
            stand_in.headers = {"location": f"{other.url}/model/info"}
            async with started(settings_of(stack, litellm_api_url=stand_in.url)) as backends:
                with pytest.raises(Failure):
                    await backends.litellm.deployments()
        assert other.asked == []


def test_a_file_without_certificates_is_named(stack, tmp_path):
    (tmp_path / "ca.pem").write_text("no certificate")
    for path in (tmp_path / "ca.pem", tmp_path / "missing.pem"):
        with pytest.raises(SettingsError, match="SSL_CA_FILE"):
            LiteLLM(settings_of(stack, litellm_api_url="https://127.0.0.1:1", ssl_ca_file=str(path)))


async def test_certificates_are_verified_against_the_given_authority(stack, tmp_path):
    authority, context = private_authority(tmp_path)
    url = httpx.URL(stack.litellm_url)
    with TcpProxy(url.host, url.port, tls=context) as relay:
        secure = f"https://127.0.0.1:{relay.port}"
        async with started(settings_of(stack, litellm_api_url=secure)) as backends:
            with pytest.raises(Unavailable, match="certificate is not trusted"):
                await backends.litellm.deployments()
        async with started(settings_of(stack, litellm_api_url=secure, ssl_ca_file=str(authority))) as backends:
            assert await backends.litellm.deployments()
