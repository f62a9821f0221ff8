"""The stack's role in a cluster: made, made again, repaired, upgraded, rotated, killed, removed."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import older_deployment
from tests.support.ansible_run import Playbook
from tests.support.clusters import DOMAIN, Cluster, decoded, eventually, running

ROLE = "ocp4_workload_litemaas"
SECRETS = ("litemaas-db", "litellm-secret", "backend-secret")
OPEN = {"username", "database", "UI_USERNAME"}  # what the Secrets hold that is none
LISTS = {
    "deployments": "/apis/apps/v1",
    "statefulsets": "/apis/apps/v1",
    "services": "/api/v1",
    "secrets": "/api/v1",
    "configmaps": "/api/v1",
    "persistentvolumeclaims": "/api/v1",
    "cronjobs": "/apis/batch/v1",
    "networkpolicies": "/apis/networking.k8s.io/v1",
    "ingresses": "/apis/networking.k8s.io/v1",
    "poddisruptionbudgets": "/apis/policy/v1",
    "routes": "/apis/route.openshift.io/v1",
}
CLAIM = "persistentvolumeclaims/postgres-storage-litellm-postgres-0"
TODAYS_REQUESTS = 91  # of the deployer before this one, in a first run


class Deployer:
    """Runs the role by a real ansible-playbook against a namespace that is not there yet."""

    def __init__(self, cluster: Cluster, namespace: str, folder: Path) -> None:
        self.cluster, self.namespace, self.folder = cluster, namespace, folder
        several = 2 if cluster.has("PodDisruptionBudget", "policy/v1") else 1  # Kubernetes 1.20 has none in that version
        self.variables: dict[str, Any] = {
            "output_dir": str(folder),
            f"{ROLE}_namespace": namespace,
            f"{ROLE}_oauth_enabled": True,
            f"{ROLE}_ha_litellm_replicas": several,
            f"{ROLE}_ha_frontend_replicas": several,
            f"{ROLE}_key_cleanup": cluster.has("CronJob", "batch/v1"),
        }
        self.playbook = Playbook(folder, [{"ansible.builtin.include_role": {"name": f"rhpds.litemaas.{ROLE}"}}])
        self.playbook.environment |= cluster.environment
        self.playbook.command += ["-vvv", "-e", "@variables.json"]
        self.hidden: set[str] = set()

    def write(self, **variables: Any) -> None:
        named = {name if name == "ACTION" else f"{ROLE}_{name}": value for name, value in variables.items()}
        (self.folder / "variables.json").write_text(json.dumps(self.variables | named))

    def run(self, *arguments: str, **variables: Any) -> str:
        """Run it, and return what it said; no secret is among it, whatever came of it."""
        self.write(**variables)
        self.code, said = self.playbook.run(*arguments)
        self.hidden |= {value for name in SECRETS for key, value in self.secret(name).items() if key not in OPEN}
        assert [each for each in self.hidden if each in said] == []
        return said

    def succeeds(self, *arguments: str, **variables: Any) -> int:
        """Run it; return how many tasks changed something."""
        said = self.run(*arguments, **variables)
        assert self.code == 0, said[-5000:]
        return int(re.search(r"changed=(\d+)", said.rpartition("PLAY RECAP")[2])[1])

    def fails(self, **variables: Any) -> str:
        said = self.run(**variables)
        assert self.code != 0
        return " ".join(said.replace("\\", "").split())

    def get(self, name: str) -> dict[str, Any] | None:
        """Return an object of the namespace, such as deployments/litellm."""
        return self.cluster.get(f"{LISTS[name.partition('/')[0]]}/namespaces/{self.namespace}/{name}")

    def secret(self, name: str) -> dict[str, str]:
        return decoded(self.get(f"secrets/{name}") or {})

    def secrets(self) -> dict[str, dict[str, str]]:
        return {name: self.secret(name) for name in SECRETS}

    def objects(self) -> set[str]:
        """Return plural and name of everything that a stack may be made of."""
        found = set()
        for plural, api in LISTS.items():
            listed = self.cluster.get(f"{api}/namespaces/{self.namespace}/{plural}") or {"items": []}
            found |= {f"{plural}/{item['metadata']['name']}" for item in listed["items"]}
        return {each for each in found if "-token-" not in each and "kube-root-ca.crt" not in each}

    def comes_to_have(self, objects: set[str]) -> None:
        """A claim goes when the pod that used it has gone."""
        eventually(lambda: self.objects() == objects, f"there are {objects or 'no objects'}")

    def sums(self) -> dict[str, str]:
        """Return what rolls the pods of each workload when it changes."""
        names = ("statefulsets/litellm-postgres", "deployments/litellm", "deployments/litellm-backend", "deployments/litellm-frontend")
        return {name: self.get(name)["spec"]["template"]["metadata"]["annotations"]["rhpds.litemaas/checksum"] for name in names}

    def change(self, name: str, patch: dict[str, Any]) -> None:
        path = f"{LISTS[name.partition('/')[0]]}/namespaces/{self.namespace}/{name}"
        headers = {"Content-Type": "application/merge-patch+json"}
        self.cluster.client.patch(path, content=json.dumps(patch), headers=headers).raise_for_status()

    def make_older_deployment(self) -> None:
        plurals = {"NetworkPolicy": "networkpolicies"}
        for each in older_deployment.objects(self.namespace, DOMAIN):
            plural = plurals.get(each["kind"], f"{each['kind'].lower()}s")
            path = "/api/v1/namespaces" if plural == "namespaces" else f"{LISTS[plural]}/namespaces/{self.namespace}/{plural}"
            self.cluster.client.post(path, json=each).raise_for_status()


@contextlib.contextmanager
def deploying(cluster: Cluster, folder: Path) -> Iterator[Deployer]:
    made = Deployer(cluster, cluster.new_namespace(), folder)
    yield made
    cluster.remove_namespace(made.namespace)
    cluster.client.delete(f"/apis/oauth.openshift.io/v1/oauthclients/{made.namespace}")
    if cluster.server:
        cluster.server.kubelet.reset()


@pytest.fixture
def deployer(cluster: Cluster, tmp_path: Path) -> Iterator[Deployer]:
    with deploying(cluster, tmp_path) as made:
        yield made


def test_provision_again_drift_destroy_and_again(deployer: Deployer):
    plan = deployer.run("--check", "--diff", deploy_mcp=True)
    assert deployer.code == 0, plan[-5000:]
    assert [
        each for each in ("StatefulSet/litellm-postgres", "Secret/litemaas-mcp-secret", "Deployment/litemaas-mcp") if each not in plan
    ] == []
    assert deployer.cluster.get(f"/api/v1/namespaces/{deployer.namespace}") is None

    before = deployer.cluster.requests
    assert deployer.succeeds() > 0
    if before is not None:
        assert len(deployer.cluster.requests) - len(before) <= TODAYS_REQUESTS
    first, objects, sums = deployer.secrets(), deployer.objects(), deployer.sums()
    client = deployer.cluster.get(f"/apis/oauth.openshift.io/v1/oauthclients/{deployer.namespace}")
    assert client["secret"] == first["backend-secret"]["OAUTH_CLIENT_SECRET"]
    assert f"https://litellm-frontend.{DOMAIN}/api/auth/callback" in client["redirectURIs"]
    told = yaml.safe_load((deployer.folder / "user-data.yaml").read_text())
    assert told == {
        "litellm_admin_url": f"https://litellm.{DOMAIN}",
        "litellm_api_endpoint": f"https://litellm.{DOMAIN}",
        "litemaas_frontend_url": f"https://litellm-frontend.{DOMAIN}",
        "litellm_admin_username": "admin",
        "litellm_admin_password": first["litellm-secret"]["UI_PASSWORD"],
        "litemaas_admin_api_key": first["litellm-secret"]["LITELLM_MASTER_KEY"],
        "litemaas_namespace": deployer.namespace,
        "litemaas_version": "0.4.0",
        "litemaas_ha_enabled": True,
        "litemaas_replicas": deployer.variables[f"{ROLE}_ha_litellm_replicas"],
    }

    before = deployer.cluster.requests
    assert deployer.succeeds() == 0
    if before is not None:
        assert len(deployer.cluster.requests) - len(before) <= TODAYS_REQUESTS / 2
    assert (deployer.secrets(), deployer.objects(), deployer.sums()) == (first, objects, sums)
    assert deployer.succeeds("--check", "--diff") == 0

    deployer.change("deployments/litellm", {"spec": {"replicas": 0}})
    deployer.change("networkpolicies/litellm-postgres", {"spec": {"ingress": [{}]}})
    assert deployer.succeeds("--check", "--diff") == 1
    assert deployer.get("deployments/litellm")["spec"]["replicas"] == 0
    assert deployer.succeeds() == 1
    assert deployer.get("deployments/litellm")["spec"]["replicas"] > 0
    assert deployer.get("networkpolicies/litellm-postgres")["spec"]["ingress"] != [{}]

    kept = {CLAIM, "secrets/litemaas-db", "secrets/litellm-secret"}
    assert deployer.succeeds(ACTION="destroy") > 0
    assert deployer.objects() == kept
    assert deployer.cluster.get(f"/apis/oauth.openshift.io/v1/oauthclients/{deployer.namespace}") is None
    assert deployer.succeeds(remove=True) == 0
    assert deployer.succeeds(ACTION="create") > 0
    assert {name: deployer.secret(name) for name in SECRETS[:2]} == {name: first[name] for name in SECRETS[:2]}

    assert deployer.succeeds(ACTION="remove", remove_data=True) > 0
    deployer.comes_to_have(set())
    assert deployer.succeeds(ACTION="remove", remove_data=True) in (0, 1)  # the namespace may still be on its way out


@pytest.mark.long
def test_a_namespace_of_others_stays(deployer: Deployer):
    body = {"metadata": {"name": deployer.namespace}}
    deployer.cluster.client.post("/api/v1/namespaces", json=body).raise_for_status()
    path = f"/api/v1/namespaces/{deployer.namespace}/configmaps"
    deployer.cluster.client.post(path, json={"metadata": {"name": "of-others"}}).raise_for_status()
    assert deployer.succeeds("--check", deploy_mcp=True) > 0
    assert deployer.objects() == {"configmaps/of-others"}
    deployer.succeeds()
    deployer.succeeds(ACTION="destroy", remove_data=True)
    deployer.comes_to_have({"configmaps/of-others"})
    assert deployer.cluster.get(f"/api/v1/namespaces/{deployer.namespace}") is not None


def test_an_older_deployment_is_taken_over_with_its_secrets_and_its_volume(deployer: Deployer):
    deployer.make_older_deployment()
    salt = older_deployment.LITELLM["LITELLM_MASTER_KEY"]
    assert deployer.succeeds() > 0
    url = "postgresql://litellm:database-password@litellm-postgres:5432/litemaas_db"
    assert deployer.secrets() == {
        "litemaas-db": older_deployment.DATABASE | {"DATABASE_URL": url, "LITELLM_DATABASE_URL": url},
        "litellm-secret": older_deployment.LITELLM | {"LITELLM_SALT_KEY": salt},
        "backend-secret": older_deployment.BACKEND,
    }
    for name in ("deployments/litellm", "deployments/litellm-backend", "deployments/litellm-frontend", "statefulsets/litellm-postgres"):
        pod = deployer.get(name)["spec"]["template"]["spec"]
        assert "initContainers" not in pod
        assert "command" not in pod["containers"][0]
    assert deployer.objects().isdisjoint({"networkpolicies/allow-intra-namespace", "configmaps/litemaas-key-cleanup-script"})
    assert deployer.succeeds() == 0
    assert deployer.succeeds(ACTION="destroy", remove_data=True) > 0
    deployer.comes_to_have(set())


@pytest.mark.long
def test_an_older_deployment_can_be_removed_without_having_been_taken_over(deployer: Deployer):
    deployer.make_older_deployment()
    assert deployer.succeeds(remove=True, remove_data=True) > 0
    deployer.comes_to_have(set())


def run_the_older_deployer_twice(deployer: Deployer) -> None:
    """Its second run has given the Secret another key than the pods have."""
    deployer.make_older_deployment()
    running_pods = f"/api/v1/namespaces/{deployer.namespace}/pods"

    def started() -> bool:
        items = deployer.cluster.get(running_pods, labelSelector="app=litellm")["items"]
        return any("running" in each.get("state", {}) for item in items for each in item["status"].get("containerStatuses", []))

    deadline = time.monotonic() + 30
    while not started():
        assert time.monotonic() < deadline
        time.sleep(0.2)
    time.sleep(1.1)  # times are whole seconds
    folder = f"/api/v1/namespaces/{deployer.namespace}/secrets"
    deployer.cluster.client.delete(f"{folder}/litellm-secret").raise_for_status()
    second = {
        "metadata": {"name": "litellm-secret"},
        "stringData": older_deployment.LITELLM | {"LITELLM_MASTER_KEY": "sk-of-the-second-run"},
    }
    deployer.cluster.client.post(folder, json=second).raise_for_status()


def test_a_master_key_that_only_pods_know_is_not_lost(deployer: Deployer):
    """No pod can be asked here."""
    run_the_older_deployer_twice(deployer)
    before = deployer.objects()
    for action in ("destroy", "provision"):
        said = deployer.fails(ACTION=action)
        assert "give it as ocp4_workload_litemaas_litellm_salt_key" in said
        assert ("Or set ocp4_workload_litemaas_remove_data" in said) == (action == "destroy")
        assert "LITELLM_SALT_KEY" not in deployer.secret("litellm-secret")
        assert deployer.objects() == before
    deployer.hidden.add("sk-that-the-pods-have")
    deployer.succeeds(litellm_salt_key="sk-that-the-pods-have")
    assert deployer.secret("litellm-secret")["LITELLM_SALT_KEY"] == "sk-that-the-pods-have"
    assert deployer.succeeds() == 0


@pytest.mark.parametrize("action", ["provision", pytest.param("destroy", marks=pytest.mark.long)])
def test_a_master_key_that_only_pods_know_is_asked_of_them(tmp_path: Path, action: str):
    """By a command in a pod, which only the stand-in's can do here."""
    with running("stand-in") as cluster:
        deployer = Deployer(cluster, cluster.new_namespace(), tmp_path)
        run_the_older_deployer_twice(deployer)
        key = "sk-that-the-pods-have"
        deployer.hidden.add(key)

        def execute(pod: dict[str, Any], command: list[str]) -> subprocess.CompletedProcess[str]:
            if command[0] == "sh":  # tests/integration/roles/test_databases.py asks a real PostgreSQL so
                return subprocess.CompletedProcess(command, 0, "litellm_db\n", "")
            environment = {"PATH": os.environ["PATH"], "LITELLM_MASTER_KEY": key}
            return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

        cluster.kubelet.executes("litellm-", execute)
        assert deployer.succeeds(ACTION=action) > 0
        second = {"LITELLM_MASTER_KEY": "sk-of-the-second-run", "LITELLM_SALT_KEY": key}
        assert deployer.secret("litellm-secret") == older_deployment.LITELLM | second
        assert "/litellm_db" in deployer.secret("litemaas-db")["LITELLM_DATABASE_URL"]
        if action == "destroy":  # and the run after next still has it
            assert deployer.objects() == {"secrets/litemaas-db", "secrets/litellm-secret", CLAIM}
            assert deployer.succeeds(ACTION=action) == 0
            assert deployer.succeeds() > 0
            assert deployer.secret("litellm-secret") == older_deployment.LITELLM | second
            assert deployer.secret("litemaas-db")["LITELLM_DATABASE_URL"].endswith("/litellm_db")


