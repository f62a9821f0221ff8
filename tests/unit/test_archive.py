"""The built collection holds what a user of it needs, and nothing else."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOP = {"FILES.json", "LICENSE", "MANIFEST.json", "README.md", "requirements.txt", "requirements.yml"}
CHANGELOGS = {"changelogs/changelog.yaml", "changelogs/config.yaml"}
FOLDERS = ["meta", "playbooks", "plugins", "roles"]
OURS = re.compile("playbooks/demo.yml|playbooks/callback_plugins/.*|roles/litemaas_local/.*")  # only for who works on the repository


def repository() -> set[str]:
    """What git has or would take below FOLDERS."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard", *FOLDERS]
    return set(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines())


def galaxy(*arguments: str, folder: Path) -> str:
    """Run ansible-galaxy with a home of its own; return what it printed."""
    command = [Path(sys.executable).with_name("ansible-galaxy"), "collection", *arguments]
    environment = os.environ | {"ANSIBLE_HOME": str(folder / "home"), "ANSIBLE_COLLECTIONS_PATH": str(folder / "installed")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    return tmp_path_factory.mktemp("collection")


@pytest.fixture(scope="module")
def archive(folder: Path) -> Path:
    galaxy("build", "--output-path", str(folder), folder=folder)
    return folder / "rhpds-litemaas-0.4.0.tar.gz"


def test_what_a_user_needs_is_in_and_nothing_else(archive: Path):
    with tarfile.open(archive) as tar:
        files = {member.name for member in tar if member.isfile()}
        links = [member.name for member in tar if member.issym() or member.islnk()]
    assert files == TOP | CHANGELOGS | {name for name in repository() if not OURS.fullmatch(name)}
    assert links == []


def test_it_installs_without_a_network_and_ansible_finds_it(archive: Path, folder: Path):
    galaxy("install", str(archive), "--offline", "--no-deps", "-p", str(folder / "installed"), folder=folder)
    listed = json.loads(galaxy("list", "rhpds.litemaas", "--format", "json", folder=folder))
    assert listed[str(folder / "installed" / "ansible_collections")] == {"rhpds.litemaas": {"version": "0.4.0"}}
