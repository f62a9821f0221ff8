"""Where answers come from: one class for each system that the server asks. None of them knows of MCP."""

from __future__ import annotations

from dataclasses import dataclass

from litemaas_mcp.backends.cluster import Cluster
from litemaas_mcp.backends.database import Database
from litemaas_mcp.backends.litellm import LiteLLM
from litemaas_mcp.backends.litemaas import LiteMaaS
from litemaas_mcp.settings import Settings


@dataclass(frozen=True)
class Backends:
    """All backends of one server. `litemaas` is None when LITEMAAS_API_URL is not set."""

    database: Database
    litellm: LiteLLM
    cluster: Cluster
    litemaas: LiteMaaS | None

    @classmethod
    def of(cls, settings: Settings) -> Backends:
        return cls(Database(settings), LiteLLM(settings), Cluster(settings), LiteMaaS(settings) if settings.litemaas_api_url else None)

    async def start(self) -> None:
        """Get ready without asking anybody: a backend that is down now is found again when it is back."""
        for backend in self._all():
            await backend.start()

    async def stop(self) -> None:
        """Close every connection."""
        for backend in self._all():
            await backend.stop()

    def _all(self):
        return [backend for backend in (self.database, self.litellm, self.cluster, self.litemaas) if backend]
