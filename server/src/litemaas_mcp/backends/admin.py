"""LiteLLM's administration with each caller's own key."""

from __future__ import annotations

import copy
from typing import Any

from litemaas_mcp.backends.http import Api, Refused
from litemaas_mcp.backends.litellm import LiteLLM
from litemaas_mcp.errors import Failure, Unavailable
from litemaas_mcp.settings import AdminSettings, Settings

# Filters that came after LiteLLM 1.81, which ignores them: its answer would be to another question.
_NEWER: dict[str, set[str]] = {
    "/user/list": {"search", "organization_ids"},
    "/key/list": {"search", "project_id", "access_group_id", "agent_id", "substring_matching", "expires"},
    "/spend/logs/v2": {
        *("session_id", "cache_hit_filter", "used_client_oauth_token", "span_type", "model_id", "model_group", "error_message"),
        *("sort_by", "sort_order", "exclude_internal_health_checks", "group_by_session", "search"),
    },
}


# What each list calls its rows.
_ROWS = {"/user/list": "users", "/key/list": "keys", "/spend/logs/v2": "data"}


class Admin(LiteLLM):
    """LiteLLM for anybody: one pool of connections and no key. `of` gives it to one caller, for one call."""

    key_name = None

    def __init__(self, settings: AdminSettings | Settings) -> None:
        Api.__init__(self, settings.admin_url, "", settings.litellm_timeout, settings.ssl_ca_file)
        self._filters: dict[str, set[str]] = {}

    def of(self, authorization: str, client: str | None) -> Admin:
        """LiteLLM as the caller with this Authorization header; what it changes is marked as changed by `client`."""
        caller = copy.copy(self)
        caller._headers = {"Authorization": authorization} | ({"litellm-changed-by": client} if client else {})
        return caller

    async def rows(self, path: str, **parameters: Any) -> dict[str, Any]:
        """A page of a list. Raises `Failure` when this LiteLLM would ignore one of the filters."""
        newer = _NEWER[path] & {name for name, value in parameters.items() if value is not None}
        if newer and newer - self._filters.get(path, set()):
            self._filters[path] = await self._declared(path)
            if lacking := sorted(newer - self._filters[path]):
                raise Failure(f"{lacking[0]}: this LiteLLM would ignore it, since only versions after 1.81 have it. Leave it out.")
        answer = await self.get(path, **parameters)
        if not isinstance(answer, dict) or not isinstance(answer.get(_ROWS[path]), list):
            raise Unavailable(f"LiteLLM answered {path} with something else than a list: check its address, {self._url}.", 502)
        return answer

    async def _declared(self, path: str) -> set[str]:
        try:
            operation = (await self.get("/openapi.json"))["paths"][path]["get"]
        except (Refused, KeyError, TypeError):
            return set()
        return {parameter["name"] for parameter in operation["parameters"]}

    async def exists(self, path: str, **parameters: Any) -> bool:
        """Whether LiteLLM has what this path shows."""
        try:
            await self.get(path, **parameters)
        except Refused as refused:
            if refused.status == 404:
                return False
            raise
        return True
