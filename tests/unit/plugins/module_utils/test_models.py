"""Which parameters of a model are secret."""

from __future__ import annotations

import pytest
from ansible_collections.rhpds.litemaas.plugins.module_utils.models import id_of, is_secret


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("api_key", "abc"),
        ("API-Key", "abc"),
        ("client_secret", "abc"),
        ("aws_session_token", "abc"),
        ("azure_password", "abc"),
        ("vertex_ai_credentials", '{"private_key": "abc"}'),
        ("vertex_credentials", {"type": "service_account"}),
        ("extra_headers", {"X-Custom": "abc"}),
        ("oci_key", 123456),
        ("some_config", {"deep": [{"api_key": "abc"}]}),
        ("keys", [{"token": "abc"}]),
        ("api_base", "https://user:password@example.com/v1"),
        ("proxies", ["http://user@example.com"]),
    ],
)
def test_secrets_are_known_by_name_or_address(name, value):
    assert is_secret(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model", "openai/keyboard"),
        ("api_base", "https://example.com/v1?user=a@b"),
        ("input_cost_per_token", 1e-06),
        ("max_tokens", 100),
        ("thinking", {"type": "enabled", "budget_tokens": 1024}),
        ("litellm_credential_name", "vault"),
        ("default_api_key_rpm_limit", 5),
        ("use_access_token", True),
        ("api_key", None),
        ("api_key", ""),
        ("tags", ["a", "b"]),
    ],
)
def test_the_rest_is_shown(name, value):
    assert not is_secret(name, value)


def test_an_id_follows_from_the_name():
    assert id_of("granite") == id_of("granite") != id_of("Granite")
