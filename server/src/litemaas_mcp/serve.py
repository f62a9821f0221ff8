"""`litemaas-mcp serve`: uvicorn around the application, with a shutdown that lets calls finish."""

from __future__ import annotations

import asyncio
import logging
from types import FrameType

import uvicorn
from sse_starlette.sse import AppStatus

from litemaas_mcp.app import build
from litemaas_mcp.health import Alive
from litemaas_mcp.settings import AdminSettings, Settings

DRAIN = 1.0  # seconds between "not ready" and closing the listening socket, for the router to look elsewhere
GRACE = 8  # seconds that calls in flight may take after that


class DrainingServer(uvicorn.Server):
    """Says "not ready" on the first signal, stops accepting a moment later, then waits for the calls in flight."""

    def __init__(self, config: uvicorn.Config, health: Alive) -> None:
        super().__init__(config)
        self.health = health

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.health.draining:
            super().handle_exit(sig, frame)
            return
        self.health.draining = True
        asyncio.get_running_loop().call_later(DRAIN, super().handle_exit, sig, frame)


def serve(settings: Settings | AdminSettings) -> None:
    """Serve until SIGTERM or SIGINT."""
    app, health = build(settings)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        # It would print the query string, and with it a token, before we can remove it.
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE,
    )
    # Else the older revisions' answers, which are event streams, are cut off at the first signal: calls in flight would be lost.
    AppStatus.disable_automatic_graceful_drain()
    logging.getLogger(__name__).info("starting on %s:%s", settings.host, settings.port)
    DrainingServer(config, health).run()
