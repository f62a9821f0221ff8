"""The built collection holds what a user of it needs, and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOP = {"CHANGELOG.md", "FILES.json", "LICENSE", "MANIFEST.json", "README.md", "requirements.txt", "requirements.yml"}
BELOW = {
    "changelogs": {"changelogs/changelog.yaml", "changelogs/config.yaml"},
    "meta": {"meta/execution-environment.yml", "meta/runtime.yml"},
}
ROLES: set[str] = set()  # those made for users; litemaas_local is not


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


def test_only_what_a_user_needs_is_in(archive: Path):
    with tarfile.open(archive) as tar:
        files = {member.name for member in tar if member.isfile()}
        links = [member.name for member in tar if member.issym() or member.islnk()]
    strangers = {
        name
        for name in files - TOP
        if name not in BELOW.get(name.split("/")[0], ()) and not (name.startswith("roles/") and name.split("/")[1] in ROLES)
    }
    assert strangers == set()
    assert links == []
    assert {"LICENSE", "README.md", "meta/runtime.yml", "requirements.txt", "requirements.yml"} <= files


def test_it_installs_without_a_network_and_ansible_finds_it(archive: Path, folder: Path):
    galaxy("install", str(archive), "--offline", "--no-deps", "-p", str(folder / "installed"), folder=folder)
    listed = json.loads(galaxy("list", "rhpds.litemaas", "--format", "json", folder=folder))
    assert listed[str(folder / "installed" / "ansible_collections")] == {"rhpds.litemaas": {"version": "0.4.0"}}
