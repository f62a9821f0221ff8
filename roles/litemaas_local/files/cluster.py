"""A stand-in for the Kubernetes API: lists the pods of a LiteMaaS as a real API server listed them (pods.json).

Answers GET /api/v1/namespaces/{namespace}/pods with limit and continue, and refuses an unknown or unbound token as the real
one did. Every recorded time is moved so that the recording seems to have been made when this process started.
How pods.json is made: tests/support/kube_apiserver.py.

usage: cluster.py --port PORT
"""

from __future__ import annotations

import argparse
import json
import re
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

STAMP = re.compile(r'"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)"')


def load(now: datetime) -> dict:
    """Return the recording with every time moved from when it was made to `now`."""
    text = (Path(__file__).parent / "pods.json").read_text()
    moved = now - _time(json.loads(text)["recorded_at"])
    return json.loads(STAMP.sub(lambda match: f'"{(_time(match[1]) + moved).strftime("%Y-%m-%dT%H:%M:%SZ")}"', text))


def _time(stamp: str) -> datetime:
    return datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    recording: dict

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        user = next((user for user, known in self.recording["tokens"].items() if token == known), None)
        namespace = re.fullmatch(r"/api/v1/namespaces/([^/]+)/pods", url.path)
        if user is None:
            self._send(401, self.recording["unauthorized"])
        elif not namespace:
            self._send(404, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404})
        elif user == "admin" or (user == "reader" and namespace[1] == self.recording["namespace"]):
            self._send(200, self._page(namespace[1], {name: values[0] for name, values in parse_qs(url.query).items()}))
        else:
            self._send(403, self.recording["forbidden"])

    def _page(self, namespace: str, query: dict) -> dict:
        pods = [pod for pod in self.recording["list"]["items"] if pod["metadata"]["namespace"] == namespace]
        start = int(query.get("continue", 0))
        stop = start + int(query.get("limit") or len(pods))
        metadata = dict(self.recording["list"]["metadata"])
        if stop < len(pods):
            metadata |= {"continue": str(stop), "remainingItemCount": len(pods) - stop}
        return {**self.recording["list"], "metadata": metadata, "items": pods[start:stop]}

    def _send(self, status: int, document: dict) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True, help="port on 127.0.0.1")
    port = parser.parse_args().port
    Handler.recording = load(datetime.now(UTC))
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    main()
