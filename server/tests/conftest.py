"""The stack's backends, and other ways to look at the same data."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import httpx
import psycopg
import pytest

from tests.support.server import COMMAND, ServerProcess
from tests.support.tools import Scratch, scratch_schema, settings_of, started


@pytest.fixture
async def backends(stack):
    async with started(settings_of(stack)) as backends:
        yield backends


@pytest.fixture
def owner(stack) -> Iterator[psycopg.Connection]:
    """LiteLLM's database as its owner: the truth by another way."""
    with psycopg.connect(stack.database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def litemaas_owner(stack) -> Iterator[psycopg.Connection]:
    """LiteMaaS's database as its owner."""
    with psycopg.connect(stack.litemaas_database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def litellm(stack) -> Iterator[httpx.Client]:
    """LiteLLM's API as its administrator."""
    headers = {"Authorization": f"Bearer {stack.litellm_master_key}"}
    with httpx.Client(base_url=stack.litellm_url, headers=headers, timeout=60, trust_env=False) as client:
        yield client


@pytest.fixture
def new_user(litellm) -> Iterator[Callable[..., dict]]:
    """Makes users of a unique e-mail and alias through LiteLLM, and deletes them."""
    made: list[str] = []

    def make(**fields) -> dict:
        name = f"t{uuid.uuid4().hex[:12]}"
        body = {"user_email": f"{name}@example.com", "user_alias": name, "auto_create_key": False} | fields
        answer = litellm.post("/user/new", json=body)
        answer.raise_for_status()
        made.append(answer.json()["user_id"])
        return answer.json()

    yield make
    for user_id in made:
        litellm.post("/user/delete", json={"user_ids": [user_id]})


@pytest.fixture(scope="session")
def admin_server(stack) -> Iterator[ServerProcess]:
    """The profile litellm-admin before the stack's LiteLLM."""
    environment = {"LITELLM_BASE_URL": stack.litellm_url, "ALLOWED_HOSTS": "admin.apps.example.com", "LOG_LEVEL": "DEBUG"}
    with ServerProcess(environment, [COMMAND, "serve", "--profile", "litellm-admin"]) as process:
        process.wait_for("/readyz")
        yield process


@pytest.fixture
def scratch(owner, stack) -> Iterator[Scratch]:
    with scratch_schema(owner, stack.database_url) as scratch:
        yield scratch


@pytest.fixture
async def alone(scratch, stack):
    """Backends that see the scratch tables and no LiteMaaS."""
    async with started(settings_of(stack, database_url=scratch.url, litemaas_database_url=None)) as backends:
        yield backends
