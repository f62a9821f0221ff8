"""Models as LiteLLM lists them, and which of their parameters are secret."""

from __future__ import annotations

import re
import uuid
from typing import Any

from ansible_collections.rhpds.litemaas.plugins.module_utils.client import Client

HIDDEN = "***"

# Parts of names by which LiteLLM masks a parameter, and a few more that it shows all the same (1.81 many).
_SECRET = {"access", "apikey", "auth", "authorization", "certificate", "cookie", "cookies", "credential", "credentials", "fingerprint"} | {
    "header", "headers", "key", "keys", "passphrase", "passwd", "password", "passwords", "private", "secret", "secrets", "tenancy", "token"
}  # fmt: skip
_NOT_SECRET = ("litellm_credential_name", "default_api_key_tpm_limit", "default_api_key_rpm_limit")


def id_of(model_name: str) -> str:
    """Return the id that a model of this name has unless a task gives another: the same in every run, on every machine."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"https://github.com/rhpds/rhpds.litemaas/models/{model_name}"))


def is_price(name: str) -> bool:
    """Whether the parameter holds US dollars."""
    return "cost" in name.split("_")


def is_secret(name: str, value: Any) -> bool:
    """Whether the parameter must not be shown: by its name, a name inside it, or a password in a URL."""
    if isinstance(value, dict):
        return any(is_secret(f"{name}_{inner}", item) for inner, item in value.items())
    if isinstance(value, list):
        return any(is_secret(name, item) for item in value)
    if value is None or value == "" or isinstance(value, bool):
        return False
    words = {word.lower() for word in re.split("[-_]|(?<=[a-z])(?=[A-Z])", name)}
    if words & _SECRET and not is_price(name) and name not in _NOT_SECRET:
        return True
    # A password, or a key, in a URL.
    return bool(re.search("://[^/@]+@|[?&](api[-_]?)?(key|token|sig|secret|password)=", str(value), re.IGNORECASE))


def list_models(client: Client) -> list[dict[str, Any]]:
    """Return every deployment once: model_id, model_name, stored (in the database, not the configuration), litellm_params, model_info."""
    models = [_model(entry) for entry in client.get("/model/info")["data"]]
    return list({(model["model_id"], model["model_name"]): model for model in models}.values())


def get_model(client: Client, model_id: str) -> dict[str, Any] | None:
    """Return the deployment of this id, or None. LiteLLM 1.81 tells only of those that it serves, not of all in its database."""
    found = [_model(entry) for entry in client.get("/v2/model/info", modelId=model_id)["data"]]  # 1.81 gives all
    return next((model for model in found if model["model_id"] == model_id), None)


def named(models: list[dict[str, Any]]) -> str:
    """Name deployments in a sentence."""
    return ", ".join(sorted(f"{model['model_id']} ({'database' if model['stored'] else 'configuration file'})" for model in models))


def _model(entry: dict[str, Any]) -> dict[str, Any]:
    information = entry.get("model_info") or {}
    return {
        "model_id": information.get("id"),
        "model_name": entry.get("model_name"),
        "stored": bool(information.get("db_model")),
        "litellm_params": {name: _price(name, value, information) for name, value in entry["litellm_params"].items()},
        "model_info": {name: value for name, value in information.items() if value is not None},
    }


def _price(name: str, value: Any, information: dict[str, Any]) -> Any:
    # LiteLLM 1.81 takes "token" in input_cost_per_token for a secret: it gives 2e-07 as a text, and 1.234e-07 as "1.23*e-07".
    if is_price(name) and isinstance(value, str):
        value = information.get(name, value)
        try:
            return float(value)
        except (TypeError, ValueError):
            return value
    return value
