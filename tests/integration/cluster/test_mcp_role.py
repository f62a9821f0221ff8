"""The MCP role in a cluster: what it makes is run for real on this machine, beside the stack's LiteLLM and databases."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from conftest import ROOT, Stack
from tests.support.ansible_run import Playbook
from tests.support.clusters import DOMAIN, Cluster, decoded, eventually, running
from tests.support.real_pods import RealPods

ROLE = "ocp4_workload_litemaas_mcp"
TOKEN_LENGTH = 40


class Deployer:
    """Runs the role by a real ansible-playbook against a namespace that has LiteLLM's Secrets in it."""

    def __init__(self, cluster: Cluster, namespace: str, stack: Stack, folder: Path, pods: RealPods) -> None:
        self.cluster, self.namespace, self.stack, self.folder, self.pods = cluster, namespace, stack, folder, pods
        self.variables: dict[str, Any] = {
            "ocp4_workload_litemaas_namespace": namespace,
            "ocp4_workload_litemaas_mcp_litellm_url": stack.litellm_url,
            "ocp4_workload_litemaas_mcp_verify_url": pods.url,
            "output_dir": str(folder),
        }
        self.playbook = Playbook(folder, [{"ansible.builtin.include_role": {"name": f"rhpds.litemaas.{ROLE}"}}])
        self.playbook.environment |= cluster.environment
        self.urls = {
            "LITELLM_DATABASE_URL": stack.as_superuser(stack.database_url),
            "DATABASE_URL": stack.as_superuser(stack.litemaas_database_url),
        }
        self.secrets: set[str] = set()

    def run(self, *arguments: str, **variables: Any) -> str:
        """Run it, and return what it said; no secret is among it or among what callbacks were given, whatever came of it."""
        named = {name if name in ("ACTION", "guid") else f"ocp4_workload_litemaas_{name}": value for name, value in variables.items()}
        (self.folder / "variables.json").write_text(json.dumps(self.variables | named))
        self.code, said = self.playbook.run("-vvv", "-e", "@variables.json", *arguments)
        self.secrets |= {self.stack.litellm_master_key, *self.urls.values(), *self.secret().values()}
        got = said + self.playbook.of_callbacks()
        assert [each for each in self.secrets if each in got or in_base64(each) in got] == []
        return said

    def succeeds(self, *arguments: str, **variables: Any) -> int:
        """Run it; return how many tasks changed something."""
        said = self.run(*arguments, **variables)
        assert self.code == 0, said[-5000:]
        return int(re.search(r"changed=(\d+)", said.rpartition("PLAY RECAP")[2])[1])

    def fails(self, *arguments: str, **variables: Any) -> str:
        said = self.run(*arguments, **variables)
        assert self.code != 0
        return said

    def get(self, path: str) -> dict[str, Any] | None:
        """Return what is at this path of the namespace, such as apps/v1/deployments/litemaas-mcp."""
        *group, plural, name = path.split("/")
        api = "/apis/" + "/".join(group) if group else "/api/v1"
        return self.cluster.get(f"{api}/namespaces/{self.namespace}/{plural}/{name}")

    def secret(self) -> dict[str, str]:
        found = self.get("secrets/litemaas-mcp-secret")
        return decoded(found) if found else {}

    def objects(self) -> set[str]:
        """Return kind and name of everything of the role's kinds in the namespace."""
        found = set()
        for api, plurals in (
            ("/api/v1", ("secrets", "services", "serviceaccounts")),
            ("/apis/apps/v1", ("deployments",)),
            ("/apis/batch/v1", ("jobs",)),
            ("/apis/rbac.authorization.k8s.io/v1", ("roles", "rolebindings")),
            ("/apis/networking.k8s.io/v1", ("networkpolicies", "ingresses")),
            ("/apis/route.openshift.io/v1", ("routes",)),
        ):
            for plural in plurals:
                listed = self.cluster.get(f"{api}/namespaces/{self.namespace}/{plural}") or {"items": []}
                names = (item["metadata"]["name"] for item in listed["items"])
                found |= {f"{plural}/{name}" for name in names if name.startswith("litemaas-mcp") and "-token-" not in name}
        return found

    def accepted(self, token: str) -> bool:
        self.pods.wait()
        with httpx.Client(trust_env=False) as http:
            answer = http.post(
                f"{self.pods.url}/mcp",
                json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"},
                headers={
                    "Authorization": f"Bearer {token}",
                    "Accept": "application/json, text/event-stream",
                    "MCP-Protocol-Version": "2025-06-18",
                },
            )
        return answer.status_code == 200


