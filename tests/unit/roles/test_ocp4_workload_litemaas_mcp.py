"""What the role renders: over its variables, against Kubernetes' schemas, and against the server's own settings."""

from __future__ import annotations

import base64
import json
from typing import Any

import kubernetes_validate
import pytest
import yaml
from litemaas_mcp.settings import Settings

from tests.support.render import ROOT, Role
from tests.unit.roles import test_ocp4_workload_litemaas

NAME = "ocp4_workload_litemaas_mcp"
OBJECTS = (
    "serviceaccount",
    "role",
    "rolebinding",
    "secret",
    "reader_job",
    "deployment",
    "service",
    "route",
    "ingress",
    "networkpolicy",
    "poddisruptionbudget",
    "horizontalpodautoscaler",
)
# OpenShift 4.14, and the newest that the validator knows.
VERSIONS = ("1.27", kubernetes_validate.latest_version())
OWN = {"metadata": {"labels": {"app.kubernetes.io/managed-by": "ocp4_workload_litemaas_mcp"}}}
PASSWORD, MASTER = "p%40ss", "sk-the-master-key"
URLS = {
    "LITELLM_DATABASE_URL": f"postgresql://litellm:{PASSWORD}@litellm-postgres:5432/litellm?sslmode=disable",
    "DATABASE_URL": f"postgresql://litellm:{PASSWORD}@litellm-postgres:5432/litemaas_db",
}


def secret(**data: str) -> dict[str, Any]:
    return {"data": {name: base64.b64encode(value.encode()).decode() for name, value in data.items()}}


def role(
    have: dict[str, str] | None = None,
    *,
    openshift: bool = True,
    found: dict[str, Any] | None = None,
    refused: tuple[str, ...] = (),
    **variables: Any,
) -> Role:
    """The role after it has looked at a cluster that holds `have` in its own Secret; what is `refused` it may not look at."""
    cluster = {
        "namespace": {},
        "secret": secret(**have) if have else None,
        "litellm": secret(LITELLM_MASTER_KEY=MASTER),
        "database": secret(**URLS),
        "litemaas": secret(ADMIN_API_KEY="ltm_admin_key"),
        "domain": {"spec": {"domain": "apps.example.com"}},
        "Job": {"items": []},
        **dict.fromkeys(("Route", "Ingress", "NetworkPolicy", "PodDisruptionBudget", "HorizontalPodAutoscaler", "Deployment")),
        **(found or {}),
        **dict.fromkeys(refused),
    }
    variables = {name if name.startswith(("ocp4", "_ocp4", "openshift")) else f"{NAME}_{name}": value for name, value in variables.items()}
    words = {name: f'User "me" cannot get resource "{name}"' for name in refused}
    read = {"found": cluster, "served": dict.fromkeys(cluster, True) | {"Route": openshift}, "refused": words}
    return Role(NAME, _ocp4_workload_litemaas_mcp_cluster=read, **variables)


def settled(**more: str) -> dict[str, str]:
    """What the Secret holds after a first run."""
    first = role().one("secret")["data"]
    return {name: base64.b64decode(value).decode() for name, value in first.items()} | more


def environment(deployment: dict[str, Any]) -> dict[str, dict[str, Any]]:
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return {each["name"]: each for each in container["env"]}


# Each value at least once, beside others each time.
MATRIX: list[dict[str, Any]] = [
    {},
    {"replicas": 3, "create_reader": False, "image_pull_secrets": ["pull"]},
    {"max_replicas": 5, "litemaas_url": "http://litellm-backend:8080", "extra_env": [{"name": "TOOL_TIMEOUT", "value": "60"}]},
    {
        "replicas": 2,
        "max_replicas": 4,
        "create_reader": False,
        "litemaas_url": "https://backend.example.com",
        "read_only": True,
        "admin": True,
    },
    {"network_policy": False, "ingress_class": "nginx", "allowed_hosts": ["mcp.example.com"], "log_level": "DEBUG"},
]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("openshift", [True, False])
def test_every_object_is_valid_whatever_the_variables(version: str, openshift: bool):
    for variables in MATRIX:
        rendered = role(settled(), openshift=openshift, **variables)
        for template in OBJECTS:
            for each in rendered.template(template):
                assert each["metadata"]["namespace"] == "litemaas"
                if each["kind"] != "Route":
                    kubernetes_validate.validate(each, version, strict=True)


