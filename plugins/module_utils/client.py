"""LiteLLM's admin API over HTTP: timeouts, retries of reads, all pages of a list, and errors in words."""

from __future__ import annotations

import ast
import contextlib
import os
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

try:
    import requests
except ImportError:  # said when a client is made: ansible-test imports this file without it
    requests = None

CONNECT = 10  # seconds that a connection may take
PAGE = 100  # the most that LiteLLM's lists give at once
READINGS = 5  # of a list that changes while it is read
LONGEST = 400  # characters of an error of LiteLLM's that are passed on
BUSY = (429, 500, 502, 503, 504)  # what may be over when a read is tried again
ADMINS = "Give its master key, or a key of a user whose role is proxy_admin."
UNSURE = "It is not known whether LiteLLM did what was asked: run the task again, it compares before it writes."


class LiteLLMError(Exception):
    """What went wrong and what to do, in a sentence without secrets.

    Attributes:
        status: LiteLLM's HTTP status, or None when it gave no answer.
        facts: what else the task should return, such as what was already done.
    """

    def __init__(self, text: str, status: int | None = None, **facts: Any) -> None:
        super().__init__(text)
        self.status = status
        self.facts = facts


class NotFound(LiteLLMError):
    """LiteLLM answered 404."""


class Client:
    """LiteLLM as an administrator.

    A read is tried again, `retries` times, when LiteLLM can't be reached or fails; a write is sent once. Redirects are not
    followed: they would carry the key elsewhere. Threads may share a client that was made with as many `connections`.

    Every request raises `LiteLLMError`.
    """

    def __init__(
        self,
        url: str,
        api_key: str,
        validate_certs: bool = True,
        ca_path: str | None = None,
        timeout: int = 30,
        retries: int = 3,
        connections: int = 1,
    ) -> None:
        if requests is None:
            raise LiteLLMError("The Python library requests is missing where the module runs. Install it: pip install requests")
        _check_options(url, api_key, ca_path, timeout, retries)
        self._url = url.strip().rstrip("/")
        self._key = api_key.strip()
        self.timeout = timeout
        self._retries = retries
        self._connections = connections
        self._session = requests.Session()
        self._session.auth = self._authorise  # as an object, so that no ~/.netrc can take its place
        self._verify = ca_path if ca_path and validate_certs else validate_certs
        if not validate_certs:
            requests.packages.urllib3.disable_warnings()
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, requests.adapters.HTTPAdapter(pool_connections=1, pool_maxsize=connections))

    def get(self, path: str, accept: tuple[int, ...] = (), **parameters: Any) -> Any:
        """Read: return LiteLLM's JSON. Parameters that are None are left out; `accept` names error statuses that are answers."""
        return self._read("GET", path, accept, params={name: value for name, value in parameters.items() if value is not None})

    def ask(self, path: str, body: dict[str, Any]) -> Any:
        """Read by POST, as some of LiteLLM's reads want it."""
        return self._read("POST", path, (), json=body)

    def pages(self, path: str, items: str, size: str = "page_size", **parameters: Any) -> list[dict[str, Any]]:
        """Read every page of a list; `items` is its name in the answer, `size` the parameter that holds the size of a page.

        While somebody removes entries, others slip to pages that were read already. So a list whose total changes on the way is
        read again, a few times.
        """

        def read(page: int) -> dict[str, Any]:
            try:
                answer = self.get(path, page=page, **{size: PAGE}, **parameters)
            except NotFound:
                raise self.stranger(path) from None
            if not isinstance(answer, dict) or items not in answer:
                raise self.stranger(path)
            return answer

        for __ in range(READINGS):
            answers = [read(1)]
            with ThreadPoolExecutor(self._connections) as pool:
                answers += pool.map(read, range(2, (answers[0].get("total_pages") or 1) + 1))
            if len({answer.get("total", answer.get("total_count")) for answer in answers}) == 1:
                break
        return [item for answer in answers for item in answer[items]]

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Write, once."""
        return self._write("POST", path, body)

    def put(self, path: str, body: dict[str, Any]) -> Any:
        """Write, once."""
        return self._write("PUT", path, body)

    def patch(self, path: str, body: dict[str, Any]) -> Any:
        """Write, once."""
        return self._write("PATCH", path, body)

    def delete(self, path: str) -> Any:
        """Remove, once."""
        return self._write("DELETE", path, None)

    @contextlib.contextmanager
    def opened(self, method: str, path: str, unsure: str = "", key: str | None = None, **content: Any) -> Iterator[Any]:
        """Send once, and yield requests' response, whatever its status, before its body is read: for what speaks a protocol of its own.

        `key` is another key to send; `unsure` is added to what is said when the connection breaks, then or while the body is read.
        """
        auth = None if key is None else lambda request: self._authorise(request, key)
        try:
            with self._send(method, path, stream=True, auth=auth, **content) as response:
                yield response
        except requests.RequestException as error:
            raise self._unreachable(error, unsure) from error

    def words(self, response: Any) -> str:
        """Return what an answer that is an error says, in one line."""
        try:
            body = response.json()
        except ValueError:
            body = None
        return self.plain(_text(body)) or response.reason or "no text"

    def version(self) -> str:
        """LiteLLM's version, or an empty text where it does not tell."""
        with contextlib.suppress(LiteLLMError, KeyError, TypeError):
            return self.get("/openapi.json")["info"]["version"]
        return ""

    def _authorise(self, request: Any, key: str | None = None) -> Any:
        request.headers["Authorization"] = f"Bearer {self._key if key is None else key.strip()}"
        return request

    def _read(self, method: str, path: str, accept: tuple[int, ...], **content: Any) -> Any:
        for attempt in range(self._retries):
            with contextlib.suppress(requests.RequestException):
                response = self._send(method, path, **content)
                if response.status_code in accept or response.status_code not in BUSY:
                    return self._answer(response, path, accept)
            time.sleep(min(0.5 * 2**attempt, 8))
        try:
            return self._answer(self._send(method, path, **content), path, accept)
        except requests.RequestException as error:
            raise self._unreachable(error) from error

    def _write(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        try:
            response = self._send(method, path, json=body)
        except requests.ConnectionError as error:
            raise self._unreachable(error, "" if _never_sent(error) else f" {UNSURE}") from error
        except requests.RequestException as error:
            raise self._unreachable(error, f" {UNSURE}") from error
        return self._answer(response, path, ())

    def _send(self, method: str, path: str, **content: Any) -> Any:
        # `verify` as the session's own would give way to REQUESTS_CA_BUNDLE.
        return self._session.request(
            method,
            self._url + path,
            timeout=(min(CONNECT, self.timeout), self.timeout),
            verify=self._verify,
            allow_redirects=False,
            **content,
        )

    def _answer(self, response: Any, path: str, accept: tuple[int, ...]) -> Any:
        status = response.status_code
        try:
            body = response.json()
        except ValueError:
            body = None
        if status in accept or 200 <= status < 300:
            if body is None and response.content:
                raise self.stranger(path)
            return body
        if 300 <= status < 400:
            raise LiteLLMError(
                f"url: {self._url} leads elsewhere (HTTP {status} to {_place(response)}): give the address that it leads to.", status
            )
        if status == 401 or "expired key" in _text(body).lower():  # 1.81 answers 400 then
            raise LiteLLMError(self._refused(body), status)
        text = self.words(response)
        if body is None and status in (404, 405):
            raise self.stranger(path)
        if status == 403:
            raise LiteLLMError(f"api_key: LiteLLM does not let this key do that ({text}). {ADMINS}", status)
        kind = NotFound if status == 404 else LiteLLMError
        raise kind(f"LiteLLM answered {path} with HTTP {status}: {text}", status)

    def _refused(self, body: Any) -> str:
        # The body is not shown: it tells part of the key.
        error = body.get("error") if isinstance(body, dict) else None
        error = error if isinstance(error, dict) else {}
        text = _text(body).lower()
        if "expired" in text or error.get("type") == "expired_key":
            return "api_key: the key has expired. Give LiteLLM's master key, or a new key of a proxy_admin."
        if "admin" in text:
            return f"api_key: LiteLLM lets only an administrator do this. {ADMINS}"
        return (
            "api_key: LiteLLM does not know this key. Give its master key or a proxy_admin's, and check that url is the LiteLLM it is for."
        )

    def _unreachable(self, error: Exception, more: str = "") -> LiteLLMError:
        if isinstance(error, requests.exceptions.SSLError):
            return LiteLLMError(
                f"{self._url}: the certificate is not trusted ({self.plain(str(error))}). Name its authority's PEM file in ca_path."
            )
        if isinstance(error, (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema)):
            return LiteLLMError(f"url: {self._url} is no address such as https://litellm.example.com.")
        if isinstance(error, requests.exceptions.ReadTimeout) or "Read timed out" in str(error):  # the latter in the midst of a body
            return LiteLLMError(f"LiteLLM at {self._url} did not answer within {self.timeout} s. Raise timeout, or see its log.{more}")
        return LiteLLMError(f"LiteLLM can't be reached at {self._url} ({_reason(error)}). Check url, and that LiteLLM runs.{more}")

    def stranger(self, path: str) -> LiteLLMError:
        """Return what to say of something that is not LiteLLM."""
        return LiteLLMError(f"url: what listens at {self._url} does not answer {path} as LiteLLM does. Check the address (without /v1).")

    def plain(self, text: str) -> str:
        """Return the text in one short line, without keys, passwords in URLs, and LiteLLM's stack trace."""
        line = " ".join(re.split("stack trace:|Traceback \\(most recent call last\\)", text)[0].split()).replace(self._key, "***")
        line = re.sub(r"://[^/@\s]+@", "://***@", line)
        line = re.sub(r"\bsk-[\w.-]+", "sk-***", line)
        return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


def _check_options(url: str, api_key: str, ca_path: str | None, timeout: int, retries: int) -> None:
    try:
        parts = urlsplit(url.strip())
        port = parts.port != 0
    except ValueError:
        parts, port = urlsplit(""), False
    if parts.scheme not in ("http", "https") or not parts.hostname or not port:
        raise LiteLLMError("url: must be LiteLLM's address, such as https://litellm.example.com.")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise LiteLLMError("url: must be an address without user, password, query or fragment. The key belongs in api_key.")
    if parts.path.rstrip("/").endswith("/v1"):
        raise LiteLLMError("url: leave /v1 out: the admin API is beside it, not below it.")
    if not api_key.strip().isascii() or not api_key.strip().isprintable() or not api_key.strip():
        raise LiteLLMError("api_key: is empty or holds characters that no key has.")
    if ca_path and not os.path.isfile(ca_path):
        raise LiteLLMError(f"ca_path: there is no file {ca_path}.")
    if timeout < 1:
        raise LiteLLMError("timeout: must be 1 second or more.")
    if retries < 0:
        raise LiteLLMError("retries: must be 0 or more.")


def _text(part: Any) -> str:
    """The text of LiteLLM's errors: `error.message` (often the repr of a dict), `detail`, or a list of validation errors."""
    if isinstance(part, dict):
        inner = part.get("error") or part.get("detail") or part.get("message")
        return _text(inner) if inner else str(part)
    if isinstance(part, list):
        return "; ".join(f"{'.'.join(map(str, item.get('loc', [])))}: {item.get('msg')}" for item in part if isinstance(item, dict))
    text = "" if part is None else str(part)
    if text.startswith("{"):
        with contextlib.suppress(ValueError, SyntaxError):
            inner = ast.literal_eval(text)
            return _text(inner) if isinstance(inner, dict) and inner.get("error") else text
    return text


def _place(response: Any) -> str:
    parts = urlsplit(response.headers.get("Location", ""))
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else parts.path or "nowhere"


def _never_sent(error: Exception) -> bool:
    return isinstance(error, requests.exceptions.ConnectTimeout) or "NewConnectionError" in repr(error)


def _reason(error: Exception) -> str:
    text = str(error)
    for sign, reason in (
        ("refused", "connection refused"),
        ("Name or service not known", "unknown host"),
        ("Temporary failure in name resolution", "unknown host"),
        ("nodename nor servname", "unknown host"),
        ("timed out", "no connection in time"),
        ("unreachable", "no route"),
    ):
        if sign in text:
            return reason
    return "the connection broke"