def in_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@contextlib.contextmanager
def deploying(cluster: Cluster, namespace: str, stack: Stack, folder: Path) -> Iterator[Deployer]:
    with RealPods(cluster, namespace) as pods:
        deployer = Deployer(cluster, namespace, stack, folder, pods)
        secrets = {"litellm-secret": {"LITELLM_MASTER_KEY": stack.litellm_master_key}, "litemaas-db": deployer.urls}
        for name, data in secrets.items():
            body = {"metadata": {"name": name}, "stringData": data}
            cluster.client.post(f"/api/v1/namespaces/{namespace}/secrets", json=body).raise_for_status()
        yield deployer
    restore_reader(stack)


@pytest.fixture
def deployer(cluster: Cluster, namespace: str, stack: Stack, tmp_path: Path) -> Iterator[Deployer]:
    with deploying(cluster, namespace, stack, tmp_path) as made:
        yield made


def restore_reader(stack: Stack) -> None:
    """The stack's own server uses the role litemaas_reader too, with the password that the stack's URL has."""
    reader = conninfo_to_dict(stack.database_readonly_url)
    statement = sql.SQL("alter role {} password {}").format(sql.Identifier(reader["user"]), sql.Literal(reader["password"]))
    with psycopg.connect(stack.as_superuser(stack.database_url), autocommit=True) as connection:
        connection.execute(statement)


def test_provision_again_drift_destroy_and_again(deployer: Deployer):
    assert deployer.succeeds("--check") > 0
    assert deployer.objects() == set()
    assert deployer.succeeds() > 0
    assert all(job.returncode == 0 for job in deployer.pods.jobs.values()), deployer.pods.jobs
    assert httpx.get(f"{deployer.pods.url}/health").json() == {"status": "healthy", "database": True, "litellm": True}
    first = deployer.secret()
    assert len(first["MCP_API_KEY"]) == TOKEN_LENGTH
    assert deployer.accepted(first["MCP_API_KEY"])
    told = (deployer.folder / "user-data.yaml").read_text()
    assert all(each in told for each in ("litemaas_mcp_url", "litemaas_mcp_connect_url", first["MCP_API_KEY"]))
    objects, starts = deployer.objects(), deployer.pods.starts

    assert deployer.succeeds() == 0
    assert (deployer.secret(), deployer.objects(), deployer.pods.starts) == (first, objects, starts)
    assert (deployer.folder / "user-data.yaml").read_text() == told

    path = f"/apis/apps/v1/namespaces/{deployer.namespace}/deployments/litemaas-mcp"
    drift = {"spec": {"replicas": 0}, "metadata": {"labels": {"component": "changed"}}}
    patch = {"Content-Type": "application/merge-patch+json"}
    deployer.cluster.client.patch(path, content=json.dumps(drift), headers=patch).raise_for_status()
    assert deployer.succeeds() == 1
    assert deployer.get("apps/v1/deployments/litemaas-mcp")["spec"]["replicas"] == 1

    assert deployer.succeeds(ACTION="destroy") > 0
    assert deployer.objects() == set()
    assert deployer.get("secrets/litellm-secret") is not None
    assert deployer.succeeds(ACTION="destroy") == 0
    assert deployer.succeeds(remove=True) == 0


@pytest.mark.long
def test_a_rotated_token_ends_the_old_one(deployer: Deployer):
    deployer.succeeds()
    old = deployer.secret()["MCP_API_KEY"]
    deployer.succeeds(rotate=["mcp_api_key"])
    secret = deployer.secret()
    assert "MCP_API_KEY_PREVIOUS" not in secret
    assert (deployer.accepted(old), deployer.accepted(secret["MCP_API_KEY"])) == (False, True)
    assert deployer.pods.starts == 3  # with the old token, with both, with the new one
    assert deployer.succeeds() == 0
    given = "a-token-of-the-operators-own"
    deployer.secrets.add(given)
    deployer.succeeds(mcp_api_key=given)
    assert deployer.accepted(given)
    assert deployer.succeeds(mcp_api_key=given) == 0


@pytest.mark.long
def test_the_old_token_is_valid_until_the_new_pods_are_ready(deployer: Deployer):
    deployer.variables["ocp4_workload_litemaas_mcp_create_reader"] = False
    deployer.succeeds()
    old = deployer.secret()["MCP_API_KEY"]
    deployer.cluster.kubelet.behave("litemaas-mcp-", "never_ready")
    said = deployer.fails(rotate=["mcp_api_key"], mcp_wait_timeout=6)
    assert "is not rolled out after" in " ".join(said.split())
    secret = deployer.secret()
    assert (deployer.accepted(old), deployer.accepted(secret["MCP_API_KEY"])) == (True, True)
    deployer.cluster.kubelet.behave("litemaas-mcp-", "ready")
    deployer.succeeds()
    assert deployer.secret()["MCP_API_KEY"] == secret["MCP_API_KEY"] != old
    assert (deployer.accepted(old), deployer.accepted(secret["MCP_API_KEY"])) == (False, True)