def test_the_role_applies_just_the_objects_that_are_wanted():
    def wanted(**variables: Any) -> set[str]:
        return set(role(settled(), **variables).value("_ocp4_workload_litemaas_mcp_templates"))

    usual = {"serviceaccount", "role", "rolebinding", "reader_job", "deployment", "service", "networkpolicy"}
    assert wanted() == usual | {"route"}
    assert wanted(openshift=False) == usual | {"ingress"}
    assert wanted(replicas=2) == usual | {"route", "poddisruptionbudget"}
    assert wanted(max_replicas=4) == usual | {"route", "poddisruptionbudget", "horizontalpodautoscaler"}
    assert wanted(network_policy=False, create_reader=False) == usual - {"networkpolicy", "reader_job"} | {"route"}


def test_what_is_there_and_not_wanted_is_named():
    there = dict.fromkeys(("PodDisruptionBudget", "HorizontalPodAutoscaler", "NetworkPolicy"), OWN)
    jobs = {"Job": {"items": [{"metadata": {"name": "litemaas-mcp-reader-old"}}]}}
    gone = role(settled(), found=there | jobs, network_policy=False).template("unwanted")
    assert {(each["kind"], each["metadata"]["name"]) for each in gone} == {
        ("PodDisruptionBudget", "litemaas-mcp"),
        ("HorizontalPodAutoscaler", "litemaas-mcp"),
        ("NetworkPolicy", "litemaas-mcp"),
        ("Job", "litemaas-mcp-reader-old"),
    }
    assert role(settled()).template("unwanted") == []


@pytest.mark.parametrize("labels", [None, {}, {"app": "litemaas-mcp"}, {"app.kubernetes.io/managed-by": "Helm"}])
def test_what_others_made_under_the_same_name_is_left_alone(labels: dict[str, str] | None):
    others = {"metadata": {"name": "litemaas-mcp"} | ({} if labels is None else {"labels": labels})}
    rendered = role(settled(), found=dict.fromkeys(("NetworkPolicy", "Ingress", "Deployment"), others), network_policy=False)
    assert rendered.template("unwanted") == []
    assert [each["kind"] for each in rendered.template("all")] == ["Secret"]


def test_removal_names_every_kind_that_provision_can_make():
    made = {each["kind"] for template in OBJECTS for each in role(settled()).template(template)}
    there = dict.fromkeys(made - {"Job", "Secret"}, OWN) | {"Job": {"items": [{"metadata": {"name": "litemaas-mcp-reader-1"}}]}}
    assert {each["kind"] for each in role(settled(), found=there).template("all")} == made
    assert {each["kind"] for each in role(settled()).template("all")} == {"Secret"}


def test_what_the_role_makes_is_marked_as_its_own():
    rendered = role(settled())
    for each in (each for template in set(OBJECTS) - {"secret"} for each in rendered.template(template)):
        assert each["metadata"]["labels"].items() >= OWN["metadata"]["labels"].items(), each["kind"]


def test_the_container_gets_only_variables_that_the_server_reads_and_all_that_it_needs():
    for variables in MATRIX:
        names = set(environment(role(settled(), **variables).one("deployment")))
        assert names <= {name.upper() for name in Settings.model_fields}
        assert {name.upper() for name, field in Settings.model_fields.items() if field.is_required()} <= names


