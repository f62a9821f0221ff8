"""Traefik's rules, as far as we write them, since no Traefik can be had here: which request goes to which service, and the way there.

It knows Host, Path, PathPrefix and HeaderRegexp, with `&&`, `||`, `!` and parentheses; anything else is an error. As Traefik does by
default, it resolves dots in the path before it looks at it, and answers 404 where no rule matches.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import unquote

import httpx

TOKEN = re.compile(r"\s*(?:(?P<matcher>\w+)\((?P<arguments>`[^`]*`(?:\s*,\s*`[^`]*`)*)\)|(?P<sign>&&|\|\||!|\(|\)))")
SIGNS = {"&&": " and ", "||": " or ", "!": " not ", "(": "(", ")": ")"}

Request = tuple[str, str, Mapping[str, str]]  # host, path, headers by their names in lower case
MATCHERS: dict[str, Callable[..., bool]] = {
    "Host": lambda request, name: request[0].lower() == name.lower(),
    "Path": lambda request, path: request[1] == path,
    "PathPrefix": lambda request, path: request[1].startswith(path),
    "HeaderRegexp": lambda request, name, form: (
        re.search(form, request[2].get(name.lower(), "")) is not None and name.lower() in request[2]
    ),
}


def matches(rule: str, host: str, path: str, headers: Mapping[str, str]) -> bool:
    """Whether a request matches a rule."""
    resolved = posixpath.normpath(unquote(path.partition("?")[0]))
    resolved = "/" + resolved.lstrip("/") + ("/" if path.partition("?")[0].endswith("/") and resolved != "/" else "")
    request = (host.partition(":")[0], resolved, {name.lower(): value for name, value in headers.items()})
    expression, end = "", 0
    while end < len(rule.rstrip()):
        token = TOKEN.match(rule, end)
        if not token:
            raise ValueError(f"no rule of Traefik's at: {rule[end:]}")
        if token["matcher"]:
            expression += str(MATCHERS[token["matcher"]](request, *re.findall("`([^`]*)`", token["arguments"])))
        else:
            expression += SIGNS[token["sign"]]
        end = token.end()
    return eval(expression, {"__builtins__": {}})  # nothing but True, False, and, or, not and parentheses


class Edge:
    """An IngressRoute at work: `url` is where it listens, `service` the service (by name) that it leads to, at `target`."""

    def __init__(self, route: dict[str, Any], target: str) -> None:
        rules = [each["match"] for each in route["spec"]["routes"]]
        http = httpx.Client(base_url=target, timeout=60, trust_env=False)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                if not any(matches(rule, self.headers["host"], self.path, self.headers) for rule in rules):
                    return self.answer(404, {"content-type": "text/plain", "x-from": "edge"}, b"404 page not found\n")
                headers = [(name, value) for name, value in self.headers.items() if name.lower() != "accept-encoding"]
                answer = http.request(self.command, self.path, headers=headers, content=body)
                return self.answer(answer.status_code, answer.headers, answer.content)

            def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
                self.send_response(status)
                pairs = headers.multi_items() if isinstance(headers, httpx.Headers) else headers.items()
                for name, value in pairs:
                    if name.lower() in ("content-type", "location", "set-cookie", "x-from"):
                        self.send_header(name, value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_HEAD = do_OPTIONS = do_POST = do_PUT = do_PATCH = do_DELETE = do

            def log_message(self, *_: object) -> None:
                pass

        self._http = http
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def __enter__(self) -> Edge:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._http.close()
