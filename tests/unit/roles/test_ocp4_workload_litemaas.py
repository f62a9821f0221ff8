"""What the role renders and refuses: over its variables, against Kubernetes' schemas, and for what a cluster may have already."""

from __future__ import annotations

import base64
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from ansible_collections.rhpds.litemaas.plugins.module_utils import durations

from tests.support import older_deployment
from tests.support.render import ROOT, Role

NAME = "ocp4_workload_litemaas"
# OpenShift 4.14, and the newest that the validator knows.
VERSIONS = ("1.27", kubernetes_validate.latest_version())
SECRETS = {"database_secret": "litemaas-db", "litellm_secret": "litellm-secret", "backend_secret": "backend-secret"}
ROUTES = ("Route", "Ingress", "IngressRoute")
KINDS = ("ConfigMap", "Service", "Deployment", "StatefulSet", "CronJob", *ROUTES, "NetworkPolicy", "PodDisruptionBudget")
DEFAULT_CLASS = {"storageclass.kubernetes.io/is-default-class": "true"}
EXTERNAL = "postgresql://me:p%2Fw@db.example.com:5432/mine?sslmode=require"

# Each value at least once, beside others each time.
MATRIX: list[dict[str, Any]] = [
    {},
    {"ha_litellm_replicas": 1, "ha_frontend_replicas": 1, "ha_enable_redis": False, "image_pull_secrets": ["pull"]},
    {"external_database_url": EXTERNAL, "oauth_enabled": True, "ha_backend_replicas": 2, "litellm_env_secrets": ["providers"]},
    {"deploy_frontend": False, "deploy_backend": False, "key_cleanup": False, "network_policy": False},
    {"branding_enabled": True, "branding_favicon_path": str(ROOT / "LICENSE"), "ingress_class": "nginx", "postgres_storage_class": "fast"},
    {"litellm_tag": "latest", "mcp_image": "registry.example.com:5000/mcp@sha256:0123", "litellm_config": {"litellm_settings": {"a": 1}}},
    {"deploy_litellm": False, "oauth_provider": "oidc", "oauth_issuer": "https://keycloak.example.com/realms/maas"},
]


def encoded(values: dict[str, str]) -> dict[str, Any]:
    return {
        "metadata": {"creationTimestamp": "2026-11-01T00:00:00Z"},
        "data": {name: base64.b64encode(value.encode()).decode() for name, value in values.items()},
    }


def decoded(secret: dict[str, Any]) -> dict[str, str]:
    return {name: base64.b64decode(value).decode() for name, value in secret["data"].items()}


def role(
    have: dict[str, dict[str, str]] | None = None,
    *,
    openshift: bool = True,
    there: tuple[dict[str, Any], ...] | list[dict[str, Any]] = (),
    found: dict[str, Any] | None = None,
    refused: tuple[str, ...] = (),
    unserved: tuple[str, ...] = (),
    **variables: Any,
) -> Role:
    """The role after it has looked at a cluster that holds Secrets with what `have` says, and the objects `there`.

    What is `refused` it may not look at, and kinds that are `unserved` the cluster does not know.
    """
    have = have or {}
    cluster: dict[str, Any] = {
        "namespace": {"metadata": {"name": "litemaas", "labels": {}}} if have or there else None,
        "database": encoded(have["litemaas-db"]) if "litemaas-db" in have else None,
        "litellm": encoded(have["litellm-secret"]) if "litellm-secret" in have else None,
        "backend": encoded(have["backend-secret"]) if "backend-secret" in have else None,
        "domain": {"spec": {"domain": "apps.example.com"}} if openshift else None,
        "infrastructure": {"status": {"platformStatus": {"type": "AWS"}}} if openshift else None,
        "storage": {"items": [{"metadata": {"name": name}} for name in ("gp3-csi", "fast")]},
        "oauth": None,
        "probe": None,
        "claims": {"items": []},
        **{kind: {"items": [each for each in there if each["kind"] == kind]} for kind in KINDS},
        **(found or {}),
        **dict.fromkeys(refused),
    }
    if not openshift:
        variables.setdefault("cluster_domain", "apps.example.com")
    variables = {
        name if "ocp4_" in name or name in ("ACTION", "ansible_check_mode") else f"{NAME}_{name}": value
        for name, value in variables.items()
    }
    served = dict.fromkeys(cluster, True) | {"Route": openshift, "oauth": openshift} | dict.fromkeys(unserved, False)
    words = {name: f'User "me" cannot get resource "{name}"' for name in refused}
    return Role(NAME, _ocp4_workload_litemaas_cluster={"found": cluster, "served": served, "refused": words}, **variables)


def secrets(rendered: Role) -> dict[str, dict[str, str]]:
    """What the three Secrets get."""
    return {name: decoded(rendered.template(template)[0]) for template, name in SECRETS.items()}


def objects(rendered: Role) -> list[dict[str, Any]]:
    return rendered.value("_ocp4_workload_litemaas_objects")


def one(rendered: Role, kind: str, name: str) -> dict[str, Any]:
    (found,) = [each for each in objects(rendered) if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found


def pod(workload: dict[str, Any]) -> dict[str, Any]:
    spec = workload["spec"]
    return (spec["jobTemplate"]["spec"] if workload["kind"] == "CronJob" else spec)["template"]["spec"]


def pods(rendered: Role) -> list[dict[str, Any]]:
    return [pod(each) for each in objects(rendered) if each["kind"] in ("Deployment", "StatefulSet", "CronJob")]


def environment(workload: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in pod(workload)["containers"][0]["env"]}


def refused(rendered: Role, file: str) -> list[str]:
    """The remedies of what tasks/`file`.yml does not let pass."""
    (task,) = yaml.safe_load((rendered.path / f"tasks/{file}.yml").read_text())
    inner = re.compile(r"^\{\{(.*)\}\}$", re.DOTALL)
    return [rendered.text(fact["remedy"]) for fact in task["loop"] if not rendered.value(inner.match(fact["holds"].strip())[1])]


@pytest.fixture(scope="module")
def settled() -> dict[str, dict[str, str]]:
    return secrets(role())


@pytest.fixture(scope="module")
def usual(settled: dict[str, dict[str, str]]) -> Role:
    return role(settled)


# --- Objects


@pytest.mark.parametrize("openshift", [True, False])
@pytest.mark.parametrize("variables", MATRIX, ids=lambda variables: ",".join(variables) or "defaults")
def test_every_object_is_valid(settled: dict, openshift: bool, variables: dict):
    rendered = role(settled, openshift=openshift, **variables)
    made = objects(rendered) + [each for name in ("namespace", *SECRETS) for each in rendered.template(name)]
    assert len({(each["kind"], each["metadata"]["name"]) for each in made}) == len(made)
    for each in made:
        assert each["kind"] in ("Namespace", "OAuthClient") or each["metadata"]["namespace"] == "litemaas"
        if each["kind"] == "Route":
            jsonschema.validate(each, ROUTE)
        elif each["kind"] != "OAuthClient":
            for version in VERSIONS:
                kubernetes_validate.validate(each, version, strict=True)


ROUTE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "properties": {
        "apiVersion": {"const": "route.openshift.io/v1"},
        "kind": {"const": "Route"},
        "metadata": {"type": "object"},
        "spec": {
            "type": "object",
            "additionalProperties": False,
            "required": ["host", "to", "port", "tls"],
            "properties": {
                "host": {"type": "string", "pattern": r"^[a-z0-9-]+(\.[a-z0-9-]+)+$"},
                "path": {"type": "string", "pattern": "^/"},
                "port": {"type": "object", "properties": {"targetPort": {"type": ["string", "integer"]}}, "required": ["targetPort"]},
                "to": {
                    "type": "object",
                    "properties": {"kind": {"const": "Service"}, "name": {"type": "string"}, "weight": {"type": "integer"}},
                },
                "tls": {
                    "type": "object",
                    "properties": {"termination": {"const": "edge"}, "insecureEdgeTerminationPolicy": {"const": "Redirect"}},
                    "required": ["termination", "insecureEdgeTerminationPolicy"],
                },
                "wildcardPolicy": {"enum": ["None", "Subdomain"]},
            },
        },
    },
}