def test_secrets_reach_the_container_by_reference_only():
    secrets = {name.upper() for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)}
    for variables in MATRIX:
        for name, each in environment(role(settled(), **variables).one("deployment")).items():
            assert ("value" not in each) == (name in secrets)


def test_no_secret_is_outside_of_a_secret():
    have = settled()
    values = [PASSWORD, MASTER, "ltm_admin_key", *have.values(), *(base64.b64encode(each.encode()).decode() for each in have.values())]
    for variables in MATRIX:
        rendered = role(have, **variables)
        for template in set(OBJECTS) - {"secret"}:
            text = json.dumps(rendered.template(template))
            assert [each for each in values if each in text] == []


def test_the_server_never_gets_an_administrators_url():
    deployment = role(settled()).one("deployment")
    for name in ("DATABASE_URL", "LITEMAAS_DATABASE_URL"):
        assert environment(deployment)[name]["valueFrom"]["secretKeyRef"]["name"] == "litemaas-mcp-secret"
    have = settled()
    assert have["DATABASE_URL"] == f"postgresql://litemaas_reader:{have['READER_PASSWORD']}@litellm-postgres:5432/litellm?sslmode=disable"
    assert have["LITEMAAS_DATABASE_URL"].endswith("@litellm-postgres:5432/litemaas_db")
    assert PASSWORD not in str(have)


def test_a_token_is_made_once_kept_and_replaced_by_the_given_one():
    first, other = settled(), settled()
    assert len(first["MCP_API_KEY"]) == 40
    assert first["MCP_API_KEY"] != other["MCP_API_KEY"]
    assert role(first).value("_ocp4_workload_litemaas_mcp_secret_stands")
    given = role(first, api_key="given-token")
    assert not given.value("_ocp4_workload_litemaas_mcp_secret_stands")
    assert given.value("_ocp4_workload_litemaas_mcp_settled") == first | {
        "MCP_API_KEY": "given-token",
        "MCP_API_KEY_PREVIOUS": first["MCP_API_KEY"],
    }


def test_a_rotation_keeps_the_old_token_valid_and_then_ends_it():
    first = settled()
    rotating = role(first, _ocp4_workload_litemaas_mcp_rotating=True)
    data = {name: base64.b64decode(value).decode() for name, value in rotating.one("secret")["data"].items()}
    assert data["MCP_API_KEY_PREVIOUS"] == first["MCP_API_KEY"]
    assert data["MCP_API_KEY"] not in ("", first["MCP_API_KEY"])
    assert data["DATABASE_URL"] == first["DATABASE_URL"]
    afterwards = role(data)
    assert not afterwards.value("_ocp4_workload_litemaas_mcp_secret_stands")
    last = {name: value for name, value in data.items() if name != "MCP_API_KEY_PREVIOUS"}
    assert afterwards.value("_ocp4_workload_litemaas_mcp_settled") == last
    assert role(last).value("_ocp4_workload_litemaas_mcp_secret_stands")


def test_new_credentials_and_settings_roll_the_pods_and_nothing_else_does():
    def checksum(*arguments: Any, **variables: Any) -> str:
        return role(*arguments, **variables).one("deployment")["spec"]["template"]["metadata"]["annotations"]["rhpds.litemaas/checksum"]

    have = settled()
    assert checksum(have) == checksum(have, replicas=3)
    assert checksum(have) != checksum(have | {"MCP_API_KEY": "x"})
    assert checksum(have) != checksum(have, found={"litellm": secret(LITELLM_MASTER_KEY="another")})


def test_the_reader_is_made_anew_when_its_job_password_or_databases_change_or_litemaas_comes():
    have = settled()
    job = role(have).value("_ocp4_workload_litemaas_mcp_job")
    for same in ({"replicas": 3}, {"ocp4_workload_litemaas_deploy_backend": "true"}):
        assert job == role(have, **same).value("_ocp4_workload_litemaas_mcp_job")
    for changed in (
        role(have, image="quay.io/rhpds/litemaas-mcp:0.5"),
        role(have, image_pull_secrets=["pull"]),
        role(have, database_secret="of-others"),
        role(have, ocp4_workload_litemaas_deploy_backend=False),
        role(have | {"READER_PASSWORD": "x"}),
        role(have, found={"database": secret(**(URLS | {"DATABASE_URL": "postgresql://a:b@c/d"}))}),
    ):
        assert changed.value("_ocp4_workload_litemaas_mcp_job") != job


