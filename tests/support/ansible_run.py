"""Runs tasks by a real ansible-playbook, and kills it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


class Playbook:
    """A playbook in a folder of its own, which finds this collection and nothing of whoever runs the tests."""

    def __init__(
        self, folder: Path, tasks: list[dict[str, Any]], hosts: str = "localhost", connection: str = "local", recorded: bool = True
    ) -> None:
        """`recorded`: whether a callback writes down all that callbacks are given, which takes its time."""
        (folder / "ansible.cfg").touch()
        (folder / "callbacks.jsonl").touch()
        play = {"hosts": hosts, "gather_facts": False, "tasks": tasks}
        (folder / "play.json").write_text(json.dumps([play]))
        self.folder = folder
        here = f"ansible_connection={connection} ansible_python_interpreter={sys.executable}"
        self.command = [sys.executable, "-m", "ansible", "playbook", "-i", f"{hosts},", "-e", here, "play.json"]
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "LITELLM_"))}
        self.environment = clean | {
            "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
            "ANSIBLE_HOME": str(folder / "home"),
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".venv/ansible/collections"),
            "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "tests/support/callbacks"),
            "CALLBACKS_GOT": str(folder / "callbacks.jsonl"),
            "LC_ALL": "C.UTF-8",
        }
        if recorded:
            self.environment["ANSIBLE_CALLBACKS_ENABLED"] = "everything"

    def of_callbacks(self) -> str:
        """Return all that callbacks were given, in every run so far."""
        return (self.folder / "callbacks.jsonl").read_text()

    def run(self, *arguments: str) -> tuple[int, str]:
        """Return how it ended, and all that it said."""
        command = [*self.command, *arguments]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout

    def killed_when(self, far_enough: Callable[[], bool]) -> None:
        """Start it, and end it with everything that it started by SIGKILL when it is far enough."""
        nowhere = subprocess.DEVNULL
        with subprocess.Popen(
            self.command, cwd=self.folder, env=self.environment, stdin=nowhere, stdout=nowhere, stderr=nowhere
        ) as running:
            deadline = time.monotonic() + 60
            while not far_enough():
                assert running.poll() is None, "it ended before it could be killed"
                assert time.monotonic() < deadline, "it did not get so far"
                time.sleep(0.01)
            for pid in [running.pid, *descendants(running.pid)]:
                os.kill(pid, signal.SIGKILL)


def descendants(pid: int) -> list[int]:
    """Ansible's workers have sessions of their own: only their parents tell whose they are."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        parents.setdefault(int(after_name[1]), []).append(int(stat.parent.name))
    found = [pid]
    for each in found:
        found.extend(parents.get(each, []))
    return found[1:]
