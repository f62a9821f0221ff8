"""One HTTP API: timeouts, certificates, one retry of a read, and errors in words."""

from __future__ import annotations

import ast
import contextlib
import logging
import re
import ssl
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx

from litemaas_mcp.errors import UNSURE, Failure, Unavailable, Unsure
from litemaas_mcp.redaction import scrub
from litemaas_mcp.settings import SettingsError

log = logging.getLogger(__name__)

CONNECT = 5.0  # seconds
LONGEST = 300  # characters of another system's error that are passed on

# Providers quote keys in their errors: what is called one, and what is as long and mixed as one but no UUID.
_KEYS = re.compile(
    r"(?i)((?:key|token|password|secret|authorization)[\"']?\s*[:=]\s*[\"']?(?:bearer\s+|basic\s+)?|bearer\s+)[^\s\"',&]+"
    r"|\b(?![0-9a-f]{8}-[0-9a-f]{4}-)(?=[\w-]*\d)(?=[\w-]*[a-z])[\w-]{32,}"
)


class Refused(Failure):
    """The system answered with an error status; `status` says which, `detail` holds the rest of its words."""


class Api:
    """Asks one system over HTTP with a bearer token.

    A read that fails because a connection was lost is tried once more; a write never is. Redirects are not followed: they
    would carry the token elsewhere.
    """

    name: str  # how errors call the system
    key_name: str | None  # the variable that holds its key; None: callers bring their own

    def __init__(self, url: str, key: str, timeout: float, ca_file: str | None) -> None:
        self._url, self._timeout = url, timeout
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._verify = _authorities(ca_file) if url.startswith("https:") else False
        self._client: httpx.AsyncClient | None = None

    async def start(self) -> None:
        """Get ready; connects at the first question."""
        self._client = httpx.AsyncClient(
            base_url=self._url,
            # LiteLLM would spend more time on compressing than the network does on the bytes.
            headers={"User-Agent": "litemaas-mcp", "Accept-Encoding": "identity"},
            # A cookie would go out with the next request, which may be made with another's key.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            timeout=httpx.Timeout(self._timeout, connect=CONNECT),
            verify=self._verify,
            # Proxy variables are meant for the way out of a cluster, not for the services in it.
            trust_env=False,
        )

    async def stop(self) -> None:
        """Close every connection."""
        if self._client:
            await self._client.aclose()

    async def get(self, path: str, *, accept: tuple[int, ...] = (200,), patience: float | None = None, **parameters: Any) -> Any:
        """Read, and return the JSON that the system answers.

        Args:
            accept: statuses that are answers.
            patience: seconds that the system may take, where that is more than usual.

        Raises:
            Refused: it answered with another status.
            Unavailable: it can't be reached, refuses our key, fails, or does not answer in time.
        """
        # No parameters would cut off those that the path carries.
        given = {key: value for key, value in parameters.items() if value is not None} or None
        return await self._request("GET", path, accept, patience, params=given)

    async def write(self, method: str, path: str, body: dict[str, Any]) -> Any:
        """Write, once. Raises like `get`, but `Unsure` for `Unavailable`: it is not known whether the write arrived."""
        try:
            return await self._request(method, path, (200, 201), None, json=body)
        except Unavailable as error:
            raise Unsure(f"{error} {UNSURE}", error.status, error.detail) from error

    async def _request(self, method: str, path: str, accept: tuple[int, ...], patience: float | None, **content: Any) -> Any:
        assert self._client, "start() was not called"
        limits = httpx.Timeout(patience or self._timeout, connect=CONNECT)
        try:
            try:
                response = await self._client.request(method, path, headers=self._headers, timeout=limits, **content)
            except (httpx.NetworkError, httpx.RemoteProtocolError) as lost:
                if method != "GET" or patience:  # what takes long may also cost something
                    raise
                log.info("%s: asking again after %r", self.name, lost)
                response = await self._client.request(method, path, headers=self._headers, timeout=limits, **content)
        except httpx.ConnectTimeout as error:
            raise Unavailable(f"{self.name} can't be reached at {self._url}: no connection within {CONNECT:g} s.") from error
        except httpx.TimeoutException as error:
            raise Unavailable(f"{self.name} did not answer within {patience or self._timeout:g} s.", 504) from error
        except httpx.TransportError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise Unavailable(f"{self.name}'s certificate is not trusted: name its authority's PEM file in SSL_CA_FILE.") from error
            raise Unavailable(f"{self.name} can't be reached at {self._url}. Ask again when it is back.") from error
        if response.status_code in accept:
            try:
                return response.json()
            except ValueError as error:
                raise Unavailable(f"{self.name} did not answer with JSON: check its address, {self._url}.") from error
        raise self._refusal(response)

    def _refusal(self, response: httpx.Response) -> Failure:
        text, status = message(response), response.status_code
        if status in (401, 403) and self.key_name:
            # The body may tell parts of the key.
            return Unavailable(f"{self.name} refuses the server's key: check {self.key_name}, which must be an administrator's.")
        if status >= 500:
            return Unavailable(f"{self.name} failed with HTTP {status}: {text}", status, detail(response))
        return Refused(f"{self.name} refused with HTTP {status}: {text}", status, detail(response))


def _authorities(ca_file: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file:
        try:
            context.load_verify_locations(ca_file)
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(f"SSL_CA_FILE: {ca_file} holds no certificates in PEM form that can be read") from error
    return context


def message(response: httpx.Response) -> str:
    """Return the error text of an answer: `error.message` (often the repr of a dict), `detail`, or a list of validation errors."""
    try:
        body = response.json()
    except ValueError:
        return response.reason_phrase
    return brief(_text(body))


def detail(response: httpx.Response) -> dict[str, Any] | None:
    """Return an error's body without secrets; None when it is no JSON object."""
    try:
        body = response.json()
    except ValueError:
        return None
    return _brief_value(body) if isinstance(body, dict) else None


def _brief_value(value: Any) -> Any:
    if isinstance(value, dict):
        return {brief(str(key)): _brief_value(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_brief_value(part) for part in value]
    return brief(value) if isinstance(value, str) else value


def _text(part: Any) -> str:
    if isinstance(part, dict):
        inner = part.get("error") or part.get("detail") or part.get("message")
        return _text(inner) if inner else str(part)
    if isinstance(part, list):
        return "; ".join(f"{'.'.join(map(str, item.get('loc', [])))}: {item.get('msg')}" for item in part if isinstance(item, dict))
    text = str(part)
    if text.startswith("{"):
        # The repr of a dict, in which the text is one level deeper.
        with contextlib.suppress(ValueError, SyntaxError):
            inner = ast.literal_eval(text)
            return _text(inner) if isinstance(inner, dict) and inner.get("error") else text
    return text


def brief(text: str) -> str:
    """Return another system's error in one short line, without secrets and without its stack trace."""
    line = " ".join(text.partition("stack trace:")[0].partition("Traceback (most recent call last)")[0].split())
    line = _KEYS.sub(r"\1***", scrub(line))
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"
