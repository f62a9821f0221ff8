"""agnosticd_user_info under a stand-in of AgnosticD v2, of v1, and alone: each by a playbook that Ansible really runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

COLLECTION = Path(__file__).resolve().parents[4]
SECRET = "sk-never-to-be-seen"
VERSIONS = ("v2", "v1")

# Like AgnosticD's own: refuses arguments that it does not know, shows the values, and says `error` where Ansible says `msg`.
STAND_IN = """
import json, os
from ansible.plugins.action import ActionBase

class ActionModule(ActionBase):
    _VALID_ARGS = frozenset({valid})

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        args = self._task.args
        assert all(type(value) in (str, dict) for value in args.values()), "kinds of text that only Ansible knows"
        if "fail" in args.get("data", {{}}):
            return result | {{"failed": True, "error": "disk full"}}
        with open(os.path.join(task_vars["output_dir"], "{version}.jsonl"), "a") as file:
            file.write(json.dumps(args) + "\\n")
        return result | {{"data": args.get("data"), "msg": "user.info: " + args.get("msg", ""), "_ansible_verbose_always": True}}
"""


class Playbook:
    """A folder with a playbook, the collection, and the stand-ins that are asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.output = folder / "output"
        self.output.mkdir()
        (folder / "ansible.cfg").touch()
        (folder / "hosts").write_text("localhost ansible_connection=local\n")
        (folder / "collections/ansible_collections/rhpds").mkdir(parents=True)
        (folder / "collections/ansible_collections/rhpds/litemaas").symlink_to(COLLECTION)

    def agnosticd(self, version: str) -> Playbook:
        if version == "v1":
            plugins, valid = self.folder / "action_plugins", ["msg", "body", "data", "user"]
        else:
            collection = self.folder / "collections/ansible_collections/agnosticd/core"
            plugins, valid = collection / "plugins/action", ["msg", "body", "data", "user", "data_prefix"]
        plugins.mkdir(parents=True)
        (plugins / "agnosticd_user_info.py").write_text(STAND_IN.format(valid=valid, version=version))
        return self

    def run(self, *tasks: dict, check: bool = False, code: int = 0, **play: object) -> str:
        """Runs the tasks with -vvv, and returns what Ansible said."""
        tasks = [task if "block" in task else {"rhpds.litemaas.agnosticd_user_info": task} for task in tasks]
        play = {
            "hosts": "localhost",
            "gather_facts": False,
            "tasks": tasks,
            "vars": {"output_dir": str(self.output), "value": SECRET},
            **play,
        }
        (self.folder / "play.yml").write_text(json.dumps([play]))
        command = [
            sys.executable,
            "-m",
            "ansible.cli.playbook",  # under ansible-test `-m ansible` knows no commands
            "-vvv",
            *(["--check", "--diff"] if check else []),
            "-i",
            "hosts",
            "play.yml",
        ]
        environment = os.environ | {
            "ANSIBLE_CONFIG": str(self.folder / "ansible.cfg"),
            "ANSIBLE_HOME": str(self.folder / "home"),
            "ANSIBLE_COLLECTIONS_PATH": str(self.folder / "collections"),
            "LC_ALL": "C.UTF-8",
        }
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )
        said = done.stdout + done.stderr
        assert done.returncode == code, said
        assert SECRET not in said
        assert "WARNING" not in said
        return said

    def got(self, version: str) -> list[dict]:
        path = self.output / f"{version}.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def kept(self, name: str) -> object:
        return yaml.safe_load((self.output / f"user-{name}.yaml").read_text())


@pytest.fixture
def playbook(tmp_path: Path) -> Playbook:
    return Playbook(tmp_path)


@pytest.mark.parametrize("version", VERSIONS)
def test_under_agnosticd_its_own_plugin_gets_message_data_and_user(playbook: Playbook, version: str):
    said = playbook.agnosticd(version).run(
        {"msg": "It is there.", "data": {"url": "http://x", "key": "{{ value }}"}}, {"user": "user1", "data": {"key": "{{ value }}"}}
    )
    assert playbook.got(version) == [
        {"msg": "It is there.", "data": {"url": "http://x", "key": SECRET}},
        {"user": "user1", "data": {"key": SECRET}},
    ]
    assert "user.info: It is there." in said
    assert list(playbook.output.glob("user-*")) == []


@pytest.mark.parametrize("version", VERSIONS)
def test_under_agnosticd_each_of_several_users_is_a_call_of_its_plugin(playbook: Playbook, version: str):
    (playbook.folder / "users.json").write_text(json.dumps({"user1": {"key": SECRET}, "user2": {"key": "2"}}))
    read = "{{ lookup('ansible.builtin.file', 'users.json') | from_json }}"  # a lookup's text is of a kind of its own
    playbook.agnosticd(version).run({"data_prefix": "p_", "users": read})
    assert playbook.got(version) == [{"user": "user1", "data": {"p_key": SECRET}}, {"user": "user2", "data": {"p_key": "2"}}]


def test_v2_goes_before_v1(playbook: Playbook):
    playbook.agnosticd("v1").agnosticd("v2").run({"msg": "once"})
    assert (len(playbook.got("v2")), len(playbook.got("v1"))) == (1, 0)


