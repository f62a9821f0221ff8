#!/usr/bin/python
"""Runs a program that needs secrets and reports its progress to a log."""

from __future__ import annotations

import os
import subprocess

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.local_lock import locked
from ansible.module_utils.local_log import end_of

DOCUMENTATION = r"""
module: local_command
short_description: A program with secrets in its environment and its progress in a log
description:
  - As with Ansible's own command, the task says with changed_when whether it changed anything. But that one would show the secrets
    to every user of the machine, as it puts the task's environment on a command line.
  - It never runs twice at once, not even when Ansible was killed and left it running.
options:
  argv: {description: Program and arguments, type: list, elements: str, required: true}
  environment: {description: Added to its environment, type: dict, default: {}}
  secret_environment: {description: The part of its environment that no output may show, type: dict, default: {}}
  log: {description: "Where its standard error goes; the file beside it, with .lock added, is its lock", type: path, required: true}
author: The rhpds.litemaas authors
"""

RETURN = r"""
stdout_lines: {description: Its standard output, returned: success, type: list}
"""


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "argv": {"type": "list", "elements": "str", "required": True},
            "environment": {"type": "dict", "default": {}},
            "secret_environment": {"type": "dict", "default": {}, "no_log": True},
            "log": {"type": "path", "required": True},
        },
    )
    argv, secrets, log = module.params["argv"], module.params["secret_environment"], module.params["log"]
    with locked(f"{log}.lock") as lock, os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        try:
            done = subprocess.run(
                argv,
                env=os.environ | module.params["environment"] | secrets,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=out,
                text=True,
                pass_fds=(lock,),  # whoever still runs holds the lock
                check=False,
            )
        except OSError as error:
            module.fail_json(msg=f"{argv[0]} could not be run: {error}")
    if done.returncode:
        module.fail_json(msg=f"{' '.join(argv)} ended with code {done.returncode}. {end_of(log, secrets)}")
    module.exit_json(changed=True, stdout_lines=done.stdout.splitlines())


if __name__ == "__main__":
    main()
