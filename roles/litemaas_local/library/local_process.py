#!/usr/bin/python
"""Starts, adopts, restarts and stops one daemon of a local stack."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.local_log import end_of
from ansible.module_utils.own_process import OwnProcess

DOCUMENTATION = r"""
module: local_process
short_description: One daemon of a local stack
description:
  - Started, the daemon runs in a session of its own, survives Ansible, and has only the environment given here.
  - A daemon that runs already is adopted; it is restarted when its command, environment or watched files changed, or when it hangs.
  - Linux only.
options:
  name: {description: Names the pid file, type: str, required: true}
  run: {description: Folder of the pid files, type: path, required: true}
  state: {description: What to make of it, type: str, choices: [started, stopped], default: started}
  argv: {description: Program and arguments, without secrets (process lists show them), type: list, elements: str}
  environment: {description: Its environment, type: dict, default: {}}
  secret_environment: {description: The part of its environment that no output may show, type: dict, default: {}}
  cwd: {description: Its working directory, type: path, default: /}
  log: {description: Where its output goes; the log of its last run is kept with .1 added, type: path}
  watch: {description: Files, and folders for their *.py and *.js, that it reads only as it starts, type: list, elements: path, default: []}
  ready_url: {description: It is ready when this answers and not with a server error, type: str}
  ready_command: {description: It is ready when this command ends well, type: list, elements: str}
  timeout: {description: Seconds to wait until it is ready, type: int, default: 60}
  patience: {description: Seconds to wait for a clean stop before it is killed, type: int, default: 20}
  stop_signal: {description: How to ask for a clean stop; kept for the stop, type: str, choices: [TERM, INT], default: TERM}
author: The rhpds.litemaas authors
"""

RETURN = r"""
pid: {description: The daemon's pid, returned: started, type: int}
"""

# Nobody's proxy stands between this machine and itself.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def fingerprint(parameters: dict) -> str:
    """A digest of all that a restart would change."""
    digest = hashlib.sha256(json.dumps([parameters[key] for key in ("argv", "environment", "secret_environment", "cwd")]).encode())
    for path in map(Path, parameters["watch"]):
        for file in [path] if path.is_file() else sorted(found for found in path.rglob("*") if found.suffix in (".py", ".js")):
            digest.update(f"{file}\n".encode() + file.read_bytes())
    return digest.hexdigest()


def ready(parameters: dict) -> bool:
    if command := parameters["ready_command"]:
        return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", check=False).returncode == 0
    try:
        DIRECT.open(parameters["ready_url"], timeout=5).close()
    except urllib.error.HTTPError as refusal:
        return refusal.code < 500
    except OSError:
        return False
    return True


def start(parameters: dict, process: OwnProcess, command: str) -> subprocess.Popen:
    log = Path(parameters["log"])
    if log.exists():
        log.replace(f"{log}.1")
    environment = {"LANG": "C.UTF-8"} | parameters["environment"] | parameters["secret_environment"]
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)) as out:
        return subprocess.Popen(
            parameters["argv"],
            cwd=parameters["cwd"],
            env={name: str(value) for name, value in environment.items()},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # The daemon is on record before it exists: whenever we die, the next run finds it.
            preexec_fn=lambda: process.write(command, parameters["stop_signal"]),
        )


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "run": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["started", "stopped"], "default": "started"},
            "argv": {"type": "list", "elements": "str"},
            "environment": {"type": "dict", "default": {}},
            "secret_environment": {"type": "dict", "default": {}, "no_log": True},
            "cwd": {"type": "path", "default": "/"},
            "log": {"type": "path"},
            "watch": {"type": "list", "elements": "path", "default": []},
            "ready_url": {"type": "str"},
            "ready_command": {"type": "list", "elements": "str"},
            "timeout": {"type": "int", "default": 60},
            "patience": {"type": "int", "default": 20},
            "stop_signal": {"type": "str", "choices": ["TERM", "INT"], "default": "TERM"},
        },
        required_if=[("state", "started", ["argv", "log"]), ("state", "started", ["ready_url", "ready_command"], True)],
        mutually_exclusive=[("ready_url", "ready_command")],
    )
    parameters = module.params
    name, patience = parameters["name"], parameters["patience"]
    pid_file = os.path.join(parameters["run"], f"{name}.pid")
    process = OwnProcess(pid_file)

    if parameters["state"] == "stopped":
        module.exit_json(changed=process.end(patience))

    command, until = fingerprint(parameters), time.monotonic() + parameters["timeout"]
    adopted = process.alive and process.command == command
    daemon = None
    while True:
        if not adopted and daemon is None:
            process.end(patience)
            until = time.monotonic() + parameters["timeout"]
            try:
                daemon = start(parameters, process, command)
            except (OSError, subprocess.SubprocessError) as error:
                process.end(patience)
                module.fail_json(msg=f"{name} could not be started: {error}")
            process = OwnProcess(pid_file)
        if ready(parameters) and process.alive:
            module.exit_json(changed=not adopted, pid=process.pid)
        dead = daemon is not None and daemon.poll() is not None
        if dead or time.monotonic() > until:
            if adopted:  # it hangs, or died while we waited for it: what a fresh start can't cure is the failure to report
                adopted = False
                continue
            process.end(patience)
            why = f"ended with code {daemon.returncode}" if dead else f"was not ready after {parameters['timeout']} s and was stopped"
            module.fail_json(msg=f"{name} {why}. {end_of(parameters['log'], parameters['secret_environment'])}")
        time.sleep(0.1)


if __name__ == "__main__":
    main()
