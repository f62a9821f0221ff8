"""The server with one tool more, which answers a constant: what our entry, deadline and health cost beside the bare SDK's server."""

from __future__ import annotations

import sys

from litemaas_mcp import app
from litemaas_mcp.__main__ import main
from litemaas_mcp.backends import Backends
from litemaas_mcp.tools import Answer, tool


class Pong(Answer):
    answer: str = "pong"

    def text(self) -> str:
        return self.answer


@tool(title="Constant")
async def constant(backends: Backends) -> Pong:
    """Answer a constant."""
    return Pong()


if __name__ == "__main__":
    app.TOOLS += (constant,)
    sys.argv[1:] = ["serve"]
    sys.exit(main())
