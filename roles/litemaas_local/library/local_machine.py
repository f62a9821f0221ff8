#!/usr/bin/python
"""What this machine offers a local stack."""

from __future__ import annotations

import os
import platform
import pwd
import re
import shutil
import subprocess
import sys
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: local_machine
short_description: What this machine offers a local stack
options:
  folder: {description: The stack's folder, type: path, required: true}
  node_minimum: {description: Oldest major version of Node.js that will do, type: int, required: true}
  postgres_minimum: {description: Oldest major version of PostgreSQL that will do, type: int, required: true}
author: The rhpds.litemaas authors
"""

RETURN = r"""
python: {description: Major and minor version of the Python that runs this, returned: success, type: str}
node_bin: {description: The folder of a fitting node and npm, empty when there is none, returned: success, type: str}
postgres_bin: {description: The folder of the newest fitting PostgreSQL, empty when there is none, returned: success, type: str}
postgres_user: {description: Who PostgreSQL runs as when we are root (it refuses root), else empty, returned: success, type: str}
postgres_group: {description: The number of that user's group, else 0, returned: success, type: int}
reachable: {description: Whether that user can reach the stack's folder, returned: success, type: bool}
"""


def node_bin(minimum: int) -> str:
    """Only where npm is too: Debian has a node without one."""
    node = shutil.which("node")
    if not node or not os.access(os.path.join(os.path.dirname(node), "npm"), os.X_OK):
        return ""
    try:
        answer = subprocess.run([node, "--version"], cwd="/", capture_output=True, text=True, check=False).stdout
    except OSError:  # made for another machine
        return ""
    version = re.match(r"v(\d+)\.", answer)
    return os.path.dirname(node) if version and int(version[1]) >= minimum else ""


def postgres_bin(minimum: int) -> str:
    """The newest of Debian's, which lie beside each other by major version."""
    found = [path for path in Path("/usr/lib/postgresql").glob("[0-9]*/bin") if (path / "postgres").exists() and (path / "initdb").exists()]
    fitting = sorted((int(path.parent.name), str(path)) for path in found if int(path.parent.name) >= minimum)
    return fitting[-1][1] if fitting else ""


def unprivileged() -> pwd.struct_passwd | None:
    """Who PostgreSQL can run as when we are root: Debian's own user for it, else the one that every system has."""
    return next((user for name in ("postgres", "nobody") for user in pwd.getpwall() if user.pw_name == name), None)


def reaches(user: pwd.struct_passwd, folder: str) -> bool:
    """Whether the user can enter the folder, asked of the kernel."""
    asked = subprocess.run(
        ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "test", "-x", folder], cwd="/", check=False
    )
    return asked.returncode == 0


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "folder": {"type": "path", "required": True},
            "node_minimum": {"type": "int", "required": True},
            "postgres_minimum": {"type": "int", "required": True},
        },
        supports_check_mode=True,
    )
    if platform.system() != "Linux":
        module.fail_json(msg=f"The local stack runs on Linux; this is {platform.system()}. A Linux container or virtual machine will do.")
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        module.fail_json(
            msg=f"LiteLLM needs Python 3.11 to 3.13; this is {platform.python_version()}. Try: apt-get install python3 python3-venv"
        )
    user = None
    if os.geteuid() == 0:
        if not shutil.which("setpriv"):
            module.fail_json(msg="PostgreSQL refuses to run as root, and setpriv is missing. Try: apt-get install util-linux")
        user = unprivileged()
        if not user:
            module.fail_json(
                msg="PostgreSQL refuses to run as root, and there is no user postgres or nobody. Try: useradd --system postgres"
            )
    module.exit_json(
        changed=False,
        python="{}.{}".format(*sys.version_info),
        node_bin=node_bin(module.params["node_minimum"]),
        postgres_bin=postgres_bin(module.params["postgres_minimum"]),
        postgres_user=user.pw_name if user else "",
        postgres_group=user.pw_gid if user else 0,
        reachable=not user or reaches(user, module.params["folder"]),
    )


if __name__ == "__main__":
    main()
