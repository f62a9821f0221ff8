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

    @property
    def folder(self) -> Path:
        return ROOT / ".local" / self.name

    @property
    def description(self) -> dict:
        return json.loads((self.folder / "stack.json").read_text())

    def play(self, state: str = "started", **variables: str) -> Outcome:
        """Runs the playbook to its end, well or not."""
        done = subprocess.run(
            self.command(state, **variables), cwd=ROOT, env=self.environment(), capture_output=True, text=True, check=False
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
        return os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}


@pytest.fixture(scope="session")
def scratch(request: pytest.FixtureRequest) -> Iterator[Scratch]:
    """A stack that its test may do anything to, as long as it leaves it running; removed at the end."""
    version = request.config.getoption("--litellm-version")
    made = Scratch(f"test-{version}-scratch-{os.getpid()}", version)
    try:
        up = made.play()
        assert up.code == 0, up.output
        yield made
    finally:
        gone = made.play("absent")
    assert gone.code == 0, gone.output
    assert not made.folder.exists()
