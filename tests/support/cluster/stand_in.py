"""A Kubernetes API server for where there is none: real enough for kubernetes.core, and quick. What it says, a real one says
(tests/integration/cluster/test_stand_in.py runs against both).

usage: python -m tests.support.cluster.stand_in --kubeconfig PATH [--port PORT] [--kubernetes] [--ready-after SECONDS]
"""

from __future__ import annotations

import argparse
import json
import ssl
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.cluster.api import ADMIN, Api, Watch, parsed
from tests.support.cluster.control_plane import Asked
from tests.support.cluster.execution import PROTOCOL, Execution, accepted
from tests.support.kube_apiserver import kubeconfig


class StandIn:
    """`url`, `token` of an administrator, `client` with both, `kubelet` to say what becomes of pods, `requests` as they came."""

    def __init__(self, openshift: bool = True, port: int = 0) -> None:
        self.api, self.token = Api(openshift), ADMIN
        self.requests: list[Asked] = []
        self.kubelet = self.api.kubelet
        self._lock, self._ended, stand_in = threading.Lock(), threading.Event(), self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # one packet for headers and body
            disable_nagle_algorithm = True

            def reply(self) -> None:
                url = urlsplit(self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                with stand_in._lock:
                    stand_in.requests.append(Asked(self.command, self.path, headers.get("user-agent", ""), said(body)))
                    status, document = stand_in.api.answer(self.command, url.path, dict(parse_qsl(url.query)), body, headers)
                    text = document if isinstance(document, (str, Watch, Execution)) else json.dumps(document)
                if isinstance(text, Watch):
                    return self.stream(text)
                if isinstance(text, Execution):
                    return self.execute(text, [value for name, value in parse_qsl(url.query) if name == "command"])
                return self.send(status, text, "text/plain" if isinstance(document, str) else "application/json")

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = reply

            def send(self, status: int, text: str, kind: str) -> None:
                content = text.encode()
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def stream(self, watch: Watch) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                deadline = time.monotonic() + watch.timeout
                try:
                    while time.monotonic() < deadline and not stand_in._ended.is_set():
                        with stand_in._lock:
                            lines = [json.dumps(each) + "\n" for each in watch.events()]
                        for line in lines:
                            self.wfile.write(f"{len(line.encode()):x}\r\n{line}\r\n".encode())
                        self.wfile.flush()
                        time.sleep(0.05)
                    self.wfile.write(b"0\r\n\r\n")
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            def execute(self, execution: Execution, command: list[str]) -> None:
                self.send_response(101)
                for name, value in {
                    "Upgrade": "websocket",
                    "Connection": "Upgrade",
                    "Sec-WebSocket-Accept": accepted(self.headers["Sec-WebSocket-Key"]),
                    "Sec-WebSocket-Protocol": PROTOCOL,
                }.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.writelines(execution.frames(command))
                self.wfile.flush()
                self.close_connection = True

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        # kubectl sends no token without TLS; the handshake is left to the thread that answers
        self._server.socket = certified().wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"https://127.0.0.1:{self._server.server_address[1]}"
        headers = {"Authorization": f"Bearer {ADMIN}"}
        self.client = httpx.Client(base_url=self.url, headers=headers, verify=False, trust_env=False, timeout=30)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.client.close()
        self._server.shutdown()
        self._server.server_close()


def certified() -> ssl.SSLContext:
    """A server's context with a certificate of its own making."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    day = timedelta(days=1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(datetime.now(UTC) - day).not_valid_after(datetime.now(UTC) + 30 * day)
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:
        file.write(secret + builder.sign(key, hashes.SHA256()).public_bytes(pem))
        file.flush()
        context.load_cert_chain(file.name)
    return context


def said(body: bytes) -> Any:
    try:
        return parsed(body)
    except ValueError:
        return body.decode(errors="replace")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kubeconfig", type=Path, required=True, help="where to write an administrator's kubeconfig")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: a free one)")
    parser.add_argument("--kubernetes", action="store_true", help="without OpenShift's kinds")
    parser.add_argument("--ready-after", type=float, default=0, help="seconds until a pod is ready (default: %(default)s)")
    arguments = parser.parse_args()
    with StandIn(not arguments.kubernetes, arguments.port) as server:
        server.kubelet.default = type(server.kubelet.default)(after=arguments.ready_after)
        print(f"export KUBECONFIG={kubeconfig(server.url, server.token, arguments.kubeconfig)}  # {server.url}", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
