"""A TCP relay that can be cut, hung and healed: how tests take a backend away from a running server and give it back."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Coroutine
from typing import Any


class TcpProxy:
    """Listens on a free port of 127.0.0.1 (`port`) and relays to a target, from a thread of its own.

    `cut` drops every connection and refuses new ones; `hang` keeps them open, accepts more, and moves no byte;
    `heal` ends both. With `tls`, clients must speak TLS to it; the target is always spoken to in plain.
    """

    def __init__(self, host: str, port: int, *, tls: ssl.SSLContext | None = None):
        self._target, self._tls = (host, port), tls
        self._loop = asyncio.new_event_loop()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.port = 0
        self._run(self._listen())

    def __enter__(self) -> TcpProxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def cut(self) -> None:
        self._run(self._close())

    def hang(self) -> None:
        self._loop.call_soon_threadsafe(self._flowing.clear)

    def heal(self) -> None:
        self._loop.call_soon_threadsafe(self._flowing.set)
        self._run(self._listen())

    def _run(self, step: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(step, self._loop).result(10)

    async def _listen(self) -> None:
        if self.port and self._server.is_serving():
            return
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._server.close()
        self._flowing.set()
        for writer in self._writers:
            writer.transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        await self._flowing.wait()
        try:
            target_reader, target_writer = await asyncio.open_connection(*self._target)
        except OSError:
            target_reader = target_writer = None
        if target_writer is not None:
            self._writers.add(target_writer)
            await asyncio.gather(self._pump(reader, target_writer), self._pump(target_reader, writer))
            self._writers.discard(target_writer)
        writer.transport.abort()
        self._writers.discard(writer)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ssl.SSLError):
            while data := await source.read(65536):
                await self._flowing.wait()
                sink.write(data)
                await sink.drain()
        sink.transport.abort() if sink.is_closing() else sink.close()
