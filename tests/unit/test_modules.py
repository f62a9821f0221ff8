"""Every module keeps the promises that all of them make; ansible-test (`make sanity`) judges what it knows of."""

from __future__ import annotations

import ast
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = ROOT / "plugins"
FILES = sorted(PLUGINS.rglob("*.py"))
MODULES = sorted(path.stem for path in PLUGINS.glob("modules/litellm_*.py"))
DOCUMENTED = sorted(path.stem for path in PLUGINS.glob("modules/*.py"))
# Who may import what beyond Python and Ansible: the two that open connections, and on the controller what Ansible needs itself.
THIRD_PARTY = {
    "action/agnosticd_user_info.py": {"yaml"},
    "action/known_variables.py": {"yaml"},
    "module_utils/client.py": {"requests"},
    "module_utils/cluster.py": {"kubernetes", "urllib3"},
}


def imports(file: Path) -> set[str]:
    """The packages that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module.split(".")[0])
    return found


def run(tool: str, *arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run a tool of .venv, which knows the collection."""
    environment = os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "NO_COLOR": "1", "LC_ALL": "C.UTF-8"}
    command = [Path(sys.executable).with_name(tool), *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def ansible_doc(*arguments: str) -> str:
    done = run("ansible-doc", "-t", "module", *arguments, *(f"rhpds.litemaas.{name}" for name in DOCUMENTED))
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture(scope="module")
def documents() -> dict[str, dict[str, Any]]:
    """What ansible-doc knows of each module, by its short name; fragments are merged in."""
    return {name.rpartition(".")[2]: each for name, each in json.loads(ansible_doc("--json")).items()}


class Called(Exception):
    """AnsibleModule was called with these arguments."""


@pytest.fixture
def called(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the module of the test's parameter gives to AnsibleModule."""

    def call(self: AnsibleModule, argument_spec: dict[str, Any], **rest: Any) -> None:
        raise Called({"argument_spec": argument_spec, **rest})

    monkeypatch.setattr(AnsibleModule, "__init__", call)
    with pytest.raises(Called) as caught:
        importlib.import_module(f"ansible_collections.rhpds.litemaas.plugins.modules.{request.param}").main()
    return caught.value.args[0]


def names(options: dict[str, Any], below: str) -> set[str]:
    """The options' names, those of their suboptions (under the key `below`) with the way to them."""
    return set(options) | {f"{name}.{sub}" for name, each in options.items() for sub in names(each.get(below) or {}, below)}


def tasks(entries: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The tasks of a list of plays, blocks and tasks."""
    for entry in entries:
        lists = [entry[key] for key in ("tasks", "pre_tasks", "post_tasks", "block", "rescue", "always") if key in entry]
        if lists:
            yield from (task for inner in lists for task in tasks(inner))
        else:
            yield entry


@pytest.mark.parametrize(("called", "module"), [(name, name) for name in MODULES], indirect=["called"])
def test_a_module_documents_exactly_its_options_and_honours_check_mode(called, module, documents):
    assert names(documents[module]["doc"]["options"], "suboptions") == names(called["argument_spec"], "options")
    assert called["supports_check_mode"] is True
    assert documents[module]["doc"]["attributes"]["check_mode"]["support"] == "full"


@pytest.mark.parametrize("module", MODULES)
def test_a_module_takes_the_groups_defaults_and_says_so(module, documents):
    assert module in yaml.safe_load((ROOT / "meta/runtime.yml").read_text())["action_groups"]["litellm"]
    assert documents[module]["doc"]["attributes"]["action_group"]["membership"] == ["rhpds.litemaas.litellm"]


def test_the_action_group_names_no_module_that_is_not_there():
    assert set(yaml.safe_load((ROOT / "meta/runtime.yml").read_text())["action_groups"]["litellm"]) == set(MODULES)


@pytest.mark.parametrize("module", DOCUMENTED)
def test_the_examples_use_only_options_that_exist(module, documents):
    examples = list(tasks(yaml.safe_load(documents[module]["examples"])))
    ours = [(name.removeprefix("rhpds.litemaas."), given) for task in examples for name, given in task.items() if "rhpds.litemaas." in name]
    assert module in {name for name, _ in ours}
    assert [f"{name}: {option}" for name, given in ours for option in given or {} if option not in documents[name]["doc"]["options"]] == []
    assert [task for task in examples if not task.get("name")] == []


@pytest.mark.parametrize(("called", "module"), [(name, name) for name in MODULES], indirect=["called"])
def test_the_examples_are_tasks_that_the_module_accepts(called, module, documents, monkeypatch):
    monkeypatch.setenv("LITELLM_API_URL", "http://127.0.0.1")
    monkeypatch.setenv("LITELLM_API_KEY", "sk-example")
    called.pop("supports_check_mode")
    validator = ArgumentSpecValidator(**called)
    given = [
        task[f"rhpds.litemaas.{module}"] or {}
        for task in tasks(yaml.safe_load(documents[module]["examples"]))
        if f"rhpds.litemaas.{module}" in task
    ]
    assert [error for options in given for error in validator.validate(options).error_messages] == []


def test_the_examples_are_as_good_as_our_playbooks(documents, tmp_path):
    # Of a plugin ansible-lint reads only whether its examples are YAML.
    (tmp_path / "tasks").mkdir()
    for name, each in documents.items():
        (tmp_path / f"tasks/{name}.yml").write_text(f"---\n{each['examples'].strip()}\n")
    done = run("ansible-lint", "--offline", "--profile", "production", "--project-dir", ".", "tasks", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 failure(s), 0 warning(s)" in done.stderr


def test_ansible_doc_renders_every_module():
    text = ansible_doc()
    assert [name for name in DOCUMENTED if f"> MODULE rhpds.litemaas.{name} " not in text] == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PLUGINS)))
def test_plugins_import_nothing_that_a_bastion_lacks(file):
    allowed = sys.stdlib_module_names | {"ansible", "ansible_collections"} | THIRD_PARTY.get(str(file.relative_to(PLUGINS)), set())
    assert imports(file) - allowed == set()


def test_server_and_collection_share_one_file_and_import_nothing_of_each_other():
    server = sorted((ROOT / "server/src").rglob("*.py"))
    assert [file for file in FILES if "litemaas_mcp" in imports(file)] == []
    assert [file for file in server if imports(file) & {"ansible", "ansible_collections"}] == []
    assert [file.resolve() for file in server if file.is_symlink()] == [PLUGINS / "module_utils/durations.py"]