def test_the_stack_is_what_catalogues_know(usual: Role):
    assert {f"{each['kind']}/{each['metadata']['name']}" for each in objects(usual)} == {
        "StatefulSet/litellm-postgres",
        "ConfigMap/litemaas-postgres-init",
        "ConfigMap/litellm-config",
        "CronJob/litemaas-key-cleanup",
        *(f"Deployment/litellm{part}" for part in ("", "-backend", "-frontend", "-redis")),
        *(f"Service/litellm{part}" for part in ("", "-backend", "-frontend", "-redis", "-postgres")),
        *(f"NetworkPolicy/litellm{part}" for part in ("", "-backend", "-frontend", "-redis", "-postgres")),
        *(f"Route/litellm{part}" for part in ("", "-admin", "-frontend")),
        *(f"PodDisruptionBudget/litellm{part}" for part in ("", "-frontend")),
    }
    routes = {each["metadata"]["name"]: each["spec"] for each in objects(usual) if each["kind"] == "Route"}
    assert {name: (spec["host"], spec.get("path")) for name, spec in routes.items()} == {
        "litellm": ("litellm.apps.example.com", None),
        "litellm-admin": ("litellm-admin.apps.example.com", "/api"),
        "litellm-frontend": ("litellm-frontend.apps.example.com", None),
    }
    components = {each["metadata"]["labels"]["app"]: each["metadata"]["labels"]["component"] for each in objects(usual)}
    assert components == {
        "litellm": "ai-proxy",
        "litellm-backend": "api",
        "litellm-frontend": "web",
        "litellm-postgres": "database",
        "litellm-redis": "cache",
        "litemaas-key-cleanup": "maintenance",
    }


def test_selectors_stay_those_of_the_older_deployment(usual: Role):
    older = {(each["kind"], each["metadata"]["name"]): each for each in older_deployment.objects("litemaas")}
    for each in objects(usual):
        if each["kind"] in ("Deployment", "StatefulSet"):
            assert each["spec"]["selector"] == older[each["kind"], each["metadata"]["name"]]["spec"]["selector"]


def test_what_is_switched_off_is_not_there(settled: dict):
    def kinds(part: str, **variables: Any) -> set[str]:
        return {each["kind"] for each in objects(role(settled, **variables)) if each["metadata"]["labels"]["app"] == part}

    assert kinds("litellm-frontend", deploy_frontend=False) == set()
    assert kinds("litellm-backend", deploy_frontend=False, deploy_backend=False) == set()
    assert kinds("litellm-redis", ha_enable_redis=False) == set()
    assert kinds("litellm-postgres", external_database_url=EXTERNAL) == set()
    assert kinds("litemaas-key-cleanup", key_cleanup=False) == set()
    assert "NetworkPolicy" not in kinds("litellm", network_policy=False)
    assert "Ingress" in kinds("litellm", openshift=False)
    assert "PodDisruptionBudget" not in kinds("litellm", ha_litellm_replicas=1)
    assert "REDIS_HOST" not in environment(one(role(settled, ha_enable_redis=False), "Deployment", "litellm"))