@pytest.mark.long
def test_rotation_changes_what_it_names_and_rolls_what_depends_on_it(deployer: Deployer):
    deployer.succeeds()
    database = {("litemaas-db", key) for key in ("password", "DATABASE_URL", "LITELLM_DATABASE_URL")}
    others = {("litellm-secret", "LITELLM_MASTER_KEY"), ("litellm-secret", "UI_PASSWORD"), ("backend-secret", "JWT_SECRET")}
    for rotate, keys, postgres in (
        (["postgres_password", "oauth_client_secret"], {*database, ("backend-secret", "OAUTH_CLIENT_SECRET")}, True),
        (["litellm_master_key", "ui_password", "jwt_secret", "admin_api_key"], {*others, ("backend-secret", "ADMIN_API_KEY")}, False),
    ):
        first, sums = deployer.secrets(), deployer.sums()
        plan = deployer.run("--check", "--diff", rotate=rotate)
        assert [key for _, key in keys if key not in plan] == []
        assert (deployer.secrets(), deployer.sums()) == (first, sums)
        assert "changed=2" in plan.rpartition("PLAY RECAP")[2]  # the Secrets, and what rolls
        assert deployer.succeeds(rotate=rotate) >= 2  # user-data.yaml too
        after = deployer.secrets()
        assert {(name, key) for name in SECRETS for key in after[name] if after[name][key] != first[name][key]} == keys
        client = deployer.cluster.get(f"/apis/oauth.openshift.io/v1/oauthclients/{deployer.namespace}")
        assert client["secret"] == after["backend-secret"]["OAUTH_CLIENT_SECRET"]
        rolled = {name for name, value in deployer.sums().items() if value != sums[name]}
        assert rolled == {"deployments/litellm", "deployments/litellm-backend", *(["statefulsets/litellm-postgres"] if postgres else [])}
        assert deployer.succeeds() == 0


