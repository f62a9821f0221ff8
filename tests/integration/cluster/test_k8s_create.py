"""k8s_create makes objects with one request each, and as a later apply wants to find them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.integration.cluster.test_kubernetes_core import objects, task
from tests.support.ansible_run import Playbook
from tests.support.clusters import Cluster

KINDS = ("ServiceAccount", "ConfigMap", "Service", "NetworkPolicy", "Ingress", "Role", "Deployment")


@pytest.fixture
def things(namespace: str) -> list[dict[str, Any]]:
    return [each for each in objects(namespace) if each["kind"] in KINDS]


def run(cluster: Cluster, folder: Path, *tasks: dict[str, Any], options: tuple[str, ...] = ()) -> tuple[int, str]:
    playbook = Playbook(folder, list(tasks))
    playbook.environment |= cluster.environment
    return playbook.run(*options)


def create(things: list[dict[str, Any]]) -> dict[str, Any]:
    return {"rhpds.litemaas.k8s_create": {"definitions": things}}


def test_each_object_is_one_request_and_an_apply_finds_nothing_to_do(cluster: Cluster, namespace: str, things: list, tmp_path: Path):
    before = len(cluster.requests or [])
    code, said = run(cluster, tmp_path, create(things), task("k8s", definition=things, apply=True))
    assert (code, said.count("\nchanged: ")) == (0, 1), said
    asked = [each.method for each in (cluster.requests or [])[before:] if f"/namespaces/{namespace}/" in each.path]
    assert cluster.requests is None or (asked[: len(KINDS)], asked.count("POST")) == (["POST"] * len(KINDS), len(KINDS))
    found = cluster.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/app")
    assert found["metadata"]["generation"] == 1


def test_check_mode_shows_them_and_makes_none(cluster: Cluster, namespace: str, things: list, tmp_path: Path):
    code, said = run(cluster, tmp_path, create(things), options=("--check", "--diff"))
    assert (code, said.count("\nchanged: ")) == (0, 1), said
    assert "+++ after: Deployment/app" in said
    assert cluster.get(f"/api/v1/namespaces/{namespace}/configmaps/app") is None


def test_what_can_not_be_made_is_named_with_the_reason(cluster: Cluster, namespace: str, things: list, tmp_path: Path):
    (config,) = (each for each in things if each["kind"] == "ConfigMap")
    code, said = run(cluster, tmp_path, create([config, config]))
    assert code != 0
    assert "ConfigMap/app can't be made" in said
    assert 'configmaps \\"app\\" already exists' in said
    elsewhere = {**config, "metadata": {"name": "app", "namespace": "no-such-namespace"}}
    code, said = run(cluster, tmp_path, create([elsewhere]))
    assert code != 0
    assert "the namespace is missing" in said