def test_a_data_prefix_set_for_v2s_plugin_by_module_defaults_is_kept(playbook: Playbook):
    playbook.agnosticd("v2").run(
        {"data": {"key": "1"}},
        {"data_prefix": "mine_", "data": {"key": "2"}},
        {
            "block": [{"rhpds.litemaas.agnosticd_user_info": {"data": {"key": "3"}}}],
            "module_defaults": {"agnosticd.core.agnosticd_user_info": {"data_prefix": "{{ inner }}"}},
            "vars": {"inner": "block_"},
        },
        module_defaults={"agnosticd.core.agnosticd_user_info": {"data_prefix": "play_"}},
    )
    assert [each["data"] for each in playbook.got("v2")] == [{"play_key": "1"}, {"mine_key": "2"}, {"block_key": "3"}]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_failure_of_agnosticds_plugin_is_ours_and_names_its_reason(playbook: Playbook, version: str):
    assert "disk full" in playbook.agnosticd(version).run({"data": {"fail": "{{ value }}"}}, code=2)


@pytest.mark.parametrize("version", VERSIONS)
def test_check_mode_asks_nobody(playbook: Playbook, version: str):
    playbook.agnosticd(version).run({"msg": "no", "data": {"key": "{{ value }}"}}, check=True)
    assert list(playbook.output.iterdir()) == []


def test_alone_it_keeps_messages_and_data_in_files_for_the_owner_only(playbook: Playbook):
    playbook.run(
        {"msg": "One", "data": {"url": "http://x", "key": "{{ value }}"}},
        {"body": "A long text\nof two lines"},
        {"user": "user1", "data": {"key": "{{ value }}"}, "msg": "Hello"},
        {"user": "user1", "data": {"number": 1}, "msg": "Again\nhello"},
        {"users": {"user1": {"number": 2}, "user2": {"key": "other"}}},
        {"data": {"url": "http://y"}},
    )
    assert playbook.kept("info") == ["One"]
    assert playbook.kept("body") == ["A long text\nof two lines"]
    assert playbook.kept("data") == {
        "url": "http://y",
        "key": SECRET,
        "users": {"user1": {"key": SECRET, "number": 2, "msg": "Hello\nAgain\nhello"}, "user2": {"key": "other"}},
    }
    assert {path.stat().st_mode & 0o777 for path in playbook.output.iterdir()} == {0o600}


def test_alone_a_second_run_changes_nothing(playbook: Playbook):
    tasks = [{"msg": "One", "data": {"key": "{{ value }}"}}, {"user": "user1", "msg": "Hello\nyou", "data": {"key": "{{ value }}"}}]
    assert "changed=2" in playbook.run(*tasks)
    before = {path.name: (path.read_bytes(), path.stat().st_ino) for path in playbook.output.iterdir()}
    assert "changed=0" in playbook.run(*tasks)
    assert {path.name: (path.read_bytes(), path.stat().st_ino) for path in playbook.output.iterdir()} == before


def test_alone_what_others_wrote_stays(playbook: Playbook):
    (playbook.output / "user-data.yaml").write_text("since: 2026-11-21\nusers: {user1: {password: theirs}, user2: {password: theirs}}\n")
    (playbook.output / "user-info.yaml").write_text("- theirs\n")
    before = playbook.kept("data")
    playbook.run({"user": "user1", "data": {"key": "ours"}}, {"msg": "ours"})
    before["users"]["user1"]["key"] = "ours"
    assert playbook.kept("data") == before
    assert playbook.kept("info") == ["theirs", "ours"]


def test_no_users_are_no_work(playbook: Playbook):
    playbook.run({"users": {}})
    assert list(playbook.output.iterdir()) == []


def test_alone_check_mode_writes_nothing(playbook: Playbook):
    playbook.run({"msg": "no", "data": {"key": "{{ value }}"}}, check=True)
    assert list(playbook.output.iterdir()) == []


@pytest.mark.parametrize("found", ["- a list\n", "key: [\n"])
def test_alone_a_file_that_it_cannot_read_is_named_and_left_as_it_is(playbook: Playbook, found: str):
    (playbook.output / "user-data.yaml").write_text(found)
    assert "user-data.yaml" in playbook.run({"data": {"key": "{{ value }}"}}, code=2)
    assert (playbook.output / "user-data.yaml").read_text() == found


def test_without_output_dir_of_its_own_a_host_uses_the_controllers(playbook: Playbook):
    other = playbook.folder / "other"
    (playbook.folder / "hosts").write_text(f"localhost output_dir={other}\nbastion ansible_connection=local\n")
    playbook.run({"data": {"key": "1"}}, hosts="bastion", vars={})
    assert yaml.safe_load((other / "user-data.yaml").read_text()) == {"key": "1"}


def test_without_any_output_dir_the_files_lie_beside_the_playbook(playbook: Playbook):
    playbook.run({"msg": "here"}, vars={})
    assert yaml.safe_load((playbook.folder / "user-info.yaml").read_text()) == ["here"]


def test_hosts_side_by_side_lose_nothing_of_each_other(playbook: Playbook):
    hosts = [f"h{number}" for number in range(8)]
    (playbook.folder / "hosts").write_text("".join(f"{host} ansible_connection=local\n" for host in hosts))
    playbook.run({"user": "{{ inventory_hostname }}", "data": {"key": "1"}}, hosts="all")
    assert sorted(playbook.kept("data")["users"]) == hosts


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"msg": "a", "body": "b"}, "mutually exclusive"),
        ({"user": "user1"}, "msg, body, data"),
        ({"users": {"user1": {}}, "msg": "a"}, "mutually exclusive"),
        ({"users": {"user1": "{{ value }}"}}, "user1 must have a mapping"),
        ({"data": ["a"]}, "data"),
        ({"msg": "a", "message": "b"}, "message"),
    ],
)
def test_wrong_arguments_are_refused(playbook: Playbook, arguments: dict, named: str):
    assert named in playbook.run(arguments, code=2)
    assert list(playbook.output.iterdir()) == []
