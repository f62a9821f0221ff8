"""Plays the workload as AgnosticD would, and knows the truth by SQL."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import yaml
from psycopg.rows import dict_row

from conftest import ROOT, Stack
from tests.support.ansible_run import descendants

PROVIDER_KEY = "sk-of-a-provider-0123456789"
ROLE = "rhpds.litemaas.ocp4_workload_litemaas_virtual_keys"


@dataclass
class Outcome:
    code: int
    said: str
    folder: Path

    @property
    def changed(self) -> int:
        return int(re.search(r"changed=(\d+)", self.said)[1])

    @property
    def fact(self) -> dict[str, Any]:
        """litellm_vkey_result, as the playbook around the role has it."""
        return json.loads((self.folder / "fact.json").read_text())


@dataclass
class Workshop:
    """A folder in which playbooks run, and an alias that nobody else has."""

    folder: Path
    stack: Stack
    alias: str = field(default_factory=lambda: f"ws-{uuid.uuid4().hex[:8]}")

    def __post_init__(self) -> None:
        self.output = self.folder / "output"
        self.output.mkdir()
        (self.folder / "ansible.cfg").touch()
        # As under AgnosticD v1, the workload's host is a bastion without output_dir, whose Python is not the controller's.
        (self.folder / "hosts").write_text(
            f"localhost ansible_connection=local output_dir={self.output}\n"
            "bastion ansible_connection=local ansible_python_interpreter=/opt/virtualenvs/k8s/bin/python\n"
        )
        self.http = httpx.Client(
            base_url=self.stack.litellm_url, headers={"Authorization": f"Bearer {self.stack.litellm_master_key}"}, timeout=60
        )

    @property
    def domain(self) -> str:
        return f"{self.alias}.example.com"

    @property
    def variables(self) -> dict[str, Any]:
        """What a catalogue would say, in the names of the role that is in use today."""
        return {
            "litellm_vkey_api_url": self.stack.litellm_url,
            "litellm_vkey_master_key": self.stack.litellm_master_key,
            "litellm_vkey_alias": self.alias,
            "litellm_vkey_models": ["all-proxy-models"],
            "litellm_vkey_user_domain": self.domain,
        }

    def command(self, play: dict[str, Any], variables: dict[str, Any]) -> list[str]:
        (self.folder / "play.json").write_text(json.dumps([{"gather_facts": False, "hosts": "localhost", **play}]))
        (self.folder / "variables.json").write_text(json.dumps(variables))
        return [sys.executable, "-m", "ansible", "playbook", "-vvv", "-i", "hosts", "-e", "@variables.json", "play.json"]

    def environment(self, **more: str) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "LITELLM_"))}
        return clean | {
            "ANSIBLE_CONFIG": str(self.folder / "ansible.cfg"),
            "ANSIBLE_HOME": str(self.folder / "home"),
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".venv/ansible/collections"),
            "LC_ALL": "C.UTF-8",
            **more,
        }

    def run(
        self, play: dict[str, Any], variables: dict[str, Any], arguments: tuple[str, ...] = (), env: dict[str, str] | None = None
    ) -> Outcome:
        """Run a play."""
        return self.ansible([*self.command(play, variables), *arguments], env)

    def playbook(self, name: str, *arguments: str, env: dict[str, str] | None = None, **variables: Any) -> Outcome:
        """Run one of the collection's playbooks, as an operator would."""
        (self.folder / "variables.json").write_text(json.dumps(variables))
        command = [sys.executable, "-m", "ansible", "playbook", "-vvv", "-e", "@variables.json", f"rhpds.litemaas.{name}", *arguments]
        connection = {"LITELLM_API_URL": self.stack.litellm_url, "LITELLM_API_KEY": self.stack.litellm_master_key}
        return self.ansible(command, connection | {"PWD": str(self.folder)} | (env or {}))

    def ansible(self, command: list[str], env: dict[str, str] | None) -> Outcome:
        """Run Ansible; whatever comes of it, no secret is in what it says with -vvv."""
        before = self.secrets()
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment(**(env or {})),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        said = done.stdout + done.stderr
        assert [secret for secret in before | self.secrets() if secret in said] == [], "a secret was printed"
        return Outcome(done.returncode, said, self.folder)

    def provision(self, *arguments: str, **variables: Any) -> Outcome:
        outcome = self.run(role("provision"), self.variables | variables, arguments)
        assert outcome.code == 0, outcome.said
        return outcome

    def destroy(self, **variables: Any) -> Outcome:
        outcome = self.run(role("destroy"), self.variables | variables)
        assert outcome.code == 0, outcome.said
        return outcome

    def killed_when(self, far_enough: Callable[[], bool], **variables: Any) -> None:
        """Run the role, and kill it with everything that it started, by SIGKILL, when it is far enough."""
        command, nowhere = self.command(role("provision"), self.variables | variables), subprocess.DEVNULL
        with subprocess.Popen(command, cwd=self.folder, env=self.environment(), stdout=nowhere, stderr=nowhere) as running:
            deadline = time.monotonic() + 60
            while not far_enough():
                assert running.poll() is None, "the role ended before it could be killed"
                assert time.monotonic() < deadline
            for pid in [running.pid, *descendants(running.pid)]:
                os.kill(pid, signal.SIGKILL)

    @property
    def keys_file(self) -> Path:
        return self.output / f"litellm-keys-{self.alias}.json"

    @property
    def values(self) -> dict[str, str]:
        return json.loads(self.keys_file.read_text()) if self.keys_file.exists() else {}

    @property
    def written(self) -> dict[str, str]:
        """The values that a playbook wrote into the folder that it was run in."""
        files = self.folder.glob("litellm-keys-*.json")
        return {alias: value for file in files for alias, value in json.loads(file.read_text()).items()}

    @property
    def user_data(self) -> dict[str, Any]:
        return yaml.safe_load((self.output / "user-data.yaml").read_text())

    def secrets(self) -> set[str]:
        plain = {self.stack.litellm_master_key, PROVIDER_KEY, *self.values.values(), *self.written.values()}
        return plain | {base64.b64encode(secret.encode()).decode() for secret in plain}

    def rows(self, query: str, *parameters: Any) -> list[dict[str, Any]]:
        with psycopg.connect(self.stack.database_url, row_factory=dict_row) as connection:
            return connection.execute(query, parameters).fetchall()

    def keys(self) -> dict[str, dict[str, Any]]:
        """LiteLLM's keys whose alias begins with ours, by alias; fails when two have the same."""
        rows = self.rows('SELECT * FROM "LiteLLM_VerificationToken" WHERE key_alias LIKE %s ORDER BY key_alias', f"{self.alias}%")
        found = {row["key_alias"]: row for row in rows}
        assert len(found) == len(rows)
        return found

    def users(self) -> dict[str, dict[str, Any]]:
        query = 'SELECT * FROM "LiteLLM_UserTable" WHERE user_id LIKE %s OR user_id LIKE %s ORDER BY user_id'
        return {row["user_id"]: row for row in self.rows(query, f"{self.alias}%", f"%@{self.domain}")}

    def stray_keys(self) -> int:
        """Keys of our users that do not have our aliases."""
        query = 'SELECT count(*) FROM "LiteLLM_VerificationToken" WHERE user_id = ANY(%s) AND (key_alias IS NULL OR key_alias NOT LIKE %s)'
        return self.rows(query, list(self.users()), f"{self.alias}%")[0]["count"]

    def post(self, path: str, **body: Any) -> Any:
        """Write past the role."""
        answer = self.http.post(path, json=body)
        answer.raise_for_status()
        return answer.json()

    def clean(self) -> None:
        if tokens := [row["token"] for row in self.keys().values()]:
            self.post("/key/delete", keys=tokens)
        if users := list(self.users()):
            self.post("/user/delete", user_ids=users)
        self.http.close()


def role(action: str, **play: Any) -> dict[str, Any]:
    """A play that includes the role, and writes the fact down without showing it."""
    written = {"content": "{{ litellm_vkey_result | to_json }}", "dest": "{{ playbook_dir }}/fact.json", "mode": "0600"}
    return {
        "tasks": [
            {"ansible.builtin.include_role": {"name": ROLE}, "vars": {"ACTION": action}},
            {
                "ansible.builtin.copy": written,
                "when": "litellm_vkey_result is defined",
                "changed_when": False,
                "delegate_to": "localhost",
                "vars": {"ansible_python_interpreter": "{{ ansible_playbook_python }}"},
                "no_log": True,
            },
        ],
        **play,
    }


def hash_of(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()


@pytest.fixture
def workshop(tmp_path: Path, stack: Stack) -> Iterator[Workshop]:
    made = Workshop(tmp_path, stack)
    yield made
    made.clean()
