"""The stack that the tests run against: a LiteLLM, its databases and our server, brought up by the playbook."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import urlsplit

import pytest
from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).parent
LOCAL = ROOT / ".local"

# A process of -n gets pytest's pythonpath twice, and Ansible takes a collection that is found twice for none.
sys.path[:] = dict.fromkeys(sys.path)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--litellm-version", default="1.106.2", help="the LiteLLM that the tests' stack runs (default: %(default)s)")


# What runs beside the rest when two processes share the work (-n 2): it does not use the stack.
CLUSTER = ("k8s_create", "kubernetes_core", "rollout", "stack_role", "stand_in")
BESIDE = ("tests/unit/", "tests/integration/stack/", *(f"tests/integration/cluster/test_{name}.py" for name in CLUSTER))


class Shares(LoadScopeScheduling):
    """The tests of the stack stay in one process, in their order: they count its users, keys and connections."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid.partition("::")[0] if nodeid.startswith(BESIDE) else "stack"


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Shares:
    return Shares(config, log)


@dataclass(frozen=True)
class Stack:
    """What stack.json says. Secrets have no place in the text that a failing assertion prints of it."""

    litellm_version: str
    mcp_url: str
    mcp_token: str = field(repr=False)
    litellm_url: str
    litellm_master_key: str = field(repr=False)
    stub_url: str
    database_url: str = field(repr=False)  # LiteLLM's database, as its owner
    database_readonly_url: str = field(repr=False)
    litemaas_database_url: str = field(repr=False)  # LiteMaaS's database, as its owner
    litemaas_readonly_url: str = field(repr=False)
    seeded_on: str  # YYYY-MM-DD, UTC
    kubeconfig: str
    namespace: str
    postgres_data: str
    pids: dict[str, int]

    def as_superuser(self, url: str) -> str:
        """A database's URL with PostgreSQL's superuser in its user's place; the stack keeps the password beside its stack.json."""
        password = json.loads((Path(self.kubeconfig).parent / "settled.json").read_text())["secrets"]["postgres_password"]
        parts = urlsplit(url)
        return parts._replace(netloc=f"postgres:{password}@{parts.netloc.rpartition('@')[2]}").geturl()

    @classmethod
    def read(cls, file: Path) -> Stack:
        written = json.loads(file.read_text())
        return cls(**{each.name: written[each.name] for each in fields(cls)})


def playbook(name: str, state: str, **variables: str) -> None:
    """Runs the demo's playbook for a stack of that name; its steps go to the terminal."""
    variables = {"litemaas_local_name": name, "litemaas_local_state": state} | variables
    command = [Path(sys.executable).with_name("ansible-playbook"), "playbooks/demo.yml"]
    command += [word for key, value in variables.items() for word in ("-e", f"{key}={value}")]
    subprocess.run(command, cwd=ROOT, env=os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "LC_ALL": "C.UTF-8"}, check=True)


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """The stack .local/test-<version>. It is stopped at the end, data kept; KEEP_STACK=1 leaves it running.

    Another pytest may use it at the same time: the first brings it up, the last stops it.
    """
    version = request.config.getoption("--litellm-version")
    name = f"test-{version}"
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def play(state: str) -> None:
        with capture.global_and_fixture_disabled():
            print(flush=True)
            playbook(name, state, litemaas_local_litellm_version=version)

    LOCAL.mkdir(exist_ok=True)
    with (LOCAL / f"{name}.lock").open("w") as lock:
        if alone(lock):
            play("started")
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield Stack.read(LOCAL / name / "stack.json")
        if not os.environ.get("KEEP_STACK") and alone(lock):
            play("stopped")


def alone(lock: TextIO) -> bool:
    """Whether nobody else holds the lock, which then is ours alone."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
