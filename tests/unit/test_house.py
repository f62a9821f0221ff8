"""What is written in several places says the same, and nothing says where it was written."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
LOCKS = (
    "requirements-dev.lock",
    "server/requirements.lock",
    "server/requirements-build.lock",
    "bridge/requirements.lock",
    "bridge/servers.lock",
)
DOCUMENTS = ["README.md", "CONTRIBUTING.md", *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/*.md"))]


def read(path: str) -> str:
    return (ROOT / path).read_text()


def pins(lock: str) -> dict[str, list[str]]:
    """The versions that a lock pins for each package, by its normalised name."""
    found: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([a-z0-9][a-z0-9._-]*)==(\S+)", read(lock), re.MULTILINE):
        found.setdefault(re.sub(r"[._]", "-", name), []).append(version)
    return found


def name_of(requirement: str) -> str:
    return re.sub(r"[._]", "-", re.match(r"[A-Za-z0-9._-]+", requirement)[0].lower())


def tree() -> list[Path]:
    """Every file that git has or would take, that is text."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout.decode()
    paths = [ROOT / name for name in listed.split("\0") if name]
    return [path for path in paths if path.is_file() and b"\0" not in path.read_bytes()[:4096]]


def test_collection_dependencies_agree():
    required = {entry["name"]: entry["version"] for entry in yaml.safe_load(read("requirements.yml"))["collections"]}
    assert yaml.safe_load(read("galaxy.yml"))["dependencies"] == required
    assert set(required) == {"kubernetes.core"}


def test_the_execution_environment_takes_the_requirement_files():
    environment = yaml.safe_load(read("meta/execution-environment.yml"))
    assert environment["dependencies"] == {"galaxy": "requirements.yml", "python": "requirements.txt"}


def test_python_dependencies_are_the_two_that_the_house_allows():
    assert {name_of(line) for line in read("requirements.txt").splitlines() if line and not line.startswith("#")} == {
        "kubernetes",
        "requests",
    }


def test_versions_agree():
    version = yaml.safe_load(read("galaxy.yml"))["version"]
    assert tomllib.loads(read("server/pyproject.toml"))["project"]["version"] == version
    assert all(f"ARG VERSION={version}\n" in read(f"{image}/Containerfile") for image in ("server", "bridge"))


@pytest.mark.parametrize("lock", LOCKS)
def test_locks_hold_hashes_and_name_no_index(lock: str):
    text = read(lock)
    requirements = re.split(r"\n(?=[a-z0-9])", text)[1:]
    assert requirements
    assert [each.split()[0] for each in requirements if "--hash=sha256:" not in each] == []
    assert re.findall(r"^.*(?:--(?:extra-)?index|--find-links|--trusted|://).*$", text, re.MULTILINE) == []


def test_locks_cover_what_the_server_declares():
    declared = tomllib.loads(read("server/pyproject.toml"))
    dependencies = {name_of(each) for each in declared["project"]["dependencies"]}
    assert dependencies <= pins("server/requirements.lock").keys()
    assert dependencies <= pins("requirements-dev.lock").keys()
    assert {name_of(each) for each in declared["build-system"]["requires"]} <= pins("server/requirements-build.lock").keys()


def test_what_is_tested_is_what_the_image_runs():
    tested = pins("requirements-dev.lock")
    assert {name: versions for name, versions in pins("server/requirements.lock").items() if not set(versions) <= set(tested[name])} == {}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_that_documents_name_exist(document: str):
    targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)(?:[A-Z_]+=\S+ )*make ([a-z][a-z-]*)", read(document), re.MULTILINE))
    assert named <= targets


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_between_documents_lead_somewhere(document: str):
    folder = (ROOT / document).parent
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)]+)\)", read(document)) if "://" not in link and not link.startswith("#")]
    assert [link for link in links if not (folder / link).exists()] == []


@pytest.mark.parametrize("document", [*DOCUMENTS, *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("roles/*/README.md"))])
def test_role_variables_that_documents_name_exist(document: str):
    specs = [yaml.safe_load(path.read_text())["argument_specs"]["main"] for path in ROOT.glob("roles/*/meta/argument_specs.yml")]
    known = {name for each in specs for name in each["options"]} | {path.name for path in ROOT.glob("roles/*")}
    assert set(re.findall(r"\bocp4_workload_litemaas\w*", read(document))) <= known


def test_every_make_target_is_explained():
    makefile = read("Makefile")
    silent = set(re.findall(r"^([a-z-]+):(?!=)(?!.*  ## ).*$", makefile, re.MULTILINE)) - {"setup"}
    assert silent == set()


def test_nothing_says_where_it_was_written():
    places = re.compile(rb"/(?:home|root|work|mnt|srv)/[\w.]|\bfile:///(?!\.)|/tmp/\w")
    assert [f"{path.relative_to(ROOT)}: {found[0].decode()}" for path in tree() if (found := places.search(path.read_bytes()))] == []