@pytest.mark.parametrize("openshift", [True, False])
@pytest.mark.parametrize("variables", MATRIX, ids=lambda variables: ",".join(variables) or "defaults")
def test_pods_may_do_nothing_that_they_need_not(settled: dict, openshift: bool, variables: dict):
    for each in pods(role(settled, openshift=openshift, **variables)):
        assert each["automountServiceAccountToken"] is False
        assert each["securityContext"]["runAsNonRoot"] is True
        assert each["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert ("runAsUser" in each["securityContext"]) == (not openshift)  # OpenShift gives each namespace its own
        for container in [*each.get("initContainers", []), *each["containers"]]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert {"cpu", "memory"} == container["resources"]["requests"].keys() == container["resources"]["limits"].keys()
            assert all(port["protocol"] == "TCP" for port in container.get("ports", []))
            # The entrypoints of the images are left to them.
            assert "command" not in container or container["name"] == "logos"


def test_every_pod_that_serves_is_probed(usual: Role):
    for each in objects(usual):
        if each["kind"] in ("Deployment", "StatefulSet"):
            assert {"livenessProbe", "readinessProbe"} <= pod(each)["containers"][0].keys(), each["metadata"]["name"]


def test_only_a_floating_tag_is_pulled_at_every_start(settled: dict):
    def policies(**variables: Any) -> set[str]:
        return {container["imagePullPolicy"] for each in pods(role(settled, **variables)) for container in each["containers"]}

    assert policies(mcp_image="quay.io/a/b:1", ha_redis_image="r:5000/redis:7") == {"IfNotPresent"}
    latest = role(settled, mcp_image="r:5000/mcp", litellm_tag="latest")
    assert pod(one(latest, "CronJob", "litemaas-key-cleanup"))["containers"][0]["imagePullPolicy"] == "Always"
    assert pod(one(latest, "Deployment", "litellm"))["containers"][0]["imagePullPolicy"] == "Always"


@pytest.mark.parametrize(
    ("secret", "key", "rolled"),
    [
        ("litemaas-db", "password", {"litellm-postgres", "litellm", "litellm-backend"}),
        ("litellm-secret", "LITELLM_MASTER_KEY", {"litellm", "litellm-backend"}),
        ("litellm-secret", "UI_PASSWORD", {"litellm"}),
        ("backend-secret", "JWT_SECRET", {"litellm-backend"}),
    ],
)
def test_a_new_secret_rolls_what_depends_on_it(settled: dict, secret: str, key: str, rolled: set[str]):
    def sums(have: dict) -> dict[str, str]:
        made = [each for each in objects(role(have)) if each["kind"] in ("Deployment", "StatefulSet")]
        return {
            each["metadata"]["name"]: each["spec"]["template"]["metadata"].get("annotations", {}).get("rhpds.litemaas/checksum")
            for each in made
        }

    changed = settled[secret] | {key: "another"}
    if key == "password":
        changed = {name: value.replace(settled[secret][key], "another") for name, value in settled[secret].items()}
    before, after = sums(settled), sums(settled | {secret: changed})
    assert {name for name in before if before[name] != after[name]} == rolled


# --- Credentials


def test_no_secret_is_outside_of_the_secrets(settled: dict):
    values = {value for secret in settled.values() for name, value in secret.items() if name not in ("username", "database", "UI_USERNAME")}
    for variables in MATRIX:
        for each in objects(role(settled, **variables)):
            text = json.dumps(each)
            assert [value for value in (*values, "p%2Fw", "p/w") if value in text] == []


def test_what_is_there_is_kept(settled: dict, usual: Role):
    assert secrets(usual) == settled
    assert usual.value("_ocp4_workload_litemaas_secrets_stand") is True
    assert role().value("_ocp4_workload_litemaas_secrets_stand") is False


def test_what_is_made_is_strong_and_of_the_form_that_is_needed():
    first, second = secrets(role()), secrets(role())
    for name in ("litemaas-db", "litellm-secret", "backend-secret"):
        assert {key for key in first[name] if first[name][key] == second[name][key]} <= {"username", "database", "UI_USERNAME"}
    assert re.fullmatch(r"sk-\w{32}", first["litellm-secret"]["LITELLM_MASTER_KEY"])
    assert re.fullmatch(r"ltm_admin_\w{32}", first["backend-secret"]["ADMIN_API_KEY"])
    assert first["litellm-secret"]["LITELLM_SALT_KEY"] != first["litellm-secret"]["LITELLM_MASTER_KEY"]
    password = first["litemaas-db"]["password"]
    assert first["litemaas-db"]["DATABASE_URL"] == f"postgresql://litellm:{password}@litellm-postgres:5432/litemaas_db"
    assert first["litemaas-db"]["LITELLM_DATABASE_URL"] == f"postgresql://litellm:{password}@litellm-postgres:5432/litellm"


@pytest.mark.parametrize(
    ("variable", "secret", "key"),
    [
        ("postgres_password", "litemaas-db", "password"),
        ("ha_postgres_password", "litemaas-db", "password"),
        ("litellm_api_key", "litellm-secret", "LITELLM_MASTER_KEY"),
        ("litellm_ui_username", "litellm-secret", "UI_USERNAME"),
        ("litellm_ui_password", "litellm-secret", "UI_PASSWORD"),
        ("litellm_license_key", "litellm-secret", "LITELLM_LICENSE"),
        ("jwt_secret", "backend-secret", "JWT_SECRET"),
        ("admin_api_key", "backend-secret", "ADMIN_API_KEY"),
        ("oauth_client_secret", "backend-secret", "OAUTH_CLIENT_SECRET"),
    ],
)
def test_a_given_value_wins(settled: dict, variable: str, secret: str, key: str):
    given = role(settled, **{variable: "given/:@value"})
    assert given.value("_ocp4_workload_litemaas_secrets_stand") is False
    after = secrets(given)
    assert after[secret][key] == "given/:@value"
    if key == "password":
        assert after[secret]["DATABASE_URL"] == "postgresql://litellm:given%2F%3A%40value@litellm-postgres:5432/litemaas_db"
    assert {name: value for name, value in after.items() if name != secret} == {name: settled[name] for name in settled if name != secret}


@pytest.mark.parametrize(
    ("what", "secret", "keys"),
    [
        ("postgres_password", "litemaas-db", {"password", "DATABASE_URL", "LITELLM_DATABASE_URL"}),
        ("litellm_master_key", "litellm-secret", {"LITELLM_MASTER_KEY"}),
        ("ui_password", "litellm-secret", {"UI_PASSWORD"}),
        ("jwt_secret", "backend-secret", {"JWT_SECRET"}),
        ("admin_api_key", "backend-secret", {"ADMIN_API_KEY"}),
        ("oauth_client_secret", "backend-secret", {"OAUTH_CLIENT_SECRET"}),
    ],
)
def test_rotation_gives_new_values_to_what_it_names_alone(settled: dict, what: str, secret: str, keys: set[str]):
    rotating = role(settled, _ocp4_workload_litemaas_rotating=[what])
    assert rotating.value("_ocp4_workload_litemaas_secrets_stand") is False
    after = secrets(rotating)
    assert {(name, key) for name, values in after.items() for key, value in values.items() if value != settled[name][key]} == {
        (secret, key) for key in keys
    }


def test_a_check_run_rolls_what_a_rotation_would_roll_and_names_what_gets_another_value(settled: dict):
    now = objects(role(settled))

    def plan(**variables: Any) -> tuple[set[str], dict[str, list[str]]]:
        planned = role(settled, ansible_check_mode=True, **variables)
        names = {f"{each['kind']}/{each['metadata']['name']}" for each in objects(planned) if each not in now}
        changing = {name: keys for name, keys in planned.value("_ocp4_workload_litemaas_changing").items() if keys}
        return names, changing

    assert plan() == (set(), {})
    litellm, backend = "Deployment/litellm", "Deployment/litellm-backend"
    assert plan(rotate=["litellm_master_key"]) == ({litellm, backend}, {"Secret/litellm-secret": ["LITELLM_MASTER_KEY"]})
    assert plan(rotate=["jwt_secret"]) == ({backend}, {"Secret/backend-secret": ["JWT_SECRET"]})
    assert plan(litellm_ui_password="given") == ({litellm}, {"Secret/litellm-secret": ["UI_PASSWORD"]})
    password = {"Secret/litemaas-db": ["password", "DATABASE_URL", "LITELLM_DATABASE_URL"]}
    assert plan(rotate=["postgres_password"]) == ({"StatefulSet/litellm-postgres", litellm, backend}, password)


def test_rotating_the_token_of_the_mcp_server_leaves_the_stack_alone(settled: dict):
    assert role(settled, _ocp4_workload_litemaas_rotating=["mcp_api_key"]).value("_ocp4_workload_litemaas_secrets_stand") is True


def test_openshifts_oauth_server_knows_the_backend_by_the_same_secret(settled: dict):
    secret, client = role(oauth_enabled=True).template("backend_secret")
    assert client["metadata"]["name"] == "litemaas"
    assert client["secret"] == decoded(secret)["OAUTH_CLIENT_SECRET"]
    assert client["redirectURIs"] == [f"https://litellm-{part}.apps.example.com/api/auth/callback" for part in ("frontend", "admin")]

    def stands(**variables: Any) -> bool:
        there = client | {"secret": settled["backend-secret"]["OAUTH_CLIENT_SECRET"]} | variables.pop("changed", {})
        return role(settled, found={"oauth": there}, oauth_enabled=True, **variables).value("_ocp4_workload_litemaas_oauth_stands")

    assert stands() is True
    assert stands(changed={"secret": "another"}) is False
    assert stands(frontend_route_prefix="maas") is False
    for variables in ({}, {"oauth_enabled": True, "oauth_provider": "oidc"}, {"oauth_enabled": True, "deploy_backend": False}):
        assert len(role(**variables).template("backend_secret")) == 1


def test_an_external_database_is_taken_as_it_is(settled: dict):
    after = secrets(role(settled, external_database_url=EXTERNAL))["litemaas-db"]
    assert after == {
        "username": "me",
        "password": "p%2Fw",
        "database": "mine",
        "DATABASE_URL": EXTERNAL,
        "LITELLM_DATABASE_URL": "postgresql://me:p%2Fw@db.example.com:5432/litellm?sslmode=require",
    }
    other = "postgresql://them:secret@other.example.com/gateway"
    both = role(settled, external_database_url=EXTERNAL, external_litellm_database_url=other)
    assert secrets(both)["litemaas-db"]["LITELLM_DATABASE_URL"] == other
    stands = role(settled | {"litemaas-db": after}, external_database_url=EXTERNAL)
    assert stands.value("_ocp4_workload_litemaas_secrets_stand") is True


def answers(litemaas: dict[str, Any], litellm: dict[str, Any]) -> dict[str, Any]:
    """What the Job that asks the databases has reported."""
    report = json.dumps({"DATABASE_URL": litemaas, "LITELLM_DATABASE_URL": litellm})
    status = {"containerStatuses": [{"state": {"terminated": {"message": report}}}]}
    return {"_ocp4_workload_litemaas_probe": {"found": {"pods": {"items": [{"status": {}}, {"status": status}]}}}}


BESIDE = "postgresql://me:p%2Fw@db.example.com:5432/litellm?sslmode=require"


@pytest.mark.parametrize(
    ("litemaas", "litellm", "chosen", "faults"),
    [
        ({"litellm": False}, {"litellm": False}, BESIDE, []),  # new ones
        ({"litellm": False}, {"litellm": True}, BESIDE, []),
        ({"litellm": True}, {"litellm": True}, BESIDE, []),
        ({"litellm": True}, {"litellm": False}, EXTERNAL, []),  # one for both
        ({"litellm": True}, {"error": "no such database"}, EXTERNAL, []),
        ({"litellm": False}, {"error": "no such database"}, BESIDE, ["external_litellm_database_url"]),
        ({"error": "wrong password"}, {"error": "wrong password"}, BESIDE, ["external_database_url", "external_litellm_database_url"]),
    ],
)
def test_the_databases_of_a_server_of_ones_own_are_asked(litemaas: dict, litellm: dict, chosen: str, faults: list[str]):
    asked = role(external_database_url=EXTERNAL, **answers(litemaas, litellm))
    assert secrets(asked)["litemaas-db"]["LITELLM_DATABASE_URL"] == chosen
    said = asked.value("_ocp4_workload_litemaas_probe_faults")
    assert [each.partition(":")[0] for each in said] == [f"{NAME}_{each}" for each in faults]
    # What was found is kept, without asking again.
    again = role(secrets(asked), external_database_url=EXTERNAL)
    assert again.value("_ocp4_workload_litemaas_database_stands") is True
    assert secrets(again)["litemaas-db"]["LITELLM_DATABASE_URL"] == chosen


def test_a_given_database_of_litellm_is_not_argued_with():
    given = {"external_database_url": EXTERNAL, "external_litellm_database_url": f"{BESIDE}&a=b"}
    asked = role(**given, **answers({"litellm": True}, {"litellm": False}))
    assert secrets(asked)["litemaas-db"]["LITELLM_DATABASE_URL"] == f"{BESIDE}&a=b"
    assert asked.value("_ocp4_workload_litemaas_probe_faults") == []


def test_no_answer_is_a_fault():
    assert len(role(external_database_url=EXTERNAL).value("_ocp4_workload_litemaas_probe_faults")) == 2


@pytest.mark.parametrize("openshift", [True, False])
def test_the_job_that_asks_them_is_valid_and_holds_no_secret(openshift: bool):
    asking = role(external_database_url=EXTERNAL, openshift=openshift, image_pull_secrets=["pull"])
    for version in VERSIONS:
        for template in ("probe_secret", "probe_job"):
            kubernetes_validate.validate(asking.one(template), version, strict=True)
    job = asking.one("probe_job")
    assert "p%2Fw" not in json.dumps(job)
    asked = decoded(asking.one("probe_secret"))
    assert asked == {"DATABASE_URL": EXTERNAL, "LITELLM_DATABASE_URL": BESIDE}
    other = role(external_database_url=EXTERNAL, external_litellm_database_url=EXTERNAL)
    assert other.one("probe_job")["metadata"]["name"] != job["metadata"]["name"]
    # A Job that has failed can't be changed, so its correction is another one.
    corrected = role(external_database_url=EXTERNAL, openshift=openshift)
    assert corrected.one("probe_job")["metadata"]["name"] != job["metadata"]["name"]
    again = role(external_database_url=EXTERNAL, openshift=openshift, image_pull_secrets=["pull"])
    assert again.one("probe_job")["metadata"]["name"] == job["metadata"]["name"] == again.value("_ocp4_workload_litemaas_probe_job")


# --- Taking over an older deployment

OLDER = {"litemaas-db": older_deployment.DATABASE, "litellm-secret": older_deployment.LITELLM, "backend-secret": older_deployment.BACKEND}


def test_an_older_deployment_keeps_its_secrets_its_database_and_what_it_encrypts_with():
    older = role(OLDER, there=older_deployment.objects("litemaas"))
    after = secrets(older)
    assert after["backend-secret"] == older_deployment.BACKEND
    assert after["litellm-secret"] == older_deployment.LITELLM | {"LITELLM_SALT_KEY": "sk-master-key-of-old"}
    url = "postgresql://litellm:database-password@litellm-postgres:5432/litemaas_db"
    assert after["litemaas-db"] == older_deployment.DATABASE | {"DATABASE_URL": url, "LITELLM_DATABASE_URL": url}
    again = role(after, there=older_deployment.objects("litemaas"))
    assert secrets(again) == after
    assert again.value("_ocp4_workload_litemaas_secrets_stand") is True


@pytest.mark.parametrize(
    ("holders", "database"),
    [([], "litemaas_db"), (["litemaas_db"], "litemaas_db"), (["litellm", "litemaas_db"], "litemaas_db"), (["litellm_db"], "litellm_db")],
)
def test_litellm_stays_in_the_database_that_holds_its_tables(holders: list[str], database: str):
    asked = {"_ocp4_workload_litemaas_holding": {"stdout_lines": holders}}
    after = secrets(role(OLDER, there=older_deployment.objects("litemaas"), **asked))["litemaas-db"]
    assert after["LITELLM_DATABASE_URL"] == f"postgresql://litellm:database-password@litellm-postgres:5432/{database}"
    (kept, _) = role(OLDER, there=older_deployment.objects("litemaas"), ACTION="destroy", **asked).template("kept_secrets")
    url = f"postgresql://litellm:database-password@litellm-postgres:5432/{database}?sslmode=disable"
    assert decoded(kept) == {"LITELLM_DATABASE_URL": url}


def test_a_run_that_was_killed_between_the_secrets_is_taken_up_where_it_was():
    after = secrets(role(OLDER, there=older_deployment.objects("litemaas")))
    killed = role(OLDER | {"litemaas-db": after["litemaas-db"]}, there=older_deployment.objects("litemaas"))
    assert secrets(killed) == after


def test_a_new_master_key_leaves_the_salt():
    after = secrets(role(OLDER, litellm_api_key="sk-a-new-master-key"))
    assert after["litellm-secret"]["LITELLM_MASTER_KEY"] == "sk-a-new-master-key"
    assert after["litellm-secret"]["LITELLM_SALT_KEY"] == "sk-master-key-of-old"


def test_the_key_that_pods_run_with_is_the_salt():
    running = role(OLDER, _ocp4_workload_litemaas_running_key={"stdout": "sk-running\n"})
    assert secrets(running)["litellm-secret"]["LITELLM_SALT_KEY"] == "sk-running"
    assert secrets(running)["litellm-secret"]["LITELLM_MASTER_KEY"] == "sk-master-key-of-old"


@pytest.mark.parametrize(("started", "asked"), [("2026-10-31T23:59:59Z", True), ("2026-11-02T00:00:00Z", False)])
def test_a_pod_is_asked_for_its_key_when_the_secret_is_newer(started: str, asked: bool):
    status = {"containerStatuses": [{"name": "litellm", "state": {"running": {"startedAt": started}}}]}
    waiting = {"containerStatuses": [{"name": "litellm", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}
    listed = {
        "found": {"pods": {"items": [{"metadata": {"name": name}, "status": each} for name, each in (("a", waiting), ("b", status))]}}
    }
    older = role(OLDER, _ocp4_workload_litemaas_pods=listed)
    assert [each["metadata"]["name"] for each in older.value("_ocp4_workload_litemaas_older_pods")] == (["b"] if asked else [])


def test_the_volume_of_an_older_deployment_stays_as_it_is(settled: dict):
    older = one(role(OLDER, there=older_deployment.objects("litemaas")), "StatefulSet", "litellm-postgres")
    (claim,) = older["spec"]["volumeClaimTemplates"]
    (before,) = older_deployment._postgres("litemaas")["spec"]["volumeClaimTemplates"]
    assert claim == before
    (container,) = older["spec"]["template"]["spec"]["containers"]
    assert container["volumeMounts"][0] == {"name": "postgres-storage", "mountPath": "/var/lib/postgresql/data"}
    assert environment(older)["PGDATA"] == "/var/lib/postgresql/data/pgdata"
    assert environment(older)["LITELLM_DB"] == "litemaas_db"


@pytest.mark.parametrize(
    ("running", "given", "image"),
    [
        ("docker.io/library/postgres:16", {}, "docker.io/library/postgres:16"),
        ("docker.io/library/postgres:16-alpine", {}, "docker.io/library/postgres:16-alpine"),
        ("example.com/postgres:none", {}, "docker.io/library/postgres:16-alpine"),
        ("docker.io/library/postgres:16", {"ha_postgres_image": "example.com/postgres:16"}, "example.com/postgres:16"),
    ],
)
def test_a_volume_stays_with_the_image_that_has_sorted_its_indexes(settled: dict, running: str, given: dict, image: str):
    there = older_deployment.objects("litemaas")
    (postgres,) = [each for each in there if each["kind"] == "StatefulSet"]
    postgres["spec"]["template"]["spec"]["containers"][0]["image"] = running
    for have in (OLDER, settled):
        made = one(role(have, there=there, **given), "StatefulSet", "litellm-postgres")
        assert pod(made)["containers"][0]["image"] == image


def test_what_the_older_deployment_left_behind_goes(settled: dict):
    gone = role(settled, there=older_deployment.objects("litemaas")).value("_ocp4_workload_litemaas_unwanted")
    assert {f"{each['kind']}/{each['metadata']['name']}" for each in gone} == {
        "ConfigMap/litemaas-key-cleanup-script",
        "NetworkPolicy/allow-from-openshift-ingress",
        "NetworkPolicy/allow-intra-namespace",
    }


def test_what_others_may_have_made_is_not_pruned(settled: dict):
    """Somebody's LiteLLM may have the same name, and deploy_litellm be false because of it."""
    there = [each for each in older_deployment.objects("litemaas") if each["metadata"]["name"] == "litellm"]
    assert role(settled, there=there, deploy_litellm=False).value("_ocp4_workload_litemaas_unwanted") == []
    assert len(role(settled, there=there, remove=True).value("_ocp4_workload_litemaas_unwanted")) == len(there)


def test_an_older_deployment_that_goes_leaves_what_its_data_can_be_read_with():
    def kept(**variables: Any) -> dict[str, dict[str, str]]:
        gone = role(OLDER, there=older_deployment.objects("litemaas"), ACTION="destroy", **variables)
        return {each["metadata"]["name"]: decoded(each) for each in gone.template("kept_secrets")}

    database = {"LITELLM_DATABASE_URL": older_deployment.DATABASE["DATABASE_URL"]}
    assert kept() == {"litemaas-db": database, "litellm-secret": {"LITELLM_SALT_KEY": "sk-master-key-of-old"}}
    running = {"_ocp4_workload_litemaas_running_key": {"stdout": "sk-running\n"}}
    assert kept(**running)["litellm-secret"] == {"LITELLM_SALT_KEY": "sk-running"}
    # Provisioned again, without a Deployment that tells the database, it is the same one.
    after = {name: values | kept(**running).get(name, {}) for name, values in OLDER.items()}
    again = secrets(role(after))
    assert again["litellm-secret"]["LITELLM_SALT_KEY"] == "sk-running"
    assert again["litemaas-db"]["LITELLM_DATABASE_URL"].endswith("/litemaas_db")


# --- Removal

OURS = {"app.kubernetes.io/managed-by": NAME, "app.kubernetes.io/instance": "litemaas"}
CALLBACK = "https://litellm-frontend.apps.example.com/api/auth/callback"


@pytest.mark.parametrize(
    ("client", "domain", "ours"),
    [
        ({"metadata": {"labels": OURS}}, True, True),
        ({"metadata": {"labels": OURS | {"app.kubernetes.io/instance": "another"}}}, True, False),
        ({"metadata": {}, "redirectURIs": [CALLBACK]}, True, True),
        ({"metadata": {}, "redirectURIs": [CALLBACK]}, False, True),  # its Routes tell
        ({"metadata": {"labels": None}, "redirectURIs": ["https://grafana.apps.example.com/login"]}, True, False),
        ({"metadata": {}}, False, False),
    ],
)
def test_an_oauth_client_of_others_is_left_alone(settled: dict, usual: Role, client: dict, domain: bool, ours: bool):
    found = {"oauth": client} | ({} if domain else {"domain": None})
    gone = role(settled, there=objects(usual), found=found, ACTION="destroy")
    assert ("OAuthClient" in {each["kind"] for each in gone.value("_ocp4_workload_litemaas_removable")}) is ours
    said = gone.value("_ocp4_workload_litemaas_notes")
    assert bool([each for each in said if "is not this deployment's" in each]) is not ours
    if domain:
        remedies = refused(role(settled, there=objects(usual), found=found, oauth_enabled=True), "check_cluster")
        assert bool([each for each in remedies if "ocp4_workload_litemaas_oauth_client_id" in each]) is not ours
        assert refused(role(settled, there=objects(usual), found=found), "check_cluster") == []


def test_objects_of_others_are_left_alone(settled: dict, usual: Role):
    others = [
        {"kind": "Deployment", "metadata": {"name": "showroom"}},
        {"kind": "ConfigMap", "metadata": {"name": "kube-root-ca.crt", "labels": {"app.kubernetes.io/managed-by": "Helm"}}},
        {"kind": "NetworkPolicy", "metadata": {"name": "litemaas-mcp", "labels": {"app": "litemaas-mcp"}}},
    ]
    assert role(settled, there=[*objects(usual), *others]).value("_ocp4_workload_litemaas_unwanted") == []
    removed = role(settled, there=others, ACTION="destroy").value("_ocp4_workload_litemaas_removable")
    assert [(each["kind"], each["metadata"]["name"]) for each in removed] == [("Secret", "backend-secret")]


def test_what_is_not_wanted_any_more_goes(settled: dict, usual: Role):
    gone = role(settled, there=objects(usual), ha_enable_redis=False, network_policy=False).value("_ocp4_workload_litemaas_unwanted")
    names = {f"{each['kind']}/{each['metadata']['name']}" for each in gone}
    assert {"Deployment/litellm-redis", "Service/litellm-redis"} <= names
    assert len(names) == 7


@pytest.mark.parametrize("variables", [{"ACTION": "destroy"}, {"ACTION": "remove"}, {"remove": True}])
def test_removal_names_all_that_provision_made_and_keeps_the_data(settled: dict, usual: Role, variables: dict):
    own = {"metadata": {"name": "litemaas", "labels": {"app.kubernetes.io/managed-by": NAME}}}
    claims = {"items": [{"metadata": {"name": "postgres-storage-litellm-postgres-0"}}]}
    found = {"namespace": own, "claims": claims, "oauth": {"metadata": {"labels": OURS}}}

    def removed(**more: Any) -> set[str]:
        gone = role(settled, there=objects(usual), found=found, **variables, **more).value("_ocp4_workload_litemaas_removable")
        return {f"{each['kind']}/{each['metadata']['name']}" for each in gone}

    made = {f"{each['kind']}/{each['metadata']['name']}" for each in objects(usual)}
    data = {
        "PersistentVolumeClaim/postgres-storage-litellm-postgres-0",
        "Secret/litemaas-db",
        "Secret/litellm-secret",
        "Namespace/litemaas",
    }
    assert removed() == made | {"OAuthClient/litemaas", "Secret/backend-secret"}
    assert removed(remove_data=True) == removed() | data
    own["metadata"]["labels"] = {}
    assert removed(remove_data=True) == removed() | data - {"Namespace/litemaas"}


def test_removal_takes_the_job_of_a_run_that_was_killed(settled: dict):
    asking = role(external_database_url=EXTERNAL).one("probe_job")
    gone = role(settled, found={"Job": {"items": [asking]}}, ACTION="destroy").value("_ocp4_workload_litemaas_removable")
    assert {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": asking["metadata"]["name"], "namespace": "litemaas"}} in gone


def test_removal_of_nothing_removes_nothing():
    nothing = dict.fromkeys((*KINDS, "claims"))
    assert role(found=nothing, ACTION="destroy").value("_ocp4_workload_litemaas_removable") == []


@pytest.mark.parametrize(
    ("action", "removing"),
    [("provision", False), ("create", False), ("destroy", True), ("remove", True), ("stop", False), (None, False)],
)
def test_the_action_says_what_is_done(action: str | None, removing: bool):
    assert role(**({"ACTION": action} if action else {})).value("_ocp4_workload_litemaas_removing") is removing


# --- Who may talk to whom


def arrows() -> list[tuple[str, str, int]]:
    parts = role().value("_ocp4_workload_litemaas_parts")
    return [(caller, part["app"], part["port"]) for part in parts for caller in part["callers"]]


def test_the_table_in_the_documentation_has_these_arrows():
    table = re.findall(r"^\| `?([\w-]+)`? \| `([\w-]+)` \| (\d+) \|", (ROOT / "docs/network.md").read_text(), re.MULTILINE)
    assert {(caller, part, int(port)) for caller, part, port in table} == set(arrows())


@pytest.mark.parametrize("openshift", [True, False])
@pytest.mark.parametrize(("caller", "part", "port"), arrows())
def test_an_arrow_is_let_through(settled: dict, caller: str, part: str, port: int, openshift: bool):
    policy = one(role(settled, openshift=openshift), "NetworkPolicy", part)["spec"]
    assert policy["podSelector"] == {"matchLabels": {"app": part}}
    (rule,) = policy["ingress"]
    assert rule["ports"] == [{"port": port, "protocol": "TCP"}]
    if caller != "router":
        assert {"podSelector": {"matchLabels": {"app": caller}}} in rule["from"]
    elif openshift:
        groups = ("policy-group.network.openshift.io/ingress", "policy-group.network.openshift.io/host-network")
        assert [{"namespaceSelector": {"matchLabels": {group: ""}}} for group in groups] == rule["from"][-2:]
    else:
        assert rule["from"][-1]["namespaceSelector"]["matchExpressions"][0]["values"] == ["ingress-nginx", "traefik", "kube-system"]


def test_nothing_else_is_let_through(usual: Role):
    policies = [each["spec"] for each in objects(usual) if each["kind"] == "NetworkPolicy"]
    let_in = [source for policy in policies for rule in policy["ingress"] for source in rule["from"]]
    assert len(let_in) == len(arrows()) + sum(caller == "router" for caller, _, _ in arrows())  # two for a router
    assert {} not in let_in
    assert {"podSelector": {}} not in let_in


def test_every_pod_that_calls_carries_the_label_that_lets_it_in(usual: Role):
    made = {each["metadata"]["name"]: each for each in objects(usual) if each["kind"] in ("Deployment", "StatefulSet", "CronJob")}
    mcp = ROOT / "roles/ocp4_workload_litemaas_mcp/templates"
    for caller in {caller for caller, _, _ in arrows()} - {"router", "litemaas-mcp", "litemaas-mcp-reader"}:
        spec = made[caller]["spec"]
        template = (spec["jobTemplate"]["spec"] if "jobTemplate" in spec else spec)["template"]
        assert template["metadata"]["labels"]["app"] == caller
    for file, caller in (("deployment", "litemaas-mcp"), ("reader_job", "litemaas-mcp-reader")):
        assert f"labels: {{app: {caller}," in (mcp / f"{file}.yaml.j2").read_text()


# --- LiteLLM's configuration, and PostgreSQL


def configuration(rendered: Role) -> dict[str, Any]:
    return yaml.safe_load(one(rendered, "ConfigMap", "litellm-config")["data"]["config.yaml"])


def test_the_configuration_takes_its_secrets_from_the_environment(usual: Role):
    config, given = configuration(usual), environment(one(usual, "Deployment", "litellm"))
    named = re.findall(r"os\.environ/(\w+)", json.dumps(config))
    assert set(named) == {"DATABASE_URL", "LITELLM_MASTER_KEY", "REDIS_HOST", "REDIS_PORT"}
    assert set(named) | {"LITELLM_SALT_KEY", "STORE_MODEL_IN_DB"} <= given.keys()
    assert given["DATABASE_URL"]["secretKeyRef"] == {"name": "litemaas-db", "key": "LITELLM_DATABASE_URL"}
    assert config["litellm_settings"]["default_internal_user_params"] == {
        "max_budget": 2000.0,
        "budget_duration": "1d",
        "tpm_limit": 400000,
        "rpm_limit": 500,
    }


def test_further_configuration_is_merged_deeply(settled: dict):
    more = {
        "router_settings": {"routing_strategy": "least-busy"},
        "litellm_settings": {"json_logs": True, "default_internal_user_params": {"rpm_limit": 5}},
        "model_list": [{"model_name": "m", "litellm_params": {"model": "openai/m", "api_key": "os.environ/OPENAI"}}],
    }
    rendered = role(settled, litellm_config=more, litellm_env_secrets=["providers", {"secret": "wiki", "key": "WIKI_TOKEN"}])
    config = configuration(rendered)
    assert config["router_settings"] == {
        "redis_host": "os.environ/REDIS_HOST",
        "redis_port": "os.environ/REDIS_PORT",
        "routing_strategy": "least-busy",
    }
    assert config["litellm_settings"]["json_logs"] is True
    assert (
        config["litellm_settings"]["default_internal_user_params"] | {"rpm_limit": 5, "max_budget": 2000.0}
        == (config["litellm_settings"]["default_internal_user_params"])
    )
    assert config["model_list"] == more["model_list"]
    assert pod(one(rendered, "Deployment", "litellm"))["containers"][0]["envFrom"] == [{"secretRef": {"name": "providers"}}]
    # Of a key that is named, the rest of its Secret stays out.
    assert environment(one(rendered, "Deployment", "litellm"))["WIKI_TOKEN"] == {"secretKeyRef": {"name": "wiki", "key": "WIKI_TOKEN"}}


def test_durations_in_words_are_those_of_the_modules():
    words = Role(NAME).value("_ocp4_workload_litemaas_words")
    assert {word: durations.normalise(word) for word in words} == words


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {"light", "dark", "favicon"},
            {"logo-title-1a2b.svg": "light", "logo-title-white-3c4d.svg": "dark", "litemaas_favicon-5e6f.svg": "favicon"},
        ),
        ({"light"}, {"logo-title-1a2b.svg": "light", "logo-title-white-3c4d.svg": "own", "litemaas_favicon-5e6f.svg": "own"}),
    ],
)
def test_the_frontends_logos_are_replaced_and_nothing_else(settled: dict, tmp_path: Path, given: set[str], expected: dict[str, str]):
    variables = {"light": "branding_logo_light_path", "dark": "branding_logo_dark_path", "favicon": "branding_favicon_path"}
    for name in given:
        (tmp_path / name).write_text(name)
    paths = {variables[name]: str(tmp_path / name) for name in given}
    files = one(role(settled, branding_enabled=True, **paths), "ConfigMap", "litellm-custom-logo")["data"]
    folders = {"/opt/app-root/src/assets": "image", "/etc/litemaas": "given", "/assets": "assets"}
    for name in folders.values():
        (tmp_path / name).mkdir()
    for name, text in files.items():
        (tmp_path / "given" / name).write_text(text)
    for name in (*expected, "index-7890.js", "chart.svg"):
        (tmp_path / "image" / name).write_text("own")
    script = files["logos.sh"]
    for folder, name in folders.items():
        script = re.sub(rf"(?<![\w/]){folder}(?=/)", str(tmp_path / name), script)
    subprocess.run(["sh", "-c", script], check=True)
    assert {path.name: path.read_text() for path in (tmp_path / "assets").iterdir()} == expected | {
        "index-7890.js": "own",
        "chart.svg": "own",
    }


@pytest.mark.parametrize(
    ("platform", "variables", "classes", "expected"),
    [
        ("AWS", {}, ["gp3-csi"], "gp3-csi"),
        ("AWS", {}, ["other"], None),
        ("AWS", {"cloud_provider": "gcp"}, ["gp3-csi", "standard-rwo"], "standard-rwo"),
        ("AWS", {"postgres_storage_class": "other"}, ["gp3-csi", "other"], "other"),
        ("None", {}, ["ocs-external-storagecluster-ceph-rbd"], "ocs-external-storagecluster-ceph-rbd"),
        ("KubeVirt", {}, ["ocs-external-storagecluster-ceph-rbd"], "ocs-external-storagecluster-ceph-rbd"),
    ],
)
def test_the_storage_class_is_found(settled: dict, platform: str, variables: dict, classes: list[str], expected: str | None):
    storage = {"items": [{"metadata": {"name": name, "annotations": DEFAULT_CLASS}} for name in classes]}
    found = {"storage": storage, "infrastructure": {"status": {"platformStatus": {"type": platform}}}}
    postgres = one(role(settled, found=found, **variables), "StatefulSet", "litellm-postgres")
    assert postgres["spec"]["volumeClaimTemplates"][0]["spec"].get("storageClassName") == expected


# --- What is refused


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"ha_enable_postgres": False}, "external_database_url"),
        ({"external_database_url": "db.example.com"}, "external_database_url"),
        ({"external_database_url": "postgresql://me:pw@db.example.com"}, "external_database_url"),
        ({"deploy_backend": False}, "deploy_frontend"),
        ({"litellm_api_key": "no-sk"}, "litellm_api_key"),
        ({"litellm_config": {"model_list": [{"litellm_params": {"api_key": "sk-open"}}]}}, "litellm_env_secrets"),
        ({"litellm_config": {"model_list": [{"litellm_params": {"extra_headers": {"x-api-key": "sk-open"}}}]}}, "litellm_env_secrets"),
        ({"litellm_config": {"guardrails": [{"api_keys": ["sk-open"]}]}}, "litellm_env_secrets"),
        ({"rotate": ["mcp_api_key"], "mcp_api_key": "given", "deploy_mcp": True}, "mcp_api_key"),
        ({"litellm_config": {"litellm_settings": {"cache_params": {"url": "redis://:hidden@r.example.com"}}}}, "litellm_env_secrets"),
        ({"litellm_models": [{"model_name": "m"}]}, "litellm_models"),
        ({"litellm_models": [{"litellm_model": "openai/m"}]}, "litellm_models"),
        ({"rotate": ["ui_password"], "litellm_ui_password": "given"}, "ui_password"),
        ({"rotate": ["mcp_api_key"]}, "ocp4_workload_litemaas_deploy_mcp"),
        ({"rotate": ["postgres_password"], "external_database_url": EXTERNAL}, "postgres_password"),
        ({"default_user_budget_duration": "fortnightly"}, "default_user_budget_duration"),
        ({"branding_enabled": True, "branding_favicon_path": "nowhere.svg"}, "nowhere.svg"),
        ({"oauth_provider": "oidc"}, "oauth_issuer"),
        ({"oauth_provider": "oidc", "oauth_issuer": "https://k.example.com", "rotate": ["oauth_client_secret"]}, "oauth_client_secret"),
        ({"litellm_ui_username": ""}, "litellm_ui_username"),
        ({"litellm_models": [{"model_name": "m", "litellm_model": "openai/m"}], "deploy_litellm": False}, "models_url"),
    ],
)
def test_variables_that_make_no_stack_are_refused_by_name(variables: dict, named: str):
    (remedy,) = refused(role(**variables), "check_variables")
    assert named in remedy
    assert not {"sk-open", "hidden", "given"} & set(re.split(r"\W+(?!open)", remedy))


