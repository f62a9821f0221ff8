#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether LiteLLM is alive and ready, and whether its models answer."""

from __future__ import annotations

DOCUMENTATION = r"""
module: litellm_health
short_description: Report whether LiteLLM and its models are healthy
version_added: 0.4.0
description:
  - Reports whether LiteLLM can be reached, is alive and ready, and what it has stored of its models' health. This calls no provider.
  - What is not healthy is reported, and the task goes on, also when LiteLLM can't be reached; see O(fail_when_unhealthy).
    A key that LiteLLM refuses, or an option that is wrong, fails the task.
author: RHDP (@rhpds)
extends_documentation_fragment:
  - rhpds.litemaas.connection
  - rhpds.litemaas.attributes.info
  - rhpds.litemaas.attributes.actiongroup
options:
  probe_models:
    description:
      - Names of models to probe now. LiteLLM sends each model of that name a short request, for which its provider may charge, and stores
        the result. Each name is given O(timeout) seconds.
      - A name that LiteLLM does not serve fails the task before anything is probed. In check mode nothing is probed.
    type: list
    elements: str
    default: []
  history:
    description: How many of the stored checks to return, the newest first. At most 1000.
    type: int
    default: 0
  fail_when_unhealthy:
    description: Whether the task fails when RV(healthy) is V(false). The result is returned all the same.
    type: bool
    default: false
seealso:
  - module: rhpds.litemaas.litellm_model_info
"""

EXAMPLES = r"""
- name: Wait until LiteLLM is ready
  rhpds.litemaas.litellm_health:
    retries: 0
  register: health
  until: health.healthy
  retries: 60
  delay: 5

- name: Fail unless two models answer (their providers may charge for it)
  rhpds.litemaas.litellm_health:
    probe_models: [granite-3-8b-instruct, llama-scout-17b]
    fail_when_unhealthy: true
"""

RETURN = r"""
healthy:
  description: Whether LiteLLM is ready, has its database, and every probed model answers. Stored checks don't count.
  returned: always
  type: bool
msg:
  description: The same in a sentence; what is wrong, if anything is.
  returned: always
  type: str
  sample: "Not healthy: broken-mistral-7b does not answer."
reachable:
  description: Whether LiteLLM answers at O(url).
  returned: always
  type: bool
alive:
  description: Whether its process is alive and not shutting down.
  returned: always
  type: bool
ready:
  description: Whether it takes requests, and has not lost its database.
  returned: always
  type: bool
database:
  description: Whether it reaches its database. Null when that is not known.
  returned: always
  type: str
  choices: [connected, disconnected, none]
models:
  description: The last stored check of every model that is served, by name, as it was before this run's probes. Null when it can't be read.
  returned: always
  type: list
  elements: dict
  contains: &check
    model_name:
      description: The model's name.
      type: str
    model_id:
      description: Its id, when one model was checked and not all of that name.
      type: str
    status:
      description: What the check found.
      type: str
      choices: [healthy, unhealthy]
    healthy_count:
      description: How many models of that name answered.
      type: int
    unhealthy_count:
      description: How many did not.
      type: int
    error:
      description: What the first of those said, in one line.
      type: str
    response_time_ms:
      description: How long the check took, in milliseconds.
      type: float
    checked_at:
      description: When, in UTC.
      type: str
  sample: &sample
    - model_name: granite-3-8b-instruct
      model_id: null
      status: healthy
      healthy_count: 1
      unhealthy_count: 0
      error: null
      response_time_ms: 193.2
      checked_at: "2026-11-21T06:16:05.598000+00:00"
probes:
  description: What this run's probes found, in the order of O(probe_models).
  returned: always
  type: list
  elements: dict
  contains:
    model_name:
      description: The model's name.
      type: str
    healthy:
      description: Whether at least one model of that name answered.
      type: bool
    healthy_count:
      description: How many did.
      type: int
    unhealthy_count:
      description: How many did not.
      type: int
    errors:
      description: What those said, in one line each.
      type: list
      elements: str
history:
  description: The newest O(history) stored checks of all models, those no longer served included. Null when they can't be read.
  returned: always
  type: list
  elements: dict
  contains: *check
  sample: *sample
"""

from typing import Any

from ansible_collections.rhpds.litemaas.plugins.module_utils.client import Client, LiteLLMError
from ansible_collections.rhpds.litemaas.plugins.module_utils.connection import connect
from ansible_collections.rhpds.litemaas.plugins.module_utils.info import run_info
from ansible_collections.rhpds.litemaas.plugins.module_utils.models import list_models

OPTIONS = {
    "probe_models": {"type": "list", "elements": "str", "default": []},
    "history": {"type": "int", "default": 0},
    "fail_when_unhealthy": {"type": "bool", "default": False},
}
REFUSED = (401, 403)
ALIVE = "I'm alive!"
SHUTTING_DOWN = {"status": "shutting_down"}  # with 503; LiteLLM 1.81 does not say it


