"""The steps of the Containerfiles without a container engine, in folders like the image's, on a machine with little more than Python."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from conftest import ROOT, Stack
from tests.support.server import ServerProcess
from tests.unit.test_containerfile import stages

ANY_USER = 1000660000  # such as OpenShift gives to a namespace
COMPILERS = ("cc", "gcc", "c++", "g++", "clang", "ld", "cargo", "rustc")


def python() -> Path:
    """An interpreter that every user may run, where there is one."""
    installed = (path for folder in ("/usr/local/bin", "/usr/bin") for path in sorted(Path(folder).glob("python3.1[1-4]")))
    return next((path for path in installed if _makes_environments(path)), Path(sys.executable).resolve())


def _makes_environments(path: Path) -> bool:
    return subprocess.run([path, "-c", "import ensurepip, venv"], capture_output=True, check=False).returncode == 0


class Image:
    """What a Containerfile makes of the files in `context`, below `root`."""

    def __init__(self, root: Path, name: str, context: Path) -> None:
        self.root = self._folder = root
        self._context = context
        (root / "bin").mkdir()
        (root / "bin/python3").symlink_to(python())
        build, self._final = stages(name)
        for stage in (build, [line for line in self._final if line.startswith("ENV ")]):
            self.environment = {"PATH": f"{root}/bin"}
            for line in stage:
                self._do(*line.split(maxsplit=1))

    def words(self, instruction: str) -> list[str]:
        """Return the list at the end of an instruction of the final stage."""
        (line,) = [line for line in self._final if line.startswith(f"{instruction} ")]
        return json.loads(line[line.index("[") :])

    def run(self, words: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command as whoever the cluster makes it run as."""
        return subprocess.run(self.command(words), env=self.environment | environment, capture_output=True, text=True, check=False)

    def command(self, words: list[str]) -> list[str]:
        program = shutil.which(words[0], path=self.environment["PATH"])
        assert program, f"{words[0]} is not on the image's PATH"
        # Only root can become somebody else; anybody else is any user already.
        become = ["setpriv", f"--reuid={ANY_USER}", "--regid=0", "--clear-groups"] if os.getuid() == 0 else []
        return [*([shutil.which(become[0]), *become[1:]] if become else []), program, *words[1:]]

    def files(self) -> dict[str, tuple[int, int, int]]:
        """Return mode, size and time of change of everything that the final stage copies."""
        found = ((path, path.lstat()) for path in (self.root / "opt").rglob("*"))
        return {str(path): (each.st_mode, each.st_size, each.st_mtime_ns) for path, each in found}

    def _do(self, instruction: str, rest: str) -> None:
        rest = re.sub(r"(?<![\w.-])/opt/", f"{self.root}/opt/", rest)
        match instruction:
            case "ENV":
                given = dict(each.split("=", 1) for each in rest.split())
                self.environment |= {name: value.replace("$PATH", self.environment["PATH"]) for name, value in given.items()}
            case "WORKDIR":
                self._folder = self.root / rest.removeprefix(str(self.root)).strip("/")
                self._folder.mkdir(parents=True, exist_ok=True)
            case "COPY":
                *sources, target = rest.split()
                folder = self._folder / target
                for source in sources:
                    self._copy(self._context / source, folder / source.rpartition("/")[2] if target.endswith("/") else folder)
            case "RUN":
                # The machine's own settings say where PyPI is; neither they nor PATH have a compiler.
                environment = os.environ | self.environment
                done = subprocess.run(
                    ["/bin/sh", "-c", rest], cwd=self._folder, env=environment, capture_output=True, text=True, check=False
                )
                assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]

    def _copy(self, source: Path, target: Path) -> None:
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


@pytest.mark.long
def test_it_is_built_without_a_compiler_and_serves_as_any_user_who_can_change_nothing(folder: Path, stack: Stack):
    image = Image(folder, "server", ROOT)
    assert [each for each in COMPILERS if shutil.which(each, path=image.environment["PATH"])] == []
    files = image.files()
    assert [path for path, (mode, *_) in files.items() if not stat.S_ISLNK(mode) and mode & 0o022] == []
    given = {
        "MCP_API_KEY": "token-of-the-image",
        "LITELLM_API_URL": stack.litellm_url,
        "LITELLM_API_KEY": stack.litellm_master_key,
        "DATABASE_URL": stack.database_readonly_url,
    }
    health = image.words("HEALTHCHECK")
    environment = {name: value for name, value in image.environment.items() if name != "PORT"}  # it may be taken here
    with ServerProcess(environment | given, image.command([*image.words("ENTRYPOINT"), *image.words("CMD")])) as server:
        server.wait_for("/readyz")
        owner = Path(f"/proc/{server.process.pid}").stat().st_uid
        assert owner == (ANY_USER if os.getuid() == 0 else os.getuid())
        assert image.run(health, PORT=str(server.port)).returncode == 0
    assert image.run(health, PORT=str(server.port)).returncode != 0
    assert image.files() == files


@pytest.mark.long
def test_the_bridge_serves_as_any_user_who_can_change_nothing(folder: Path):
    image = Image(folder, "bridge", ROOT / "bridge")
    files = image.files()
    assert [path for path, (mode, *_) in files.items() if not stat.S_ISLNK(mode) and mode & 0o022] == []
    environment = {name: value for name, value in image.environment.items() if name != "PORT"}  # it may be taken here
    with ServerProcess(environment, image.command([*image.words("ENTRYPOINT"), "mcp-server-memory"])) as server:
        server.wait_for("/status", seconds=30)
        owner = Path(f"/proc/{server.process.pid}").stat().st_uid
        assert owner == (ANY_USER if os.getuid() == 0 else os.getuid())
        asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        answer = httpx.post(server.url, json=asked, headers={"Accept": "application/json, text/event-stream"}, trust_env=False)
        assert "read_graph" in answer.text
    for program in ("npx", "uvx"):
        assert image.run([program, "--version"], HOME=os.devnull).returncode == 0
    assert image.files() == files
