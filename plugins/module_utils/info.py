"""What every module that only reads has in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.rhpds.litemaas.plugins.module_utils.client import Client, LiteLLMError
from ansible_collections.rhpds.litemaas.plugins.module_utils.connection import CONNECTION, connect


def run_info(options: dict[str, dict[str, Any]], read: Callable[[Client, dict[str, Any]], dict[str, Any]], **constraints: Any) -> None:
    """Be a module that only reads: what `read` returns is the result, and the LiteLLMError it raises fails the task.

    `read` is given the options and `check_mode`. `constraints` are AnsibleModule's `required_one_of`, `mutually_exclusive` and so on.
    """
    module = AnsibleModule(argument_spec={**CONNECTION, **options}, supports_check_mode=True, **constraints)
    try:
        result = read(connect(module.params), {**module.params, "check_mode": module.check_mode})
    except LiteLLMError as error:
        module.fail_json(msg=str(error), **error.facts)
    module.exit_json(changed=False, **result)


def only_administrators(client: Client) -> None:
    """Raise LiteLLMError for a key that is no administrator's: many of LiteLLM's reads give others a part without saying so."""
    client.get("/health/history", limit=1)
