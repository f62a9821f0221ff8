#!/usr/bin/env python3
"""Serves an MCP server that speaks stdio over HTTP: `mcp-bridge COMMAND [ARGUMENT ...]`, on port $PORT (8080), at /mcp.

mcp-proxy does it: it starts the command, without a shell and with this environment, and listens once the server has introduced itself.
When the server ends mcp-proxy would go on and answer errors for ever. So the command runs below a guard, which then ends mcp-proxy too:
what runs the container starts both anew, and calls under way are answered with an error before that.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

GUARD = "--guard"
GRACE = 5  # seconds for mcp-proxy to answer what is under way


def serve(command: list[str]) -> None:
    """Become mcp-proxy. It writes no log of requests, since they may hold secrets."""
    options = ["--host", "0.0.0.0", "--port", os.environ.get("PORT", "8080"), "--stateless", "--pass-environment", "--log-level", "WARNING"]
    os.execvp("mcp-proxy", ["mcp-proxy", *options, "--", sys.executable, __file__, GUARD, *command])


def guard(command: list[str]) -> None:
    """Run the server on our own stdio; when it ends, say how and end mcp-proxy."""
    proxy = os.getppid()
    try:
        server = subprocess.Popen(command)
    except OSError as error:
        account = f"{command[0]} can't be started: {error.strerror}. Is it in this image?"
    else:
        account = f"{command[0]} has ended"
        for stream in (0, 1):  # that its end is seen by mcp-proxy at once
            os.close(stream)
        account += f" with exit code {server.wait()}."
    print(f"mcp-bridge: {account}", file=sys.stderr, flush=True)
    for sign in (signal.SIGTERM, signal.SIGKILL):
        if os.getppid() == proxy:
            os.kill(proxy, sign)
            time.sleep(GRACE)


def main() -> None:
    command = sys.argv[1:]
    if not command:
        sys.exit("mcp-bridge: give the command of an MCP server that speaks stdio, such as: mcp-bridge mcp-server-fetch")
    if command[0] == GUARD:
        guard(command[1:])
    else:
        serve(command)


if __name__ == "__main__":
    main()
