"""Says how to talk to the demo and how to stop it. The token is shown on a terminal and with SHOW_TOKEN=1, else masked."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from urllib.parse import quote

STACK = Path(__file__).parents[1] / ".local" / "stack.json"


def main() -> None:
    stack = json.loads(STACK.read_text())
    shown = os.environ.get("SHOW_TOKEN") == "1" or sys.stdout.isatty()
    token = quote(stack["mcp_token"]) if shown else "********"
    print(f"""
LiteMaaS's MCP server runs beside LiteLLM {stack["litellm_version"]}: {stack["mcp_url"]}

  Ask it yourself    claude mcp add --transport http --scope user litemaas "{stack["mcp_url"]}?token={token}"
  All that runs      {STACK} (URLs, tokens, pids)
  Stop it            make down (with PURGE=1 the data goes too)""")
    if not shown:
        print(f"\nThe token is in {STACK}, or shown with: SHOW_TOKEN=1 make demo")


if __name__ == "__main__":
    main()