def test_an_autoscaler_is_turned_on_and_works_without_the_role_scaling_back():
    def after(now: int, applied: dict[str, Any], **variables: Any) -> Role:
        annotations = {"kubectl.kubernetes.io/last-applied-configuration": json.dumps(applied)}
        found = {**applied, "spec": applied["spec"] | {"replicas": now}}
        found["metadata"] = applied["metadata"] | {"annotations": annotations}
        return role(settled_once, found={"Deployment": found}, **variables)

    def differs(rendered: Role) -> bool:
        return "Deployment" in [each["kind"] for each in rendered.value("_ocp4_workload_litemaas_mcp_differing")]

    settled_once = settled()
    without = role(settled_once, replicas=3).one("deployment")
    turned_on = after(3, without, replicas=2, max_replicas=6)
    assert turned_on.one("deployment")["spec"]["replicas"] == 3
    assert not differs(turned_on)
    for now in (2, 6):
        assert not differs(after(now, without, replicas=2, max_replicas=6))
    changed = after(6, without, replicas=2, max_replicas=6, log_level="DEBUG")
    assert differs(changed)
    assert changed.one("deployment")["spec"]["replicas"] == 6
    assert after(0, without, replicas=2, max_replicas=6).one("deployment")["spec"]["replicas"] == 2
    assert differs(after(5, without, replicas=3))
    assert not differs(after(3, without, replicas=3))


@pytest.mark.parametrize(
    ("name", "own", "of_the_stack"),
    [
        ("image_pull_secrets", [], ["pull"]),
        ("network_policy", True, False),
        ("ingress_namespaces", ["ingress-nginx", "traefik", "kube-system"], ["haproxy"]),
        ("ingress_class", "", "nginx"),
    ],
)
def test_settings_of_the_stack_are_its_too_unless_it_has_its_own(name: str, own: Any, of_the_stack: Any):
    stacks = {f"ocp4_workload_litemaas_{name}": of_the_stack}
    assert role().value(f"{NAME}_{name}") == own
    assert role(**stacks).value(f"{NAME}_{name}") == of_the_stack
    assert role(**stacks, **{name: own}).value(f"{NAME}_{name}") == own


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("quay.io/rhpds/litemaas-mcp:latest", "Always"),
        ("quay.io/rhpds/litemaas-mcp", "Always"),
        ("registry:5000/litemaas-mcp", "Always"),
        ("quay.io/rhpds/litemaas-mcp:0.4.0", "IfNotPresent"),
        ("registry:5000/litemaas-mcp:0.4.0", "IfNotPresent"),
        ("quay.io/rhpds/litemaas-mcp@sha256:" + "0" * 64, "IfNotPresent"),
    ],
)
def test_only_a_moving_tag_is_pulled_at_every_start(image: str, policy: str):
    (container,) = role(settled(), image=image).one("deployment")["spec"]["template"]["spec"]["containers"]
    assert container["imagePullPolicy"] == policy


@pytest.mark.parametrize("template", ["deployment", "reader_job"])
def test_pods_fit_the_restricted_policy(template: str):
    pod = role(settled()).one(template)["spec"]["template"]["spec"]
    assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert set(container["resources"]) == {"requests", "limits"}


