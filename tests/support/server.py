"""The server as a process: started with an environment, reached over a real socket, watched from outside."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import httpx

COMMAND = str(Path(sys.executable).parent / "litemaas-mcp")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class ServerProcess:
    """A process that serves HTTP on 127.0.0.1, with nothing in its environment but PATH and what is given.

    `output` is all that it has written to stdout and stderr so far. As a context manager it is stopped at the end.
    """

    def __init__(self, environment: dict[str, str], command: Iterable[str] = (COMMAND, "serve")):
        self.port = free_port()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self.started_at = time.perf_counter()
        self.process = subprocess.Popen(
            list(command),
            env={"PATH": os.environ["PATH"], "HOST": "127.0.0.1", "PORT": str(self.port), **environment},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.origin}/mcp"

    @property
    def output(self) -> str:
        # By position: the process writes through the same open file.
        return os.pread(self._log.fileno(), 1 << 30, 0).decode(errors="replace")

    def wait_for(self, path: str, status: int = 200, *, seconds: float = 15) -> float:
        """Wait until a GET of the path answers with the status; the seconds since the process was started."""
        with httpx.Client(trust_env=False, timeout=5) as http:
            deadline = time.perf_counter() + seconds
            while True:
                try:
                    seen: object = http.get(self.origin + path).status_code
                except httpx.TransportError as error:
                    seen = repr(error)
                if seen == status:
                    return time.perf_counter() - self.started_at
                if self.process.poll() is not None or time.perf_counter() > deadline:
                    raise AssertionError(f"GET {path}: {seen} instead of {status}; the process wrote:\n{self.output[-4000:]}")
                time.sleep(0.01)

    def resident_mb(self) -> float:
        """Resident memory in MB (10⁶ bytes)."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) * 1024 / 1e6

    def open_files(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def terminate(self) -> None:
        """Send SIGTERM and return at once."""
        self.process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float) -> int:
        """The exit code, which must come within the time given."""
        return self.process.wait(seconds)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.terminate()
            try:
                self.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.wait(5)
