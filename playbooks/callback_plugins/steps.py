"""Prints a run as steps: a line for each task with what came of it and how long it took, and progress while a long one runs."""

from __future__ import annotations

import os
import re
import sys
import threading
import time

from ansible.plugins.callback import CallbackBase
from ansible.template import Templar

DOCUMENTATION = """
name: steps
type: stdout
short_description: One line a step
description:
  - For each task its name, C(ok) or C(changed), and its seconds. Included files and skipped tasks are not steps.
  - On a terminal a running step shows its seconds in place; elsewhere a step that lasts prints a line every 10 seconds.
  - A task that has the variable C(progress), the path of a log, shows that log's last line too.
  - A failure is printed in full. Results of tasks with C(no_log) stay hidden.
author: The rhpds.litemaas authors
"""

# What no one waits for.
NO_STEPS = tuple(f"ansible.builtin.{name}" for name in ("assert", "debug", "include_tasks", "validate_argument_spec"))
QUIET_INTERVAL = 10  # seconds between the progress lines of a step where there is no terminal
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]|\x1b\[[0-9;]*[A-Za-z]")


def last_line(path: str) -> str:
    """The last line of a log that isn't empty, without control characters; empty when there is none."""
    try:
        with open(path, "rb") as log:
            log.seek(max(0, os.path.getsize(path) - 4096))
            lines = log.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return next((text for line in reversed(lines) if (text := CONTROL.sub("", line).strip())), "")


class Step:
    """A task that runs now, and the thread that shows how it is going."""

    def __init__(self, name: str, progress: str) -> None:
        self._name, self._progress = name, progress
        self._begun = time.monotonic()
        self._over = threading.Event()
        self._terminal = os.isatty(1)
        self._ticker = threading.Thread(target=self._tick, daemon=True)
        self._ticker.start()

    def end(self, outcome: str = "") -> None:
        """Prints the step's line, or wipes what the ticker left when there is no outcome to tell."""
        self._over.set()
        self._ticker.join()
        if outcome:
            self._write(f"  {self._name:<66} {outcome:<8}{time.monotonic() - self._begun:6.1f} s", "\n")
        elif self._terminal:
            self._write("", "")

    def _tick(self) -> None:
        while not self._over.wait(0.5 if self._terminal else QUIET_INTERVAL):
            now = last_line(self._progress) if self._progress else ""
            self._write(f"  {self._name} … {time.monotonic() - self._begun:.0f} s  {now}".rstrip(), "" if self._terminal else "\n")

    def _write(self, text: str, end: str) -> None:
        if self._terminal:
            text = "\r\x1b[K" + (text if end else text[: (os.get_terminal_size(1).columns or 80) - 1])
        # Straight to the descriptor: Ansible forks while the ticker runs, and a buffer's lock held then would stay held in the child.
        os.write(1, (text + end).encode())


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "steps"

    def __init__(self) -> None:
        super().__init__()
        self._play = None
        self._step: Step | None = None
        self._steps = self._changed = 0
        self._begun = time.monotonic()

    def v2_playbook_on_play_start(self, play) -> None:
        self._play = play

    def v2_runner_on_start(self, host, task) -> None:
        if task.action in NO_STEPS:
            return
        variables = self._play.get_variable_manager().get_vars(play=self._play, host=host, task=task)
        templar = Templar(loader=self._play.get_loader(), variables=variables)
        sys.stdout.flush()
        self._step = Step(templar.template(task.name), templar.template(task.vars.get("progress", "")))

    def v2_runner_on_ok(self, result) -> None:
        if result.task.action == "ansible.builtin.debug":
            said = result.result["msg"]
            print("", *([said] if isinstance(said, str) else said), sep="\n", flush=True)
        elif self._step:
            self._steps += 1
            self._changed += result.is_changed()
            self._end("changed" if result.is_changed() else "ok")

    def v2_runner_on_skipped(self, result) -> None:
        self._end()

    def v2_runner_on_failed(self, result, ignore_errors=False) -> None:
        self._end("FAILED")
        answers = [item for item in result.result.get("results", ()) if item.get("failed")] or [result.result]
        for text in (answer[key] for answer in answers for key in ("msg", "stdout", "stderr", "censored") if answer.get(key)):
            print(f"\n{text}".replace("\n", "\n    "), flush=True)

    v2_runner_on_unreachable = v2_runner_on_failed

    def v2_playbook_on_stats(self, stats) -> None:
        self._end()
        print(f"  {self._steps} steps, {self._changed} changed, {time.monotonic() - self._begun:.0f} s", flush=True)

    def _end(self, outcome: str = "") -> None:
        if self._step:
            self._step.end(outcome)
            self._step = None
