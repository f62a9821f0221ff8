#!/usr/bin/python
"""A folder of software that is whole or is built anew."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.local_lock import locked
from ansible.module_utils.local_log import end_of

DOCUMENTATION = r"""
module: local_software
short_description: A folder of software that is whole or is built anew
description:
  - The folder is built by running the commands in order. A stamp, written last, says that it is whole and what built it.
  - Two runs never build the same folder at once, not even when the first was killed and only its last command lives on.
options:
  path: {description: The folder, type: path, required: true}
  commands: {description: What builds it, each a list of program and arguments, type: list, elements: list, required: true}
  environment: {description: Added to the environment, type: dict, default: {}}
  copies: {description: Files put into the folder first, type: list, elements: path, default: []}
  log: {description: Where the commands' output goes, type: path, required: true}
author: The rhpds.litemaas authors
"""

RETURN = r"""
"""


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "commands": {"type": "list", "elements": "list", "required": True},
            "environment": {"type": "dict", "default": {}},
            "copies": {"type": "list", "elements": "path", "default": []},
            "log": {"type": "path", "required": True},
        },
    )
    path, log = Path(module.params["path"]), Path(module.params["log"])
    copies = [Path(copy) for copy in module.params["copies"]]
    stamp = path / ".complete"
    # The path is part of it: what was built does not survive being moved.
    built_by = json.dumps([str(path), module.params["commands"], [copy.read_text() for copy in copies]])

    def whole() -> bool:
        return stamp.exists() and stamp.read_text() == built_by

    if whole():
        module.exit_json(changed=False)
    os.umask(0o022)  # the user PostgreSQL runs as must be able to read it
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(f"{path}.lock") as lock, open(log, "w") as out:
        if whole():
            module.exit_json(changed=False)
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        for copy in copies:
            shutil.copy(copy, path)
        for command in module.params["commands"]:
            print("$", *command, file=out, flush=True)
            try:
                done = subprocess.run(
                    command,
                    cwd=path,
                    env=os.environ | module.params["environment"],
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    pass_fds=(lock,),  # whoever still builds here holds the lock
                    check=False,
                )
            except OSError as error:
                module.fail_json(msg=f"{' '.join(command)} could not be run: {error}")
            if done.returncode:
                module.fail_json(msg=f"{' '.join(command)} ended with code {done.returncode}. {end_of(log)}")
        stamp.write_text(built_by)
    module.exit_json(changed=True)


if __name__ == "__main__":
    main()
