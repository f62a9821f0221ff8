"""Both roles as AgnosticD calls them, one after the other: listed as workloads, with its way of signing in, its plugin and ACTION."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from conftest import ROOT, Stack
from tests.integration.cluster.test_mcp_role import in_base64, restore_reader
from tests.integration.cluster.test_stack_role import CLAIM, ROLE, Deployer
from tests.support.ansible_run import Playbook
from tests.support.clusters import Cluster
from tests.support.real_pods import RealPods
from tests.unit.plugins.action.test_agnosticd_user_info import STAND_IN

WORKLOADS = [f"rhpds.litemaas.{ROLE}", f"rhpds.litemaas.{ROLE}_mcp"]
DOMAIN = "apps.of-agnosticd.test"
TOLD = {  # what catalogues show
    *("litemaas_mcp_url", "litemaas_mcp_api_key", "litemaas_mcp_connect_url", "litellm_admin_url", "litellm_api_endpoint"),
    *("litemaas_frontend_url", "litellm_admin_username", "litellm_admin_password", "litemaas_admin_api_key", "litemaas_namespace"),
    *("litemaas_version", "litemaas_replicas", "litemaas_ha_enabled"),
}


class AgnosticD(Deployer):
    """Its playbooks as far as a workload sees them, and a stand-in for its plugin."""

    def __init__(self, version: str, cluster: Cluster, namespace: str, folder: Path, stack: Stack, pods: RealPods) -> None:
        super().__init__(cluster, namespace, folder)
        self.version = version
        urls = {name: stack.as_superuser(getattr(stack, name)) for name in ("database_url", "litemaas_database_url")}
        self.hidden |= {stack.litellm_master_key, *urls.values()}
        self.variables |= {
            "guid": "guid1",
            f"{ROLE}_litellm_api_key": stack.litellm_master_key,
            f"{ROLE}_external_database_url": urls["litemaas_database_url"],
            f"{ROLE}_external_litellm_database_url": urls["database_url"],
            f"{ROLE}_mcp_litellm_url": stack.litellm_url,
            f"{ROLE}_mcp_verify_url": pods.url,
        }
        include = {
            "ansible.builtin.include_role": {"name": "{{ workload }}"},
            "vars": {"ACTION": "{{ asked }}"},
            "loop": WORKLOADS,
            "loop_control": {"loop_var": "workload"},
        }
        # v1 works on a bastion, and signs in by a kubeconfig there; v2 in a container, by a token.
        kubeconfig = cluster.deployer({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]})
        token = json.loads(kubeconfig.read_text())["users"][0]["user"]["token"]
        signing_in = (
            {"K8S_AUTH_KUBECONFIG": str(kubeconfig)}
            if version == "v1"
            else {"K8S_AUTH_HOST": cluster.url, "K8S_AUTH_API_KEY": token, "K8S_AUTH_VERIFY_SSL": "false"}
        )
        host = "bastion" if version == "v1" else "localhost"
        self.playbook = Playbook(folder, [{"block": [include], "environment": signing_in}], hosts=host)
        self.playbook.command += ["-vvv", "-e", "@variables.json"]
        plugins = folder / ("action_plugins" if version == "v1" else "collections/ansible_collections/agnosticd/core/plugins/action")
        plugins.mkdir(parents=True)
        valid = ["msg", "body", "data", "user", *([] if version == "v1" else ["data_prefix"])]
        (plugins / "agnosticd_user_info.py").write_text(STAND_IN.format(valid=valid, version=version))
        self.playbook.environment |= {
            "TMPDIR": str(cluster.folder),
            "ANSIBLE_COLLECTIONS_PATH": f"{folder}/collections:{ROOT}/.venv/ansible/collections",
        }

    def told(self) -> dict[str, Any]:
        """Return the data that AgnosticD's plugin got in the last run, and forget it."""
        calls = self.folder / f"{self.version}.jsonl"
        found = {name: value for line in calls.read_text().splitlines() for name, value in json.loads(line).get("data", {}).items()}
        calls.unlink()
        return found


