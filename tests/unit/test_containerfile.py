"""The images' recipes keep their promises; hadolint (`make lint`) judges the rest. And `make image`."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def stages(image: str = "server") -> list[list[str]]:
    """The instructions of each stage, continuation lines joined, without comments. What stands before the first FROM is left out."""
    text = re.sub(r"^#.*\n", "", (ROOT / image / "Containerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip()]
    starts = [index for index, line in enumerate(lines) if line.startswith("FROM ")]
    return [lines[start:end] for start, end in zip(starts, [*starts[1:], None], strict=True)]


def test_base_and_index_are_build_arguments():
    text = (ROOT / "server/Containerfile").read_text()
    assert "ARG BASE_IMAGE=registry.access.redhat.com/ubi9/python-312-minimal" in text
    assert all(stage[0].startswith("FROM ${BASE_IMAGE}") for stage in stages())
    assert "ARG PIP_INDEX_URL=https://pypi.org/simple" in stages()[0]


def test_everything_installed_is_locked_and_a_wheel():
    build, _ = stages()
    assert any("PIP_ONLY_BINARY=:all:" in line for line in build)
    installs = [command for line in build for command in line.split("&&") if " install " in command]
    assert installs
    assert all("--require-hashes -r requirements" in each or "--no-index dist/" in each for each in installs)


def test_the_final_stage_only_copies_and_any_user_id_will_do():
    _, final = stages()
    assert not any(line.startswith("RUN") for line in final)
    assert [line.split()[1] for line in final if line.startswith("USER")] == ["1001"]
    assert [line for line in final if line.startswith("COPY")] == ["COPY --from=build /opt/litemaas-mcp /opt/litemaas-mcp"]
    assert 'ENTRYPOINT ["litemaas-mcp"]' in final
    assert 'CMD ["serve"]' in final


def test_the_health_check_asks_whether_the_process_lives():
    (check,) = [line for line in stages()[1] if line.startswith("HEALTHCHECK")]
    assert "/livez" in check
    assert "curl" not in check


def test_the_build_sees_only_what_it_copies():
    ignored = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert ignored[0] == "*"
    copied = {word for line in stages()[0] if line.startswith("COPY") for word in line.split()[1:-1]}
    assert {entry.removeprefix("!") for entry in ignored if entry.startswith("!")} == copied


def test_the_bridge_is_built_like_the_server():
    build, final = stages("bridge")
    assert "ARG PIP_INDEX_URL=https://pypi.org/simple" in build
    assert any("PIP_ONLY_BINARY=:all:" in line for line in build)
    installs = [command.strip() for line in build for command in line.split("&&") if re.search(r" (install|ci) ", command)]
    assert [
        each for each in installs if "--require-hashes -r " not in each and "npm ci --omit=optional --ignore-scripts " not in each
    ] == []
    assert not any(line.startswith("RUN") for line in final)
    assert [line.split()[1] for line in final if line.startswith("USER")] == ["1001"]
    assert 'ENTRYPOINT ["mcp-bridge"]' in final
    ignored = (ROOT / "bridge/.dockerignore").read_text().splitlines()
    copied = {word for line in build if line.startswith("COPY") for word in line.split()[1:-1]}
    assert (ignored[0], {entry.removeprefix("!") for entry in ignored[1:]}) == ("*", copied)


class Engines:
    """Stand-ins for container engines: each says with what it was called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "dirname").symlink_to(shutil.which("dirname"))

    def add(self, name: str, *, works: bool = True, builds: bool = True) -> None:
        program = self.folder / name
        text = f'#!/bin/sh\nif [ "$1" = info ]; then exit {int(not works)}; fi\necho "{name}" "$@"\nexit {int(not builds)}\n'
        program.write_text(text)
        program.chmod(0o755)

    def build(self, **environment: str) -> tuple[int, str]:
        done = subprocess.run(
            ["/bin/bash", ROOT / "scripts/build_image"],
            env={"PATH": str(self.folder)} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout


@pytest.fixture
def engines(tmp_path: Path) -> Engines:
    return Engines(tmp_path)


def test_the_first_engine_that_works_builds_the_image(engines: Engines):
    engines.add("docker", works=False)
    engines.add("buildah")
    code, said = engines.build()
    assert (code, said.splitlines()[0]) == (0, "buildah build --format docker --tag litemaas-mcp --file server/Containerfile .")
    engines.add("docker")
    _, said = engines.build()
    assert said.startswith("docker build --tag litemaas-mcp ")


def test_base_index_and_name_are_those_of_the_environment_and_stay_out_of_process_lists(engines: Engines):
    engines.add("podman")
    _, said = engines.build(BASE_IMAGE="base.example.com/python", PIP_INDEX_URL="https://user:password@example.com", IMAGE="mine:1")
    assert said.startswith("podman build --format docker --build-arg BASE_IMAGE --build-arg PIP_INDEX_URL --tag mine:1 ")
    assert "password" not in said


def test_without_an_engine_or_a_base_image_it_says_what_to_do(engines: Engines):
    code, said = engines.build()
    assert (code, "neither podman, docker nor buildah works here. Install one" in said) == (1, True)
    engines.add("podman", builds=False)
    code, said = engines.build()
    assert (code, "make image BASE_IMAGE=" in said) == (1, True)
