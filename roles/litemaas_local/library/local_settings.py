#!/usr/bin/python
"""What a local stack decides at its first start and keeps: ports, secrets, versions."""

from __future__ import annotations

import json
import os
import random
import secrets
import socket
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.own_process import OwnProcess

DOCUMENTATION = r"""
module: local_settings
short_description: What a local stack decides once and keeps
options:
  path: {description: The file that keeps it (mode 0600), type: path, required: true}
  run: {description: Folder of the pid files, type: path, required: true}
  pinned: {description: What can't change while the data exists, type: dict, required: true}
  data: {description: The folder of the data, type: path, required: true}
  ports:
    description: The usual port of each process, 0 for any. The port it had is kept while it is free or its own; else the usual, else any.
    type: dict
    required: true
  secrets: {description: Names of secrets, each with the prefix of its value, type: dict, required: true}
author: The rhpds.litemaas authors
"""

RETURN = r"""
"""


def free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen()
        except OSError:
            return False
    return True


def any_port(taken: set[int]) -> int:
    """A free port below those that the kernel gives to outgoing connections: such a one could be gone before it is listened on."""
    return next(port for port in random.sample(range(20000, 32768), 12768) if port not in taken and free(port))


def settle_ports(usual: dict, kept: dict, run: str) -> dict:
    ports: dict[str, int] = {}
    for name, wanted in usual.items():
        taken = set(ports.values())
        if name in kept and kept[name] not in taken and (OwnProcess(os.path.join(run, f"{name}.pid")).alive or free(kept[name])):
            ports[name] = kept[name]
        elif wanted and wanted not in taken and free(wanted):
            ports[name] = wanted
        else:
            ports[name] = any_port(taken)
    return ports


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "run": {"type": "path", "required": True},
            "pinned": {"type": "dict", "required": True},
            "data": {"type": "path", "required": True},
            "ports": {"type": "dict", "required": True},
            "secrets": {"type": "dict", "required": True, "no_log": False},
        },
    )
    path, data = Path(module.params["path"]), Path(module.params["data"])
    try:
        kept = json.loads(path.read_text()) if path.exists() else {"pinned": {}, "ports": {}, "secrets": {}}
        for name, value in module.params["pinned"].items():
            if data.exists() and kept["pinned"].get(name, value) != value:
                module.fail_json(
                    msg=f"The stack in {path.parent} was made with {name} {kept['pinned'][name]} and its data can't be used with {value}. "
                    "Remove it first (make down PURGE=1, or litemaas_local_state=absent), or give the new one another litemaas_local_name."
                )
        settled = {
            "pinned": module.params["pinned"],
            "ports": settle_ports({name: int(port) for name, port in module.params["ports"].items()}, kept["ports"], module.params["run"]),
            "secrets": {
                name: kept["secrets"].get(name) or prefix + secrets.token_hex(24) for name, prefix in module.params["secrets"].items()
            },
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        module.fail_json(
            msg=f"{path} is damaged. It held the secrets that the stack's data needs: remove the stack (make down PURGE=1) and start again."
        )
    if changed := settled != kept:
        new = path.with_suffix(".new")
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
            json.dump(settled, out, indent=2)
            os.fsync(out.fileno())
        new.replace(path)
    module.exit_json(changed=changed)


if __name__ == "__main__":
    main()
