#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which models LiteLLM serves."""

from __future__ import annotations

DOCUMENTATION = r"""
module: litellm_model_info
short_description: List the models of LiteLLM
version_added: 0.4.0
description:
  - Lists every model that LiteLLM serves, those of its database and those of its configuration file, without their secrets.
  - Several models may have one name. LiteLLM then spreads the load over them.
author: RHDP (@rhpds)
extends_documentation_fragment:
  - rhpds.litemaas.connection
  - rhpds.litemaas.attributes.info
  - rhpds.litemaas.attributes.actiongroup
options:
  model_name:
    description: Only the models of exactly this name.
    type: str
  model_id:
    description: Only the model of this id.
    type: str
seealso:
  - module: rhpds.litemaas.litellm_model
  - module: rhpds.litemaas.litellm_health
"""

EXAMPLES = r"""
- name: What is served
  rhpds.litemaas.litellm_model_info:
  register: all

- name: Its names
  ansible.builtin.debug:
    msg: "{{ all.models | map(attribute='model_name') | unique }}"
"""

RETURN = r"""
models:
  description: The models, by name and id. Empty when none matches.
  returned: success
  type: list
  elements: dict
  contains:
    model_id:
      description: The model's id, as O(model_id) and M(rhpds.litemaas.litellm_model) take it.
      type: str
      returned: always
    model_name:
      description: The name that users call.
      type: str
      returned: always
    stored:
      description: Whether LiteLLM keeps it in its database, where it can be changed; otherwise it is from the configuration file.
      type: bool
      returned: always
    litellm_params:
      description: Its parameters, without secret ones. Prices are in US dollars.
      type: dict
      returned: always
    model_info:
      description: What LiteLLM knows of it, its own facts about a well-known provider's model included.
      type: dict
      returned: always
    hidden:
      description: The names of parameters that are not shown. LiteLLM leaves out many secrets itself; those are not named.
      type: list
      elements: str
      returned: always
  sample:
    - model_id: 2f4c1c6b-40e7-5a51-8c85-3f5c3f7f3c5e
      model_name: granite-3-8b-instruct
      stored: true
      litellm_params: {model: hosted_vllm/granite-3-8b-instruct, rpm: 600}
      model_info: {id: 2f4c1c6b-40e7-5a51-8c85-3f5c3f7f3c5e, db_model: true, mode: chat}
      hidden: []
"""

from typing import Any

from ansible_collections.rhpds.litemaas.plugins.module_utils.client import Client
from ansible_collections.rhpds.litemaas.plugins.module_utils.info import only_administrators, run_info
from ansible_collections.rhpds.litemaas.plugins.module_utils.models import is_secret, list_models

FILTERS = ("model_name", "model_id")


def read(client: Client, parameters: dict[str, Any]) -> dict[str, Any]:
    only_administrators(client)
    wanted = {name: parameters[name] for name in FILTERS if parameters[name] is not None}
    found = [_public(model) for model in list_models(client) if all(model[name] == value for name, value in wanted.items())]
    return {"models": sorted(found, key=lambda model: (model["model_name"], model["model_id"]))}


def _public(model: dict[str, Any]) -> dict[str, Any]:
    hidden = sorted(name for name, value in model["litellm_params"].items() if is_secret(name, value))
    shown = {name: value for name, value in model["litellm_params"].items() if name not in hidden and value is not None}
    return model | {"litellm_params": shown, "hidden": hidden}


def main() -> None:
    run_info({name: {"type": "str"} for name in FILTERS}, read)


if __name__ == "__main__":
    main()