def test_the_contract_of_names():
    rendered = role(settled())
    for template in OBJECTS:
        for each in rendered.template(template):
            assert each["metadata"]["labels"]["app"] == ("litemaas-mcp-reader" if template == "reader_job" else "litemaas-mcp")
    assert rendered.one("role")["rules"] == [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]
    assert rendered.one("service")["spec"]["ports"][0]["port"] == 8080
    route = rendered.one("route")
    assert route["metadata"]["annotations"] == {"haproxy.router.openshift.io/timeout": "300s"}
    assert route["spec"]["tls"] == {"termination": "edge", "insecureEdgeTerminationPolicy": "Redirect"}
    assert route["spec"]["host"] == "litemaas-mcp.apps.example.com"
    (container,) = rendered.one("deployment")["spec"]["template"]["spec"]["containers"]
    assert (container["livenessProbe"]["httpGet"]["path"], container["readinessProbe"]["httpGet"]["path"]) == ("/livez", "/readyz")


@pytest.mark.parametrize(
    ("variables", "domain"),
    [
        ({}, "apps.example.com"),
        ({"openshift_cluster_ingress_domain": "apps.agnosticd.example.com"}, "apps.agnosticd.example.com"),
        (
            {"openshift_cluster_ingress_domain": "apps.x.example.com", "ocp4_workload_litemaas_cluster_domain": "own.example.com"},
            "own.example.com",
        ),
    ],
)
def test_where_the_domain_comes_from(variables: dict[str, str], domain: str):
    rendered = role(settled(), **variables)
    assert rendered.one("route")["spec"]["host"] == f"litemaas-mcp.{domain}"
    hosts = environment(rendered.one("deployment"))["ALLOWED_HOSTS"]["value"].split(",")
    assert {f"litemaas-mcp.{domain}", "litemaas-mcp", "litemaas-mcp.litemaas.svc"} <= set(hosts)


def test_who_may_reach_the_pods():
    def peers(**variables: Any) -> list[dict[str, Any]]:
        policy = role(settled(), **variables).one("networkpolicy")["spec"]
        assert (policy["podSelector"], policy["policyTypes"]) == ({"matchLabels": {"app": "litemaas-mcp"}}, ["Ingress"])
        (rule,) = policy["ingress"]
        assert rule["ports"] == [{"port": 8080, "protocol": "TCP"}]
        return rule["from"]

    assert peers() == [
        {"podSelector": {}},
        {"namespaceSelector": {"matchLabels": {"policy-group.network.openshift.io/ingress": ""}}},
        {"namespaceSelector": {"matchLabels": {"policy-group.network.openshift.io/host-network": ""}}},
    ]
    assert peers(openshift=False)[1]["namespaceSelector"]["matchExpressions"][0]["values"] == ["ingress-nginx", "traefik", "kube-system"]


def refusals(rendered: Role) -> list[str]:
    """The remedies of what tasks/check.yml does not let pass."""
    (task,) = yaml.safe_load((rendered.path / "tasks/check.yml").read_text())
    return [rendered.text(fact["remedy"]) for fact in task["loop"] if not rendered.value(fact["holds"].strip()[2:-2])]


def test_what_is_missing_is_named_with_its_remedy():
    assert refusals(role(settled())) == []
    nothing = dict.fromkeys(("namespace", "litellm", "database", "litemaas", "domain"))
    named = ("namespace", "mcp_litellm_secret", "mcp_database_secret", "mcp_litemaas_secret", "cluster_domain")
    remedies = refusals(role(found=nothing, litemaas_url="http://litellm-backend:8080"))
    assert [remedy.partition(":")[0] for remedy in remedies] == [f"ocp4_workload_litemaas_{name}" for name in named]


def test_a_rotation_that_this_role_can_not_do_is_refused():
    def rotating(*names: str, **variables: Any) -> list[str]:
        return refusals(role(settled(), ocp4_workload_litemaas_rotate=list(names), **variables))

    assert rotating("mcp_api_key") == []
    (remedy,) = rotating("mcp_api_key", api_key="given")
    assert remedy.startswith("ocp4_workload_litemaas_rotate names mcp_api_key, which ocp4_workload_litemaas_mcp_api_key gives a value.")
    (remedy,) = rotating("litellm_master_key", "mcp_api_key")
    assert remedy.startswith("ocp4_workload_litemaas_rotate names litellm_master_key, of which this role has none")
    assert rotating("litellm_master_key", _ocp4_workload_litemaas_cluster={}) == []


