"""`litemaas-mcp cleanup-keys` against the real LiteLLM; which keys are left is read from its database."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator

import httpx
import psycopg
import pytest

from conftest import Stack


def cleanup(stack: Stack, *arguments: str, key: str | None = None) -> subprocess.CompletedProcess[str]:
    # Nothing of a server's environment but LiteLLM's address and key.
    environment = {"PATH": os.environ["PATH"], "LITELLM_API_URL": stack.litellm_url, "LITELLM_API_KEY": key or stack.litellm_master_key}
    command = [sys.executable, "-m", "litemaas_mcp", "cleanup-keys", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def keys(stack: Stack) -> Iterator[dict[str, str]]:
    """Aliases of a key that expired eleven years ago, one that expired an hour ago, one that is valid, and one that never expires."""
    mark = uuid.uuid4().hex[:8]
    ages = {f"old-{mark}": "4000 days", f"fresh-{mark}": "1 hour", f"valid-{mark}": "-1 day", f"eternal-{mark}": None}
    with httpx.Client(base_url=stack.litellm_url, headers={"Authorization": f"Bearer {stack.litellm_master_key}"}) as http:
        for alias in ages:
            http.post("/key/generate", json={"key_alias": alias}).raise_for_status()
        with psycopg.connect(stack.database_url, autocommit=True) as connection:
            for alias, age in ages.items():
                connection.execute(
                    """update "LiteLLM_VerificationToken" set expires = (now() at time zone 'utc') - %s::interval where key_alias = %s""",
                    (age, alias),
                )
        yield {alias.partition("-")[0]: alias for alias in ages}
        http.post("/key/delete", json={"key_aliases": list(ages)})


def left(stack: Stack, keys: dict[str, str]) -> set[str]:
    with psycopg.connect(stack.database_url) as connection:
        rows = connection.execute('select key_alias from "LiteLLM_VerificationToken" where key_alias = any(%s)', (list(keys.values()),))
        return {alias.partition("-")[0] for (alias,) in rows}


def test_only_keys_that_expired_long_enough_ago_go(stack: Stack, keys: dict[str, str]):
    # For longer than any key of the stack's own history: that is other tests' truth.
    dry = cleanup(stack, "--dry-run", "--expired-for", "3000d")
    assert f"would remove {keys['old']}, expired" in dry.stdout
    assert left(stack, keys) == {"old", "fresh", "valid", "eternal"}
    done = cleanup(stack, "--expired-for", "3000d")
    assert done.returncode == 0
    assert f"removing {keys['old']}, expired" in done.stdout
    assert left(stack, keys) == {"fresh", "valid", "eternal"}
    assert cleanup(stack, "--expired-for", "3000d").stdout.startswith("0 keys had expired by")


def test_a_day_is_waited_unless_told_otherwise(stack: Stack, keys: dict[str, str]):
    assert keys["fresh"] not in cleanup(stack, "--dry-run").stdout
    said = cleanup(stack, "--dry-run", "--expired-for", "30m").stdout
    assert keys["fresh"] in said
    assert keys["valid"] not in said


def test_a_key_that_is_no_administrators_removes_nothing(stack: Stack, keys: dict[str, str]):
    done = cleanup(stack, key="sk-nobody-knows-this-one")
    assert done.returncode == 1
    assert "refuses the server's key" in done.stderr
    assert left(stack, keys) == {"old", "fresh", "valid", "eternal"}


def test_a_duration_that_is_none_is_named(stack: Stack):
    done = cleanup(stack, "--expired-for", "soon")
    assert done.returncode == 2
    assert "--expired-for must be daily" in done.stderr
