"""What the gateway role makes of its entries: objects against Kubernetes' schemas, presets against the bridge's locks, and plain words."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import kubernetes_validate
import pytest
import yaml
from ansible_collections.rhpds.litemaas.plugins.module_utils.mcp_servers import NONE, server_id_of

from tests.support.render import ROOT, Role

NAME = "ocp4_workload_litemaas_mcp_gateway"
# OpenShift 4.14, and the newest that the validator knows.
VERSIONS = ("1.27", kubernetes_validate.latest_version())
DATABASE = {"secret": "sales-db", "key": "url"}
PASSWORD, TOKEN, MASTER = "p4ssw0rd", "ghp_the_token_of_somebody", "sk-the-master-key"
SECRETS = {
    "sales-db": {"url": f"postgresql://reader:{PASSWORD}@sales/db"},
    "github": {"token": TOKEN},
    "grafana": {"token": TOKEN},
    "n8n": {"key": TOKEN},
    "litemaas-mcp-secret": {"MCP_API_KEY": TOKEN},
}
# Every preset with what it needs.
PRESETS: list[dict[str, Any]] = [
    {"preset": "filesystem"},
    {"preset": "memory", "volumes": [{"mount_path": "/data", "source": {"persistentVolumeClaim": {"claimName": "memory"}}}]},
    {"preset": "fetch"},
    {
        "preset": "monitoring",
        "env": {"GRAFANA_URL": "http://grafana:3000"},
        "secret_env": {"GRAFANA_SERVICE_ACCOUNT_TOKEN": {"secret": "grafana", "key": "token"}},
    },
    {"preset": "github", "auth_secret": {"secret": "github", "key": "token"}},
    {"preset": "postgres", "secret_env": {"DSN": DATABASE}},
    {"preset": "n8n", "env": {"N8N_API_URL": "http://n8n:5678"}, "secret_env": {"N8N_API_KEY": {"secret": "n8n", "key": "key"}}},
    {"preset": "playwright", "env": {"PLAYWRIGHT_MCP_CDP_ENDPOINT": "http://chromium:9222"}},
    {"preset": "timescaledb", "secret_env": {"DSN": DATABASE}},
    {"preset": "litemaas"},
]
OTHERS: list[dict[str, Any]] = [
    {"name": "wiki", "url": "https://wiki.example.com/mcp", "access_groups": ["docs"], "allowed_tools": ["search"]},
    {"name": "maps", "image": "quay.io/example/maps:2", "port": 9000, "path": "/", "args": ["--http"], "transport": "sse"},
    {
        "name": "my_time",
        "alias": "time",
        "command": "uvx",
        "args": ["mcp-server-time==2026.10.19"],
        "env": {"TZ": "UTC", "N": 1, "B": True},
    },
]


OWN = {"labels": {"app.kubernetes.io/managed-by": NAME}}


def secret(**data: str) -> dict[str, Any]:
    return {"metadata": OWN, "data": {name: base64.b64encode(value.encode()).decode() for name, value in data.items()}}


def role(servers: list[Any] = (), grants: list[Any] = (), *, openshift: bool = True, found: dict[str, Any] | None = None, **variables: Any):
    """The role after it has looked at a cluster that has the Secrets above, and has told LiteLLM."""
    cluster = {
        "namespace": {},
        "litellm": secret(LITELLM_MASTER_KEY=MASTER),
        "domain": {"spec": {"domain": "apps.example.com"}},
        **dict.fromkeys(("keys", "record", "gateway", "Route", "ServiceAccount", "Service", "Deployment", "NetworkPolicy")),
        **{f"secret {name}": secret(**data) for name, data in SECRETS.items()},
        **(found or {}),
    }
    return Role(
        NAME,
        _ocp4_workload_litemaas_mcp_gateway_cluster={"found": cluster, "served": {"Route": openshift}, "refused": {}},
        **{f"{NAME}_servers": list(servers), f"{NAME}_grants": list(grants)},
        **{name if name.startswith(("ocp4", "_ocp4")) else f"{NAME}_{name}": value for name, value in variables.items()},
    )


def plan(*arguments: Any, **variables: Any) -> dict[str, Any]:
    return role(*arguments, **variables).value(f"_{NAME}_plan")


def objects(*arguments: Any, **variables: Any) -> dict[tuple[str, str], dict[str, Any]]:
    return {(each["kind"], each["metadata"]["name"]): each for each in role(*arguments, **variables).value(f"_{NAME}_objects")}


def tasks(file: str) -> dict[str, dict[str, Any]]:
    return {task["name"]: task for task in yaml.safe_load((ROOT / "roles" / NAME / "tasks" / file).read_text())}


def container(deployment: dict[str, Any]) -> dict[str, Any]:
    (found,) = deployment["spec"]["template"]["spec"]["containers"]
    return found


def test_every_preset_and_kind_of_server_is_right_with_what_it_needs():
    assert plan(PRESETS + OTHERS)["faults"] == []
    presets = yaml.safe_load((ROOT / "roles" / NAME / "vars/main/presets.yml").read_text())[f"_{NAME}_presets"]
    assert {entry["preset"] for entry in PRESETS} == set(presets)


def test_the_seeds_aliases():
    aliases = {server["name"]: server["alias"] for server in plan(PRESETS)["servers"]}
    assert aliases == {
        "filesystem": "fs",
        "memory": "mem",
        "fetch": "web",
        "monitoring": "logs",
        "github": "gh",
        "postgres": "pg",
        "n8n": "wf",
        "playwright": "browser",
        "timescaledb": "tsdb",
        "litemaas": "litemaas",
    }


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("openshift", [True, False])
def test_every_object_is_valid(version: str, openshift: bool):
    for each in objects(PRESETS + OTHERS, openshift=openshift, image_pull_secrets=["pull"]).values():
        kubernetes_validate.validate(each, version, strict=True)
        assert each["metadata"]["namespace"] == "litemaas"
        assert each["metadata"]["labels"]["app.kubernetes.io/managed-by"] == NAME


def test_a_pod_of_its_own_for_each_server_that_is_not_remote():
    made = objects(PRESETS + OTHERS)
    pods = {f"mcp-{name}" for name in ("filesystem", "memory", "fetch", "monitoring", "postgres", "n8n", "playwright", "timescaledb")}
    pods |= {"mcp-maps", "mcp-my-time"}
    for kind in ("ServiceAccount", "Deployment", "Service", "NetworkPolicy"):
        assert {name for of, name in made if of == kind} == pods
    assert not any(kind == "NetworkPolicy" for kind, _ in objects(PRESETS, network_policy=False))


def test_pods_fit_the_restricted_policy_and_have_probes():
    for (kind, name), each in objects(PRESETS + OTHERS).items():
        if kind != "Deployment":
            continue
        pod = each["spec"]["template"]["spec"]
        assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
        assert (pod["serviceAccountName"], pod["automountServiceAccountToken"], pod["enableServiceLinks"]) == (name, False, False)
        assert container(each)["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"startupProbe", "livenessProbe", "readinessProbe", "resources"} <= container(each).keys()
    outside = objects(OTHERS, openshift=False)["Deployment", "mcp-maps"]["spec"]["template"]["spec"]
    assert outside["securityContext"]["runAsUser"] == 1001


def test_a_stdio_command_runs_below_the_bridge_and_an_image_as_it_is():
    made = objects(OTHERS, bridge_image="registry.example.com/bridge:1")
    time = container(made["Deployment", "mcp-my-time"])
    assert (time["image"], time["command"], time["args"]) == (
        "registry.example.com/bridge:1",
        ["mcp-bridge"],
        ["uvx", "mcp-server-time==2026.10.19"],
    )
    assert time["readinessProbe"]["httpGet"]["path"] == "/status"
    assert {"name": "B", "value": "true"} in time["env"]
    maps = container(made["Deployment", "mcp-maps"])
    assert (maps["image"], maps.get("command"), maps["args"]) == ("quay.io/example/maps:2", None, ["--http"])
    assert maps["readinessProbe"]["tcpSocket"] == {"port": "http"}
    assert made["Service", "mcp-maps"]["spec"]["ports"][0]["port"] == maps["ports"][0]["containerPort"] == 9000
    urls = {server["name"]: server["url"] for server in plan(OTHERS)["servers"]}
    assert urls == {
        "wiki": "https://wiki.example.com/mcp",
        "maps": "http://mcp-maps.litemaas.svc:9000/",
        "my_time": "http://mcp-my-time.litemaas.svc:8080/mcp",
    }


def test_who_may_reach_the_pods_and_what_they_may_reach():
    made = objects(PRESETS)
    policy = made["NetworkPolicy", "mcp-filesystem"]["spec"]
    assert policy["podSelector"] == {"matchLabels": {"app": "mcp-filesystem"}}
    assert policy["ingress"] == [
        {"ports": [{"port": 8080, "protocol": "TCP"}], "from": [{"podSelector": {"matchLabels": {"app": "litellm"}}}]}
    ]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    (names,) = policy["egress"]
    assert {each["port"] for each in names["ports"]} == {53, 5353}
    (where,) = names["to"]
    in_dns = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["openshift-dns", "kube-system"]}
    assert where == {"namespaceSelector": {"matchExpressions": [in_dns]}}
    _, internet = made["NetworkPolicy", "mcp-fetch"]["spec"]["egress"]
    assert "10.0.0.0/8" in internet["to"][0]["ipBlock"]["except"]
    assert made["NetworkPolicy", "mcp-postgres"]["spec"]["policyTypes"] == ["Ingress"]


def test_a_server_with_a_volume_is_never_there_twice():
    made = objects(PRESETS)
    assert made["Deployment", "mcp-memory"]["spec"]["strategy"] == {"type": "Recreate"}
    assert made["Deployment", "mcp-fetch"]["spec"]["strategy"]["type"] == "RollingUpdate"
    pod = made["Deployment", "mcp-memory"]["spec"]["template"]["spec"]
    assert {"name": "volume-1", "persistentVolumeClaim": {"claimName": "memory"}} in pod["volumes"]
    assert {"name": "volume-1", "mountPath": "/data", "readOnly": False} in container(made["Deployment", "mcp-memory"])["volumeMounts"]


def test_secrets_are_in_secrets_only_and_a_change_of_one_rolls_its_pod_alone():
    made = objects(PRESETS + OTHERS)
    text = json.dumps(list(made.values()))
    values = (PASSWORD, TOKEN, MASTER)
    assert [value for value in (*values, *(base64.b64encode(each.encode()).decode() for each in values)) if value in text] == []
    changed = objects(PRESETS + OTHERS, found={"secret sales-db": secret(url="postgresql://another")})
    assert {name for (_, name), each in changed.items() if each != made["Deployment", name] and each["kind"] == "Deployment"} == {
        "mcp-postgres",
        "mcp-timescaledb",
    }


def test_registrations_say_all_that_an_entry_may_say_so_that_what_is_taken_out_goes():
    wiki, *_ = role(OTHERS).value(f"_{NAME}_registrations")
    assert wiki == {
        "server_name": "wiki",
        "server_id": server_id_of("wiki"),
        "alias": "wiki",
        "server_url": "https://wiki.example.com/mcp",
        "transport": "http",
        "auth_type": "none",
        "description": "",
        "extra_headers": [],
        "allowed_tools": ["search"],
        "allow_all_keys": False,
        "mcp_access_groups": ["docs"],
    }


def test_a_secret_is_sent_again_when_it_differs_from_what_the_record_says():
    first = role(PRESETS)
    github = next(each for each in first.value(f"_{NAME}_registrations") if each["server_name"] == "github")
    assert (github["authentication_token"], github["update_secret"]) == (TOKEN, "always")
    record = json.dumps(first.value(f"_{NAME}_new_record"))
    assert TOKEN not in record
    for token, update in ((TOKEN, "on_create"), ("another", "always")):
        again = role(PRESETS, found={"record": secret(record=record), "secret github": secret(token=token)})
        github = next(each for each in again.value(f"_{NAME}_registrations") if each["server_name"] == "github")
        assert github["update_secret"] == update


def test_what_is_taken_out_is_removed_from_litellm_and_the_cluster():
    record = secret(record=json.dumps({"servers": {"wiki": "", "maps": ""}, "teams": ["sre", "web"]}))
    there = {"Deployment": {"items": [{"metadata": {"name": name}} for name in ("mcp-maps", "mcp-fetch")]}, "record": record}
    now = role([{"preset": "fetch"}], [{"team_alias": "web", "servers": ["web"]}], found=there)
    assert now.value(f"_{NAME}_registrations")[:-1] == [  # first, as the entry after them may have the alias of one
        {"server_name": "wiki", "server_id": server_id_of("wiki"), "state": "absent"},
        {"server_name": "maps", "server_id": server_id_of("maps"), "state": "absent"},
    ]
    assert now.value(f"_{NAME}_registrations[-1].server_name") == "fetch"
    assert now.value(f"_{NAME}_ids") == {"fetch": server_id_of("fetch")}
    assert [(each["kind"], each["metadata"]["name"]) for each in now.value(f"_{NAME}_unwanted")] == [("Deployment", "mcp-maps")]
    assert now.value(f"_{NAME}_both_records") == {"servers": {"fetch": "", "wiki": "", "maps": ""}, "teams": ["sre", "web"]}
    assert now.value(f"_{NAME}_new_record") == {"servers": {"fetch": ""}, "teams": ["web"]}
    gone = role([{"preset": "fetch"}], found=there, ocp4_workload_litemaas_remove=True)
    assert {each["metadata"]["name"] for each in gone.value(f"_{NAME}_removable")} == {"mcp-maps", "mcp-fetch", "litemaas-mcp-gateway"}
    assert gone.value(f"_{NAME}_plan")["servers"] == []


def test_a_team_that_loses_its_grant_is_told_that_it_may_use_no_server():
    nothing = role().value(f"_{NAME}_nothing")
    assert nothing == {"mcp_servers": [NONE], "mcp_access_groups": [], "mcp_tool_permissions": {}}


def test_a_litellm_that_is_gone_is_not_asked_to_forget():
    def asked_and_said(**given: Any) -> tuple[bool, bool]:
        names = ("LiteLLM forgets what the role has told it", "Say what LiteLLM was not asked to forget")
        found = role(ocp4_workload_litemaas_remove=True, **given)
        asked, said = (found.value(tasks("remove_workload.yml")[name]["when"]) for name in names)
        return asked, said

    record = {"record": secret(record="{}")}
    running = {"gateway": {"items": [{"metadata": {"name": "litellm"}}]}}
    assert asked_and_said(found=record | running) == (True, False)
    assert asked_and_said(found=record, litellm_api_url="https://litellm.example.com") == (True, False)
    assert asked_and_said(found=record) == asked_and_said(found=record | running | {"litellm": None}) == (False, True)
    assert asked_and_said(found=running) == asked_and_said() == (False, False)
    asked = role(litellm_labels={"app": "litellm", "tier": "a b"}).value(f"_{NAME}_paths.gateway")
    assert asked == "/api/v1/namespaces/litemaas/pods?labelSelector=app%3Dlitellm%2Ctier%3Da%20b"


def test_nothing_wanted_is_nothing_done():
    nothing = role()
    for made in ("registrations", "objects", "unwanted", "key_list", "missing"):
        assert nothing.value(f"_{NAME}_{made}") == []
    assert nothing.value(f"_{NAME}_new_record") == nothing.value(f"_{NAME}_record")


def test_configuration_as_code_has_aliases_and_no_secret():
    written = role(PRESETS + OTHERS, mode="config").value(f"_{NAME}_config")
    config = written["ocp4_workload_litemaas_litellm_config"]
    assert config["mcp_servers"]["github"] == {
        "server_id": config["mcp_servers"]["github"]["server_id"],
        "alias": "gh",
        "url": "https://api.githubcopilot.com/mcp/",
        "transport": "http",
        "description": "Repositories, issues and pull requests of GitHub",
        "auth_type": "bearer_token",
        "authentication_token": "os.environ/token",
    }
    assert config["mcp_servers"]["filesystem"]["url"] == "http://mcp-filesystem.litemaas.svc:8080/mcp"
    assert config["mcp_servers"]["wiki"]["access_groups"] == ["docs"]
    assert config["litellm_settings"]["mcp_aliases"]["fs"] == "filesystem"
    # Each key alone: what else its Secret holds is not LiteLLM's.
    taken = [{"secret": "github", "key": "token"}, {"secret": "litemaas-mcp-secret", "key": "MCP_API_KEY"}]
    assert written["ocp4_workload_litemaas_litellm_env_secrets"] == taken
    assert TOKEN not in json.dumps(written)
    stack = Role("ocp4_workload_litemaas", **written)
    merged = stack.value("_ocp4_workload_litemaas_config")
    assert merged["mcp_servers"] == config["mcp_servers"]
    assert merged["general_settings"]["master_key"] == "os.environ/LITELLM_MASTER_KEY"
    assert stack.value("_ocp4_workload_litemaas_bare_secrets") == []


def test_configuration_as_code_grants_servers_of_the_configuration_alone():
    listed = [{"server_name": name, "server_id": f"id-{name}", "stored": stored} for name, stored in (("fetch", True), ("wiki", False))]
    grants = [{"key_alias": "agent", "servers": ["web", "wiki"]}]
    found = role([FETCH, *OTHERS], grants, mode="config", **{f"_{NAME}_listed": {"mcp_servers": listed}})
    assert found.value(f"_{NAME}_ids") == {"wiki": "id-wiki"}
    assert found.value(f"_{NAME}_unloaded") == ["fetch"]


def test_configuration_as_code_has_ids_that_stay_and_are_not_those_of_registered_servers():
    def ids(**fields: Any) -> dict[str, str]:
        servers = plan([{"name": "wiki", "url": "http://a/mcp"} | fields, FETCH], mode="config")["config"]["mcp_servers"]
        return {name: server["server_id"] for name, server in servers.items()}

    assert ids() == ids(url="http://b/mcp", alias="w", auth_type="api_key", auth_secret={"secret": "wiki", "key": "WIKI_TOKEN"})
    assert len({*ids().values(), server_id_of("wiki"), server_id_of("fetch")}) == 4


def test_the_file_of_the_configuration_is_where_the_command_was_given(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PWD", "/here")
    collection = {"playbook_dir": "/usr/share/ansible/collections/ansible_collections/rhpds/litemaas/playbooks"}
    assert found_file(**collection) == "/here/litellm-mcp-servers.yml"
    assert found_file(**collection, output_dir="/out") == "/out/litellm-mcp-servers.yml"
    assert found_file(**collection, **{f"{NAME}_config_file": "/else/mcp.yml"}) == "/else/mcp.yml"


def found_file(**variables: str) -> str:
    return Role(NAME, **variables).value(f"_{NAME}_config_file")


def test_the_address_that_is_told_is_the_one_that_every_version_answers_without_a_redirect():
    found = role(litellm_api_url="https://litellm.example.com/")
    data = tasks("report.yml")["Tell what there is and who may reach it"]["rhpds.litemaas.agnosticd_user_info"]["data"]
    assert found.text(data["litemaas_mcp_gateway_url"]) == "https://litellm.example.com/mcp/"
    assert "https://litellm.example.com/mcp/, servers: none" in found.value(f"_{NAME}_told")[0]


def test_a_line_break_at_the_end_of_a_secret_is_no_part_of_it():
    broken = {"secret github": secret(token=TOKEN + "\n"), "litellm": secret(LITELLM_MASTER_KEY=MASTER + "\n")}
    found = role([{"preset": "github", "auth_secret": {"secret": "github", "key": "token"}}], found=broken)
    assert found.value(f"_{NAME}_registrations[0].authentication_token") == TOKEN
    assert found.value(f"_{NAME}_master_key") == MASTER


def test_configuration_as_code_has_a_variable_for_each_secret():
    def faults(mode: str, **references: tuple[str, str]) -> list[str]:
        entries = [
            {"name": name, "url": "http://a/mcp", "auth_type": "api_key", "auth_secret": {"secret": of, "key": key}}
            for name, (of, key) in references.items()
        ]
        return plan(entries, mode=mode)["faults"]

    (fault,) = faults("config", wiki=("wiki", "token"), repo=("gh", "token"))
    assert fault.startswith(f"{NAME}_servers: 'repo': auth_secret: 'token' is a key of the Secret of 'wiki' too")
    assert fault.endswith("Give each Secret a key of its own, such as REPO_TOKEN.")
    (fault,) = faults("config", wiki=("wiki", "the-token"))
    assert fault.startswith(f"{NAME}_servers: 'wiki': auth_secret: 'the-token' can't be the name of a variable")
    assert faults("config", wiki=("one", "token"), repo=("one", "token")) == []
    deployment = (ROOT / "roles/ocp4_workload_litemaas/templates/litellm_deployment.yaml.j2").read_text()
    own = re.findall(r"- name: ([A-Z_]+)$", deployment, re.MULTILINE)
    assert "DATABASE_URL" in own
    for variable in [*own, "LITELLM_LOG", "PATH", "HOME"]:
        (fault,) = faults("config", wiki=("wiki", variable))
        assert fault.startswith(f"{NAME}_servers: 'wiki': auth_secret: '{variable}' is a variable of LiteLLM's own")
        assert fault.endswith("Give the Secret a key such as WIKI_TOKEN.")
    assert faults("config", wiki=("wiki", "WIKI_TOKEN"), repo=("gh", "token")) == []
    assert faults("api", wiki=("wiki", "the-token"), repo=("gh", "the-token")) == []


def test_grants_are_told_by_id_and_in_words():
    grants = [
        {"key_alias": "agent", "servers": ["fs"], "tools": {"maps": ["search", "read"]}, "models": ["granite"], "max_budget": 5},
        {"team_alias": "sre", "access_groups": ["docs"]},
    ]
    told = role([{"preset": "filesystem"}, *OTHERS], grants)
    files, maps = server_id_of("filesystem"), server_id_of("maps")
    assert told.value(f"_{NAME}_permissions") == {
        "key agent": {
            "mcp_servers": [files, maps],
            "mcp_access_groups": [],
            "mcp_tool_permissions": {maps: ["search", "read"]},
        },
        "team sre": {"mcp_servers": [], "mcp_access_groups": ["docs"], "mcp_tool_permissions": {}},
    }
    assert told.value(f"_{NAME}_plan")["grants"][0]["key"] == {"key_alias": "agent", "models": ["granite"], "max_budget": 5}
    assert [grant["reach"] for grant in told.value(f"_{NAME}_plan")["grants"]] == [
        "The key agent reaches fs (all tools), maps (search, read).",
        "The team sre reaches wiki (search).",
    ]


def test_an_empty_list_of_models_is_no_model():
    (grant,) = plan([FETCH], [{"key_alias": "agent", "servers": ["web"], "models": []}])["grants"]
    assert grant["key"]["models"] == ["no-default-models"]


def test_a_key_may_use_no_model_unless_it_is_said_and_has_a_value_that_stays():
    grants = [{"key_alias": "agent", "servers": ["web"]}, {"key_alias": "other", "servers": ["web"]}]
    first = role([{"preset": "fetch"}], grants, found={"keys": secret(agent="sk-kept")})
    made = {name: base64.b64decode(value).decode() for name, value in first.one("keys_secret")["data"].items()}
    assert made["agent"] == "sk-kept"
    assert re.fullmatch(r"sk-\w{40}", made["other"])
    keys = role([{"preset": "fetch"}], grants, found={"keys": secret(**made)}).value(f"_{NAME}_key_list")
    assert [(key["key"], key["models"]) for key in keys] == [(made[name], ["no-default-models"]) for name in ("agent", "other")]


def test_every_alias_of_a_key_is_a_text_in_the_secret():
    aliases = ["001", "on", "yes", "1.10", "null", "1e3", "2026-01-01"]
    grants = [{"key_alias": alias, "servers": ["web"]} for alias in aliases]
    made = role([{"preset": "fetch"}], grants, found={"keys": secret(**{"1.10": "sk-kept"})}).one("keys_secret")["data"]
    assert sorted(made) == sorted(aliases)
    assert base64.b64decode(made["1.10"]) == b"sk-kept"
    keys = role([{"preset": "fetch"}], grants, found={"keys": {"metadata": OWN, "data": made}}).value(f"_{NAME}_key_list")
    assert {key["key_alias"]: base64.b64encode(key["key"].encode()).decode() for key in keys} == made


@pytest.mark.parametrize("metadata", [{"name": "x"}, {"labels": {"app": "x"}}])
def test_a_secret_of_somebody_elses_is_neither_written_to_nor_removed(metadata: dict[str, Any]):
    found = {"keys": {**secret(agent="sk-of-somebody"), "metadata": metadata}, "gateway": {"items": [{}]}}
    wanting = role([FETCH], [{"key_alias": "agent", "servers": ["web"]}], found=found)
    (fact,) = [each for each in tasks("check.yml")["There is what the servers need"]["loop"] if "keys_secret" in each["remedy"]]
    assert wanting.text(fact["holds"]) is False
    assert "has a Secret 'litemaas-mcp-gateway-keys' that this role has not made." in wanting.text(fact["remedy"])
    assert wanting.value(f"_{NAME}_values") == {}
    assert role([FETCH], found=found).text(fact["holds"]) is True
    gone = role(found=found, ocp4_workload_litemaas_remove=True)
    assert gone.value(f"_{NAME}_removable") == []
    assert not gone.value(f"_{NAME}_made")


@pytest.mark.parametrize(("kept", "removing", "asked", "deleted"), [(0, 0, 0, 0), (1, 0, 1, 1), (0, 1, 1, 0), (1, 1, 1, 1)])
def test_keys_go_with_the_rest_even_when_their_secret_is_lost(kept: int, removing: int, asked: int, deleted: int):
    found = role(found={"keys": secret(agent="sk-x") if kept else None}, ocp4_workload_litemaas_remove=bool(removing))
    keys, values = (
        tasks("grants.yml")[name]
        for name in ("The keys reach what they may, and there are no others of this role", "The keys' values are gone with the last key")
    )
    assert (found.value(keys["when"]), found.value(values["when"])) == (bool(asked), bool(deleted))
    assert found.text(keys["rhpds.litemaas.litellm_keys"]["state"]) == "absent"


FETCH = {"preset": "fetch"}


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("fetch", "entry 1: must be a mapping, and is a text."),
        ({"preset": "fetsch"}, "preset: there is none of this name. Give one of filesystem, memory"),
        ({"url": "http://a/mcp", "args": []}, "entry 1 (args, url): name: is missing."),
        ({"name": None, "url": "http://a/mcp"}, "entry 1 (name, url): name: must be a text, and is nothing."),
        ({"name": "my-wiki", "url": "http://a/mcp"}, "name: 'my-wiki' must be a small letter, then small letters, digits and '_'"),
        ({"name": "my-wiki", "url": "http://a/mcp"}, "LiteLLM separates server and tool by '-': write '_'."),
        ({"name": "a", "alias": "A", "url": "http://a/mcp"}, "'a': alias: 'A' must be"),
        ({"name": "a_", "command": "x"}, "name: 'a_' must be a small letter, then"),
        ({"name": "a_", "command": "x"}, "40 at most, not '_' last."),
        ({"name": "a\n", "command": "x"}, "must be a small letter"),
        ({"name": "a"}, "'a': url: give one of url (remote), image (speaks HTTP) and command (speaks stdio)."),
        ({"name": "a", "url": "http://a", "image": "b"}, "url and image: give one of"),
        ({"name": "a", "url": "a.example.com/mcp"}, "url: must be http:// or https://"),
        ({"name": "a", "url": "https://me:pass@a/mcp"}, "A token goes into auth_secret."),
        ({"name": "a", "url": "https://a/mcp?token=x"}, "A token goes into auth_secret."),
        ({"name": "a", "url": "http://a/mcp", "args": ["x"]}, "args: has no effect with url. Remove it."),
        ({"name": "a", "comand": "x"}, "comand: there is no such field. command is meant?"),
        ({"name": "a", "command": "npx -y thing"}, "command: must be one word; its arguments go into args."),
        ({"name": "a", "command": "docker", "args": ["run"]}, "command: a pod can't run containers."),
        ({"name": "a", "command": "x", "args": "y"}, "args: must be a list, and is a text."),
        ({"name": "a", "command": "x", "args": ["postgresql://me:pass@db/x"]}, "args: hold a secret"),
        ({"name": "a", "command": "x", "env": {"A_TOKEN": "abc"}}, "env: A_TOKEN looks like a secret."),
        ({"name": "a", "command": "x", "env": {"A": "postgresql://me:pass@db/x"}}, "env: A looks like a secret."),
        ({"name": "a", "command": "x", "env": {"A": ["b"]}}, "env: A must be a text."),
        ({"name": "a", "command": "x", "env": {"A-B": "c"}}, "env: 'A-B' can't be the name of a variable."),
        ({"name": "a", "command": "x", "env": {"PORT": 3000}}, "env: PORT is the bridge's. Remove it."),
        ({"name": "a", "command": "x", "secret_env": {"PORT": DATABASE}}, "secret_env: PORT is the bridge's. Remove it."),
        ({"name": "a", "command": "x", "env": {"HOME": "/data"}}, "env: HOME is the pod's. Remove it."),
        ({"name": "a", "image": "x", "secret_env": {"HOME": DATABASE}}, "secret_env: HOME is the pod's. Remove it."),
        ({"name": "a", "command": "x", "env": {"A": "b"}, "secret_env": {"A": DATABASE}}, "env: A is in secret_env too. Remove one."),
        ({"name": "a", "command": "x", "secret_env": {"A": "github"}}, "secret_env: A must be {secret: NAME, key: KEY}"),
        ({"name": "a", "command": "x", "volumes": ["/data"]}, "volumes: each must have mount_path"),
        (
            {"name": "a", "image": "x", "transport": "stdio"},
            "transport: must be one of http, sse. A server that speaks stdio is an entry with",
        ),
        ({"name": "a", "image": "x", "port": 70000}, "port: must be from 1 to 65535."),
        ({"name": "a", "image": "x", "port": True}, "port: must be a whole number, and is true or false."),
        ({"name": "a", "image": "x", "path": "mcp"}, "path: must begin with '/'."),
        ({"name": "a", "url": "http://a", "auth_type": "oauth2", "auth_secret": DATABASE}, "auth_type: must be none or one of api_key"),
        ({"name": "a", "url": "http://a", "auth_type": "bearer_token"}, "auth_secret: is missing."),
        ({"name": "a", "url": "http://a", "auth_secret": DATABASE}, "auth_type: is missing."),
        (
            {"name": "a", "url": "http://a", "auth_type": "api_key", "auth_secret": {"secret": "x"}},
            "auth_secret: must be {secret: NAME, key: KEY}",
        ),
        (
            {"name": "a", "url": "http://a", "static_headers": {"Authorization": "Basic x"}},
            "static_headers: Authorization looks like a secret.",
        ),
        ({"preset": "github"}, "'github': auth_secret: is missing. The preset github needs a personal access token of GitHub."),
        ({"preset": "postgres"}, "secret_env: DSN is missing. The preset postgres needs the URL"),
        ({"preset": "playwright"}, "env: PLAYWRIGHT_MCP_CDP_ENDPOINT is missing."),
    ],
)
def test_wrong_entries_are_named_with_field_and_remedy(entry: Any, says: str):
    faults = plan([entry])["faults"]
    assert [fault for fault in faults if says in fault], faults
    assert all(fault.startswith(f"{NAME}_servers: ") for fault in faults)


@pytest.mark.parametrize(
    "entry",
    [
        TOKEN,
        [TOKEN],
        {"name": "a", "url": "http://a/mcp", "auth_type": "api_key", "auth_secret": TOKEN},
        {"name": {"secret": TOKEN}, "url": "http://a/mcp"},
        {"command": "x", "env": {"A": TOKEN}},
        {"command": "x", "static_headers": [TOKEN]},
        {"name": "a", "command": "x", "env": {"A": TOKEN}, "args": [TOKEN]},
        {"name": "a", "url": f"https://{TOKEN}@a/mcp"},
        {"name": "a", "command": "x", "secret_env": {"A": TOKEN}},
    ],
)
def test_a_fault_does_not_show_a_token_in_the_wrong_place(entry: Any):
    faults = plan([FETCH, entry], [{"servers": [], "key": TOKEN}, TOKEN])["faults"]
    assert [fault.split(": ")[:2] for fault in faults[-2:]] == [[f"{NAME}_grants", "entry 1 (key, servers)"], [f"{NAME}_grants", "entry 2"]]
    assert len(faults) > 2
    assert [fault for fault in faults if TOKEN in fault] == []


def test_an_image_of_the_users_takes_a_presets_place():
    (server,) = plan([{"preset": "postgres", "image": "quay.io/example/postgres-mcp:1", "env": {"PGHOST": "sales"}}])["servers"]
    assert (server["name"], server["alias"], server["args"], server["env"]) == ("postgres", "pg", [], {"PGHOST": "sales"})


@pytest.mark.parametrize("entry", PRESETS)
def test_a_preset_that_is_given_its_own_source_once_more_stays_what_it_is(entry: dict[str, Any]):
    (server,) = plan([entry])["servers"]
    source = next(each for each in ("command", "url") if each in server)
    assert plan([{**entry, source: server[source]}])["servers"] == [server]


def test_an_image_may_have_a_port_of_its_own_as_variable():
    assert plan([{"name": "a", "image": "x", "env": {"PORT": 3000}}])["faults"] == []


def test_names_and_aliases_belong_to_one_entry():
    faults = plan(
        [FETCH, {"name": "web", "url": "http://a"}, {"name": "b", "url": "http://b"}, {"name": "b", "alias": "c", "url": "http://b"}]
    )
    assert [fault.split(": ")[1] for fault in faults["faults"]] == ["'b'", "'web'"]


@pytest.mark.parametrize(
    ("grant", "says"),
    [
        ({"servers": ["web"]}, "key_alias: give either key_alias"),
        ({"key_alias": "a", "team_alias": "b", "servers": ["web"]}, "key_alias: give either key_alias"),
        ({"key_alias": "a b", "servers": ["web"]}, "key_alias: may hold letters, digits"),
        ({"key_alias": "a"}, "'a': servers: is missing."),
        ({"key_alias": "a", "servers": ["wbe"]}, "servers: 'wbe' is in no entry of"),
        ({"key_alias": "a", "access_groups": ["dev"]}, "access_groups: 'dev' is in no entry of"),
        ({"key_alias": "a", "tools": {"web": []}}, "tools: web must have a list of tools."),
        ({"key_alias": "a", "tools": {"wiki": ["search", "delete"]}}, "tools: wiki: 'delete' is not among allowed_tools of its entry"),
        ({"key_alias": "a", "tools": {"wiki": 5}}, "tools: wiki must have a list of tools."),
        ({"team_alias": "a", "servers": ["web"], "models": ["m"]}, "models: is for keys. Set the team's by litellm_team."),
        ({"key_alias": "a", "server": ["web"]}, "server: there is no such field. servers is meant?"),
    ],
)
def test_wrong_grants_are_named_with_field_and_remedy(grant: dict[str, Any], says: str):
    faults = plan([FETCH, OTHERS[0]], [grant])["faults"]
    assert [fault for fault in faults if says in fault], faults
    assert all(fault.startswith(f"{NAME}_grants: ") for fault in faults)


def test_a_grant_is_made_once():
    assert "'a' has several entries" in plan([FETCH], [{"key_alias": "a", "servers": ["web"]}] * 2)["faults"][0]


def test_secrets_that_are_missing_are_named():
    (missing,) = role([{"preset": "postgres", "secret_env": {"DSN": {"secret": "nope", "key": "url"}}}], found={"secret nope": None}).value(
        f"_{NAME}_missing"
    )
    assert "'postgres': secret_env: DSN: namespace litemaas has no Secret 'nope' with a key 'url'. Make it: " in missing
    # Neither in the list of processes nor with a line break.
    assert missing.endswith('read -rs VALUE; printf %s "$VALUE" | oc create secret generic nope -n litemaas --from-file=url=/dev/stdin')
    assert role(PRESETS).value(f"_{NAME}_missing") == []


def test_what_presets_run_is_locked_in_the_bridges_image_and_the_guide_says_which_version():
    locked = json.loads((ROOT / "bridge/package-lock.json").read_text())["packages"]
    commands = {
        name: (path.rpartition("node_modules/")[2], each["version"]) for path, each in locked.items() for name in each.get("bin", ())
    }
    pins = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / "bridge/servers.lock").read_text(), re.MULTILINE))
    guide = (ROOT / "docs/mcp-gateway.md").read_text()
    for server in plan(PRESETS)["servers"]:
        if "command" in server:
            package, version = commands.get(server["command"]) or (server["command"], pins[server["command"]])
            (row,) = re.findall(rf"^\| `{server['name']}` \|.*", guide, re.MULTILINE)
            assert f"`{package}` {version}" in row
    declared = (ROOT / "bridge/package.json").read_text() + (ROOT / "bridge/servers.in").read_text()
    assert re.findall(r"latest|[\^~*]", declared) == []


def test_defaults_and_argument_specs_say_the_same():
    defaults = yaml.safe_load((ROOT / "roles" / NAME / "defaults/main.yml").read_text())
    options = yaml.safe_load((ROOT / "roles" / NAME / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
    assert {name: option["default"] for name, option in options.items()} == defaults
    assert [name for name, option in options.items() if not option["description"].endswith(".")] == []