@pytest.mark.long
def test_variables_have_their_effect_and_it_goes_again(deployer: Deployer):
    deployer.succeeds(ha_enable_redis=False, network_policy=False, api_route_prefix="llm", litellm_config={"litellm_settings": {"x": 1}})
    objects = deployer.objects()
    assert {each for each in objects if "redis" in each or "networkpolicies" in each} == set()
    assert deployer.get("routes/litellm")["spec"]["host"] == f"llm.{DOMAIN}"
    assert "x: 1" in deployer.get("configmaps/litellm-config")["data"]["config.yaml"]
    deployer.succeeds()
    assert {"deployments/litellm-redis", "services/litellm-redis", "networkpolicies/litellm-redis"} <= deployer.objects()
    assert "x: 1" not in deployer.get("configmaps/litellm-config")["data"]["config.yaml"]
    deployer.succeeds(ha_enable_redis=False, network_policy=False)
    assert deployer.objects() == objects


@pytest.mark.long
@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"ha_litellm_replica": 2}, "ocp4_workload_litemaas_ha_litellm_replica is no variable of these roles"),
        ({"ha_litellm_replicas": "many"}, "ocp4_workload_litemaas_ha_litellm_replicas"),
        ({"ha_postgres_replicas": 3}, "value of ocp4_workload_litemaas_ha_postgres_replicas must be one of: 1"),
        ({"rotate": ["everything"]}, "value of ocp4_workload_litemaas_rotate must be one or more of"),
        ({"external_database_url": "db.example.com"}, "must be of the form postgresql://user:password@host:5432/database"),
        ({"postgres_storage_class": "none-such"}, "the cluster has no storage class 'none-such'. It has: gp2-csi, gp3-csi"),
    ],
)
def test_wrong_variables_are_named_and_make_nothing(deployer: Deployer, variables: dict[str, Any], says: str):
    assert says in deployer.fails(**variables)
    assert deployer.cluster.get(f"/api/v1/namespaces/{deployer.namespace}") is None


