"""LiteLLM's HTTP API: which models it serves, whether they answer, a user's budget, and keys that have expired."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from litemaas_mcp.backends.http import Api, Refused
from litemaas_mcp.errors import Failure, Unavailable
from litemaas_mcp.settings import LiteLLMSettings

PAGE = 100  # the most keys that LiteLLM lists at once


class LiteLLM(Api):
    """LiteLLM as its administrator. Every method raises `Unavailable` when LiteLLM is down, too slow, or refuses our key."""

    name = "LiteLLM"
    key_name = "LITELLM_API_KEY"

    def __init__(self, settings: LiteLLMSettings) -> None:
        super().__init__(
            settings.litellm_api_url, settings.litellm_api_key.get_secret_value(), settings.litellm_timeout, settings.ssl_ca_file
        )
        self._model_health_timeout = settings.model_health_timeout

    async def ping(self) -> bool:
        """Whether LiteLLM is ready, its database included."""
        try:
            answer = await self.get("/health/readiness")
        except Failure:
            return False
        # LiteLLM goes on answering 200 for a while when it has lost its database, and then says so here.
        return isinstance(answer, dict) and answer.get("db") in ("connected", None)

    async def describe(self) -> str:
        """Say what LiteLLM serves: this needs its key, unlike `ping`."""
        return f"{self._url}: {len({model['model_name'] for model in await self.deployments()})} models"

    async def deployments(self) -> list[dict[str, Any]]:
        """Every deployment (model_name, litellm_params without secrets, model_info); those of one name share its load."""
        return (await self.get("/model/info"))["data"]

    async def model_health(self, model: str | None) -> dict[str, Any]:
        """Check one model or all, now, by asking their providers (healthy_endpoints, unhealthy_endpoints).

        An unknown model answers like a model without endpoints, and is remembered: look the name up first.
        """
        # 1.106 answers 503, with the same body, when one model was asked for and is unhealthy.
        answer = await self.get("/health", accept=(200, 503), patience=self._model_health_timeout, model=model)
        if not isinstance(answer, dict) or "unhealthy_endpoints" not in answer:
            raise Unavailable("LiteLLM answered its health check with something else: see its log.")
        return answer

    async def user(self, user_id: str) -> dict[str, Any] | None:
        """The user of this id; None when there is none."""
        answer = await self.user_info(user_id)
        return answer["user_info"] if answer else None

    async def user_info(self, user_id: str) -> dict[str, Any] | None:
        """The user of this id (user_info), with all keys and teams; None when there is none."""
        try:
            # LiteLLM takes the + that stands for a space in this query for a plus.
            answer = await self.get(f"/user/info?user_id={quote(user_id, safe='')}")
        except Refused as refused:
            if refused.status == 404:
                return None
            raise
        user = answer.get("user_info") if isinstance(answer, dict) else None
        return answer if user and user.get("user_id") == user_id else None

    async def update_user(self, user_id: str, changes: dict[str, Any]) -> None:
        """Change an existing user. LiteLLM creates an unknown one: look it up before, and again after."""
        await self.write("POST", "/user/update", {"user_id": user_id, **changes})

    async def keys(self) -> list[dict[str, Any]]:
        """Every virtual key (token, key_alias, expires, user_id …), without its value."""
        keys, page, last = [], 1, 1
        while page <= last:
            answer = await self.get("/key/list", page=page, size=PAGE, return_full_object="true", sort_by="created_at", sort_order="asc")
            keys += answer["keys"]
            page, last = page + 1, answer.get("total_pages") or 1
        return keys

    async def delete_keys(self, tokens: list[str]) -> None:
        """Remove the keys of these hashes."""
        for start in range(0, len(tokens), PAGE):
            await self.write("POST", "/key/delete", {"keys": tokens[start : start + PAGE]})
