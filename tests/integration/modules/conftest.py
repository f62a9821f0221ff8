"""A LiteLLM to run modules against, and two ways past them to the truth: raw HTTP and SQL."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from psycopg.rows import dict_row

from conftest import ROOT, Stack
from tests.support.modules import run_module


@dataclass
class LiteLLM:
    """The stack's LiteLLM. `made` are the calls that remove what a test made through `http`."""

    stack: Stack
    made: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.http = httpx.Client(
            base_url=self.stack.litellm_url, headers={"Authorization": f"Bearer {self.stack.litellm_master_key}"}, timeout=60
        )

    @property
    def old(self) -> bool:
        """Whether this is RHDP's production version, which can do less."""
        return self.stack.litellm_version.startswith("1.81.")

    def run(self, module: str, *, check: bool = False, **options: Any) -> dict[str, Any]:
        """Run a module with this LiteLLM's address and master key."""
        connection = {"url": self.stack.litellm_url, "api_key": self.stack.litellm_master_key}
        return run_module(module, check=check, **(connection | options))

    def shown_by_ansible(self, module: str, *more: str, **options: Any) -> str:
        """Run a module ad hoc, at the highest verbosity with --diff; return all that Ansible prints. It must not fail."""
        command = [Path(sys.executable).with_name("ansible"), "localhost", "-m", f"rhpds.litemaas.{module}", "-vvvv", "--diff", *more]
        done = subprocess.run(
            [*command, "-a", json.dumps({"url": self.stack.litellm_url, **options})],
            cwd=ROOT,
            env=os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "LITELLM_API_KEY": self.stack.litellm_master_key},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout + done.stderr

    def rows(self, query: str, *parameters: Any) -> list[dict[str, Any]]:
        """Ask LiteLLM's database."""
        with psycopg.connect(self.stack.database_url, row_factory=dict_row) as connection:
            return connection.execute(query, parameters).fetchall()

    def execute(self, statement: str, *parameters: Any) -> None:
        """Change LiteLLM's database, for what no request can bring about."""
        with psycopg.connect(self.stack.database_url) as connection:
            connection.execute(statement, parameters)

    def post(self, path: str, **body: Any) -> Any:
        """Write past the modules."""
        answer = self.http.post(path, json=body)
        answer.raise_for_status()
        return answer.json()

    def user(self, **fields: Any) -> str:
        """Make a user past the modules; return the id. It goes when the test ends."""
        fields = {"user_id": name("user"), "auto_create_key": False} | fields
        self.post("/user/new", **fields)
        self.made.append(("/user/delete", {"user_ids": [fields["user_id"]]}))
        return fields["user_id"]

    def model(self, **fields: Any) -> str:
        """Make a model past the modules, answered by the stack's stand-in; return the id. It goes when the test ends."""
        public = name("model")
        # Of its own: LiteLLM's daily table counts the calls of two public names that share a provider's model under one of them.
        parameters = {"model": f"openai/{public}", "api_base": f"{self.stack.stub_url}/v1", "api_key": "none"}
        fields = {"model_name": public, "litellm_params": parameters} | fields
        fields["model_info"] = {"id": name("model")} | fields.get("model_info", {})
        self.post("/model/new", **fields)
        self.later("/model/delete", id=fields["model_info"]["id"])
        return fields["model_info"]["id"]

    def later(self, path: str, **body: Any) -> None:
        """Send this when the test ends; what is gone by then may be gone."""
        self.made.append((path, body))

    def clean(self) -> None:
        for path, body in reversed(self.made):
            self.http.post(path, json=body)
        self.http.close()


def name(kind: str) -> str:
    """A name that nobody else has."""
    return f"{kind}-{uuid.uuid4().hex[:10]}"


@pytest.fixture
def litellm(stack: Stack) -> Iterator[LiteLLM]:
    gateway = LiteLLM(stack)
    yield gateway
    gateway.clean()
