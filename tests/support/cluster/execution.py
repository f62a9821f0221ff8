"""A command in a pod, as the Kubernetes API carries it: over a WebSocket, with a channel for each stream."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from subprocess import CompletedProcess
from typing import Any

PROTOCOL = "v4.channel.k8s.io"
STDOUT, STDERR, ERROR = 1, 2, 3  # channels
BINARY, CLOSE = 0x82, 0x88  # whole frames
Run = Callable[[dict[str, Any], list[str]], "CompletedProcess[str]"]  # (pod, command) → what came of it


@dataclass(frozen=True)
class Execution:
    """What a pod is asked to do, and who does it."""

    pod: dict[str, Any]
    run: Run

    def frames(self, command: list[str]) -> Iterator[bytes]:
        """Run the command, and yield what is sent of it."""
        done = self.run(self.pod, command)
        for channel, text in ((STDOUT, done.stdout), (STDERR, done.stderr), (ERROR, json.dumps(_status(done.returncode)))):
            if text:
                yield _frame(BINARY, bytes([channel]) + text.encode())
        yield _frame(CLOSE, struct.pack(">H", 1000))


def accepted(key: str) -> str:
    """Return the answer to a client's Sec-WebSocket-Key (RFC 6455)."""
    return base64.b64encode(hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()).decode()


def _frame(first: int, payload: bytes) -> bytes:
    size = len(payload)
    head = bytes([first, size]) if size < 126 else struct.pack(">BBH", first, 126, size)
    return head + payload


def _status(code: int) -> dict[str, Any]:
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    causes = [{"reason": "ExitCode", "message": str(code)}]
    return {"metadata": {}, "status": "Failure", "reason": "NonZeroExitCode", "details": {"causes": causes}}