@pytest.mark.parametrize(
    ("pod", "trouble", "says"),
    [
        ("litellm-postgres", "unschedulable", "StatefulSet/litellm-postgres is not rolled out"),
        ("litellm-backend", "image_pull", "the image can't be pulled"),
    ],
)
def test_pods_that_do_not_come_up_are_explained(deployer: Deployer, pod: str, trouble: str, says: str):
    deployer.cluster.kubelet.behave(pod, trouble)
    said = deployer.fails(wait_timeout=5)
    assert says in said
    assert "Last events:" in said


@pytest.mark.long
def test_missing_rights_are_named(deployer: Deployer):
    reads = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list"]}
    namespaces = {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["create"]}
    everything = [f'cannot list resource "{each}"' for each in ("configmaps", "services", "deployments", "routes")]
    for rules, says in (
        ([], ['cannot get resource "secrets"', *everything]),
        ([reads], ['cannot create resource "namespaces"']),
        ([reads, namespaces], ['cannot create resource "secrets"']),
        (
            [reads, namespaces, {"apiGroups": ["", "oauth.openshift.io"], "resources": ["*"], "verbs": ["*"]}],
            ["StatefulSet/litellm-postgres can't be made", 'cannot create resource "statefulsets"'],
        ),
    ):
        deployer.playbook.environment["K8S_AUTH_KUBECONFIG"] = str(deployer.cluster.deployer(*rules))
        said = deployer.fails()
        assert [each for each in says if each not in said] == []


