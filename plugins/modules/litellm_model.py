#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Models that LiteLLM keeps in its database."""

from __future__ import annotations

DOCUMENTATION = r"""
module: litellm_model
short_description: Manage the models of LiteLLM
version_added: 0.4.0
description:
  - A model is a name that users call, and a provider's model behind it. LiteLLM spreads the load of a name over all models of that name.
  - The module gives a model an id that follows from its name, so that a second run finds it and adds no twin. To have several models
    behind one name, give each its O(model_id).
  - An option, or a parameter inside an option, that is left out stays as it is.
  - LiteLLM must keep models in its database (C(STORE_MODEL_IN_DB=True)). Models of its configuration file can be seen, not changed.
author: RHDP (@rhpds)
extends_documentation_fragment:
  - rhpds.litemaas.connection
  - rhpds.litemaas.attributes
  - rhpds.litemaas.attributes.actiongroup
options:
  model_name:
    description:
      - The name that users call. It may be left out when O(model_id) is that of a model that exists; otherwise it renames that model.
    type: str
  model_id:
    description:
      - The id of this one model (C(model_info.id)). Without it, it follows from O(model_name).
      - When O(model_name) is served by models with other ids only, such as one made in LiteLLM's own pages, the task fails and names them,
        since a new model would share their load. Give the id of the one to manage, or an id of your own to add a model.
    type: str
  litellm_params:
    description:
      - What LiteLLM's C(litellm_params) hold, by their own names, such as V(model) (needed for a new model), V(api_base), V(api_key),
        V(rpm), V(tpm), and prices in US dollars such as V(input_cost_per_token).
      - Parameters with a secret-looking name (those with V(key), V(token), V(secret), V(password), V(credentials), V(headers) and the like)
        or with a password in a URL are neither shown nor compared, since LiteLLM does not give them back. See O(update_secret).
      - A parameter that is V(null) is cleared. LiteLLM 1.106 can do that for prices only, 1.81 not at all; the task then fails and says so.
    type: dict
  model_info:
    description:
      - Further facts, such as V(mode), V(base_model), V(max_tokens) or V(access_groups). LiteLLM shows them to every key.
      - A fact that is V(null) is cleared, which no LiteLLM so far can do; the task then fails and says so.
    type: dict
  update_secret:
    description:
      - When secret parameters of O(litellm_params) are sent. V(on_create) sends them with a new model only.
      - V(always) sends them in every run, which is a change in every run, since LiteLLM can't be asked whether they differ.
    type: str
    choices: [on_create, always]
    default: on_create
  state:
    description: Whether the model exists.
    type: str
    choices: [present, absent]
    default: present
notes:
  - When several LiteLLM processes share a database, each takes up to 30 seconds to learn of a change. The module waits up to 40 seconds
    until the one that answers has it.
  - LiteLLM 1.81 does not tell of a model in its database that it can't serve. Such a model counts as absent.
seealso:
  - module: rhpds.litemaas.litellm_model_info
  - module: rhpds.litemaas.litellm_health
"""

EXAMPLES = r"""
- name: Serve granite-3-8b-instruct from vLLM
  rhpds.litemaas.litellm_model:
    model_name: granite-3-8b-instruct
    litellm_params:
      model: hosted_vllm/granite-3-8b-instruct
      api_base: https://vllm.apps.example.com/v1
      api_key: "{{ vllm_api_key }}"
      input_cost_per_token: 0.0000002
      output_cost_per_token: 0.0000006
      rpm: 600
    model_info:
      mode: chat
      max_tokens: 8192

- name: Replace its provider's key
  rhpds.litemaas.litellm_model:
    model_name: granite-3-8b-instruct
    litellm_params:
      api_key: "{{ new_vllm_api_key }}"
    update_secret: always

- name: A second model behind the same name shares the load
  rhpds.litemaas.litellm_model:
    model_name: granite-3-8b-instruct
    model_id: granite-3-8b-instruct-west
    litellm_params:
      model: hosted_vllm/granite-3-8b-instruct
      api_base: https://vllm-west.apps.example.com/v1

- name: Remove it
  rhpds.litemaas.litellm_model:
    model_name: granite-3-8b-instruct
    state: absent
"""

