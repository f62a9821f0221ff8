"""The options with which every module reaches LiteLLM; doc_fragments/connection.py documents them."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import env_fallback
from ansible_collections.rhpds.litemaas.plugins.module_utils.client import Client

CONNECTION: dict[str, dict[str, Any]] = {
    "url": {"type": "str", "required": True, "fallback": (env_fallback, ["LITELLM_API_URL"])},
    "api_key": {"type": "str", "required": True, "no_log": True, "fallback": (env_fallback, ["LITELLM_API_KEY"])},
    "validate_certs": {"type": "bool", "default": True},
    "ca_path": {"type": "path"},
    "timeout": {"type": "int", "default": 30},
    "retries": {"type": "int", "default": 3},
}


def connect(parameters: dict[str, Any], connections: int = 1) -> Client:
    """Return the client that the options describe; `connections` is how many requests run at once. Raises LiteLLMError."""
    return Client(**{name: parameters[name] for name in CONNECTION}, connections=connections)
