"""Real MCP servers to put behind LiteLLM, run as a pod runs them: by bridge/mcp_bridge.py, with the packages that bridge/ locks."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from tests.support.node import CACHES, SOFTWARE
from tests.support.server import ServerProcess

BRIDGE = Path(__file__).resolve().parents[2] / "bridge"
LOCKS = ("requirements.lock", "servers.lock", "package-lock.json")


def installed() -> Path:
    """A folder with what the bridge's image has: bridge/bin, servers/bin, node_modules/.bin; made once for each state of the locks."""
    stamp = hashlib.sha256(b"".join((BRIDGE / lock).read_bytes() for lock in LOCKS)).hexdigest()[:12]
    folder = SOFTWARE / "mcp-bridge-{}-python{}.{}".format(stamp, *sys.version_info)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another pytest may be at it
        if not (folder / "ready").exists():
            environment = {**os.environ, **CACHES, "PATH": f"{folder}/bridge/bin:{os.environ['PATH']}"}
            uv = str(Path(sys.executable).with_name("uv"))
            steps = []
            for name, requirements in ("bridge", "requirements.lock"), ("servers", "servers.lock"):
                steps.append([uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(folder / name)])
                python = str(folder / name / "bin" / "python")
                steps.append([uv, "pip", "install", "--quiet", "--python", python, "--require-hashes", "-r", str(BRIDGE / requirements)])
            for name in ("package.json", "package-lock.json"):
                (folder / name).write_bytes((BRIDGE / name).read_bytes())
            steps.append(["npm", "ci", "--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund"])
            for step in steps:
                subprocess.run(step, cwd=folder, env=environment, check=True)
            (folder / "ready").touch()
    return folder


@contextmanager
def bridged(*command: str, **environment: str) -> Iterator[ServerProcess]:
    """A stdio server behind the bridge; its `url` is what LiteLLM is given."""
    folder = installed()
    places = [folder / "bridge/bin", folder / "servers/bin", folder / "node_modules/.bin"]
    path = ":".join([*map(str, places), os.environ["PATH"]])
    with ServerProcess({"PATH": path, **environment}, [sys.executable, str(BRIDGE / "mcp_bridge.py"), *command]) as server:
        server.wait_for("/status", seconds=60)
        yield server


def filesystem_server(folder: Path) -> AbstractContextManager[ServerProcess]:
    """Reads and writes below the folder: read_text_file, list_directory, write_file, …"""
    return bridged("mcp-server-filesystem", str(folder))


def fetch_server() -> AbstractContextManager[ServerProcess]:
    """Gets pages, of this machine too: fetch."""
    return bridged("mcp-server-fetch", "--ignore-robots-txt", "--allow-private-ips")


def memory_server(file: Path) -> AbstractContextManager[ServerProcess]:
    """A knowledge graph in a file: create_entities, read_graph, …"""
    return bridged("mcp-server-memory", MEMORY_FILE_PATH=str(file))


def postgres_server(url: str) -> AbstractContextManager[ServerProcess]:
    """Asks a PostgreSQL: execute_sql, search_objects."""
    return bridged("dbhub", "--transport", "stdio", DSN=url)
