"""A whole stack through the playbook: up, up again, broken, mended, stopped, removed."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import stat
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.integration.stack.conftest import Scratch, remove_leftovers

PROCESSES = {"postgres", "upstream", "litellm", "cluster", "server"}
# Keys of stack.json whose values are secrets or hold one.
TOKENS = ("mcp_token", "litellm_master_key")
DATABASES = ("database_url", "database_readonly_url", "litemaas_database_url", "litemaas_readonly_url")


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def session(leader: int) -> set[int]:
    """Who lives in the session of that process."""
    found = set()
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with suppress(FileNotFoundError, ProcessLookupError):
            if int(Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[3]) == leader:
                found.add(int(entry))
    return found


def secrets_of(stack: dict) -> set[str]:
    return {stack[key] for key in TOKENS} | {urlsplit(stack[key]).password for key in DATABASES}


def complete(stack: dict, prompt: str) -> dict:
    """A chat completion through the proxy."""
    body = {"model": "granite-3-8b-instruct", "messages": [{"role": "user", "content": prompt}]}
    headers = {"Authorization": f"Bearer {stack['litellm_master_key']}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{stack['litellm_url']}/v1/chat/completions", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def test_a_second_run_changes_nothing(scratch) -> None:
    before = scratch.description
    again = scratch.play()
    assert again.code == 0, again.output
    assert again.changed == []
    assert ", 0 changed," in again.output
    assert scratch.description == before


def test_stack_json_says_what_runs_and_only_its_owner_may_read_it(scratch) -> None:
    stack = scratch.description
    assert set(stack["pids"]) == PROCESSES
    assert all(lives(pid) for pid in stack["pids"].values())
    assert stack["schema"] == 1
    assert stack["litellm_version"] == scratch.version
    for key in DATABASES:
        with psycopg.connect(stack[key]) as connection:
            assert connection.execute("select 1").fetchone() == (1,)
    with urllib.request.urlopen(stack["mcp_url"].replace("/mcp", "/health"), timeout=30) as health:
        assert json.load(health) == {"status": "healthy", "database": True, "litellm": True}
    secret_files = [path for path in scratch.folder.iterdir() if path.is_file()]
    assert {path.name for path in secret_files} >= {"stack.json", "settled.json", "kubeconfig", "config.yaml"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in secret_files} == {0o600}
    assert {stat.S_IMODE((scratch.folder / name).stat().st_mode) for name in ("logs", "run")} == {0o700}


def test_all_listen_on_the_loopback_only(scratch) -> None:
    ports = set(json.loads((scratch.folder / "settled.json").read_text())["ports"].values())
    assert len(ports) == len(PROCESSES)
    lines = [line.split() for table in ("tcp", "tcp6") for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]]
    listening = {(address.split(":")[0], int(address.split(":")[1], 16)) for _, address, _, state, *_ in lines if state == "0A"}
    assert {address for address, port in listening if port in ports} == {"0100007F"}
    assert {port for _, port in listening} >= ports


def test_completions_pass_through_the_proxy_and_their_usage_varies(scratch) -> None:
    short, long = (complete(scratch.description, prompt) for prompt in ("one", "one two three four five"))
    assert (short["usage"]["prompt_tokens"], long["usage"]["prompt_tokens"]) == (4, 8)
    assert short["usage"]["completion_tokens"] != long["usage"]["completion_tokens"]
    assert short["id"] != long["id"]
    with pytest.raises(urllib.error.HTTPError, match="400"):
        complete(scratch.description, "please fail")


def test_secrets_are_in_no_process_list_and_no_log(scratch) -> None:
    secrets = secrets_of(scratch.description)
    with subprocess.Popen(scratch.command(), cwd=scratch.root, env=scratch.environment(), stdout=subprocess.PIPE, text=True) as run:
        seen = []
        while run.poll() is None:
            for entry in filter(str.isdigit, os.listdir("/proc")):
                try:
                    seen.append(Path(f"/proc/{entry}/cmdline").read_text())
                except (FileNotFoundError, ProcessLookupError):
                    continue
            time.sleep(0.02)
        printed = run.stdout.read()
    logs = [path.read_text(errors="replace") for path in (scratch.folder / "logs").iterdir()]
    assert run.returncode == 0, printed
    assert len(logs) > len(PROCESSES)
    assert any("litellm" in line for line in seen)
    for text in [*seen, *logs, printed]:
        assert not any(secret in text for secret in secrets)


def test_a_killed_proxy_is_started_again_and_nothing_else(scratch) -> None:
    before = scratch.description["pids"]
    engine = int(Path(f"/proc/{before['litellm']}/task/{before['litellm']}/children").read_text().split()[0])
    os.kill(before["litellm"], signal.SIGKILL)
    again = scratch.play()
    assert again.code == 0, again.output
    assert [step.split(",")[0] for step in again.changed] == ["LiteLLM runs", "What runs is described in stack.json"]
    after = scratch.description["pids"]
    assert {name for name in PROCESSES if after[name] != before[name]} == {"litellm"}
    assert not lives(engine)


def test_a_run_that_was_killed_is_finished_by_the_next(scratch) -> None:
    os.kill(scratch.description["pids"]["litellm"], signal.SIGKILL)
    pid_file = scratch.folder / "run/litellm.pid"
    old = pid_file.read_text()
    run = subprocess.Popen(scratch.command(), cwd=scratch.root, env=scratch.environment(), stdout=subprocess.PIPE, start_new_session=True)
    with run:
        until = time.monotonic() + 60
        while not pid_file.exists() or pid_file.read_text() == old:
            assert time.monotonic() < until
            time.sleep(0.05)
        os.killpg(run.pid, signal.SIGKILL)
    begun = json.loads(pid_file.read_text())["pid"]
    again = scratch.play()
    assert again.code == 0, again.output
    assert scratch.description["pids"]["litellm"] == begun


def test_another_version_is_refused_with_the_remedy(scratch) -> None:
    before = scratch.description
    refused = scratch.play(litemaas_local_litellm_version="1.0.0")
    assert refused.code != 0
    assert f"made with LiteLLM {scratch.version}" in refused.output
    assert "make down PURGE=1" in refused.output
    assert scratch.description == before
    assert all(lives(pid) for pid in before["pids"].values())


def test_a_stop_ends_what_it_started_and_nothing_else_and_a_taken_port_is_changed(scratch) -> None:
    before = scratch.description
    keys = 'select count(*), min(token), max(token) from "LiteLLM_VerificationToken"'
    with psycopg.connect(before["database_url"]) as connection:
        had = connection.execute(keys).fetchone()
    with subprocess.Popen(["sleep", "1000"]) as stranger:
        # One of them is gone already, and its pid belongs to somebody else by now.
        os.kill(before["pids"]["cluster"], signal.SIGKILL)
        record = json.loads((scratch.folder / "run/cluster.pid").read_text())
        (scratch.folder / "run/cluster.pid").write_text(json.dumps(record | {"pid": stranger.pid}))
        (scratch.folder / "stack.json").write_text("{ broken")
        down = scratch.play("stopped")
        assert down.code == 0, down.output
        assert stranger.poll() is None
        stranger.kill()
    assert not any(lives(pid) for pid in before["pids"].values())
    assert not (scratch.folder / "stack.json").exists()
    again = scratch.play("stopped")
    assert (again.code, again.changed) == (0, []), again.output

    with socket.create_server(("127.0.0.1", urlsplit(before["litellm_url"]).port)):
        up = scratch.play()
        assert up.code == 0, up.output
        after = scratch.description
        assert complete(after, "hello")["choices"]
    assert after["litellm_url"] != before["litellm_url"]
    assert {key: after[key] for key in (*TOKENS, *DATABASES)} == {key: before[key] for key in (*TOKENS, *DATABASES)}
    with psycopg.connect(after["database_url"]) as connection:
        assert connection.execute(keys).fetchone() == had


def test_a_removed_stack_leaves_nothing(scratch) -> None:
    before = scratch.description
    gone = scratch.play("absent")
    assert gone.code == 0, gone.output
    assert not any(lives(pid) for pid in before["pids"].values())
    assert not scratch.folder.exists()
    assert not Path(before["postgres_data"]).exists()
    twice = scratch.play("absent")
    assert (twice.code, twice.changed) == (0, []), twice.output


def test_what_a_killed_run_left_is_removed_and_what_another_uses_is_not() -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    left, used = (Scratch(f"test-0-scratch-{pid}", "0") for pid in (ended.pid, os.getpid()))
    try:
        for stack in (left, used):
            (stack.folder / "run").mkdir(parents=True)
        remove_leftovers()
        assert not left.folder.exists()
        assert used.folder.exists()
    finally:
        shutil.rmtree(left.folder, ignore_errors=True)
        shutil.rmtree(used.folder)


def strays(scratch) -> set[int]:
    """Who writes to the stack's logs, as all that it starts do, without belonging to a process that a pid file names."""
    known = {json.loads(path.read_text())["pid"] for path in (scratch.folder / "run").glob("*.pid")}
    found = set()
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            errors = os.readlink(f"/proc/{entry}/fd/2")
            _, parent, _, session = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[:4]
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        # PostgreSQL's children lead sessions of their own.
        if errors.startswith(f"{scratch.folder}/") and not known & {int(parent), int(session)}:
            found.add(int(entry))
    return found


