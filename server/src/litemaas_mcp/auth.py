"""Who may enter: whoever presents this server's token, in the Authorization header or, where allowed, in the URL; or, for LiteLLM's
administration, whoever presents a key of LiteLLM, which judges it."""

from __future__ import annotations

import hmac
import logging
import re
from collections.abc import Iterable
from hashlib import sha256
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

log = logging.getLogger(__name__)


class RequireToken:
    """Lets a request through only with a valid token, and takes the token out of the scope first.

    - The token is `Authorization: Bearer <token>` or, with `allow_query`, `?token=<token>` (URL-decoded). Presented more than
      once it is no token: a proxy and we could disagree about which one counts. A header, right or wrong, decides alone.
    - Tokens are compared as SHA-256 digests in constant time, against every accepted token whatever the first comparison says.
    - It fails closed: without an accepted token nobody enters.
    - The token is removed before anything else sees the request, so that no later log, error or backend can hold it.
    """

    def __init__(self, app: ASGIApp, tokens: Iterable[str], allow_query: bool) -> None:
        self.app = app
        self.digests = [_digest(token.encode()) for token in tokens if token]
        self.allow_query = allow_query

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        header, query = _take_tokens(scope)
        presented = header or (query if self.allow_query else [])
        if len(presented) == 1 and self._accepts(presented[0]):
            await self.app(scope, receive, send)
        elif query and not header and not self.allow_query:
            await _refuse("this server takes no token in the URL: send it as 'Authorization: Bearer <token>'")(scope, receive, send)
        elif presented:
            log.warning("refused a request from %s: wrong token", (scope.get("client") or ["?"])[0])
            await _refuse("the token is not valid: ask the LiteMaaS administrator for the current one", invalid=True)(scope, receive, send)
        else:
            how = " or as '?token=<token>' in the URL" if self.allow_query else ""
            await _refuse(f"send the server's token as 'Authorization: Bearer <token>'{how}")(scope, receive, send)

    def _accepts(self, token: bytes) -> bool:
        digest = _digest(token)
        return sum(hmac.compare_digest(digest, accepted) for accepted in self.digests) > 0


class PassKey:
    """Lets a request through that presents one LiteLLM key, which `passed_key` then gives to the tool that serves this request.

    - The key is `Authorization: Bearer sk-…`, once, and nowhere else. It is not judged here: LiteLLM does that with each call.
    - The header is taken out of the scope and kept in this one request's scope, in an object that prints nothing; it ends with it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [value for name, value in scope["headers"] if name == b"authorization"]
        _take_tokens(scope)
        if len(headers) == 1 and _LITELLM_KEY.fullmatch(headers[0]):
            scope[_PASSED] = _Hidden(headers[0].decode())
            await self.app(scope, receive, send)
        else:
            await _refuse("send your LiteLLM key, once, as 'Authorization: Bearer sk-…'", invalid=bool(headers))(scope, receive, send)


def passed_key(request: Request) -> str:
    """Return the Authorization header of a request that `PassKey` let through, as it came."""
    return request.scope[_PASSED].value


_LITELLM_KEY = re.compile(rb"(?i:bearer) +sk-[\x21-\x7e]{1,500}")
_PASSED = "litemaas_mcp.passed_key"


class _Hidden:
    __slots__ = ("value",)

    def __init__(self, value: str) -> None:
        self.value = value


def _digest(token: bytes) -> bytes:
    return sha256(token).digest()


def _take_tokens(scope: Scope) -> tuple[list[bytes], list[bytes]]:
    """Remove every Authorization header and `token` parameter from the scope, in place, and return what they carried."""
    header = [_bearer(value) for name, value in scope["headers"] if name == b"authorization"]
    scope["headers"] = [(name, value) for name, value in scope["headers"] if name != b"authorization"]
    if b"token" not in scope["query_string"] and b"%" not in scope["query_string"]:
        return header, []
    parameters = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    scope["query_string"] = urlencode([item for item in parameters if item[0] != "token"]).encode()
    return header, [value.encode() for name, value in parameters if name == "token"]


def _bearer(value: bytes) -> bytes:
    scheme, _, token = value.partition(b" ")
    # An empty token matches no digest: another scheme is a wrong token, not a missing one.
    return token.strip() if scheme.lower() == b"bearer" else b""


def _refuse(message: str, invalid: bool = False) -> JSONResponse:
    challenge = 'Bearer realm="litemaas-mcp"' + (', error="invalid_token"' if invalid else "")
    return JSONResponse({"error": "unauthorized", "message": message}, 401, {"WWW-Authenticate": challenge, "Cache-Control": "no-store"})
