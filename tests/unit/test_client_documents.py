"""What documents show of clients' configuration is what the filter writes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ansible_collections.rhpds.litemaas.plugins.filter.client_config import CLIENTS, client_config

ROOT = Path(__file__).resolve().parents[2]
GATEWAY = {"name": "litellm", "url": "https://litellm.apps.example.com/mcp/", "key_variable": "LITELLM_API_KEY"}
ADMIN = {"name": "litellm-admin", "url": "http://localhost:3100/mcp", "key_variable": "LITELLM_ADMIN_KEY"}


@pytest.mark.parametrize(
    ("document", "server", "clients"),
    [("clients.md", GATEWAY, sorted(CLIENTS)), ("admin.md", ADMIN, ["claude_code_command", "codex", "openclaw", "vscode"])],
)
def test_documents_show_what_is_written(document: str, server: dict[str, str], clients: list[str]):
    blocks = re.findall(r"^```\w*\n(.*?)^```$", (ROOT / "docs" / document).read_text(), re.MULTILINE | re.DOTALL)
    assert [client for client in clients if client_config([server], client) not in blocks] == []
