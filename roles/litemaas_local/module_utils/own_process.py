"""Which process is ours: pid files that can't mistake a stranger for a daemon that this role started (Linux only)."""

from __future__ import annotations

import json
import os
import signal
import time
from contextlib import suppress
from pathlib import Path


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _stat(pid: int) -> tuple[str, int, int] | None:
    """State, session and start time (clock ticks since boot) of a process, or None when there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return fields[0], int(fields[3]), int(fields[19])


class OwnProcess:
    """A daemon and what it left behind, as its pid file names it.

    The file holds the start time and the boot beside the pid, so a recycled pid is never adopted and never killed.
    """

    def __init__(self, pid_file: str) -> None:
        self._file = Path(pid_file)
        try:
            self._record = json.loads(self._file.read_text())
            self._pid = int(self._record["pid"])
        except (OSError, ValueError, TypeError, KeyError):
            # No file, or one that was never finished: it is written before the daemon itself exists, so there is none.
            self._record, self._pid = {}, 0

    @property
    def pid(self) -> int:
        """The daemon's pid, 0 when none is recorded."""
        return self._pid

    @property
    def command(self) -> str:
        """The fingerprint of what was started, empty when nothing is recorded."""
        return self._record.get("command", "")

    @property
    def alive(self) -> bool:
        """Whether the very process that was started still runs. A zombie doesn't."""
        stat = _stat(self._pid) if self._pid and self._record.get("boot") == _boot() else None
        return stat is not None and stat[0] not in "ZX" and stat[2] == self._record.get("started")

    def write(self, command: str, stop_signal: str) -> None:
        """Records the calling process; called by the daemon's own process just before it becomes the daemon."""
        pid = os.getpid()
        record = {"pid": pid, "started": _stat(pid)[2], "boot": _boot(), "command": command, "stop_signal": stop_signal}
        new = self._file.with_suffix(".new")
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
            json.dump(record, out)
        new.replace(self._file)

    def end(self, patience: float) -> bool:
        """Stops the daemon and whatever it left in its session, waits until all are gone, and forgets it.

        `patience` is in seconds: who isn't gone by then is killed. Answers whether anything was running.
        """
        found = False
        if self.alive:
            found = True
            self._send(self._pid, getattr(signal, f"SIG{self._record['stop_signal']}"))
            if not _gone(lambda: not self.alive, patience):
                self._send(self._pid, signal.SIGKILL)
                _gone(lambda: not self.alive, patience)
        if self._session():
            found = True
            for number in (signal.SIGTERM, signal.SIGKILL):
                for pid in self._session():
                    self._send(pid, number)
                if _gone(lambda: not self._session(), patience):
                    break
        self._file.unlink(missing_ok=True)
        return found

    def _session(self) -> list[int]:
        """Who still lives in the session that the daemon led, once the daemon itself is dead.

        The kernel gives a pid to nobody while a session bears it. So if the pid lives again, the session had died out, and who is
        in the new one is a stranger.
        """
        if not self._pid or self._record.get("boot") != _boot():
            return []
        leader = _stat(self._pid)
        if leader and leader[2] != self._record.get("started"):
            return []
        pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and int(entry.name) != self._pid)
        return [pid for pid in pids if (stat := _stat(pid)) and stat[1] == self._pid and stat[0] not in "ZX"]

    @staticmethod
    def _send(pid: int, number: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _gone(ready, patience: float) -> bool:
    """Waits up to `patience` seconds for `ready()`."""
    until = time.monotonic() + patience
    while not ready():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True
