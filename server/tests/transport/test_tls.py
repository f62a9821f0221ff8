"""LiteLLM behind TLS: certificates are verified, and an own authority is trusted when it is named."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.mcp_http import RawClient
from tests.support.tcp_proxy import TcpProxy

from .conftest import TOKEN, address


def self_signed(folder: Path, host: str = "127.0.0.1") -> tuple[Path, ssl.SSLContext]:
    """A certificate that vouches for itself, and a context that presents it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "litellm under test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(host))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    authority, private = folder / "ca.pem", folder / "key.pem"
    authority.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority, private)
    return authority, context


@pytest.fixture
def secure(stack, tmp_path):
    """LiteLLM behind TLS: its URL and its authority's file."""
    authority, context = self_signed(tmp_path)
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
    authority, context = self_signed(tmp_path, host="192.0.2.1")
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