def test_who_is_in_no_pid_file_is_a_stray(scratch) -> None:
    assert strays(scratch) == set()
    for name, pid in scratch.description["pids"].items():
        pid_file = scratch.folder / f"run/{name}.pid"
        hidden = pid_file.rename(pid_file.with_suffix(".hidden"))
        found = strays(scratch)
        hidden.rename(pid_file)
        assert pid in found


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_machine_with_only_python_in_a_private_folder(request, tmp_path) -> None:
    """PostgreSQL and Node.js from PyPI; PostgreSQL's user can't enter tmp_path, so as root the data goes elsewhere."""
    version = request.config.getoption("--litellm-version")
    bare = Scratch(f"test-{version}-bare-{os.getpid()}", version)
    given = {
        "litemaas_local_node_minimum": "99",
        "litemaas_local_postgres_minimum": "99",
        "litemaas_local_folder": str(tmp_path / "stack"),
    }
    try:
        up = bare.play(**given)
        assert up.code == 0, up.output
        stack = json.loads((tmp_path / "stack/stack.json").read_text())
        data = Path(stack["postgres_data"])
        assert data.is_relative_to(tmp_path) is (os.geteuid() != 0)
        assert Path(os.readlink(f"/proc/{stack['pids']['postgres']}/exe")).is_relative_to(data.parent)
        assert complete(stack, "hello")["choices"]
        proxy = stack["pids"]["litellm"]
        engines = session(proxy) - {proxy}
        assert engines
        assert all(Path(os.readlink(f"/proc/{pid}/exe")).is_relative_to(bare.root / ".local/software") for pid in engines)
        os.kill(proxy, signal.SIGKILL)
        until = time.monotonic() + 5
        while any(map(lives, engines)):
            assert time.monotonic() < until
            time.sleep(0.1)
        again = bare.play(**given)
        assert again.code == 0, again.output
        assert [step.split(",")[0] for step in again.changed] == ["LiteLLM runs", "What runs is described in stack.json"]
    finally:
        gone = bare.play("absent", **given)
    assert gone.code == 0, gone.output
    assert not data.parent.exists()
    assert not (tmp_path / "stack").exists()


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(8))
def test_whatever_is_killed_whenever_the_next_run_mends_it(scratch, seed) -> None:
    chance = random.Random(seed)
    pids = scratch.description["pids"]
    if chance.random() < 0.3:
        assert scratch.play("absent").code == 0  # a first start is killed then, set-up of the databases included
    else:
        for name in chance.sample(sorted(pids), chance.randint(1, 3)):
            os.kill(pids[name], signal.SIGKILL)
    with subprocess.Popen(
        scratch.command(), cwd=scratch.root, env=scratch.environment(), stdout=subprocess.DEVNULL, start_new_session=True
    ) as run:
        time.sleep(chance.uniform(0.5, 30))
        if run.poll() is None:
            os.killpg(run.pid, chance.choice([signal.SIGKILL, signal.SIGINT]))
    again = scratch.play()
    assert again.code == 0, again.output
    assert all(lives(pid) for pid in scratch.description["pids"].values())
    assert complete(scratch.description, "hello")["choices"]
    assert strays(scratch) == set()
    settled = scratch.play()
    assert (settled.code, settled.changed) == (0, []), settled.output