def read(client: Client, parameters: dict[str, Any]) -> dict[str, Any]:
    if not 0 <= parameters["history"] <= 1000:
        raise LiteLLMError(f"history: must be from 0 to 1000. It is {parameters['history']}.")
    report = {"reachable": False, "alive": False, "ready": False, "database": None, "models": None, "probes": [], "history": None}
    faults = _proxy(client, report) or _models(client, parameters, report)
    report["healthy"] = not faults
    text = f"Not healthy: {' '.join(faults)}" if faults else "Healthy."
    if faults and parameters["fail_when_unhealthy"]:
        raise LiteLLMError(text, **report)
    return report | {"msg": text}


def _proxy(client: Client, report: dict[str, Any]) -> list[str]:
    """Ask LiteLLM about itself, which needs no key; return what is wrong."""
    try:
        alive = client.get("/health/liveliness", accept=(503,))
        if alive not in (ALIVE, SHUTTING_DOWN):
            raise client.stranger("/health/liveliness")
        report["reachable"] = True
        readiness = client.get("/health/readiness", accept=(503,))
    except LiteLLMError as error:
        return [str(error)]
    report["alive"] = alive == ALIVE
    report["database"] = _database(readiness)
    report["ready"] = report["alive"] and report["database"] in ("connected", "none")
    if not report["alive"]:
        return ["LiteLLM is shutting down."]
    if report["database"] == "disconnected":
        return ["LiteLLM has lost its database."]
    return [] if report["ready"] else [f"LiteLLM is not ready: {client.plain(str(readiness))}"]


def _database(readiness: Any) -> str | None:
    if not isinstance(readiness, dict) or "db" not in readiness:
        return None
    # LiteLLM 1.81 tells its database's state as `status`, and of a lost one "connected" as `db`.
    if "disconnected" in (readiness.get("status"), readiness["db"]):
        return "disconnected"
    return "connected" if readiness["db"] == "connected" else "none"


def _models(client: Client, parameters: dict[str, Any], report: dict[str, Any]) -> list[str]:
    """Read the stored checks and probe; return what is wrong."""
    try:
        served = {model["model_name"] for model in list_models(client)}
        report["models"] = _stored(client, served)
        report["history"] = _history(client, parameters["history"])
    except LiteLLMError as error:
        if error.status in REFUSED:
            raise
        return [str(error)]
    names = list(dict.fromkeys(parameters["probe_models"]))
    if unknown := [name for name in names if name not in served]:
        # LiteLLM would not say so, but store that it is unhealthy.
        raise LiteLLMError(f"probe_models: LiteLLM serves no model named {', '.join(unknown)}. Nothing was probed.")
    if not parameters["check_mode"]:
        prober = connect({**parameters, "retries": 0})  # a probe that is tried again is paid again
        report["probes"] = [_probe(prober, name) for name in names]
    return [f"{probe['model_name']} does not answer." for probe in report["probes"] if not probe["healthy"]]


def _probe(client: Client, name: str) -> dict[str, Any]:
    """Let LiteLLM call the providers of this name."""
    try:
        answer = client.get("/health", accept=(503,), model=name)  # 503, with the same body: none is healthy
        if not isinstance(answer, dict) or "unhealthy_endpoints" not in answer:
            raise client.stranger("/health")
    except LiteLLMError as error:
        return {"model_name": name, "healthy": False, "healthy_count": 0, "unhealthy_count": 0, "errors": [str(error)]}
    # Only the errors are told of an endpoint: 1.81 gives its parameters too, secret ones among them.
    errors = [client.plain(str(endpoint.get("error") or "no reason given")) for endpoint in answer["unhealthy_endpoints"]]
    healthy = len(answer["healthy_endpoints"])
    return {"model_name": name, "healthy": healthy > 0, "healthy_count": healthy, "unhealthy_count": len(errors), "errors": errors}


def _stored(client: Client, served: set[str]) -> list[dict[str, Any]]:
    checks = client.get("/health/latest")["latest_health_checks"].values()
    return sorted((_check(client, check) for check in checks if check["model_name"] in served), key=lambda check: check["model_name"])


def _history(client: Client, length: int) -> list[dict[str, Any]]:
    return [_check(client, check) for check in client.get("/health/history", limit=length)["health_checks"]] if length else []


def _check(client: Client, check: dict[str, Any]) -> dict[str, Any]:
    error = check["error_message"]
    names = ("model_name", "model_id", "status", "healthy_count", "unhealthy_count", "response_time_ms", "checked_at")
    return {name: check[name] for name in names} | {"error": error and client.plain(error)}


def main() -> None:
    run_info(OPTIONS, read)


if __name__ == "__main__":
    main()
