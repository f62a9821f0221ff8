"""LiteMaaS's HTTP API: a user's limits in LiteMaaS's own row."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from litemaas_mcp.backends.http import Api, Refused
from litemaas_mcp.settings import Settings


class LiteMaaS(Api):
    """LiteMaaS's backend as its administrator. Every method raises `Unavailable` when it is down, too slow, or refuses our key."""

    name = "LiteMaaS"
    key_name = "LITEMAAS_ADMIN_KEY"

    def __init__(self, settings: Settings) -> None:
        assert settings.litemaas_api_url, "without its address there is no LiteMaaS to ask"
        assert settings.litemaas_admin_key, "the settings see to it"
        super().__init__(
            settings.litemaas_api_url, settings.litemaas_admin_key.get_secret_value(), settings.litellm_timeout, settings.ssl_ca_file
        )

    async def describe(self) -> str:
        """Say that LiteMaaS answers; its key is first used by an update."""
        await self.get("/api/v1/health")
        return self._url

    async def update_budget(self, user_id: str, changes: dict[str, Any]) -> dict[str, Any] | None:
        """Change a user's limits (maxBudget, budgetDuration) and return them as LiteMaaS then has them; None when it has no such user."""
        try:
            answer = await self.write("PATCH", f"/api/v1/admin/users/{quote(user_id, safe='')}/budget-limits", changes)
        except Refused as refused:
            if refused.status == 404:
                return None
            raise
        return answer if isinstance(answer, dict) else {}
