"""The options of module_utils/connection.py."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  url:
    description:
      - Where LiteLLM listens, such as V(https://litellm.apps.example.com), without C(/v1).
      - The environment variable E(LITELLM_API_URL) of the host that runs the module is used when this is not given.
    type: str
    required: true
  api_key:
    description:
      - LiteLLM's master key, or a virtual key of a user whose role is C(proxy_admin).
      - The environment variable E(LITELLM_API_KEY) of the host that runs the module is used when this is not given.
    type: str
    required: true
  validate_certs:
    description: Whether LiteLLM's certificate is verified.
    type: bool
    default: true
  ca_path:
    description: A PEM file with the authority that signed LiteLLM's certificate, where the system does not know it.
    type: path
  timeout:
    description: How many seconds LiteLLM may take to answer one request.
    type: int
    default: 30
  retries:
    description:
      - How often a read is tried again when LiteLLM can't be reached, fails (HTTP 500 and above) or asks to slow down (429).
      - A write is never sent twice.
    type: int
    default: 3
requirements:
  - requests
"""