@pytest.mark.parametrize(
    ("why", "says"),
    [
        ("Failed to validate the SSL certificate for x:443. Make sure your managed systems have a valid CA certificate.", "is not trusted"),
        ("Request failed: <urlopen error [SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate>", "ocp4_workload_litemaas_ca_path"),
        ("Request failed: <urlopen error [Errno -2] Name or service not known>", "can not be reached from here"),
        ("Request failed: <urlopen error [Errno 111] Connection refused>", "can not be reached from here"),
    ],
)
def test_only_what_can_not_be_reached_is_asked_in_its_pod(why: str, says: str):
    answers = {"results": [{"status": -1, "msg": why}, {"status": -1, "msg": why}]}
    asked = role(settled(), _ocp4_workload_litemaas_mcp_answers=answers, _ocp4_workload_litemaas_mcp_checked={})
    (fault,) = asked.value("_ocp4_workload_litemaas_mcp_faults")
    assert says in fault
    assert asked.value("_ocp4_workload_litemaas_mcp_unreachable") == ("can not be reached" in says)


def test_an_account_of_the_namespace_alone_is_told_what_variable_stands_in():
    (remedy,) = refusals(role(settled(), refused=("namespace", "domain")))
    assert remedy.startswith("ocp4_workload_litemaas_cluster_domain")
    assert 'User "me" cannot get resource "domain"' in remedy
    assert refusals(role(settled(), refused=("namespace", "domain"), ocp4_workload_litemaas_cluster_domain="apps.example.com")) == []


def test_a_check_of_the_whole_stack_counts_on_the_secrets_that_it_would_make():
    nothing = dict.fromkeys(("namespace", "litellm", "database", "litemaas"))
    planned = test_ocp4_workload_litemaas.role().value("_ocp4_workload_litemaas_planned")
    fresh = {"found": nothing, "_ocp4_workload_litemaas_mcp_planned": planned, "litemaas_url": "http://litellm-backend:8080"}
    assert refusals(role(**fresh)) == []
    (remedy,) = refusals(role(**fresh, litellm_secret="of-others"))
    assert remedy.startswith("ocp4_workload_litemaas_mcp_litellm_secret")
    names = role(**fresh).value("_ocp4_workload_litemaas_mcp_names")
    assert {"Secret/litemaas-mcp-secret", "Deployment/litemaas-mcp", "Route/litemaas-mcp", "NetworkPolicy/litemaas-mcp"} < set(names)


def test_only_ready_pods_are_asked():
    def pod(name: str, **status: Any) -> dict[str, Any]:
        return {"metadata": {"name": name} | status.pop("metadata", {}), "status": status}

    pods = [
        pod("pending"),
        pod("starting", containerStatuses=[{"ready": False}]),
        pod("going", containerStatuses=[{"ready": True}], metadata={"deletionTimestamp": "now"}),
        pod("ready", containerStatuses=[{"ready": True}]),
    ]
    asked = role(settled(), _ocp4_workload_litemaas_mcp_pods={"found": {"pods": {"items": pods}}})
    assert asked.value("_ocp4_workload_litemaas_mcp_ready") == ["ready"]


def test_defaults_and_argument_specs_say_the_same():
    defaults = yaml.safe_load((ROOT / "roles" / NAME / "defaults/main.yml").read_text())
    options = yaml.safe_load((ROOT / "roles" / NAME / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
    rendered = Role(NAME)
    assert {name: option["default"] for name, option in options.items()} == {name: rendered.value(name) for name in defaults}
    assert [name for name, option in options.items() if not option["description"].endswith(".")] == []
