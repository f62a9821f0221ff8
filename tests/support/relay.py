"""Stands between a client and LiteLLM: counts the requests, and fails some of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx

from tests.support.http_stand_in import Asked, HttpStandIn


class Relay(HttpStandIn):
    """Passes requests on, unless `fails(asked)` is "before", so that LiteLLM never gets one, or "after", so that its answer is lost."""

    def __init__(self, target: str, fails: Callable[[Asked], str | None] = lambda asked: None) -> None:
        self.fails = fails
        self._http = httpx.Client(base_url=target, timeout=60, limits=httpx.Limits(max_connections=None))
        super().__init__(self._pass_on)

    def _pass_on(self, asked: Asked) -> tuple[int, Any]:
        failing = self.fails(asked)
        if failing != "before":
            headers = {name: asked.headers[name] for name in ("authorization", "content-type") if name in asked.headers}
            answer = self._http.request(asked.method, asked.path, headers=headers, content=asked.body)
        return (500, {"error": {"message": "no space left", "code": "500"}}) if failing else (answer.status_code, answer.content)

    def count(self, path: str) -> int:
        """How many requests this path has got."""
        return sum(asked.path.partition("?")[0] == path for asked in self.asked)

    def __exit__(self, *parameters: object) -> None:
        super().__exit__(*parameters)
        self._http.close()