@pytest.mark.long
def test_an_account_of_the_namespace_alone_deploys_and_removes(deployer: Deployer):
    deployer.cluster.client.post("/api/v1/namespaces", json={"metadata": {"name": deployer.namespace}}).raise_for_status()
    core = ["configmaps", "events", "persistentvolumeclaims", "pods", "secrets", "serviceaccounts", "services"]
    groups = ["apps", "batch", "networking.k8s.io", "policy", "rbac.authorization.k8s.io", "route.openshift.io", "autoscaling"]
    rules = [{"apiGroups": [""], "resources": core, "verbs": ["*"]}, {"apiGroups": groups, "resources": ["*"], "verbs": ["*"]}]
    account = deployer.cluster.deployer(*rules, namespace=deployer.namespace)
    deployer.playbook.environment["K8S_AUTH_KUBECONFIG"] = str(account)
    said = deployer.fails(oauth_enabled=False)
    assert "ocp4_workload_litemaas_cluster_domain" in said
    assert 'cannot get resource "ingresses" in API group "config.openshift.io"' in said
    assert deployer.objects() == set()
    here = {"cluster_domain": DOMAIN}
    said = deployer.fails(**here)
    assert 'cannot get resource "oauthclients"' in said
    said = " ".join(deployer.run(**here, oauth_enabled=False).replace("\\", "").split())
    assert deployer.code == 0, said[-5000:]
    assert 'cannot list resource "storageclasses"' in said
    assert "ocp4_workload_litemaas_postgres_storage_class" in said
    assert deployer.succeeds(**here, oauth_enabled=False) == 0
    said = " ".join(deployer.run(ACTION="destroy", remove_data=True).split())
    assert deployer.code == 0, said[-5000:]
    assert f"oc delete oauthclient {deployer.namespace}" in said
    deployer.comes_to_have(set())
    assert deployer.succeeds(ACTION="destroy", remove_data=True) == 0


