"""LiteLLM's administration with each caller's own key."""

from __future__ import annotations

import copy
import math
import time
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

REMEMBERED = 300.0  # seconds after which LiteLLM may have become another version

# What each list calls its rows.
_ROWS = {"/user/list": "users", "/key/list": "keys", "/spend/logs/v2": "data"}


class Admin(LiteLLM):
    """LiteLLM for anybody: one pool of connections and no key. `of` gives it to one caller, for one call."""

    key_name = None

    def __init__(self, settings: AdminSettings | Settings) -> None:
        Api.__init__(self, settings.admin_url, "", settings.litellm_timeout, settings.ssl_ca_file)
        self._filters: dict[str, tuple[float, set[str] | None]] = {}

    def of(self, authorization: str, changed_by: str | None) -> Admin:
        """LiteLLM as the caller with this Authorization header; what it changes is marked as changed by that name."""
        caller = copy.copy(self)
        caller._headers = {"Authorization": authorization} | ({"litellm-changed-by": changed_by} if changed_by else {})
        return caller

    async def rows(self, path: str, **parameters: Any) -> dict[str, Any]:
        """A page of a list. Raises `Failure` when this LiteLLM would ignore one of the filters."""
        if newer := _NEWER[path] & {name for name, value in parameters.items() if value is not None}:
            await self._check_filters(path, newer)
        answer = await self.get(path, **parameters)
        if not isinstance(answer, dict) or not isinstance(answer.get(_ROWS[path]), list):
            raise Unavailable(f"LiteLLM answered {path} with something else than a list: check its address, {self._url}.", 502)
        return answer

    async def every(self, path: str, **parameters: Any) -> list[dict[str, Any]]:
        """All rows of a list, page after page."""
        rows: list[dict[str, Any]] = []
        page, last = 1, 1
        while page <= last:
            answer = await self.rows(path, page=page, **parameters)
            rows += answer[_ROWS[path]]
            page, last = page + 1, answer.get("total_pages") or 1
        return rows

    async def _check_filters(self, path: str, newer: set[str]) -> None:
        read, declared = self._filters.get(path, (-math.inf, None))
        if not newer <= (declared or set()) and time.monotonic() > read + REMEMBERED:
            declared = await self._declared(path)
            self._filters[path] = time.monotonic(), declared
        if declared is None:
            raise Failure(
                f"{min(newer)}: whether this LiteLLM has this filter, or would ignore it, can't be found out: its /openapi.json does not "
                "say. Leave it out."
            )
        if lacking := newer - declared:
            raise Failure(f"{min(lacking)}: this LiteLLM would ignore it, since only versions after 1.81 have it. Leave it out.")

    async def _declared(self, path: str) -> set[str] | None:
        """The filters that LiteLLM says it has; None when it does not say."""
        try:
            operation = (await self.get("/openapi.json"))["paths"][path]["get"]
        except (Refused, KeyError, TypeError):
            return None
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