RETURN = r"""
before:
  description: The model as it was; null when there was none.
  returned: success
  type: dict
  contains: &contains
    model_id:
      description: Its id.
      type: str
      returned: always
    model_name:
      description: The name that users call.
      type: str
      returned: always
    litellm_params:
      description: C(model) and those parameters that the task names, without secret ones.
      type: dict
      returned: always
    model_info:
      description: Those facts that the task names; null when it names none.
      type: dict
      returned: always
    secrets_sent:
      description: The names of the secret parameters that this run sends. Empty in C(before).
      type: list
      elements: str
      returned: always
  sample:
    model_id: 2f4c1c6b-40e7-5a51-8c85-3f5c3f7f3c5e
    model_name: granite-3-8b-instruct
    litellm_params: {model: hosted_vllm/granite-3-8b-instruct, rpm: 300}
    model_info: {mode: chat}
    secrets_sent: []
after:
  description: The model as it is now, read back from LiteLLM; in check mode as it would be. Null when it is removed.
  returned: success
  type: dict
  contains: *contains
  sample:
    model_id: 2f4c1c6b-40e7-5a51-8c85-3f5c3f7f3c5e
    model_name: granite-3-8b-instruct
    litellm_params: {model: hosted_vllm/granite-3-8b-instruct, rpm: 600}
    model_info: {mode: chat}
    secrets_sent: [api_key]
"""

import math
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.rhpds.litemaas.plugins.module_utils.client import Client, LiteLLMError
from ansible_collections.rhpds.litemaas.plugins.module_utils.fields import LABEL, Field, Kind
from ansible_collections.rhpds.litemaas.plugins.module_utils.models import HIDDEN, get_model, id_of, is_price, is_secret, list_models, named
from ansible_collections.rhpds.litemaas.plugins.module_utils.resource import PRESENCE, Resource, run

# What LiteLLM says when a row is there already, or could not be written; and, from 1.106 on, when a row can't be served.
NOT_ADDED = "Failed to add model to db"
NOT_SERVED = "was saved to the database, but"

RELOAD = 40  # seconds until every LiteLLM process has read its database again; they do it each 30 s


def _same(have: Any, wanted: Any) -> bool:
    """Whether LiteLLM has what a task wants; it may have more, and numbers may come as texts."""
    if isinstance(wanted, dict) and isinstance(have, dict):
        return all(_same(have.get(name), value) for name, value in wanted.items())
    if isinstance(wanted, list) and isinstance(have, list):
        return len(have) == len(wanted) and all(map(_same, have, wanted))
    if isinstance(wanted, bool) or isinstance(have, bool) or isinstance(wanted, (dict, list)) or None in (have, wanted):
        return have == wanted
    if str(have) == str(wanted):
        return True
    try:
        return math.isclose(float(have), float(wanted), rel_tol=1e-12)
    except (TypeError, ValueError):
        # How LiteLLM 1.81 masks a price: its length and the first and last four characters are all there is to compare.
        text = str(wanted)
        return isinstance(have, str) and len(text) > 8 and have == f"{text[:4]}{'*' * (len(text) - 8)}{text[-4:]}"


def _merged(have: dict[str, Any] | None, wanted: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**(have or {}), **wanted}.items() if value is not None}


PARAMETERS = Kind({"type": "dict", "no_log": True}, same=_same, merge=_merged)  # no_log as a whole, then `hide` says what is public
FACTS = Kind({"type": "dict"}, same=_same, merge=_merged)