def test_good_variables_pass():
    for variables in MATRIX:
        assert refused(role(**variables), "check_variables") == []
    models = [{"model_name": "a", "litellm_model": "openai/a"}, {"model_name": "b", "litellm_params": {"model": "openai/b"}}]
    config = {"model_list": [{"litellm_params": {"api_key": "os.environ/KEY", "max_tokens": 5}}]}
    assert refused(role(rotate=["mcp_api_key"], deploy_mcp=True), "check_variables") == []
    assert refused(role(litellm_models=models, litellm_config=config), "check_variables") == []


@pytest.mark.parametrize(
    ("variables", "found", "named"),
    [
        ({}, {"namespace": {"status": {"phase": "Terminating"}}}, "being deleted"),
        ({}, {"domain": None}, "cluster_domain"),
        ({"oauth_enabled": True, "openshift": False, "external_database_url": EXTERNAL}, {}, "oauth_enabled"),
        ({"postgres_storage_class": "slow"}, {}, "gp3-csi, fast"),
        ({}, {"storage": {"items": []}}, "postgres_storage_class"),
        ({"litellm_salt_key": "sk-another"}, {}, "litellm_salt_key"),
    ],
)
def test_a_cluster_that_can_not_take_the_stack_is_refused_with_a_remedy(settled: dict, variables: dict, found: dict, named: str):
    (remedy,) = refused(role(settled, found=found, **variables), "check_cluster")
    assert named in remedy


