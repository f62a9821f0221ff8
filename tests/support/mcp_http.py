"""MCP spoken in plain HTTP: a request as it goes over the wire, and a client that shows what the SDK's client hides."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import httpx

MODERN = "2026-07-28"
LEGACY = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")


def request_parts(method: str, params: dict[str, Any] | None, revision: str, request_id: int = 1) -> tuple[dict[str, str], bytes]:
    """Headers and body of one JSON-RPC request in a protocol revision; 2026-07-28 repeats method and name in headers."""
    params = dict(params or {})
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream", "MCP-Protocol-Version": revision}
    if revision not in LEGACY:
        params["_meta"] = {
            "io.modelcontextprotocol/protocolVersion": revision,
            "io.modelcontextprotocol/clientInfo": {"name": "raw", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        }
        headers["Mcp-Method"] = method
        if "name" in params:
            headers["Mcp-Name"] = params["name"]
    body = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}
    return headers, json.dumps(body, separators=(",", ":")).encode()


def message(response: httpx.Response) -> dict[str, Any]:
    """The JSON-RPC message of an answer, whether it came as JSON or as a stream of events."""
    if response.headers.get("content-type", "").startswith("text/event-stream"):
        events = [line[len("data:") :] for line in response.text.splitlines() if line.startswith("data:")]
        return json.loads(next(event for event in events if event.strip()))
    return response.json()


class RawClient:
    """One MCP endpoint. `token` goes into the Authorization header; without one the request carries none."""

    def __init__(self, url: str, token: str | None = None, *, revision: str = MODERN, timeout: float = 60):
        self.url, self.revision = url, revision
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}
        # Plain HTTP only: loading certificate authorities would cost more than a request.
        self.http = httpx.Client(timeout=timeout, trust_env=False, verify=False)

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    @property
    def origin(self) -> str:
        """Scheme, host and port: where /health, /livez and /readyz are."""
        return "{0.scheme}://{0.netloc}".format(urlsplit(self.url))

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.http.get(self.origin + path, headers=headers)

    def request(self, method: str, params: dict[str, Any] | None = None, **headers: str) -> httpx.Response:
        """The whole HTTP answer to one request; extra headers win over the usual ones."""
        usual, body = request_parts(method, params, self.revision)
        return self.http.post(self.url, content=body, headers={**usual, **self.headers, **headers})

    def result(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """The result of a request that must succeed."""
        response = self.request(method, params)
        answer = message(response)
        assert "result" in answer, f"{method}: HTTP {response.status_code} {response.text[:500]}"
        return answer["result"]

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """A tool's result: `content`, `structuredContent`, `isError`."""
        return self.result("tools/call", {"name": tool, "arguments": arguments})

    def error_of(self, tool: str, **arguments: Any) -> str:
        """The text of a tool call that must end as a tool error."""
        result = self.call(tool, **arguments)
        assert result.get("isError") is True, f"{tool} did not fail: {result}"
        return result["content"][0]["text"]
