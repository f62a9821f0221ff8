"""A load generator in a process of its own: N callers on keep-alive connections, each sending its next request when the last is answered.

It speaks just enough HTTP to see where an answer ends, so that the servers and not the client are measured.
`put` runs it: it reads one JSON object from stdin (port, request, callers, seconds, …), and prints one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from statistics import quantiles
from typing import Any


class Caller(asyncio.Protocol):
    """One connection. An answer ends with its Content-Length or with the empty chunk."""

    def __init__(self, request: bytes, latencies: list[float], good: bytes):
        self.request, self.latencies, self.good = request, latencies, good
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.stop_at = float("inf")
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def send(self) -> None:
        self.buffer, self.started = b"", time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, separator, body = self.buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        length = _content_length(head)
        complete = body.endswith(b"0\r\n\r\n") if length is None else len(body) >= length
        if not complete:
            return
        if not head.startswith(b"HTTP/1.1 200") or b'"isError":true' in body or self.good not in body:
            self.fail(RuntimeError(f"not a good answer: {self.buffer[:1000]!r}"))
            return
        now = time.perf_counter()
        self.latencies.append(now - self.started)
        if now < self.stop_at:
            self.send()
        elif not self.answered.done():
            self.answered.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        self.fail(error or ConnectionError("the server closed the connection"))

    def fail(self, error: Exception) -> None:
        if not self.answered.done():
            self.answered.set_exception(error)


def _content_length(head: bytes) -> int | None:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line[15:])
    return None


async def run(port: int, request: str, callers: int, seconds: float, host: str = "127.0.0.1", good: str = '"result":') -> dict[str, Any]:
    """Calls per second and latencies in milliseconds over `seconds`; calls begun before the end are waited for."""
    loop, latencies = asyncio.get_running_loop(), []
    connections = [
        (await loop.create_connection(lambda: Caller(request.encode(), latencies, good.encode()), host, port))[1] for _ in range(callers)
    ]
    started = time.perf_counter()
    for connection in connections:
        connection.stop_at = started + seconds
        connection.send()
    await asyncio.gather(*(connection.answered for connection in connections))
    elapsed = time.perf_counter() - started
    for connection in connections:
        connection.transport.abort()
    percentiles = quantiles(latencies, n=100, method="inclusive") if len(latencies) > 1 else latencies * 99
    return {"calls": len(latencies), "per_second": len(latencies) / elapsed, "p50": percentiles[49] * 1000, "p99": percentiles[98] * 1000}


def put(**order: Any) -> dict[str, Any]:
    """What `run` measures, in a process of its own."""
    done = subprocess.run([sys.executable, __file__], input=json.dumps(order), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{order['callers']} callers of {order['request'].partition(' HTTP')[0]}: {done.stderr[-2000:]}")
    return json.loads(done.stdout)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(**json.load(sys.stdin)))))
