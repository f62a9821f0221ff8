"""The image's recipe keeps its promises; hadolint (`make lint`) judges the rest."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def stages() -> list[list[str]]:
    """The instructions of each stage, continuation lines joined, without comments. What stands before the first FROM is left out."""
    text = re.sub(r"^#.*\n", "", (ROOT / "server/Containerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
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