def test_a_client_of_openid_connect_has_a_secret_that_its_server_knows(settled: dict):
    oidc = {"oauth_enabled": True, "oauth_provider": "oidc", "oauth_issuer": "https://keycloak.example.com/realms/maas"}
    (remedy,) = refused(role(**oidc), "check_cluster")
    assert remedy.startswith("ocp4_workload_litemaas_oauth_client_secret must be the secret of the client 'litemaas'")
    assert refused(role(**oidc, oauth_client_secret="given"), "check_cluster") == []
    assert refused(role(settled, **oidc), "check_cluster") == []


def test_a_route_that_the_router_refuses_is_told_with_the_variable_of_its_host(settled: dict, usual: Role):
    def there(*statuses: str) -> list[dict[str, Any]]:
        reason = {"reason": "HostAlreadyClaimed", "message": "route litellm already exposes litellm.apps.example.com and is older"}
        entries = [{"conditions": [{"type": "Admitted", "status": each} | (reason if each == "False" else {})]} for each in statuses]
        return [each | {"status": {"ingress": entries}} if each["kind"] == "Route" else each for each in objects(usual)]

    (remedy,) = refused(role(settled, there=there("False")), "check_cluster")
    assert "does not serve litellm.apps.example.com, litellm-admin.apps.example.com, litellm-frontend.apps.example.com" in remedy
    assert "HostAlreadyClaimed (route litellm already exposes" in remedy
    assert "ocp4_workload_litemaas_api_route_prefix" in remedy
    (remedy,) = refused(role(settled, there=there("False"), api_route_prefix="llm"), "check_cluster")
    assert "litellm.apps.example.com," not in remedy.partition("HostAlreadyClaimed")[0]
    for statuses in ((), ("True",), ("False", "True")):
        assert refused(role(settled, there=there(*statuses)), "check_cluster") == []


