"""The modules as Ansible runs them: ad hoc, in a playbook, with connection options from the action group or the environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.modules.conftest import LiteLLM, name

ROOT = Path(__file__).resolve().parents[3]
TOOLS = Path(sys.executable).parent


def run(*command: str, **environment: str) -> str:
    """Run Ansible from this checkout, and return all that it printed."""
    settings = {
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_STDOUT_CALLBACK": "default",
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_NOCOLOR": "1",
    }
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("LITELLM_", "ANSIBLE_"))}
    done = subprocess.run([TOOLS / command[0], *command[1:]], env=clean | settings | environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def play(folder: Path, tasks: list[dict[str, Any]], *arguments: str, defaults: dict[str, Any] | None = None, **environment: str) -> str:
    file = folder / "play.yml"
    file.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks, "module_defaults": defaults or {}}]))
    return run("ansible-playbook", str(file), *arguments, **environment)


@pytest.fixture
def environment(litellm: LiteLLM) -> dict[str, str]:
    return {"LITELLM_API_URL": litellm.stack.litellm_url, "LITELLM_API_KEY": litellm.stack.litellm_master_key}


def test_the_ad_hoc_command_of_the_readme(litellm: LiteLLM, environment: dict[str, str]):
    local = name("person")
    user = litellm.user(user_email=f"{local}@example.com")
    command = [
        "ansible",
        "localhost",
        "-m",
        "rhpds.litemaas.litellm_user_budget",
        "-a",
        f"user={local} max_budget=500 budget_duration=daily",
    ]
    assert "CHANGED" in run(*command, **environment)
    assert litellm.rows('select max_budget, budget_duration from "LiteLLM_UserTable" where user_id = %s', user) == [
        {"max_budget": 500, "budget_duration": "1d"}
    ]
    assert "SUCCESS" in run(*command, **environment)


def test_the_ad_hoc_command_shows_a_new_key_once(litellm: LiteLLM, environment: dict[str, str]):
    alias = name("adhoc")
    litellm.later("/key/delete", key_aliases=[alias])
    command = ["ansible", "localhost", "-m", "rhpds.litemaas.litellm_key", "-a", f"key_alias={alias}"]
    result = json.loads(run(*command, **environment).partition("=>")[2])
    assert litellm.http.get("/models", headers={"Authorization": f"Bearer {result['key']}"}).status_code == 200
    assert "sk-" not in run(*command, **environment)


def test_a_playbook_shows_no_secret_but_hands_it_on(litellm: LiteLLM, tmp_path: Path):
    alias, own, user = name("secret"), f"sk-{name('own')}", litellm.user()
    litellm.later("/key/delete", key_aliases=[alias, f"{alias}-own"])
    tasks = [
        {"rhpds.litemaas.litellm_user_budget": {"user": user, "max_budget": 5}},
        {"rhpds.litemaas.litellm_key": {"key_alias": alias, "user_id": user}, "register": "made"},
        {"rhpds.litemaas.litellm_key": {"key_alias": f"{alias}-own", "key": own}},
        {"rhpds.litemaas.litellm_key": {"key_alias": "{{ item }}", "state": "rotated"}, "register": "rotated", "loop": [alias]},
        {"rhpds.litemaas.litellm_key_info": {"key": own}},
        {"rhpds.litemaas.litellm_key": {"key_alias": alias, "key": "sk-of-no-use-here-at-all", "max_budget": 1}, "ignore_errors": True},
        {
            "ansible.builtin.copy": {
                "content": "{{ [made.key, rotated.results[0].key] | to_json }}",
                "dest": str(tmp_path / "keys.json"),
                "mode": "0600",
            },
            "no_log": True,
        },
    ]
    connection = {"url": litellm.stack.litellm_url, "api_key": litellm.stack.litellm_master_key}
    said = play(tmp_path, tasks, "-vvv", "--diff", defaults={"group/rhpds.litemaas.litellm": connection})
    old, new = json.loads((tmp_path / "keys.json").read_text())
    for secret in (litellm.stack.litellm_master_key, old, new, own, "sk-of-no-use-here-at-all"):
        assert secret not in said
    assert "before" in said  # the tasks as a whole are not hidden
    assert old != new
    assert litellm.http.get("/models", headers={"Authorization": f"Bearer {new}"}).status_code == 200


def test_check_mode_writes_nothing_and_says_what_it_would(litellm: LiteLLM, tmp_path: Path, environment: dict[str, str]):
    names = {"user_id": name("user"), "team_alias": name("team"), "budget_id": name("budget"), "key_alias": name("key")}
    tasks = [
        {"rhpds.litemaas.litellm_user": {"user_id": names["user_id"], "user_role": "internal_user"}},
        {"rhpds.litemaas.litellm_team": {"team_alias": names["team_alias"]}},
        {"rhpds.litemaas.litellm_budget": {"budget_id": names["budget_id"], "max_budget": 5}},
        {"rhpds.litemaas.litellm_key": {"key_alias": names["key_alias"]}},
        {"rhpds.litemaas.litellm_model": {"model_name": names["key_alias"], "litellm_params": {"model": "openai/x"}}},
    ]
    said = play(tmp_path, tasks, "--check", "--diff", **environment)
    assert said.count("changed: [localhost]") == len(tasks)
    for table in ("UserTable", "TeamTable", "BudgetTable", "VerificationToken", "ProxyModelTable"):
        text = json.dumps(litellm.rows(f'select * from "LiteLLM_{table}"'), default=str)
        assert not [each for each in names.values() if each in text], table


def test_a_wrong_url_fails_with_one_sentence(tmp_path: Path):
    tasks = [{"rhpds.litemaas.litellm_budget": {"budget_id": "x", "retries": 0}, "register": "done", "ignore_errors": True}]
    said = play(tmp_path, tasks, LITELLM_API_URL="http://127.0.0.1:9", LITELLM_API_KEY="sk-x")
    assert "LiteLLM can't be reached at http://127.0.0.1:9 (connection refused). Check url, and that LiteLLM runs." in said
    assert "Traceback" not in said


def test_missing_connection_options_are_named(tmp_path: Path):
    tasks = [{"rhpds.litemaas.litellm_budget": {"budget_id": "x"}, "ignore_errors": True}]
    assert "missing required arguments: api_key, url" in play(tmp_path, tasks)
