"""The stack's role in a cluster, beside the real LiteLLM and PostgreSQL of the tests' stack."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from conftest import Stack
from tests.integration.cluster.test_mcp_role import restore_reader
from tests.integration.cluster.test_stack_role import TODAYS_REQUESTS, Deployer, deploying
from tests.support.certificates import private_authority
from tests.support.clusters import DOMAIN, Cluster, eventually
from tests.support.real_pods import RealPods
from tests.support.tcp_proxy import TcpProxy


@pytest.fixture
def deployer(cluster: Cluster, tmp_path: Path) -> Iterator[Deployer]:
    with deploying(cluster, tmp_path) as made:
        yield made


def test_models_of_one_name_share_its_load(deployer: Deployer, stack: Stack):
    name = f"stack-role-{secrets.token_hex(4)}"
    deployer.hidden.add(stack.litellm_master_key)
    models = [{"model_name": name, "litellm_model": f"openai/gpt-{part}", "api_base": f"{stack.stub_url}/v1"} for part in ("a", "b")]
    models.append({**models[0], "model_id": f"{name}-of-ones-own", "litellm_model": "openai/gpt-c"})
    given = {"litellm_api_key": stack.litellm_master_key, "models_url": stack.litellm_url}
    headers = {"Authorization": f"Bearer {stack.litellm_master_key}"}
    with httpx.Client(base_url=stack.litellm_url, headers=headers, trust_env=False, timeout=30) as litellm:

        def served() -> dict[str, str]:
            found = [each for each in litellm.get("/model/info").json()["data"] if each["model_name"] == name]
            return {each["litellm_params"]["model"]: each["model_info"]["id"] for each in found}

        deployer.succeeds(**given, litellm_models=models[:1])
        alone = served()
        assert deployer.succeeds(**given, litellm_models=models) > 0
        shared = served()
        assert shared == alone | {"openai/gpt-b": f"{name}-2", "openai/gpt-c": f"{name}-of-ones-own"}
        assert deployer.succeeds(**given, litellm_models=models) == 0
        assert served() == shared
        for each in shared.values():
            litellm.post("/model/delete", json={"id": each}).raise_for_status()


def test_models_are_registered_and_their_keys_shown_nowhere(deployer: Deployer, stack: Stack):
    name, key = f"stack-role-{secrets.token_hex(4)}", f"sk-provider-{secrets.token_hex(8)}"
    deployer.hidden |= {key, stack.litellm_master_key}
    models = [{"model_name": name, "litellm_model": "openai/gpt-4o", "api_base": f"{stack.stub_url}/v1", "api_key": key, "rpm": 60}]
    given = {"litellm_api_key": stack.litellm_master_key, "models_url": stack.litellm_url, "litellm_models": models}
    headers = {"Authorization": f"Bearer {stack.litellm_master_key}"}
    with httpx.Client(base_url=stack.litellm_url, headers=headers, trust_env=False, timeout=30) as litellm:
        deployer.succeeds(**given)
        served = [each for each in litellm.get("/model/info").json()["data"] if each["model_name"] == name]
        assert [each["litellm_params"]["rpm"] for each in served] == [60]
        assert deployer.succeeds(**given) == 0
        litellm.post("/model/delete", json={"id": served[0]["model_info"]["id"]}).raise_for_status()


@pytest.mark.long
def test_models_are_registered_where_an_authority_of_ones_own_signs(deployer: Deployer, stack: Stack, tmp_path: Path):
    authority, context = private_authority(tmp_path)
    name, address = f"stack-role-{secrets.token_hex(4)}", httpx.URL(stack.litellm_url)
    deployer.hidden.add(stack.litellm_master_key)
    with TcpProxy(address.host, address.port, tls=context) as proxy:
        models = [{"model_name": name, "litellm_model": "openai/gpt-4o", "api_base": f"{stack.stub_url}/v1"}]
        given = {"litellm_api_key": stack.litellm_master_key, "models_url": f"https://127.0.0.1:{proxy.port}", "litellm_models": models}
        assert "certificate is not trusted" in deployer.fails(**given)
        assert deployer.succeeds(**given, ca_path=str(authority)) > 0
        assert deployer.succeeds(**given, validate_certs="false") == 0
    headers = {"Authorization": f"Bearer {stack.litellm_master_key}"}
    with httpx.Client(base_url=stack.litellm_url, headers=headers, trust_env=False, timeout=30) as litellm:
        (served,) = [each for each in litellm.get("/model/info").json()["data"] if each["model_name"] == name]
        litellm.post("/model/delete", json={"id": served["model_info"]["id"]}).raise_for_status()


@pytest.mark.long
def test_databases_of_ones_own_are_asked_before_anything_is_kept(deployer: Deployer, stack: Stack):
    right = stack.as_superuser(stack.database_url)
    wrong = re.sub("(://[^:]+:)[^@]+@", r"\g<1>of-last-week@", right)
    deployer.hidden |= {right, "of-last-week"}
    with RealPods(deployer.cluster, deployer.namespace):
        said = deployer.fails(external_database_url=wrong)
        assert "ocp4_workload_litemaas_external_database_url: password authentication failed" in said
        eventually(lambda: deployer.cluster.get(f"/api/v1/namespaces/{deployer.namespace}") is None, "nothing is left")
        given = {"external_database_url": right, "ha_litellm_postgres_db": "nowhere"}
        assert deployer.succeeds(**given) > 0
        assert deployer.secret("litemaas-db")["LITELLM_DATABASE_URL"] == right  # where LiteLLM's tables are
        assert [each for each in deployer.objects() if "probe" in each] == []
        assert deployer.succeeds(**given) == 0


@pytest.mark.long
def test_the_mcp_server_comes_and_goes_with_the_stack(deployer: Deployer, stack: Stack):
    """The stack's databases and LiteLLM are those of this machine, and the MCP server's pod runs for real beside them."""
    urls = {name: stack.as_superuser(getattr(stack, name)) for name in ("database_url", "litemaas_database_url")}
    deployer.hidden |= {stack.litellm_master_key, *urls.values()}
    with RealPods(deployer.cluster, deployer.namespace) as pods:
        given = {
            "deploy_mcp": True,
            "litellm_api_key": stack.litellm_master_key,
            "external_database_url": urls["litemaas_database_url"],
            "external_litellm_database_url": urls["database_url"],
            "mcp_litellm_url": stack.litellm_url,
            "mcp_verify_url": pods.url,
        }
        try:
            deployer.succeeds(**given)
            told = yaml.safe_load((deployer.folder / "user-data.yaml").read_text())
            assert told["litemaas_mcp_url"] == f"https://litemaas-mcp.{DOMAIN}"
            assert httpx.get(f"{pods.url}/health", trust_env=False).json()["status"] == "healthy"
            before = deployer.cluster.requests
            assert deployer.succeeds(**given) == 0
            if before is not None:
                assert len(deployer.cluster.requests) - len(before) <= TODAYS_REQUESTS
            deployer.succeeds(ACTION="destroy", remove_data=True)
            deployer.comes_to_have(set())
        finally:
            restore_reader(stack)
