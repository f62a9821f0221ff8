"""`make sanity`: ansible-test's sanity and unit tests, on the collection as its users install it.

The archive is built and unpacked where ansible-test wants it, in a git tree of its own (in a folder that git ignores it tests nothing
and says that all is well); tests/unit/plugins and the collections of galaxy.yml are put beside it. Python of .venv judges everything;
every other supported Python of the machine compiles and imports the modules too, and the oldest runs their unit tests. What
ansible-test makes for itself is kept in .venv/ansible-test.
"""

from __future__ import annotations

import glob
import os
import re
import shutil
import subprocess
import sys
import time
from ast import literal_eval
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import yaml
from ansible_test._internal.python_requirements import get_venv_packages
from ansible_test._util.target.common.constants import CONTROLLER_PYTHON_VERSIONS, REMOTE_ONLY_PYTHON_VERSIONS

ROOT = Path(__file__).resolve().parents[1]
TOOLS = Path(sys.executable).parent
HOME = TOOLS.parent / "ansible-test"
CONTROLLER = f"{sys.version_info.major}.{sys.version_info.minor}"
BESIDE = ("tests/config.yml", "tests/unit/plugins", "tests/unit/requirements.txt")


def pythons() -> dict[str, str]:
    """A working interpreter for each version that the plugins promise to run on, oldest first. (A pyenv shim on PATH may not work.)"""
    oldest = yaml.safe_load((ROOT / "tests/config.yml").read_text())["modules"]["python_requires"].removeprefix(">=")
    pyenv = os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv"))
    folders = [*os.environ["PATH"].split(os.pathsep), *glob.glob(f"{pyenv}/versions/*/bin")]
    supported = (*REMOTE_ONLY_PYTHON_VERSIONS, *CONTROLLER_PYTHON_VERSIONS)
    found = {}
    for version in supported[supported.index(oldest) :]:
        for path in (Path(folder, f"python{version}") for folder in folders):
            ask = [path, "-c", "import ensurepip, sys, venv; print(sys._base_executable)"]
            if path.exists() and not (asked := subprocess.run(ask, capture_output=True, text=True, check=False)).returncode:
                found[version] = asked.stdout.strip()
                break
    return found


def prepare_home(interpreters: dict[str, str]) -> dict[str, str]:
    """Fill the home that ansible-test works in; return the environment. What it would fetch from its makers' site comes from Python."""
    pip = get_venv_packages(SimpleNamespace(version=CONTROLLER))["pip"].replace(".", "_")
    files = {
        f".ansible/test/cache/get_pip_{pip}.py": "import ensurepip\nensurepip.bootstrap(default_pip=True)\n",
        ".config/pip/pip.conf": pip_settings(),
    }
    for name, text in files.items():
        (HOME / name).parent.mkdir(parents=True, exist_ok=True)
        (HOME / name).write_text(text)
    links = HOME / "bin"
    shutil.rmtree(links, ignore_errors=True)
    links.mkdir()
    for version, interpreter in interpreters.items():
        (links / f"python{version}").symlink_to(interpreter)
    return os.environ | {"HOME": str(HOME), "PATH": os.pathsep.join([str(links), str(TOOLS), os.environ["PATH"]])}


def pip_settings() -> str:
    """Pip's settings of whoever runs this, environment included: ansible-test hands none of them on."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], check=True, capture_output=True, text=True).stdout
    sections: dict[str, dict[str, str]] = {}
    for name, value in (line.split("=", 1) for line in listed.splitlines()):
        section, key = name.rsplit(".", 1)
        # The environment's come first, and win.
        sections.setdefault(section.replace(":env:", "global"), {}).setdefault(key, literal_eval(value).replace("\n", "\n  "))
    return "\n".join(
        line for name, keys in sections.items() for line in (f"[{name}]", *(f"{key} = {value}" for key, value in keys.items()))
    )


def unpack(folder: Path) -> Path:
    """Build the collection, unpack it in the folder, put beside it what ansible-test wants; return where it is."""
    place = folder / "ansible_collections/rhpds/litemaas"
    place.mkdir(parents=True)
    quietly([TOOLS / "ansible-galaxy", "collection", "build", "--output-path", folder], ROOT)
    quietly(["tar", "--extract", "--directory", place, "--file", *folder.glob("*.tar.gz")], ROOT)
    for name in BESIDE:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, place / name)
    for name in yaml.safe_load((ROOT / "galaxy.yml").read_text())["dependencies"]:  # the package ansible has them
        namespace, collection = name.split(".")
        (place.parents[1] / namespace).mkdir(exist_ok=True)
        (place.parents[1] / namespace / collection).symlink_to(next(iter(import_module(f"ansible_collections.{name}").__path__)))
    quietly(["git", "init", "--quiet"], place)
    quietly(["git", "add", "--all"], place)
    return place


def quietly(command: list[str | Path], folder: Path, environment: dict[str, str] | None = None) -> str:
    """Run the command and return what it printed; when it fails, show that and end."""
    done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        sys.exit(f"{done.stdout}\nsanity: failed: {' '.join(map(str, command))}")
    return done.stdout


def main() -> None:
    interpreters = pythons()
    if CONTROLLER not in interpreters:
        sys.exit(f"sanity: Python {CONTROLLER} lacks ensurepip. Install it (Debian, Ubuntu: apt-get install python3-venv)")
    environment = prepare_home(interpreters)
    others = [version for version in interpreters if version != CONTROLLER]
    targets = [f"--target-python={version}@{HOME}/bin/python{version}" for version in others]
    runs = {f"sanity on {CONTROLLER}": ["sanity", "--local", "--python", CONTROLLER]}
    if others:
        only = ["--controller", f"origin:python={CONTROLLER}", "--test", "compile", "--test", "import"]
        runs[f"compile and import on {', '.join(others)}"] = ["sanity", *only, *targets]
    for version in dict.fromkeys((next(iter(interpreters)), CONTROLLER)):
        runs[f"units on {version}"] = ["units", "--venv", "--requirements", "--python", version]
    with TemporaryDirectory() as folder:
        place = unpack(Path(folder))
        for name, arguments in runs.items():
            begun = time.monotonic()
            printed = quietly([TOOLS / "ansible-test", *arguments], place, environment)
            ran = sum(int(passed or 1) for passed in re.findall(r"^Running sanity test|(\d+) passed", printed, re.MULTILINE))
            if not ran:
                sys.exit(f"{printed}\nsanity: ansible-test ran nothing: {' '.join(arguments)}")
            print(f"  {name}: {ran} tests in {time.monotonic() - begun:.0f} s", flush=True)


if __name__ == "__main__":
    main()
