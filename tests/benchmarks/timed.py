"""What the benchmarks of playbooks share: their stopwatch, and the words around their figures."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from conftest import Stack
from tests.support.ansible_run import Playbook


class Stopwatch:
    """Runs playbooks and bare requests against a LiteLLM, and keeps the seconds that each took, by name."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.stack, self.folder = stack, folder
        self.seconds: dict[str, list[float]] = {}
        self.connection = {"url": stack.litellm_url, "api_key": stack.litellm_master_key}
        self.http = httpx.Client(base_url=stack.litellm_url, headers={"Authorization": f"Bearer {stack.litellm_master_key}"}, timeout=60)

    def of(self, what: str) -> float:
        return median(self.seconds[what])

    def place(self) -> Path:
        """A new folder."""
        return Path(tempfile.mkdtemp(dir=self.folder))

    def playbook(self, what: str, tasks: list[dict[str, Any]], place: Path | None = None) -> None:
        """Time a run of these tasks; what is called `again` must change nothing."""
        playbook = Playbook(place or self.place(), tasks, recorded=False)
        started = time.perf_counter()
        code, said = playbook.run()
        elapsed = time.perf_counter() - started
        if code or (what == "again" and "changed=0" not in said):
            raise SystemExit(f"{what}:\n{said[-4000:]}")
        self.note(what, elapsed)

    def bare(self, what: str, *phases: list[list[Any]], concurrency: int = 1) -> None:
        """Time the same calls, [path, body] each, sent by a process of its own."""
        order = {"url": self.stack.litellm_url, "key": self.stack.litellm_master_key, "concurrency": concurrency, "phases": phases}
        client = [sys.executable, str(Path(__file__).with_name("bare_posts.py"))]
        done = subprocess.run(client, input=json.dumps(order), capture_output=True, text=True, check=True)
        self.note(what, float(done.stdout))

    def note(self, what: str, seconds: float) -> None:
        self.seconds.setdefault(what, []).append(seconds)
        print(f"  {what:8} {seconds:6.2f} s", flush=True)


def against(figure: str, met: bool) -> str:
    """A figure that has a goal."""
    return figure if met else f"**{figure}, missed**"


def heading(title: str, of: str, *more: str) -> list[str]:
    """The first lines of a page: the benchmark's name as `make bench` takes it, and what else ran."""
    ran = ", ".join([f"Python {platform.python_version()}", f"ansible-core {version('ansible-core')}", *more])
    return [
        f"<!-- Written by `make bench` (tests/benchmarks/{of}.py): run that again rather than edit this. -->",
        f"# Benchmarks: {title}",
        "",
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end,",
        f"{ran}.",
        "",
    ]
