"""The workload with a Secret: on a real Kubernetes API where KUBEBUILDER_ASSETS names one, and on the stand-in."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.virtual_keys.conftest import Workshop, role
from tests.support.kube_apiserver import ADMIN, NAMESPACE, kube_apiserver
from tests.support.kube_secrets import kube_secrets

ASSETS = os.environ.get("KUBEBUILDER_ASSETS")
OURS = "ocp4_workload_litemaas_virtual_keys_"
MANY = {"litellm_vkey_multi_user": True, "litellm_vkey_user_count": 3}


@pytest.fixture(scope="module", params=["stand-in", *(["real"] if ASSETS else [])])
def cluster(request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    if request.param == "real":
        with kube_apiserver(Path(ASSETS)) as client:
            yield client
    else:
        with (
            kube_secrets(NAMESPACE, ADMIN) as url,
            httpx.Client(base_url=url, headers={"Authorization": f"Bearer {ADMIN}"}, trust_env=False) as client,
        ):
            yield client


class Catalogue:
    """A workload that keeps its values in a Secret, as AgnosticD v2 runs it."""

    def __init__(self, workshop: Workshop, cluster: httpx.Client) -> None:
        self.workshop = workshop
        self.cluster = cluster
        self.variables = workshop.variables | MANY | {f"{OURS}secret_name": workshop.alias, f"{OURS}secret_namespace": NAMESPACE}

    def run(self, action: str, code: int = 0, **variables: Any):
        access = {"K8S_AUTH_HOST": str(self.cluster.base_url).rstrip("/"), "K8S_AUTH_API_KEY": ADMIN, "K8S_AUTH_VERIFY_SSL": "false"}
        play = role(action, environment=access, vars={"ansible_python_interpreter": "{{ ansible_playbook_python }}"})
        outcome = self.workshop.run(play, self.variables | variables)
        assert outcome.code == code, outcome.said
        return outcome

    def secret(self) -> dict[str, str] | None:
        answer = self.cluster.get(f"/api/v1/namespaces/{NAMESPACE}/secrets/{self.workshop.alias}")
        if answer.status_code == 404:
            return None
        return {name: base64.b64decode(value).decode() for name, value in answer.raise_for_status().json().get("data", {}).items()}


@pytest.fixture
def catalogue(workshop: Workshop, cluster: httpx.Client) -> Catalogue:
    return Catalogue(workshop, cluster)


def test_the_secret_holds_the_values_and_a_second_run_changes_nothing(catalogue: Catalogue):
    catalogue.run("provision")
    assert catalogue.secret() == catalogue.workshop.values
    assert len(catalogue.secret()) == 3
    assert catalogue.run("provision").changed == 0


def test_what_the_file_lost_comes_from_the_secret(catalogue: Catalogue):
    catalogue.run("provision")
    keys, values, data = catalogue.workshop.keys(), catalogue.workshop.values, catalogue.workshop.user_data
    catalogue.workshop.keys_file.unlink()
    (catalogue.workshop.output / "user-data.yaml").unlink()
    catalogue.run("provision", litellm_vkey_user_count=4)
    assert {alias: key for alias, key in catalogue.workshop.keys().items() if alias in keys} == keys
    assert {alias: value for alias, value in catalogue.workshop.values.items() if alias in values} == values
    assert {user: told for user, told in catalogue.workshop.user_data["users"].items() if user != "user4"} == data["users"]
    assert catalogue.secret() == catalogue.workshop.values
    assert len(catalogue.secret()) == 4
    assert catalogue.workshop.keys_file.stat().st_mode & 0o777 == 0o600


def test_destroying_twice_removes_the_secret_too(catalogue: Catalogue):
    catalogue.run("provision")
    catalogue.run("destroy")
    assert (catalogue.secret(), catalogue.workshop.keys()) == (None, {})
    assert catalogue.run("destroy").changed == 0


def test_without_the_cluster_no_key_is_made(catalogue: Catalogue):
    catalogue.cluster = httpx.Client(base_url="http://127.0.0.1:1")
    assert "Connection refused" in catalogue.run("provision", code=2).said
    assert catalogue.workshop.keys() == {}


def test_without_the_namespace_no_key_is_made(catalogue: Catalogue):
    outcome = catalogue.run("provision", code=2, **{f"{OURS}secret_namespace": "nowhere"})
    assert "has no namespace 'nowhere'" in outcome.said
    assert catalogue.workshop.keys() == {}
