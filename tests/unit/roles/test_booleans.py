"""What is given as text, as `-e name=false` gives it, is the boolean that it says: every boolean variable of the roles that deploy."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.support.render import ROOT, Role
from tests.unit.roles import test_ocp4_workload_litemaas as stack
from tests.unit.roles import test_ocp4_workload_litemaas_mcp as mcp

ROLES = {stack.NAME: stack, mcp.NAME: mcp}
# What says nothing while the stack stands and the MCP server is not asked for: with what else it is looked at.
BESIDE: dict[str, dict[str, Any]] = {
    "ocp4_workload_litemaas_remove_data": {"ACTION": "destroy"},
    "ocp4_workload_litemaas_branding_enabled": {"ocp4_workload_litemaas_branding_favicon_path": str(ROOT / "LICENSE")},
    "ocp4_workload_litemaas_deploy_backend": {"ocp4_workload_litemaas_deploy_frontend": False},
}


def booleans() -> Iterator[tuple[str, str]]:
    for name in ROLES:
        spec = yaml.safe_load((ROOT / f"roles/{name}/meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
        found = [variable for variable, option in spec.items() if option["type"] == "bool"]
        yield from ((name, variable) for variable in found if (name, variable) != (mcp.NAME, "ocp4_workload_litemaas_deploy_mcp"))  # no say


@functools.cache
def token() -> dict[str, str]:
    return mcp.settled()


def rendered(name: str, **variables: Any) -> Role:
    module = ROLES[name]
    have = {"litemaas-db": {"password": "p"}, "litellm-secret": {}, "backend-secret": {}} if module is stack else token()
    more = {"there": [{"kind": "Deployment", "metadata": {"name": "litellm"}}]} if module is stack else {}
    return module.role(have, **more, **variables)


def expressions(name: str, variable: str) -> list[str]:
    """What the role's tasks make of the variable: their conditions, and the options that name it."""
    found: list[str] = []

    def look(part: Any, key: str = "") -> None:
        if isinstance(part, dict):
            for own, each in part.items():
                look(each, own)
        elif isinstance(part, list):
            for each in part:
                look(each, key)
        elif isinstance(part, str) and re.search(rf"\b{variable}\b", part):
            found.extend([part] if key == "when" else re.findall(r"\{\{(.*?)\}\}", part, re.DOTALL))

    for file in sorted((ROOT / f"roles/{name}/tasks").glob("*.yml")):
        look(yaml.safe_load(file.read_text()))
    return [each for each in found if re.search(rf"\b{variable}\b", each)]


def outcome(name: str, variable: str, value: Any) -> dict[str, str]:
    """Everything that the role makes of the variable, without what is made anew each time."""
    role = rendered(name, **{variable: value}, **BESIDE.get(variable, {}))
    seen = [f"_{name}_removing", *expressions(name, variable)]
    if name == stack.NAME:
        seen += ["_ocp4_workload_litemaas_oauth_wanted"]
        seen += [f"_{name}_removable" if "remove" in variable else f"_{name}_objects"]
    else:
        seen += [f"_{name}_settled", f"_{name}_objects"]
    return {each: re.sub(r"\b[A-Za-z0-9+/]{32,}={0,2}", "…", role.text(f"{{{{ {each} }}}} ")) for each in seen}


@pytest.mark.parametrize(("name", "variable"), list(booleans()))
def test_a_boolean_given_as_text_is_what_it_says(name: str, variable: str):
    assert outcome(name, variable, "false") == (no := outcome(name, variable, False))
    assert outcome(name, variable, "true") != no, "nothing here depends on it: the test sees nothing"