class Model(Resource):
    kind = "model"
    identity = ("model_id", "secrets_sent")
    fields = (Field("model_name", LABEL), Field("litellm_params", PARAMETERS), Field("model_info", FACTS))
    options = {
        "model_id": {"type": "str"},
        "update_secret": {"type": "str", "no_log": False, "choices": ["on_create", "always"], "default": "on_create"},
        "state": PRESENCE,
    }
    constraints = {"required_one_of": [("model_name", "model_id")]}

    @staticmethod
    def hide(module: AnsibleModule) -> None:
        given = module.params["litellm_params"] or {}
        secret = {text for name, value in given.items() if is_secret(name, value) for text in _texts(value)}
        public = {text for value in given.values() for text in _texts(value)} - secret - {module.params["api_key"]}
        module.no_log_values.difference_update(public)

    def __init__(self, client: Client, parameters: dict[str, Any]) -> None:
        given = parameters["litellm_params"] or {}
        self.secrets = {name: value for name, value in given.items() if is_secret(name, value)}
        public = {name: _checked(name, value) for name, value in given.items() if name not in self.secrets}
        super().__init__(client, parameters | {"litellm_params": None if parameters["litellm_params"] is None else public})
        if parameters["model_id"] is not None and not parameters["model_id"].strip():
            raise LiteLLMError("model_id: must not be empty.")
        if "id" in (parameters["model_info"] or {}):
            raise LiteLLMError("model_info: id belongs in the option model_id.")
        self.model_id = parameters["model_id"] or id_of(parameters["model_name"])
        self.settled: dict[str, Any] | None = None

    def find(self) -> dict[str, Any] | None:
        if self.settled:  # just made
            return self.settled
        record = self._read()
        absent = self.parameters["state"] == "absent"
        if record is None and not absent:
            self._can_be_made()
        if record is not None and not record["stored"] and (absent or self._differs(record) or self.extra(record)):
            raise LiteLLMError(f"{self.model_id} comes from LiteLLM's configuration file, where alone it can be changed.")
        return record

    def reread(self, record: dict[str, Any] | None) -> dict[str, Any] | None:
        return self.settled

    def named(self) -> dict[str, Any]:
        return {"model_id": self.model_id, "secrets_sent": sorted(self.secrets)}

    def extra(self, record: dict[str, Any]) -> dict[str, Any]:
        return {"secrets_sent": sorted(self.secrets)} if self.secrets and self.parameters["update_secret"] == "always" else {}

    def create(self, values: dict[str, Any]) -> None:
        body = {
            "model_name": values["model_name"],
            "litellm_params": _merged(values["litellm_params"], self.secrets),
            "model_info": _merged(values.get("model_info"), {"id": self.model_id}),
        }
        try:
            self._store("/model/new", body)
        except LiteLLMError as error:
            if NOT_ADDED in str(error):
                self._make_again(body, error)
            elif NOT_SERVED not in str(error):
                raise
        else:
            self._settle(lambda record: record is not None)
        if self.settled is None:
            self._store("/model/delete", {"id": self.model_id})
            raise LiteLLMError("LiteLLM can't serve a model with these parameters; its log says why. The model was not kept.")
        self.settled["secrets_sent"] = sorted(self.secrets)

    def update(self, record: dict[str, Any], changes: dict[str, Any]) -> None:
        wanted = {name: self.wanted[name] for name in changes if name in self.wanted}
        body = {name: _changes(record[name], value) if isinstance(value, dict) else value for name, value in wanted.items()}
        if "secrets_sent" in changes:
            body["litellm_params"] = {**body.get("litellm_params", {}), **self.secrets}
        if "model_info" in body:
            body["model_info"]["id"] = self.model_id  # without it LiteLLM draws a new one
        row = self._store(self._path(), body, self.client.patch)
        kept = [
            f"{option}.{name}"
            for option in ("litellm_params", "model_info")
            for name, value in (wanted.get(option) or {}).items()
            if value is None and (row.get(option) or {}).get(name) is not None
        ]
        if kept:
            raise LiteLLMError(
                f"LiteLLM {self.client.version()} can't clear {' and '.join(kept)} of a model. Give a value, or remove the model and make "
                "it again. What else the task names was set.",
                changed=True,
            )
        self._settle(lambda after: after is not None and not self._differs(after))
        if self.settled is None or self._differs(self.settled):
            self._set_back(record, body)
        self.settled["secrets_sent"] = changes.get("secrets_sent", [])

    def _set_back(self, record: dict[str, Any], body: dict[str, Any]) -> None:
        """Send what the model had before, because LiteLLM would lose the model when it starts again."""
        before = {"model_name": record["model_name"], "model_info": {"id": self.model_id}, "litellm_params": {}}
        lost = []
        for option in ("litellm_params", "model_info"):
            for name in body.get(option, {}):
                had = (record[option] or {}).get(name)
                if had not in (None, HIDDEN):
                    before[option][name] = had
                elif name != "id":
                    lost.append(f"{option}.{name}")
        self._store(self._path(), before, self.client.patch)
        raise LiteLLMError(
            f"LiteLLM accepted {' and '.join(body)}, but {RELOAD} s later does not serve the model with it; its log may say why. "
            + (f"All but {', '.join(lost)} was set back." if lost else "It was set back."),
            changed=bool(lost),
        )

    def delete(self, record: dict[str, Any]) -> None:
        self._store("/model/delete", {"id": self.model_id})
        self._settle(lambda after: after is None)

    def ensure(self, check_mode: bool = False) -> dict[str, Any]:
        result = super().ensure(check_mode)
        if self.parameters["state"] == "absent" and not self.parameters["model_id"] and (others := self._others()):
            name = self.parameters["model_name"]
            result["warnings"] = [f"{name} is still served by {named(others)}. To remove one of them, give its model_id."]
        return result

    def _read(self) -> dict[str, Any] | None:
        """Return the model, of its parameters and facts only what the task names: LiteLLM adds dozens."""
        model = get_model(self.client, self.model_id)
        if model is None:
            return None
        facts = self.wanted.get("model_info")
        parameters = {"model", *self.wanted.get("litellm_params", ())}
        return model | {
            "litellm_params": {name: _shown(name, value) for name, value in model["litellm_params"].items() if name in parameters},
            "model_info": None if facts is None else {name: value for name, value in model["model_info"].items() if name in facts},
            "secrets_sent": [],
        }

    def _others(self) -> list[dict[str, Any]]:
        name = self.parameters["model_name"]
        return [model for model in list_models(self.client) if model["model_name"] == name and model["model_id"] != self.model_id]

    def _can_be_made(self) -> None:
        if "model_name" not in self.wanted:
            raise LiteLLMError(f"model_name: is needed, since LiteLLM has no model with the id {self.model_id}.")
        if not self.wanted.get("litellm_params", {}).get("model"):
            raise LiteLLMError("litellm_params: needs model, such as hosted_vllm/granite-3-8b-instruct, to make a model.")
        if not self.parameters["model_id"] and (others := self._others()):
            raise LiteLLMError(
                f"model_name: {self.parameters['model_name']} is already served by {named(others)}. Give the model_id of the one to "
                "manage, or a model_id of your own to add a model that shares its load."
            )

    def _differs(self, record: dict[str, Any]) -> bool:
        return any(not field.same(field.held(record), self.wanted[field.name]) for field in self._given())

    def _settle(self, done: Callable[[dict[str, Any] | None], bool]) -> None:
        """Read until the LiteLLM process that answers has what was written, or should have it."""
        end = time.monotonic() + RELOAD
        self.settled = self._read()
        while not done(self.settled) and time.monotonic() < end:
            time.sleep(1)
            self.settled = self._read()

    def _make_again(self, body: dict[str, Any], error: LiteLLMError) -> None:
        """Make a model whose id may be in the database already, as of one that LiteLLM 1.81 can't serve, or learns of late."""
        self._settle(lambda record: record is not None)
        if self.settled:
            raise LiteLLMError(f"Another LiteLLM process had a model {self.model_id} that this one had not read yet. Run the task again.")
        try:
            self._store("/model/delete", {"id": self.model_id})
        except LiteLLMError:
            raise error from None  # it is not there: something else is wrong
        self._store("/model/new", body)
        self._settle(lambda record: record is not None)

    def _path(self) -> str:
        return f"/model/{quote(self.model_id, safe='')}/update"

    def _store(self, path: str, body: dict[str, Any], write: Callable[..., Any] | None = None) -> Any:
        try:
            return (write or self.client.post)(path, body)
        except LiteLLMError as error:
            if "STORE_MODEL_IN_DB" in str(error) or "only supported for DB-stored models" in str(error):
                raise LiteLLMError(
                    "This LiteLLM keeps no models in its database. Set STORE_MODEL_IN_DB=True in its environment and start it again."
                ) from None
            raise


