"""Alive and ready: what the probes of Kubernetes and `curl …/health` are told."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from litemaas_mcp.backends import Backends

log = logging.getLogger(__name__)

INTERVAL = 2.0  # seconds between two checks of the backends
PATIENCE = 2.0  # seconds that a backend may take to answer a check


class Alive:
    """What can be said without asking any backend.

    - `/health`: 200 `{"status":"ok"}`, and `/livez` 200, as long as the process answers.
    - `/readyz`: 503 while draining.
    """

    def __init__(self) -> None:
        self.draining = False

    def routes(self) -> list[Route]:
        return [Route("/livez", self._livez), Route("/readyz", self._readyz), Route("/health", self._health)]

    async def _livez(self, request: Request) -> JSONResponse:
        return JSONResponse({"status": "alive"})

    async def _readyz(self, request: Request) -> JSONResponse:
        return JSONResponse({"status": "draining"}, 503) if self.draining else JSONResponse({"status": "ready"})

    async def _health(self, request: Request) -> JSONResponse:
        return JSONResponse({"status": "ok"})


class Health(Alive):
    """What is known of the backends.

    A task asks them every `INTERVAL` seconds, so that a probe is answered at once, whatever the backends do, and a crowd
    of probes asks them nothing.

    - `/livez`: 200 as long as the process answers; backends have no say, or a restart would be the cure for their outage.
    - `/readyz`: 503 while starting, draining, or when no backend answers; with one of two down the tools that can answer do.
    - `/health`: 200 `{"status":"healthy","database":true,"litellm":true}`; 503, `degraded` and the false ones otherwise.
    """

    def __init__(self, backends: Backends) -> None:
        self._pings = {"database": backends.database.ping, "litellm": backends.litellm.ping}
        self._up: dict[str, bool] = {}
        super().__init__()

    @contextlib.asynccontextmanager
    async def watching(self):
        """Check the backends for as long as the context is open."""
        task = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            task.cancel()

    async def _watch(self) -> None:
        while True:
            answers = await asyncio.gather(*(self._answers(name) for name in self._pings))
            for name, up in zip(self._pings, answers, strict=True):
                if up != self._up.get(name):
                    log.log(logging.INFO if up else logging.WARNING, "%s %s", name, "answers" if up else "does not answer")
            self._up = dict(zip(self._pings, answers, strict=True))
            await asyncio.sleep(INTERVAL)

    async def _answers(self, name: str) -> bool:
        try:
            return await asyncio.wait_for(self._pings[name](), PATIENCE)
        except Exception as error:  # noqa: BLE001 (whatever it is, the answer is no)
            log.debug("%s: %r", name, error)
            return False

    async def _readyz(self, request: Request) -> JSONResponse:
        if any(self._up.values()):
            return await super()._readyz(request)
        return JSONResponse({"status": "no backend answers" if self._up else "starting"}, 503)

    async def _health(self, request: Request) -> JSONResponse:
        up = {name: self._up.get(name, False) for name in self._pings}
        healthy = all(up.values())
        return JSONResponse({"status": "healthy" if healthy else "degraded", **up}, 200 if healthy else 503)