def test_an_action_that_is_none_of_its_words_is_refused_and_those_of_machines_do_nothing(tmp_path: Path):
    """By every workload of the collection; there is no cluster that they could ask."""
    names = [path.name for path in sorted((ROOT / "roles").glob("ocp4_workload_*"))]
    needed = {f"{ROLE}_virtual_keys_api_url": "http://127.0.0.1:9", f"{ROLE}_virtual_keys_api_key": "sk-none"}
    say = {"ansible.builtin.debug": {"msg": "refused: {{ ansible_failed_result.msg }}"}}
    tasks = [
        {"block": [{"ansible.builtin.include_role": {"name": f"rhpds.litemaas.{name}"}, "vars": needed}], "rescue": [say]} for name in names
    ]
    playbook = Playbook(tmp_path, tasks)
    playbook.environment["K8S_AUTH_HOST"] = "http://127.0.0.1:9"
    for action in ("destory", "DESTROY", ""):
        code, said = playbook.run("-e", json.dumps({"ACTION": action}))
        assert (code, said.count("refused: ")) == (0, len(names)), said
        assert said.count(f"ACTION is '{action}'. Set it to one of provision, create, destroy") >= len(names), said
    for action in ("start", "stop", "status"):
        code, said = playbook.run("-e", f"ACTION={action}")
        assert (code, said.count("refused: "), said.count("\nchanged: ")) == (0, 0, 0), said


@pytest.mark.long
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_listed_as_workloads_they_come_and_go(version: str, cluster: Cluster, stack: Stack, tmp_path: Path):
    namespace = cluster.new_namespace()
    with RealPods(cluster, namespace) as pods:
        agnosticd = AgnosticD(version, cluster, namespace, tmp_path, stack, pods)
        provision, domain = ("-e", "asked=provision"), {"openshift_cluster_ingress_domain": DOMAIN}
        try:
            agnosticd.variables |= domain
            assert agnosticd.succeeds(*provision) > 0
            told = agnosticd.told()
            assert told.keys() == TOLD
            assert told["litemaas_mcp_url"] == f"https://litemaas-mcp.{DOMAIN}"
            assert told["litellm_admin_url"] == f"https://litellm.{DOMAIN}"
            assert told["litellm_admin_password"] == agnosticd.secret("litellm-secret")["UI_PASSWORD"]
            token = agnosticd.secret("litemaas-mcp-secret")["MCP_API_KEY"]
            assert told["litemaas_mcp_api_key"] == token
            assert re.fullmatch(rf"https://litemaas-mcp\.{DOMAIN}/mcp\?token={token}", told["litemaas_mcp_connect_url"])
            assert httpx.get(f"{pods.url}/health", trust_env=False).json()["status"] == "healthy"
            assert list(tmp_path.glob("user-*")) == []  # AgnosticD keeps them, not we

            assert agnosticd.succeeds(*provision) == 0
            assert agnosticd.told() == told
            got, secrets = agnosticd.playbook.of_callbacks(), agnosticd.hidden | set(agnosticd.secret("litemaas-mcp-secret").values())
            assert [each for each in secrets if each in got or in_base64(each) in got] == []

            for name in domain:  # v2 removes without openshift_* variables
                del agnosticd.variables[name]
            destroy = ("-e", "asked=destroy" if version == "v2" else "asked=remove")
            assert agnosticd.succeeds(*destroy) > 0
            assert agnosticd.objects() <= {CLAIM, "secrets/litemaas-db", "secrets/litellm-secret"}
            assert agnosticd.succeeds(*destroy) == 0
        finally:
            cluster.remove_namespace(namespace)
            cluster.client.delete(f"/apis/oauth.openshift.io/v1/oauthclients/{namespace}")
            restore_reader(stack)