def _changes(have: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in wanted.items() if not _same(have.get(name), value)}


def _shown(name: str, value: Any) -> Any:
    return HIDDEN if is_secret(name, value) else value


def _checked(name: str, value: Any) -> Any:
    """Return the parameter as LiteLLM would hold it. Raises LiteLLMError."""
    if name == "model" and (not isinstance(value, str) or not value.strip()):
        raise LiteLLMError("litellm_params: model must be a text, such as hosted_vllm/granite-3-8b-instruct.")
    if isinstance(value, (dict, list)) or value is None or not (is_price(name) or name in ("rpm", "tpm")):
        return value
    try:
        number = float(value) if is_price(name) else int(value)
    except (TypeError, ValueError):
        number = -1
    if isinstance(value, bool) or not 0 <= number < math.inf:
        what = "a number of US dollars, 0 or more" if is_price(name) else "a whole number, 0 or more"
        raise LiteLLMError(f"litellm_params: {name} must be {what}. It is {value!r}.")
    return number


def _texts(value: Any) -> list[str]:
    """Return what Ansible would hide of a value."""
    if isinstance(value, dict):
        return [text for item in value.values() for text in _texts(item)]
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    return [] if value is None or isinstance(value, bool) else [str(value)]


def main() -> None:
    run(Model)


if __name__ == "__main__":
    main()