def test_pods_that_count_rate_limits_alone_are_told_of(settled: dict):
    (note,) = role(settled, ha_enable_redis=False).value("_ocp4_workload_litemaas_notes")
    assert "ocp4_workload_litemaas_ha_enable_redis" in note
    for variables in ({}, {"ha_litellm_replicas": 1}, {"deploy_litellm": False}, {"ACTION": "destroy"}):
        assert role(settled, **({"ha_enable_redis": False} if variables else {}), **variables).value("_ocp4_workload_litemaas_notes") == []


CLUSTER_WIDE = ("namespace", "domain", "infrastructure", "storage", "oauth")


def test_an_account_of_the_namespace_alone_is_told_what_variables_stand_in(settled: dict):
    (remedy,) = refused(role(settled, refused=CLUSTER_WIDE), "check_cluster")
    assert "ocp4_workload_litemaas_cluster_domain" in remedy
    assert 'cannot get resource "domain"' in remedy
    here = {"refused": CLUSTER_WIDE, "cluster_domain": "apps.example.com"}
    assert refused(role(settled, **here), "check_cluster") == []
    (said, cloud) = role(settled, **here).value("_ocp4_workload_litemaas_notes")
    assert "cluster's default storage class, since" in said
    assert 'cannot get resource "storage"' in said
    assert "ocp4_workload_litemaas_postgres_storage_class" in said
    assert "ocp4_workload_litemaas_cloud_provider" in cloud
    assert role(settled, **here, postgres_storage_class="any").value("_ocp4_workload_litemaas_notes") == []
    assert refused(role(settled, **here, postgres_storage_class="any"), "check_cluster") == []
    (remedy,) = refused(role(settled, **here, oauth_enabled=True), "check_cluster")
    assert "ocp4_workload_litemaas_oauth_enabled" in remedy
    assert 'cannot get resource "oauth"' in remedy


