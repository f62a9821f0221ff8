"""What a room may touch (design: tools know backends, backends know nothing of MCP, one place for each kind of contact)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src/litemaas_mcp"
FILES = sorted(PACKAGE.rglob("*.py"))


def imports(file: Path) -> set[str]:
    tree = ast.parse(file.read_text())
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module or ""}
    return found


def room(file: Path) -> str:
    return str(file.relative_to(PACKAGE))


def touching(*modules: str) -> set[str]:
    """The files that import one of these modules or something in it."""
    return {
        room(file) for file in FILES if any(name == module or name.startswith(f"{module}.") for name in imports(file) for module in modules)
    }


def test_only_backends_open_connections():
    clients = touching("asyncpg", "httpx", "aiohttp", "kubernetes_asyncio", "urllib.request", "http.client", "requests")
    # reader.py and probe.py work with an administrator's connection, once, on the command line.
    assert clients <= {"backends/database.py", "backends/http.py", "backends/cluster.py", "reader.py", "probe.py"}


def test_backends_know_nothing_of_mcp_or_tools():
    assert not [name for name in touching("mcp", "mcp_types", "litemaas_mcp.tools", "litemaas_mcp.app") if name.startswith("backends/")]


def test_tools_know_the_sdk_only_through_their_frame():
    assert {name for name in touching("mcp", "mcp_types") if name.startswith("tools/")} == {"tools/__init__.py"}


@pytest.mark.parametrize(("variable", "rooms"), [("environ", {"settings.py", "backends/cluster.py", "reader.py", "probe.py"})])
def test_only_settings_read_the_environment(variable, rooms):
    # KUBECONFIG belongs to the Kubernetes client's conventions, the administrator's URLs to create-reader and probe-databases.
    assert {room(file) for file in FILES if f"os.{variable}" in file.read_text()} <= rooms


def test_only_auth_and_the_assembly_see_the_token():
    assert {room(file) for file in FILES if "mcp_api_key" in file.read_text()} <= {"settings.py", "app.py"}
    assert {room(file) for file in FILES if "query_string" in file.read_text()} == {"auth.py"}
    assert {room(file) for file in FILES if "passed_key" in file.read_text()} == {"auth.py", "tools/admin/__init__.py"}
