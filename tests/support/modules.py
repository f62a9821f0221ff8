"""Runs a module of this collection in this process, the way Ansible calls it: arguments in, one JSON result out."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
from typing import Any
from unittest.mock import patch

from ansible.module_utils.common import warnings
from ansible.module_utils.testing import patch_module_args

PACKAGE = "ansible_collections.rhpds.litemaas.plugins.modules"


def run_module(module: str, *, check: bool = False, **options: Any) -> dict[str, Any]:
    """Return the module's result; one that failed has `failed` and `msg`. Values marked no_log in its spec are masked, as Ansible does."""
    arguments = {name: value for name, value in options.items() if value is not ...}
    output = io.StringIO()
    warnings._global_warnings.clear()  # an earlier run's: Ansible gives each a process of its own
    with (
        patch_module_args({**arguments, "_ansible_check_mode": check, "_ansible_diff": True}),
        contextlib.redirect_stdout(output),
        # Other tests have Ansible's controller in this process, to whose screen a module's warnings would go.
        patch("ansible.module_utils._internal.is_controller", False),
    ):
        try:
            importlib.import_module(f"{PACKAGE}.{module}").main()
        except SystemExit:
            pass
        else:
            raise AssertionError(f"{module} ended without a result")
    result = json.loads(output.getvalue())
    result.pop("invocation", None)
    return result
