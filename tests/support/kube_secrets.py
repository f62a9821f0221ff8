"""What kubernetes.core asks of a Kubernetes API for Secrets, for where there is no real one: one namespace, in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.http_stand_in import Asked, HttpStandIn

DISCOVERY: dict[str, Any] = {
    "/version": {"major": "1", "minor": "33", "gitVersion": "v1.33.0"},
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
    "/api/v1": {
        "kind": "APIResourceList",
        "groupVersion": "v1",
        "resources": [
            {"name": "namespaces", "singularName": "", "namespaced": False, "kind": "Namespace", "verbs": ["get", "list"]},
            {"name": "secrets", "singularName": "", "namespaced": True, "kind": "Secret", "verbs": ["create", "delete", "get", "patch"]},
        ],
    },
}


@contextmanager
def kube_secrets(namespace: str, token: str) -> Iterator[str]:
    """Yield the address of an API that keeps Secrets of the namespace for whoever has the token."""
    secrets: dict[str, dict[str, Any]] = {}
    folder = f"/api/v1/namespaces/{namespace}/secrets"

    def answer(asked: Asked) -> tuple[int, Any]:
        path = asked.path.partition("?")[0].rstrip("/")
        name = path.removeprefix(f"{folder}/")
        if asked.headers.get("authorization") != f"Bearer {token}":
            return 401, failure(401, "Unauthorized")
        if path in DISCOVERY:
            return 200, DISCOVERY[path]
        if path == f"/api/v1/namespaces/{namespace}":
            return 200, {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": namespace}}
        if asked.method == "POST" and path == folder:
            secrets[asked.json["metadata"]["name"]] = asked.json
            return 201, asked.json
        if name == path or name not in secrets:
            return 404, failure(404, "NotFound")
        if asked.method == "DELETE":
            del secrets[name]
            return 200, {"kind": "Status", "apiVersion": "v1", "status": "Success"}
        if asked.method == "PATCH":
            secrets[name] = merged(secrets[name], asked.json)
        return 200, secrets[name]

    with HttpStandIn(answer) as server:
        yield server.url


def failure(code: int, reason: str) -> dict[str, Any]:
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": reason}


def merged(have: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """As a merge patch does it: mappings one by one, the rest as a whole, null removes."""
    result = dict(have)
    for name, value in patch.items():
        result[name] = merged(have.get(name) or {}, value) if isinstance(value, dict) else value
    return {name: value for name, value in result.items() if value is not None}
