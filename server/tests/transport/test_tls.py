"""LiteLLM behind TLS: certificates are verified, and an own authority is trusted when it is named."""

from __future__ import annotations

import pytest

from tests.support.certificates import private_authority
from tests.support.mcp_http import RawClient
from tests.support.tcp_proxy import TcpProxy

from .conftest import TOKEN, address


@pytest.fixture
def secure(stack, tmp_path):
    """LiteLLM behind TLS: its URL and its authority's file."""
    authority, context = private_authority(tmp_path)
    with TcpProxy(*address(stack.litellm_url), tls=context) as proxy:
        yield f"https://127.0.0.1:{proxy.port}", str(authority)


def test_a_certificate_of_an_unknown_authority_is_refused(start, secure):
    server = start(LITELLM_API_URL=secure[0])
    server.wait_for("/readyz")
    with RawClient(server.url, TOKEN) as client:
        assert client.get("/health").json() == {"status": "degraded", "database": True, "litellm": False}
        text = client.error_of("list_models")
    assert "LiteLLM's certificate" in text
    assert "SSL_CA_FILE" in text


def test_a_certificate_of_the_named_authority_is_accepted(start, secure):
    url, authority = secure
    server = start(LITELLM_API_URL=url, SSL_CA_FILE=authority)
    server.wait_for("/health")
    with RawClient(server.url, TOKEN) as client:
        assert client.call("list_models")["structuredContent"]["models"]


def test_a_certificate_for_another_host_is_refused_even_of_the_named_authority(start, stack, tmp_path):
    authority, context = private_authority(tmp_path, host="192.0.2.1")
    with TcpProxy(*address(stack.litellm_url), tls=context) as proxy:
        server = start(LITELLM_API_URL=f"https://127.0.0.1:{proxy.port}", SSL_CA_FILE=str(authority))
        server.wait_for("/readyz")
        with RawClient(server.url, TOKEN) as client:
            assert client.get("/health").json()["litellm"] is False
            assert "LiteLLM" in client.error_of("list_models")


def test_an_authority_file_that_is_missing_or_none_is_named_at_the_start(start, tmp_path):
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("no certificate")
    for file in tmp_path / "missing.pem", nonsense:
        server = start(LITELLM_API_URL="https://127.0.0.1:1", SSL_CA_FILE=str(file))
        assert server.wait(15) != 0
        assert "SSL_CA_FILE" in server.output
        assert "Traceback" not in server.output
