"""The environment contract: every variable that the server reads, its type, its default and what it is for.

Nothing else of the server looks at the environment, but for KUBECONFIG, which is the Kubernetes clients' own. The Deployment
template and the local role name the same variables; a test holds the three together.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

Seconds = Annotated[float, Field(gt=0, le=600)]
Names = Annotated[tuple[str, ...], NoDecode]


class SettingsError(Exception):
    """The environment does not make a server. The text names each variable and what it must be, never its value."""


class CommonSettings(BaseSettings):
    """How everything talks to LiteLLM."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True, extra="ignore", hide_input_in_errors=True)

    ssl_ca_file: str | None = Field(None, description="PEM file of authorities trusted for LiteLLM's and LiteMaaS's HTTPS")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="what goes to standard error")
    litellm_timeout: Seconds = Field(10, description="seconds that one LiteLLM request may take")

    @field_validator("litellm_api_url", "litellm_base_url", "litemaas_api_url", check_fields=False)
    @classmethod
    def _http_url(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be an http:// or https:// URL")
        try:
            parts.port  # noqa: B018 (raises when it is none)
        except ValueError:
            raise ValueError("must have a number for its port") from None
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("must hold no credentials, query or fragment")
        return url.rstrip("/")

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, level: object) -> object:
        return level.upper() if isinstance(level, str) else level

    @field_validator("mcp_api_key", "mcp_api_key_previous", "litellm_api_key", "litemaas_admin_key", check_fields=False)
    @classmethod
    def _sendable(cls, key: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        # No header carries white space around a key: it is what `echo` adds to a Secret.
        value = key.get_secret_value() if key else "x"
        if value != value.strip() or not value.isprintable():
            raise ValueError("must have no white space around it and no control characters")
        if info.field_name in ("litellm_api_key", "litemaas_admin_key") and not value.isascii():
            raise ValueError("must be plain ASCII")
        return key

    def secrets(self) -> list[str]:
        """Every secret value, for `redaction.protect`."""
        return [value.get_secret_value() for value in self.__dict__.values() if isinstance(value, SecretStr)]


class LiteLLMSettings(CommonSettings):
    """How to reach LiteLLM as its administrator: all that `cleanup-keys` needs."""

    litellm_api_url: str = Field(description="LiteLLM's address, such as `http://litellm:4000`")
    litellm_api_key: SecretStr = Field(description="LiteLLM's master key, or another key with the role proxy_admin")
    model_health_timeout: Seconds = Field(25, description="seconds that LiteLLM's live model checks may take")


class ServeSettings(CommonSettings):
    """What both profiles of `serve` read."""

    host: str = Field("0.0.0.0", description="address to listen on")
    port: int = Field(8080, ge=0, le=65535, description="port to listen on")
    allowed_hosts: Names = Field(
        (), description="comma-separated host names under which clients reach `/mcp`, such as the Route's; localhost always works"
    )
    read_only: bool = Field(False, description="hide and refuse every tool that writes")
    admin_tools: Names = Field((), description="comma-separated names of the `litellm_*` tools to offer; without it, all eleven")
    tool_timeout: Seconds = Field(30, description="seconds that one tool call may take in all")

    @field_validator("allowed_hosts", "admin_tools", mode="before")
    @classmethod
    def _split_commas(cls, names: object) -> object:
        return tuple(name.strip().lower() for name in names.split(",") if name.strip()) if isinstance(names, str) else names


class AdminSettings(ServeSettings):
    """The settings of the profile litellm-admin. There is no key among them: callers bring their own."""

    litellm_base_url: str = Field(description="LiteLLM's address, such as `http://litellm:4000`")
    port: int = Field(3100, ge=0, le=65535, description="port to listen on")

    @property
    def admin_url(self) -> str:
        return self.litellm_base_url


class Settings(LiteLLMSettings, ServeSettings):
    """The server's settings, one field per environment variable of the same name in upper case. An empty variable counts as unset."""

    database_url: SecretStr = Field(description="PostgreSQL URL of LiteLLM's tables, best with the role that `create-reader` makes")
    litemaas_database_url: SecretStr | None = Field(None, description="PostgreSQL URL of LiteMaaS's own tables, if in another database")
    mcp_api_key: SecretStr = Field(description="the token that clients must present; the server refuses to start without")
    mcp_api_key_previous: SecretStr | None = Field(None, description="a second accepted token, while clients move to the new one")
    namespace: str = Field("litemaas", description="the Kubernetes namespace whose pods are reported")
    litemaas_api_url: str | None = Field(None, description="LiteMaaS's backend; set, budget updates go through to its own user rows")
    litemaas_admin_key: SecretStr | None = Field(None, description="LiteMaaS admin key (`ltm_admin_…`); needed with LITEMAAS_API_URL")
    allow_query_token: bool = Field(True, description="accept the token as `?token=` in the URL, beside the Authorization header")
    database_timeout: Seconds = Field(10, description="seconds that one database query may take")
    admin_mcp: bool = Field(False, description="serve the tools of the profile litellm-admin too, at `/admin/mcp`")
    litellm_base_url: str | None = Field(None, description="LiteLLM's address for those; without it, LITELLM_API_URL")

    @field_validator("database_url", "litemaas_database_url")
    @classmethod
    def _postgres_url(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and url.get_secret_value().partition("://")[0].partition("+")[0] not in ("postgresql", "postgres"):
            raise ValueError("must be a postgresql:// URL")
        return url

    @model_validator(mode="after")
    def _litemaas_pair(self) -> Settings:
        if self.litemaas_api_url and not self.litemaas_admin_key:
            raise ValueError("LITEMAAS_API_URL is set: LITEMAAS_ADMIN_KEY must be set too")
        return self

    @property
    def admin_url(self) -> str:
        return self.litellm_base_url or self.litellm_api_url


Kind = TypeVar("Kind", bound=CommonSettings)


def load(kind: type[Kind] = Settings) -> Kind:
    """Read the environment.

    Raises:
        SettingsError: a variable is missing or wrong.
    """
    try:
        return kind()
    except ValidationError as error:
        lines = [(f"{problem['loc'][0].upper()}: " if problem["loc"] else "") + _advice(kind, problem) for problem in error.errors()]
        # The cause is dropped: pydantic's own text can carry the values.
        raise SettingsError("\n".join(lines)) from None


def _advice(kind: type[CommonSettings], problem: dict) -> str:
    if problem["type"] != "missing":
        return problem["msg"].removeprefix("Value error, ")
    return f"is not set: {kind.model_fields[problem['loc'][0]].description}"