@pytest.mark.long
def test_an_autoscaler_takes_over_and_nobody_scales_it_back(stack: Stack, tmp_path: Path):
    """In the stand-in, since an older API server has no autoscaling/v2."""
    with running("stand-in") as cluster, deploying(cluster, cluster.create_namespace(), stack, tmp_path) as deployer:
        path = f"/apis/apps/v1/namespaces/{deployer.namespace}/deployments/litemaas-mcp"

        def replicas() -> int:
            return cluster.get(path)["spec"]["replicas"]

        deployer.variables["ocp4_workload_litemaas_mcp_create_reader"] = False
        deployer.succeeds(mcp_replicas=3)
        wanted = {"mcp_replicas": 2, "mcp_max_replicas": 6}
        assert deployer.succeeds(**wanted) > 0
        scaler = deployer.get("autoscaling/v2/horizontalpodautoscalers/litemaas-mcp")["spec"]
        assert (scaler["minReplicas"], scaler["maxReplicas"], replicas()) == (2, 6, 3)
        patch = {"Content-Type": "application/merge-patch+json"}
        cluster.client.patch(path, content=json.dumps({"spec": {"replicas": 5}}), headers=patch).raise_for_status()
        assert deployer.succeeds(**wanted) == 0
        assert deployer.succeeds(**wanted, mcp_log_level="DEBUG") > 0
        assert replicas() == 5
        deployer.succeeds(mcp_replicas=2)
        assert (replicas(), deployer.get("autoscaling/v2/horizontalpodautoscalers/litemaas-mcp")) == (2, None)


@pytest.mark.long
def test_on_plain_kubernetes_an_ingress_leads_to_it_and_what_is_not_its_own_stays(stack: Stack, tmp_path: Path):
    with running("stand-in", openshift=False) as cluster, deploying(cluster, cluster.create_namespace(), stack, tmp_path) as deployer:
        policies = f"/apis/networking.k8s.io/v1/namespaces/{deployer.namespace}/networkpolicies"
        own = {"metadata": {"name": "litemaas-mcp"}, "spec": {"podSelector": {}, "policyTypes": ["Egress"]}}
        cluster.client.post(policies, json=own).raise_for_status()
        deployer.variables |= {
            f"ocp4_workload_litemaas_{name}": value for name, value in {"cluster_domain": DOMAIN, "mcp_admin": True}.items()
        }
        shared = {"ingress_class": "nginx", "network_policy": False}  # the stack's
        assert deployer.succeeds(**shared) > 0
        assert deployer.succeeds(**shared) == 0
        ingress = deployer.get("networking.k8s.io/v1/ingresses/litemaas-mcp")["spec"]
        assert (ingress["ingressClassName"], ingress["rules"][0]["host"]) == ("nginx", f"litemaas-mcp.{DOMAIN}")
        headers = {"Authorization": f"Bearer {stack.litellm_master_key}", "Accept": "application/json, text/event-stream"}
        question = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        answer = httpx.post(f"{deployer.pods.url}/admin/mcp", json=question, headers=headers, trust_env=False)
        assert (answer.status_code, "tools" in answer.text) == (200, True), answer.text
        assert deployer.succeeds(ACTION="destroy", **shared) > 0
        assert deployer.objects() == {"networkpolicies/litemaas-mcp"}
        assert cluster.get(f"{policies}/litemaas-mcp")["spec"]["policyTypes"] == ["Egress"]


@pytest.mark.long
def test_variables_have_their_effect_and_it_goes_again(deployer: Deployer):
    deployer.succeeds(mcp_network_policy=False, mcp_read_only=True, mcp_extra_env=[{"name": "TOOL_TIMEOUT", "value": "7"}])
    assert "networkpolicies/litemaas-mcp" not in deployer.objects()
    (container,) = deployer.get("apps/v1/deployments/litemaas-mcp")["spec"]["template"]["spec"]["containers"]
    assert {"name": "READ_ONLY", "value": "true"} in container["env"]
    assert {"name": "TOOL_TIMEOUT", "value": "7"} in container["env"]
    deployer.succeeds()
    assert "networkpolicies/litemaas-mcp" in deployer.objects()
    (container,) = deployer.get("apps/v1/deployments/litemaas-mcp")["spec"]["template"]["spec"]["containers"]
    assert "TOOL_TIMEOUT" not in str(container["env"])
    deployer.succeeds(mcp_network_policy=False)
    assert "networkpolicies/litemaas-mcp" not in deployer.objects()


