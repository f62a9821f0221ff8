"""What reaches the SDK's transport: one JSON-RPC message, by POST, in a revision that we speak."""

from __future__ import annotations

from mcp_types import INVALID_REQUEST, PROTOCOL_VERSION_META_KEY, UNSUPPORTED_PROTOCOL_VERSION
from mcp_types.version import KNOWN_PROTOCOL_VERSIONS
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class OneMessage:
    """Refuses, in words that help, what the SDK would answer obscurely or not at all.

    - Anything but POST: 405 at once. There are no streams to open and no sessions to end.
    - A protocol revision that we don't know, or a JSON-RPC batch (only 2025-03-26 had them): 400.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            refusal = JSONResponse({"error": "method_not_allowed", "message": "send MCP messages by POST"}, 405, {"Allow": "POST"})
            return await refusal(scope, receive, send)
        # httptools leaves white space behind a header's value, which revision 2026-07-28 compares with the body.
        # A host's name may be written in capitals.
        scope["headers"] = [(name, value.strip().lower() if name == b"host" else value.strip()) for name, value in scope["headers"]]
        revision = dict(scope["headers"]).get(b"mcp-protocol-version", b"").decode("latin-1")
        first = await receive()
        body = first.get("body", b"")
        # A request that states its revision in the body too is refused well by the SDK, with the request's id.
        if revision and revision not in KNOWN_PROTOCOL_VERSIONS and PROTOCOL_VERSION_META_KEY.encode() not in body:
            message = f"Unsupported protocol version {revision[:40]!r}: this server speaks {', '.join(KNOWN_PROTOCOL_VERSIONS)}."
            data = {"requested": revision[:40], "supported": list(KNOWN_PROTOCOL_VERSIONS)}
            return await _refusal(UNSUPPORTED_PROTOCOL_VERSION, message, data)(scope, receive, send)
        if body.lstrip().startswith(b"["):
            return await _refusal(INVALID_REQUEST, "JSON-RPC batches are not supported: send one message a request.")(scope, receive, send)
        await self.app(scope, _replay(first, receive), send)
        return None


def _replay(first: Message, receive: Receive) -> Receive:
    waiting = [first]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay


def _refusal(code: int, message: str, data: dict | None = None) -> JSONResponse:
    error = {"code": code, "message": message} | ({"data": data} if data else {})
    return JSONResponse({"jsonrpc": "2.0", "id": None, "error": error}, 400)
