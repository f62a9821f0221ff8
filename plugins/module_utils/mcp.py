"""MCP over HTTP, as LiteLLM's gateway speaks it: a session, the tools that its key may use, and calls of them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from typing import Any

from ansible_collections.rhpds.litemaas.plugins.module_utils.client import Client, LiteLLMError
from ansible_collections.rhpds.litemaas.plugins.module_utils.mcp_servers import list_servers, names_of, prefix_of

REVISION = "2025-06-18"  # the newest that LiteLLM 1.81 speaks; a server that knows only another says so in its answer
KINDS = "application/json, text/event-stream"
UNKNOWN = "api_key: LiteLLM does not know this key, or it has expired."
PATH = "/mcp/"  # LiteLLM 1.81 answers /mcp with a redirect


def catalogue(client: Client, servers: Iterable[str] = ()) -> list[dict[str, Any]]:
    """Return the tools that the client's key may use, each with its `server`, and named as it is called: <alias>-<tool>.

    `servers` (aliases, names or access groups) narrows them.
    """
    wanted = set(servers)
    try:
        known = list_servers(client)
    except LiteLLMError as error:
        if error.status == 403:
            return _unlisted(client, servers)
        raise LiteLLMError(UNKNOWN, 401) if error.status == 401 else error from None
    prefixes = {prefix_of(server) for server in known}
    asked = {prefix_of(server) for server in known if not wanted or wanted & {*names_of(server), *server["mcp_access_groups"]}}
    if wanted and not asked:  # 1.81 would give the tools of all
        raise LiteLLMError(f"servers: there is no {' or '.join(sorted(wanted))} that this key may use.")
    if not known:
        return []
    with McpSession(client, servers=servers) as session:
        return [_prefixed(tool, prefixes, asked) for tool in session.tools()]


def _unlisted(client: Client, servers: Iterable[str]) -> list[dict[str, Any]]:
    """The same for a key that may use servers but not list them, for its allowed_routes. (1.81's llm_api_routes are without the list.)"""
    if client.version().startswith("1.81."):  # it leaves the prefix out where there is one server only
        raise LiteLLMError(
            "api_key: LiteLLM 1.81 does not tell this key whose its tools are. Add /v1/mcp/server to its allowed_routes.", 403
        )
    with McpSession(client, servers=servers) as session:
        return [{**tool, "server": tool["name"].partition("-")[0]} for tool in session.tools()]


def words_of(result: dict[str, Any]) -> str:
    """Return the texts of a tool's result."""
    return "\n".join(part["text"] for part in result.get("content") or [] if part.get("type") == "text")


def _prefixed(tool: dict[str, Any], prefixes: set[str], asked: set[str]) -> dict[str, Any]:
    for prefix in sorted(prefixes, key=len, reverse=True):
        if tool["name"].startswith(f"{prefix}-"):
            return {**tool, "server": prefix}
    if len(asked) != 1:
        return {**tool, "server": None}
    [prefix] = asked  # 1.81 leaves the prefix out where there is one server only
    return {**tool, "name": f"{prefix}-{tool['name']}", "server": prefix}


class McpSession:
    """What one key can do through the gateway; `with` opens and closes it.

    Every request is sent once, since a tool may have run though no answer came, and raises `LiteLLMError`, whose `status` is the HTTP
    status where there was one.
    """

    def __init__(self, client: Client, path: str = PATH, key: str | None = None, servers: Iterable[str] = ()) -> None:
        """Speak with `path`, such as /mcp/ for all servers or /<alias>/mcp for one. `servers` (aliases or access groups) narrows it.

        `key` is another key than the client's.
        """
        self._client = client
        self._path = path
        self._key = key
        self._headers = {"Accept": KINDS}
        if names := ",".join(servers):
            self._headers["x-mcp-servers"] = names
        self._count = 0

    def __enter__(self) -> McpSession:
        self.initialize()
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def initialize(self) -> dict[str, Any]:
        """Begin, and return what the server says of itself."""
        client = {"protocolVersion": REVISION, "capabilities": {}, "clientInfo": {"name": "rhpds.litemaas", "version": "1"}}
        answer = self._request("initialize", client)
        self._headers["MCP-Protocol-Version"] = answer.get("protocolVersion", REVISION)
        self._post({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return answer

    def tools(self) -> list[dict[str, Any]]:
        """Return every tool that the key may use: `name`, `description`, `inputSchema` and more."""
        tools: list[dict[str, Any]] = []
        cursors = [None]
        while True:
            answer = self._request("tools/list", {} if cursors[-1] is None else {"cursor": cursors[-1]})
            tools += answer.get("tools", [])
            cursor = answer.get("nextCursor")
            if cursor is None or cursor in cursors:
                return tools
            cursors.append(cursor)

    def call(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Call a tool, and return its result: `content`, perhaps `structuredContent`, and `isError` when the tool failed."""
        result = self._request("tools/call", {"name": name, "arguments": arguments})
        for part in result.get("content") or []:
            if "text" in part:  # 1.81 tells a key, of which it refuses a tool, the servers that it may use, with their secrets
                part["text"] = part["text"].split(" Allowed MCP servers: [MCPServer(")[0]
        return result

    def close(self) -> None:
        """End the session where there is one."""
        if "Mcp-Session-Id" in self._headers:
            with self._client.opened("DELETE", self._path, key=self._key, headers=self._headers):
                del self._headers["Mcp-Session-Id"]

    def _request(self, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
        self._count += 1
        message = self._post({"jsonrpc": "2.0", "id": self._count, "method": method, "params": parameters})
        if message is None:
            raise LiteLLMError(f"LiteLLM ended its answer to {method} at {self._path} before the result. See its log.")
        if "error" in message:
            error = message["error"]
            text = self._client.plain(str(error.get("message")))
            raise LiteLLMError(f"LiteLLM answered {method} at {self._path} with an error: {text}", 200)
        return message.get("result") or {}

    def _post(self, message: dict[str, Any]) -> dict[str, Any] | None:
        """Send a message, and return the answer to it; None when there is none."""
        more = " The tool may have run all the same." if message["method"] == "tools/call" else ""
        with self._client.opened("POST", self._path, more, key=self._key, headers=self._headers, json=message) as response:
            if not response.ok or response.is_redirect:
                raise self._refused(response)
            if "Mcp-Session-Id" in response.headers:
                self._headers["Mcp-Session-Id"] = response.headers["Mcp-Session-Id"]
            if "id" not in message:
                return None
            try:
                messages = _events(response) if "event-stream" in response.headers.get("Content-Type", "") else [response.json()]
                end = time.monotonic() + self._client.timeout
                for answer in messages:
                    if answer.get("id") == message["id"] and "method" not in answer:
                        return answer
                    if time.monotonic() > end:
                        raise LiteLLMError(f"{message['method']} took more than {self._client.timeout} s. Raise timeout.{more}")
            except (ValueError, AttributeError):
                raise self._client.stranger(self._path) from None
        return None

    def _refused(self, response: Any) -> LiteLLMError:
        status, text = response.status_code, self._client.words(response)
        if status == 401:
            text = UNKNOWN
        elif status == 500:
            text = f"LiteLLM answered {self._path} with HTTP 500: {text}. 1.81 answers so to a key that it does not know, too."
        elif status == 403:
            text = f"api_key: LiteLLM does not let this key do that ({text})."
        elif status == 404 and "Mcp-Session-Id" in self._headers:
            text = "LiteLLM has forgotten the MCP session. Run the task again."
        else:
            text = f"LiteLLM answered {self._path} with HTTP {status}: {text}"
        return LiteLLMError(text, status)


def _events(response: Any) -> Iterator[dict[str, Any]]:
    """Yield the messages of a stream of events as they come; an empty one for each other line, so that a deadline can be watched."""
    data: list[str] = []
    for line in response.iter_lines(chunk_size=None):
        text = line.decode()
        if text.startswith("data:"):
            data.append(text[5:].lstrip())
        elif data:
            yield json.loads("\n".join(data))
            data = []
        else:
            yield {}
    if data:
        yield json.loads("\n".join(data))