@pytest.mark.long
@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"mcp_litellm_secret": "nope"}, "ocp4_workload_litemaas_mcp_litellm_secret: namespace"),
        ({"mcp_database_secret_key": "NOPE"}, "with a key 'NOPE'. Name the Secret"),
        ({"namespace": "no-such-namespace"}, "the cluster has no namespace 'no-such-namespace'"),
        ({"mcp_replica": 2}, "ocp4_workload_litemaas_mcp_replica is no variable of these roles; ocp4_workload_litemaas_mcp_replicas is."),
        ({"mcp_log_level": "LOUD"}, "value of ocp4_workload_litemaas_mcp_log_level must be one of: DEBUG, INFO, WARNING, ERROR"),
        ({"rotate": ["mcp_api_key"], "mcp_api_key": "given-by-hand"}, "which ocp4_workload_litemaas_mcp_api_key gives a value."),
        ({"rotate": ["litellm_master_key"]}, "run the role ocp4_workload_litemaas, which changes it, before this one, or take it out."),
        ({"mcp_replicas": "many"}, "ocp4_workload_litemaas_mcp_replicas"),
    ],
)
def test_wrong_variables_are_named_and_make_nothing(deployer: Deployer, variables: dict[str, Any], says: str):
    said = deployer.fails(**variables)
    assert says in " ".join(said.split()), said[-3000:]
    assert deployer.objects() == set()


def test_a_strange_variable_is_only_warned_of(deployer: Deployer):
    said = deployer.fails(mcp_litellm_secret="nope", something_of_a_catalogue=1, models_list=[])
    assert "No role knows ocp4_workload_litemaas_something_of_a_catalogue" in said
    assert "models_list" not in said.partition("WARNING")[2].partition("\n")[0]


@pytest.mark.parametrize(
    ("trouble", "says"),
    [("image_pull", "the image can't be pulled"), ("crash", "crashes again and again"), ("unschedulable", "no node takes it")],
)
def test_pods_that_do_not_come_up_are_explained(deployer: Deployer, trouble: str, says: str):
    deployer.cluster.kubelet.behave("litemaas-mcp", trouble)
    said = " ".join(deployer.fails(mcp_wait_timeout=6, mcp_create_reader=False).split())
    assert "Deployment/litemaas-mcp is not rolled out" in said
    assert says in said
    assert "Last events:" in said