@pytest.mark.long
def test_a_client_of_that_name_that_is_anothers_is_neither_taken_nor_removed(deployer: Deployer):
    path = "/apis/oauth.openshift.io/v1/oauthclients"
    body = {"apiVersion": "oauth.openshift.io/v1", "kind": "OAuthClient", "metadata": {"name": deployer.namespace}}
    body |= {"redirectURIs": ["https://grafana.example.com/login"], "secret": "of-others", "grantMethod": "auto"}
    deployer.cluster.client.post(path, json=body).raise_for_status()
    assert "https://grafana.example.com/login" in deployer.fails()
    assert deployer.cluster.get(f"/api/v1/namespaces/{deployer.namespace}") is None
    deployer.succeeds(oauth_enabled=False)
    deployer.succeeds(ACTION="destroy", remove_data=True)
    assert deployer.cluster.get(f"{path}/{deployer.namespace}")["secret"] == "of-others"


@pytest.mark.long
def test_a_database_with_a_wrong_image_is_healed_by_the_right_one(deployer: Deployer):
    deployer.cluster.kubelet.behave("example.com/postgres:none", "image_pull")
    assert "the image can't be pulled" in deployer.fails(ha_postgres_image="example.com/postgres:none", wait_timeout=5)
    assert deployer.succeeds() > 0
    assert deployer.succeeds() == 0


@pytest.mark.long
def test_a_plain_kubernetes_gets_ingresses(tmp_path: Path):
    with running("stand-in", openshift=False) as plain:
        deployer = Deployer(plain, plain.new_namespace(), tmp_path)
        deployer.variables[f"{ROLE}_oauth_enabled"] = False
        assert "ocp4_workload_litemaas_cluster_domain: the cluster does not tell" in deployer.fails()
        deployer.variables[f"{ROLE}_cluster_domain"] = DOMAIN
        deployer.succeeds()
        assert {f"ingresses/litellm{part}" for part in ("", "-admin", "-frontend")} <= deployer.objects()
        assert deployer.get("ingresses/litellm")["spec"]["rules"][0]["host"] == f"litellm.{DOMAIN}"
        assert deployer.succeeds() == 0
        assert deployer.succeeds(ACTION="destroy") > 0


@pytest.mark.long
@pytest.mark.timeout(1200)  # thirty runs
def test_a_run_that_is_killed_anywhere_is_finished_by_the_next(deployer: Deployer):
    def progress() -> float:
        """By requests, where they can be seen: how long a run takes depends on what else the machine does."""
        requests = deployer.cluster.requests
        return time.monotonic() if requests is None else len(requests)

    dice = random.Random(4)
    begun = progress()
    deployer.succeeds()
    whole = progress() - begun
    deployer.succeeds(ACTION="destroy", remove_data=True)
    for _ in range(10):
        deployer.namespace = deployer.cluster.new_namespace()
        deployer.variables[f"{ROLE}_namespace"] = deployer.namespace
        deployer.write()
        ends = progress() + dice.uniform(0.1, 0.9) * whole
        deployer.playbook.killed_when(lambda ends=ends: progress() > ends)
        before = deployer.secrets()
        deployer.succeeds()
        after = deployer.secrets()
        assert {name: after[name] for name in SECRETS if before[name]} == {name: before[name] for name in SECRETS if before[name]}
        assert deployer.succeeds() == 0
        deployer.cluster.remove_namespace(deployer.namespace)
