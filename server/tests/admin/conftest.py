"""The profile litellm-admin as a process, asked over HTTP; and LiteLLM and its database, where the truth is."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.support.mcp_http import RawClient
from tests.support.relay import Relay
from tests.support.server import COMMAND, ServerProcess

Start = Callable[..., ServerProcess]


class Caller(RawClient):
    """Tools called by name: `caller.data("litellm_user_list", page=2)`, `caller.error(…)`."""

    def data(self, tool: str, **arguments) -> dict:
        """The `data` of a call that must succeed."""
        result = self.call(tool, **arguments)
        assert not result.get("isError"), result["content"]
        assert result["structuredContent"]["success"] is True
        return result["structuredContent"]["data"]

    def error(self, tool: str, **arguments) -> dict:
        """The `error` of a call that must fail."""
        result = self.call(tool, **arguments)
        assert result.get("isError") is True, result
        assert result["structuredContent"].keys() == {"success", "error"}
        assert result["structuredContent"]["success"] is False
        return result["structuredContent"]["error"]


@pytest.fixture(params=["2025-11-25", "2026-07-28"])
def revision(request) -> str:
    return request.param


@pytest.fixture
def admin(admin_server, stack) -> Iterator[Caller]:
    with Caller(admin_server.url, stack.litellm_master_key) as caller:
        yield caller


@pytest.fixture
def start(request) -> Iterator[Start]:
    """Start a server of the test's own: `start(READ_ONLY="true")`."""
    with ExitStack() as processes:

        def start(**changes: str) -> ServerProcess:
            url = changes.pop("LITELLM_BASE_URL", None) or request.getfixturevalue("stack").litellm_url
            environment = {"LITELLM_BASE_URL": url, "LOG_LEVEL": "DEBUG", **changes}
            process = processes.enter_context(ServerProcess(environment, [COMMAND, "serve", "--profile", "litellm-admin"]))
            process.wait_for("/readyz")
            return process

        yield start


@pytest.fixture
def relay(stack) -> Iterator[Relay]:
    """Records what LiteLLM is asked."""
    with Relay(stack.litellm_url) as relay:
        yield relay


@pytest.fixture
def name() -> str:
    """A name that nobody else has."""
    return f"adm-{uuid.uuid4().hex[:10]}"


@pytest.fixture
def new_key(litellm) -> Iterator[Callable[..., dict]]:
    """Makes keys past the server, and deletes them."""
    made: list[str] = []

    def make(**fields) -> dict:
        answer = litellm.post("/key/generate", json={"key_alias": f"adm-{uuid.uuid4().hex[:10]}", **fields})
        answer.raise_for_status()
        made.append(answer.json()["token"])
        return answer.json()

    yield make
    if made:
        litellm.post("/key/delete", json={"keys": made})


@pytest.fixture
def old(stack) -> bool:
    """Whether this is RHDP's production version, which can do less."""
    return stack.litellm_version.startswith("1.81.")