@pytest.mark.long
def test_a_quota_that_is_used_up_is_named(deployer: Deployer):
    quotas = f"/api/v1/namespaces/{deployer.namespace}/resourcequotas"
    deployer.cluster.client.post(quotas, json={"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}).raise_for_status()
    eventually(lambda: (deployer.cluster.get(f"{quotas}/none") or {}).get("status", {}).get("used"), "the quota counts")
    said = " ".join(deployer.fails(mcp_wait_timeout=6, mcp_create_reader=False).split())
    assert "Deployment/litemaas-mcp is not rolled out after 6 s" in said
    assert "a quota is used up: " in said


@pytest.mark.long
def test_the_readers_job_gives_way_to_its_correction_and_runs_again_when_the_backend_comes(deployer: Deployer):
    deployer.cluster.kubelet.behave("litemaas-mcp-reader", "image_pull")
    assert "the image can't be pulled" in deployer.fails(mcp_wait_timeout=6, deploy_backend=False)
    deployer.cluster.kubelet.behave("litemaas-mcp-reader", "ready")
    corrected: dict[str, Any] = {"mcp_image_pull_secrets": ["pull"]}
    assert deployer.succeeds(**corrected, deploy_backend=False) > 0
    first = {each for each in deployer.objects() if each.startswith("jobs/")}
    assert len(first) == 1
    assert deployer.succeeds(**corrected, deploy_backend=False) == 0
    assert deployer.succeeds(**corrected) > 0
    assert len(deployer.pods.jobs) == 3
    assert first.isdisjoint(deployer.objects())


@pytest.mark.long
def test_a_server_that_does_not_work_is_explained(deployer: Deployer):
    said = deployer.fails(mcp_litellm_url="http://127.0.0.1:9")
    assert "/health answered" in said
    assert "litemaas-mcp check" in said


@pytest.mark.long
def test_a_server_whose_route_can_not_be_reached_is_asked_in_its_pod(stack: Stack, tmp_path: Path):
    """By a command in a pod, which only the stand-in's can do here."""
    with running("stand-in") as cluster, deploying(cluster, cluster.create_namespace(), stack, tmp_path) as deployer:
        del deployer.variables["ocp4_workload_litemaas_mcp_verify_url"]
        said = " ".join(deployer.fails(mcp_create_reader=False).split())
        assert f"https://litemaas-mcp.{DOMAIN} can not be reached from here" in said
        assert "Grant this account create of pods/exec, or set ocp4_workload_litemaas_mcp_verify_url" in said

        cluster.kubelet.executes("litemaas-mcp-", lambda _, command: deployer.pods.execute(command))
        said = deployer.fails(mcp_create_reader=False)
        assert re.search(r"litemaas-mcp check in pod litemaas-mcp-\w+-\w+ says: .*FAIL Kubernetes: ", said)

        pods_only = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}
        account = cluster.deployer(pods_only, namespace=deployer.namespace)
        cluster.kubelet.executes("litemaas-mcp-", lambda _, command: deployer.pods.execute(command, account))
        deployer.succeeds(mcp_create_reader=False)


@pytest.mark.long
def test_a_killed_run_is_finished_by_the_next(deployer: Deployer):
    deployer.run("--syntax-check")  # writes the variables
    deployer.playbook.command += ["-e", "@variables.json"]
    deployer.playbook.killed_when(lambda: bool(deployer.secret()))
    first = deployer.secret()
    deployer.playbook.command = deployer.playbook.command[:-2]
    deployer.succeeds()
    assert deployer.secret() == first
    assert deployer.succeeds() == 0


@pytest.mark.long
def test_a_missing_right_is_named(deployer: Deployer):
    reads = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list"]}
    everything = [f'cannot get resource "{each}"' for each in ("secrets", "routes", "networkpolicies")]
    for rules, says in (([], everything), ([reads], ['cannot create resource "secrets"'])):
        kubeconfig = deployer.cluster.deployer(*rules)
        deployer.playbook.environment["K8S_AUTH_KUBECONFIG"] = str(kubeconfig)
        said = deployer.fails().replace("\\", "")
        assert [each for each in says if each not in said] == [], said[-3000:]
        assert deployer.objects() == set()


@pytest.mark.long
def test_an_account_of_the_namespace_alone_deploys_and_removes(deployer: Deployer):
    core = ["events", "pods", "secrets", "serviceaccounts", "services"]
    groups = ["apps", "batch", "networking.k8s.io", "policy", "rbac.authorization.k8s.io", "route.openshift.io", "autoscaling"]
    rules = [{"apiGroups": [""], "resources": core, "verbs": ["*"]}, {"apiGroups": groups, "resources": ["*"], "verbs": ["*"]}]
    account = deployer.cluster.deployer(*rules, namespace=deployer.namespace)
    deployer.playbook.environment["K8S_AUTH_KUBECONFIG"] = str(account)
    said = " ".join(deployer.fails().replace("\\", "").split())
    assert "ocp4_workload_litemaas_cluster_domain: the cluster does not tell" in said
    assert 'cannot get resource "ingresses" in API group "config.openshift.io"' in said
    assert deployer.succeeds(cluster_domain=DOMAIN) > 0
    assert deployer.succeeds(cluster_domain=DOMAIN) == 0
    assert deployer.succeeds(ACTION="destroy") > 0
    assert deployer.objects() == set()
    assert deployer.succeeds(ACTION="destroy") == 0


@pytest.mark.long
def test_the_molecule_scenario_passes_and_leaves_nothing(deployer: Deployer, tmp_path: Path):
    command = ["molecule", "test", "--scenario-name", "litemaas_mcp"]
    environment = deployer.playbook.environment | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "LITEMAAS_NAMESPACE": deployer.namespace,
        "LITEMAAS_LITELLM_URL": deployer.stack.litellm_url,
        "LITEMAAS_VERIFY_URL": deployer.pods.url,
        "MOLECULE_EPHEMERAL_DIRECTORY": str(tmp_path),
        "NO_COLOR": "1",
    }
    del environment["ANSIBLE_CONFIG"]
    done = subprocess.run(command, cwd=ROOT / "extensions", env=environment, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    for action in ("converge", "idempotence", "verify", "destroy"):
        assert f"{action}: Executed: Successful" in said
    assert deployer.stack.litellm_master_key not in said
    assert (deployer.pods.starts, deployer.objects()) == (1, set())
