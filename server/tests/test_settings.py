"""The environment contract: what a server needs, and what it says when it does not get it."""

from __future__ import annotations

import pytest
from litemaas_mcp import settings

GOOD = {
    "LITELLM_API_URL": "http://litellm:4000/",
    "LITELLM_API_KEY": "sk-canary-litellm",
    "DATABASE_URL": "postgresql://reader:canary-password@db:5432/litellm",
    "MCP_API_KEY": "canary-token",
}


@pytest.fixture
def load(monkeypatch):
    """Loads the settings from these variables and no others."""
    for field in settings.Settings.model_fields:
        monkeypatch.delenv(field.upper(), raising=False)

    def load(**variables: str | None) -> settings.Settings:
        for name, value in (GOOD | variables).items():
            if value is not None:
                monkeypatch.setenv(name, value)
        return settings.load()

    return load


def test_four_variables_make_a_server_with_safe_defaults(load):
    loaded = load()
    assert loaded.litellm_api_url == "http://litellm:4000"
    assert (loaded.port, loaded.allow_query_token, loaded.read_only, loaded.allowed_hosts) == (8080, True, False, ())


@pytest.mark.parametrize("name", list(GOOD))
@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_or_empty_variable_is_named_with_what_it_is_for(load, name, value):
    with pytest.raises(settings.SettingsError, match=f"^{name}: is not set: "):
        load(**{name: value})


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("LITELLM_API_URL", "litellm:4000", "http:// or https://"),
        ("LITELLM_API_URL", "http://user:canary@litellm", "no credentials"),
        ("LITEMAAS_API_URL", "ftp://x", "http:// or https://"),
        ("DATABASE_URL", "mysql://reader:canary@db/x", "postgresql:// URL"),
        ("LITEMAAS_DATABASE_URL", "canary", "postgresql:// URL"),
        ("MCP_API_KEY", " canary ", "white space"),
        ("LITELLM_API_KEY", "sk-canary\n", "white space"),
        ("LITELLM_API_KEY", "sk-canaryé", "plain ASCII"),
        ("LITELLM_API_URL", "http://litellm:canary", "a number for its port"),
        ("MCP_API_KEY_PREVIOUS", "canary\n", "white space"),
        ("PORT", "canary", "valid integer"),
        ("PORT", "70000", "less than or equal to 65535"),
        ("READ_ONLY", "canary", "valid boolean"),
        ("LOG_LEVEL", "canary", "'DEBUG', 'INFO'"),
        ("TOOL_TIMEOUT", "0", "greater than 0"),
    ],
)
def test_a_wrong_value_is_named_with_what_it_must_be_and_never_shown(load, name, value, says):
    with pytest.raises(settings.SettingsError) as caught:
        load(**{name: value})
    text = str(caught.value)
    assert text.startswith(f"{name}: ")
    assert says in text
    assert "canary" not in text


def test_every_fault_is_told_at_once(load):
    with pytest.raises(settings.SettingsError) as caught:
        load(PORT="x", MCP_API_KEY=None, READ_ONLY="x")
    assert {line.partition(":")[0] for line in str(caught.value).splitlines()} == {"MCP_API_KEY", "PORT", "READ_ONLY"}


def test_litemaas_backend_needs_its_key(load):
    with pytest.raises(settings.SettingsError, match="LITEMAAS_ADMIN_KEY must be set too"):
        load(LITEMAAS_API_URL="http://backend:8080")


def test_allowed_hosts_are_split_at_commas(load):
    assert load(ALLOWED_HOSTS="litemaas-mcp.apps.Example.com, litemaas-mcp").allowed_hosts == (
        "litemaas-mcp.apps.example.com",
        "litemaas-mcp",
    )


def test_no_secret_is_in_the_repr(load):
    assert "canary" not in repr(load(LITEMAAS_API_URL="http://backend:8080", LITEMAAS_ADMIN_KEY="ltm_admin_canary"))


def test_all_secrets_are_handed_to_redaction(load):
    assert set(load().secrets()) == {GOOD["LITELLM_API_KEY"], GOOD["DATABASE_URL"], GOOD["MCP_API_KEY"]}


def test_every_variable_says_what_it_is_for():
    assert all(field.description for field in settings.Settings.model_fields.values())