def test_a_namespace_that_may_not_be_looked_at_is_taken_to_be_there(settled: dict):
    there = role(settled, refused=CLUSTER_WIDE, cluster_domain="apps.example.com")
    assert there.value("_ocp4_workload_litemaas_namespace_there") is True
    assert there.value("_ocp4_workload_litemaas_secrets_stand") is True
    assert role(found={"namespace": None}).value("_ocp4_workload_litemaas_namespace_there") is False


def test_removal_says_what_it_may_not_look_at(settled: dict, usual: Role):
    gone = role(settled, there=objects(usual), refused=CLUSTER_WIDE, ACTION="destroy", remove_data=True)
    client, namespace = gone.value("_ocp4_workload_litemaas_notes")
    assert client.endswith("oc delete oauthclient litemaas.")
    assert namespace.startswith("Namespace litemaas stays, since")
    assert {each["kind"] for each in gone.value("_ocp4_workload_litemaas_removable")}.isdisjoint({"OAuthClient", "Namespace"})


def test_a_cluster_that_can_passes(settled: dict):
    assert refused(role(), "check_cluster") == []
    default = {"storage": {"items": [{"metadata": {"name": "any", "annotations": DEFAULT_CLASS}}]}}
    assert refused(role(found=default), "check_cluster") == []
    assert refused(role(found={"storage": None}, external_database_url=EXTERNAL), "check_cluster") == []
    assert refused(role(settled, litellm_salt_key=settled["litellm-secret"]["LITELLM_SALT_KEY"]), "check_cluster") == []


# --- Variables


def test_every_variable_is_documented_with_its_default():
    defaults = yaml.safe_load((ROOT / f"roles/{NAME}/defaults/main.yml").read_text())
    options = yaml.safe_load((ROOT / f"roles/{NAME}/meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
    assert list(defaults) == list(options)
    templated = {name for name, value in defaults.items() if "{{" in str(value)}
    assert {name: option.get("default") for name, option in options.items()} == {
        name: None if name in templated else value for name, value in defaults.items()
    }


@pytest.mark.parametrize(
    ("variables", "deployed"),
    [
        ({}, False),
        ({"deploy_mcp": True}, True),
        ({f"{NAME}_deploy_mcp": False, "deploy_mcp": True}, False),
        ({f"{NAME}_deploy_mcp": True}, True),
    ],
)
def test_the_mcp_server_is_asked_for_by_either_name_and_the_long_one_wins(variables: dict, deployed: bool):
    assert Role(NAME, **variables).value(f"{NAME}_deploy_mcp | bool") is deployed
