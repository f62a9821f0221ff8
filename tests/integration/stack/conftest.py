"""A stack of its own for the tests that stop, break and restart one: nobody else's is touched."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Outcome:
    code: int
    output: str

    @property
    def changed(self) -> list[str]:
        """The steps that changed something."""
        return re.findall(r"^  (.+?)\s+changed +[\d.]+ s$", self.output, re.MULTILINE)


@dataclass(frozen=True)
class Scratch:
    """A stack by name, and the playbook that makes of it what is asked."""

    name: str
    version: str
    root: Path = ROOT

    @property
    def folder(self) -> Path:
        return self.root / ".local" / self.name

    @property
    def description(self) -> dict:
        return json.loads((self.folder / "stack.json").read_text())

    def up(self) -> Scratch:
        if not (self.folder / "stack.json").exists():
            outcome = self.play()
            assert outcome.code == 0, outcome.output
        return self

    def play(self, state: str = "started", **variables: str) -> Outcome:
        """Runs the playbook to its end, well or not."""
        done = subprocess.run(
            self.command(state, **variables), cwd=self.root, env=self.environment(), capture_output=True, text=True, check=False
        )
        return Outcome(done.returncode, done.stdout + done.stderr)

    def command(self, state: str = "started", **variables: str) -> list[str]:
        given = {
            "litemaas_local_name": self.name,
            "litemaas_local_state": state,
            "litemaas_local_litellm_version": self.version,
        } | variables
        extra = [word for key, value in given.items() for word in ("-e", f"{key}={value}")]
        return [str(Path(sys.executable).with_name("ansible-playbook")), "playbooks/demo.yml", *extra]

    def environment(self) -> dict[str, str]:
        return os.environ | {"ANSIBLE_CONFIG": str(self.root / "ansible.cfg"), "LC_ALL": "C.UTF-8"}


def remove_leftovers() -> None:
    """Removes the scratch stacks of runs that were killed: their names end with the pid of a process that is gone."""
    for folder in (ROOT / ".local").glob("test-*-scratch-*"):
        version, pid = folder.name.removeprefix("test-").split("-scratch-")
        if not Path(f"/proc/{pid}").exists():
            gone = Scratch(folder.name, version).play("absent")
            assert gone.code == 0, gone.output


@pytest.fixture(scope="session")
def scratch_stack(request: pytest.FixtureRequest) -> Iterator[Scratch]:
    """A stack for tests that need one of their own, not yet up; whatever they made of it is removed at the end."""
    remove_leftovers()
    version = request.config.getoption("--litellm-version")
    named = Scratch(f"test-{version}-scratch-{os.getpid()}", version)
    yield named
    gone = named.play("absent")
    assert gone.code == 0, gone.output
    assert not named.folder.exists()


@pytest.fixture
def scratch(scratch_stack: Scratch) -> Scratch:
    """A running stack that the test may do anything to: who needs it next finds it running again."""
    return scratch_stack.up()
