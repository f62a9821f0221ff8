"""The role's private modules, each by itself: what the stack's life rests on."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROLE = Path(__file__).parents[3] / "roles/litemaas_local"
# A module as Ansible would run it, without the two seconds that Ansible takes to start.
RUNNER = """
import json, runpy, sys
import ansible.module_utils
from ansible.module_utils.testing import patch_module_args
role, module = sys.argv[1:]
ansible.module_utils.__path__.append(f"{role}/module_utils")
with patch_module_args(json.load(sys.stdin)):
    runpy.run_path(f"{role}/library/{module}.py", run_name="__main__")
"""
SECRET = "s3cr3t-of-the-test"
# Answers on its port after a while, with a child in its session; "stubborn" ignores the polite signal.
DAEMON = """
import http.server, os, signal, subprocess, sys, time
if "stubborn" in sys.argv: signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen(["sleep", "1000"])
print("child", child.pid, flush=True)
time.sleep(float(os.environ.get("SLOW", "0")))
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


def begin(module: str, **parameters: object) -> subprocess.Popen:
    begun = subprocess.Popen(
        [sys.executable, "-c", RUNNER, ROLE, module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    begun.stdin.write(json.dumps(parameters))
    begun.stdin.close()
    return begun


def run(module: str, **parameters: object) -> dict:
    """The module's result, with `failed` and all that it `printed`."""
    with begin(module, **parameters) as begun:
        printed = begun.stdout.read()
    return {"failed": False, "printed": printed} | json.loads(printed.splitlines()[-1])


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(condition: Callable[[], object], seconds: float = 15) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Daemon:
    """A little daemon under local_process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.pid_file = folder / "d.pid"
        self.log = folder / "d.log"
        self.parameters = {
            "name": "d",
            "run": str(folder),
            "argv": [sys.executable, "-c", DAEMON],
            "log": str(self.log),
            "ready_url": f"http://127.0.0.1:{self.port}/",
            "environment": {"PORT": str(self.port), "PATH": os.environ["PATH"]},
            "secret_environment": {"SECRET": SECRET, "URL": "postgresql://u:pass%20word@h/d"},
            "patience": 1,
        }

    def start(self, **more: object) -> dict:
        return run("local_process", **self.parameters | more)

    def stop(self) -> dict:
        return run("local_process", name="d", run=str(self.folder), state="stopped", patience=1)

    @property
    def child(self) -> int:
        return int(self.log.read_text().split()[1])


@pytest.fixture
def daemon(tmp_path) -> Iterator[Daemon]:
    made = Daemon(tmp_path)
    yield made
    made.stop()


def test_a_daemon_is_started_once_and_adopted_after(daemon) -> None:
    first = daemon.start()
    assert first["changed"], first
    assert lives(first["pid"])
    again = daemon.start()
    assert (again["changed"], again["pid"]) == (False, first["pid"])
    assert daemon.pid_file.stat().st_mode & 0o777 == 0o600
    assert SECRET not in Path(f"/proc/{first['pid']}/cmdline").read_text()


def test_what_changes_a_start_restarts(daemon, tmp_path) -> None:
    watched = tmp_path / "source"
    watched.mkdir()
    (watched / "a.py").write_text("1")
    daemon.parameters["watch"] = [str(watched)]
    pids = [daemon.start()["pid"]]
    (watched / "a.py").write_text("2")
    pids.append(daemon.start()["pid"])
    daemon.parameters["secret_environment"]["SECRET"] += "2"
    pids.append(daemon.start()["pid"])
    daemon.parameters["argv"].append("more")
    pids.append(daemon.start()["pid"])
    assert len(set(pids)) == 4
    assert [lives(pid) for pid in pids] == [False, False, False, True]


def test_a_stop_takes_the_whole_session_and_says_whether_there_was_one(daemon) -> None:
    pid = daemon.start()["pid"]
    child = daemon.child
    assert lives(child)
    assert daemon.stop()["changed"]
    assert not lives(pid)
    assert not lives(child)
    assert not daemon.stop()["changed"]


def test_who_ignores_the_polite_signal_is_killed(daemon) -> None:
    daemon.parameters["argv"].append("stubborn")
    pid = daemon.start()["pid"]
    assert daemon.stop()["changed"]
    assert not lives(pid)


def test_what_a_killed_daemon_left_is_ended_before_the_next_start(daemon) -> None:
    pid = daemon.start()["pid"]
    child = daemon.child
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not lives(pid))
    assert lives(child)
    again = daemon.start()
    assert again["changed"]
    assert not lives(child)


def test_a_daemon_that_hangs_is_started_anew(daemon) -> None:
    pid = daemon.start()["pid"]
    os.kill(pid, signal.SIGSTOP)
    again = daemon.start(timeout=2)
    assert again["changed"], again
    assert not lives(pid)


def test_a_pid_that_is_somebody_elses_by_now_is_left_alone(daemon) -> None:
    daemon.start()
    record = json.loads(daemon.pid_file.read_text())
    daemon.stop()
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as stranger:
        try:
            daemon.pid_file.write_text(json.dumps(record | {"pid": stranger.pid}))
            assert not daemon.stop()["changed"]
            daemon.pid_file.write_text(json.dumps(record | {"pid": stranger.pid}))
            assert daemon.start()["changed"]
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_a_pid_file_from_before_a_reboot_or_a_broken_one_is_nobodys(daemon) -> None:
    pid = daemon.start()["pid"]
    written = daemon.pid_file.read_text()
    daemon.pid_file.write_text(json.dumps(json.loads(written) | {"boot": "another"}))
    assert not daemon.stop()["changed"]
    assert lives(pid)
    daemon.pid_file.write_text("{")
    assert not daemon.stop()["changed"]
    assert lives(pid)
    daemon.pid_file.write_text(written)
    assert daemon.stop()["changed"]


def test_a_start_that_was_killed_is_adopted_by_the_next(daemon) -> None:
    daemon.parameters["environment"]["SLOW"] = "4"
    with begin("local_process", **daemon.parameters) as killed:
        wait_until(daemon.pid_file.exists)
        killed.kill()
    pid = json.loads(daemon.pid_file.read_text())["pid"]
    again = daemon.start()
    assert (again["changed"], again["pid"]) == (False, pid)


def test_a_daemon_that_dies_shows_the_end_of_its_log_without_secrets(daemon) -> None:
    code = "import os, sys; print('because', os.environ['SECRET'], os.environ['URL'], 'pass word'); sys.exit(3)"
    failed = daemon.start(argv=[sys.executable, "-c", code])
    assert failed["failed"]
    assert "d ended with code 3" in failed["msg"]
    assert "because ********" in failed["msg"]
    assert SECRET not in failed["printed"]
    assert "pass%20word" not in failed["printed"]
    assert "pass word" not in failed["msg"]
    assert not daemon.pid_file.exists()


def test_a_daemon_that_is_not_ready_in_time_is_stopped(daemon) -> None:
    daemon.parameters["environment"]["SLOW"] = "60"
    failed = daemon.start(timeout=1)
    assert "d was not ready after 1 s and was stopped" in failed["msg"]
    assert not lives(daemon.child)
    assert not daemon.pid_file.exists()


def test_a_program_that_does_not_exist_is_named(daemon) -> None:
    failed = daemon.start(argv=["/no/such/program"])
    assert "d could not be started" in failed["msg"]
    assert "/no/such/program" in failed["msg"]
    assert not daemon.pid_file.exists()


def settings(folder: Path, version: str = "1", **ports: int) -> dict:
    return {
        "path": str(folder / "settled.json"),
        "run": str(folder),
        "pinned": {"LiteLLM": version},
        "data": str(folder / "data"),
        "ports": ports,
        "secrets": {"key": "sk-", "password": ""},
    }


@pytest.fixture
def settle(tmp_path) -> Callable[..., tuple[dict, dict]]:
    """Runs local_settings; gives its result and what it keeps."""

    def settled(version: str = "1", **ports: int) -> tuple[dict, dict]:
        result = run("local_settings", **settings(tmp_path, version, **ports))
        return result, json.loads((tmp_path / "settled.json").read_text())

    return settled


def test_settings_are_decided_once(settle, tmp_path) -> None:
    port = free_port()
    first, kept = settle(a=port, b=0, c=0)
    assert first["changed"]
    assert kept["ports"]["a"] == port
    assert len(set(kept["ports"].values())) == 3
    assert kept["secrets"]["key"].startswith("sk-")
    assert len(kept["secrets"]["password"]) == 48
    assert (tmp_path / "settled.json").stat().st_mode & 0o777 == 0o600
    again, same = settle(a=port, b=0, c=0)
    assert not again["changed"]
    assert same == kept
    assert not any(secret in first["printed"] + again["printed"] for secret in kept["secrets"].values())


def test_a_port_that_is_taken_is_changed_and_the_others_stay(settle) -> None:
    port = free_port()
    _, before = settle(a=port, b=0)
    with socket.create_server(("127.0.0.1", port)):
        _, after = settle(a=port, b=0)
    assert after["ports"]["a"] != port
    assert after["ports"]["b"] == before["ports"]["b"]
    assert after["secrets"] == before["secrets"]


def test_a_port_that_its_own_process_holds_is_kept(settle, daemon) -> None:
    settle(d=daemon.port)
    daemon.start()
    _, kept = settle(d=daemon.port)
    assert kept["ports"]["d"] == daemon.port


def test_a_version_is_fixed_once_there_is_data(settle, tmp_path) -> None:
    settle("1", a=0)
    assert settle("2", a=0)[1]["pinned"] == {"LiteLLM": "2"}
    (tmp_path / "data").mkdir()
    failed, kept = settle("1", a=0)
    assert "made with LiteLLM 2" in failed["msg"]
    assert kept["pinned"] == {"LiteLLM": "2"}


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"pinned": {}}'])
def test_damaged_settings_are_refused_with_the_remedy(tmp_path, damage) -> None:
    (tmp_path / "settled.json").write_text(damage)
    failed = run("local_settings", **settings(tmp_path, a=0))
    assert "is damaged" in failed["msg"]
    assert "make down PURGE=1" in failed["msg"]
    assert (tmp_path / "settled.json").read_text() == damage


def software(folder: Path, *commands: str) -> dict:
    shell = [["sh", "-c", command] for command in commands]
    return {"path": str(folder / "software"), "commands": shell, "log": str(folder / "log")}


def test_software_is_built_once_and_anew_when_its_recipe_changes(tmp_path) -> None:
    assert run("local_software", **software(tmp_path, "echo 1 > made"))["changed"]
    assert not run("local_software", **software(tmp_path, "echo 1 > made"))["changed"]
    (tmp_path / "software/left").touch()
    assert run("local_software", **software(tmp_path, "echo 2 > made"))["changed"]
    assert (tmp_path / "software/made").read_text() == "2\n"
    assert not (tmp_path / "software/left").exists()


def test_software_that_could_not_be_built_is_no_software(tmp_path) -> None:
    failed = run("local_software", **software(tmp_path, "touch half", "echo because; exit 7"))
    assert "ended with code 7" in failed["msg"]
    assert "because" in failed["msg"]
    assert run("local_software", **software(tmp_path, "touch whole"))["changed"]
    assert not (tmp_path / "software/half").exists()


def test_a_build_waits_for_the_last_command_of_one_that_was_killed(tmp_path) -> None:
    slow = software(tmp_path, "touch begun; sleep 4; touch late")
    with begin("local_software", **slow) as killed:
        wait_until((tmp_path / "software/begun").exists)
        killed.kill()
    begun = time.monotonic()
    assert run("local_software", **software(tmp_path, "touch whole"))["changed"]
    assert time.monotonic() - begun > 2
    assert not (tmp_path / "software/late").exists()


def command(folder: Path, script: str) -> dict:
    return {"argv": ["sh", "-c", script], "log": str(folder / "log"), "secret_environment": {"SECRET": SECRET}}


def test_a_command_gives_its_output_and_its_failure_no_secret(tmp_path) -> None:
    done = run("local_command", **command(tmp_path, "echo progress >&2; echo one; echo two"))
    assert done["stdout_lines"] == ["one", "two"]
    assert (tmp_path / "log").read_text() == "progress\n"
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600
    failed = run("local_command", **command(tmp_path, "echo because $SECRET >&2; exit 7"))
    assert "ended with code 7" in failed["msg"]
    assert "because ********" in failed["msg"]
    assert SECRET not in failed["printed"]


def test_a_command_waits_for_that_of_a_run_that_was_killed(tmp_path) -> None:
    with begin("local_command", **command(tmp_path, f"touch {tmp_path}/begun; sleep 4; touch {tmp_path}/ended")) as killed:
        wait_until((tmp_path / "begun").exists)
        killed.kill()
    assert not run("local_command", **command(tmp_path, f"test -e {tmp_path}/ended"))["failed"]


def machine(folder: Path, node: int = 99, postgres: int = 99) -> dict:
    return run("local_machine", folder=str(folder), node_minimum=node, postgres_minimum=postgres)


def program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def test_a_machine_without_what_is_needed_says_so(tmp_path) -> None:
    found = machine(tmp_path)
    assert (found["node_bin"], found["postgres_bin"]) == ("", "")
    assert found["python"] == "{}.{}".format(*sys.version_info)


def test_a_private_folder_is_out_of_reach_for_the_user_that_postgres_runs_as_under_root(tmp_path) -> None:
    assert tmp_path.stat().st_mode & 0o777 == 0o700
    found = machine(tmp_path)
    assert found["reachable"] is (os.geteuid() != 0)
    assert bool(found["postgres_user"]) is (os.geteuid() == 0)
    assert machine(Path("/"))["reachable"]


@pytest.mark.parametrize(
    ("node", "will_do"),
    [("#!/bin/sh\necho v24.1.0\n", True), ("#!/bin/sh\necho v18.20.0\n", False), ("of another machine", False), (None, False)],
)
def test_a_node_that_is_too_old_or_cannot_run_is_none(tmp_path, monkeypatch, node, will_do) -> None:
    program(tmp_path / "npm", "#!/bin/sh\n")
    if node:
        program(tmp_path / "node", node)
    monkeypatch.setenv("PATH", f"{tmp_path}:/no/such/folder")
    # As root the module looks for this too.
    (tmp_path / "setpriv").symlink_to("/usr/bin/setpriv")
    assert machine(Path("/"), node=20)["node_bin"] == (str(tmp_path) if will_do else "")
