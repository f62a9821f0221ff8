"""compose.yaml and .env.example name just what settings.py reads."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from litemaas_mcp.settings import AdminSettings

SERVER = Path(__file__).parents[2]
KNOWN = {name.upper() for name in AdminSettings.model_fields}


def compose() -> dict:
    return yaml.safe_load((SERVER / "compose.yaml").read_text())["services"]["litellm-admin-mcp"]


def test_compose_passes_every_variable_that_the_server_reads():
    names = compose()["environment"].keys()
    # The container's HOST is the image's.
    assert names == KNOWN - {"HOST"}


def test_the_example_holds_every_variable_of_compose_and_no_other():
    asked = set(re.findall(r"\$\{([A-Z_]+)", (SERVER / "compose.yaml").read_text()))
    given = dict(line.split("=", 1) for line in (SERVER / ".env.example").read_text().splitlines() if line and not line.startswith("#"))
    assert given.keys() == asked
    AdminSettings(**{name.lower(): value for name, value in given.items() if value})


def test_compose_starts_this_profile_and_builds_the_image_of_this_repository():
    service = compose()
    assert service["command"] == ["serve", "--profile", "litellm-admin"]
    assert (SERVER / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
