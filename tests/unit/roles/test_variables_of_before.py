"""A catalogue item of the deployer before this one works with this one: every variable is known, takes its value, and has its default."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from tests.support.render import Role

ROOT = Path(__file__).resolve().parents[3]
ROLES = ("ocp4_workload_litemaas", "ocp4_workload_litemaas_mcp")
# Its variables, without their prefix ocp4_workload_litemaas_, and its defaults. Where it had a random value, there is none.
BEFORE: dict[str, Any] = yaml.safe_load("""
collection_version: "0.3.0"
version: "0.4.0"
namespace: litemaas
api_route_prefix: litellm
admin_route_prefix: litellm-admin
frontend_route_prefix: litellm-frontend
api_route_name: litellm
admin_route_name: litellm-admin
frontend_route_name: litellm-frontend
image_registry: quay.io/rh-aiservices-bu
backend_image: quay.io/rh-aiservices-bu/litemaas-backend
backend_tag: "0.4.0"
frontend_image: quay.io/rh-aiservices-bu/litemaas-frontend
frontend_tag: "0.4.0"
litellm_image: quay.io/rh-aiservices-bu/litellm-non-root
litellm_tag: main-v1.81.0-stable-custom
cloud_provider: ""
postgres_version: "16"
postgres_storage_size: 10Gi
postgres_storage_class: ""
postgres_storage_access_mode: ReadWriteOnce
postgres_password: ""
jwt_secret: ""
admin_api_key: ""
litellm_api_key: ""
litellm_ui_username: admin
litellm_ui_password: ""
litellm_license_key: ""
litellm_models: []
oauth_enabled: false
oauth_provider: openshift
oauth_client_id: litemaas
oauth_client_secret: ""
default_user_max_budget: 2000
default_user_budget_duration: daily
default_user_tpm_limit: 400000
default_user_rpm_limit: 500
admin_emails: [admin]
cluster_domain: ""
backend_memory_limit: 512Mi
backend_cpu_limit: 500m
frontend_memory_limit: 256Mi
frontend_cpu_limit: 250m
litellm_memory_limit: 1Gi
litellm_cpu_limit: 1000m
deploy_mcp: false
mcp_image: quay.io/rhpds/litemaas-mcp:latest
mcp_route_prefix: litemaas-mcp
mcp_api_key: ""
remove: false
deploy_frontend: true
deploy_backend: true
deploy_litellm: true
ha_litellm_replicas: 5
ha_backend_replicas: 1
ha_enable_redis: true
ha_redis_image: registry.redhat.io/rhel9/redis-7:latest
ha_redis_image_fallback: quay.io/sclorg/redis-7-c9s:latest
ha_enable_postgres: true
ha_postgres_replicas: 1
ha_postgres_image: docker.io/library/postgres:16-alpine
ha_postgres_image_fallback: docker.io/library/postgres:16
ha_postgres_db: litemaas_db
ha_litellm_postgres_db: litellm
ha_postgres_user: litellm
ha_postgres_password: ""
ha_postgres_pvc_size: 10Gi
ha_postgres_max_connections: 200
ha_litellm_memory_request: 1Gi
ha_litellm_memory_limit: 4Gi
ha_litellm_cpu_request: 500m
ha_litellm_cpu_limit: 2000m
ha_backend_memory_request: 256Mi
ha_backend_memory_limit: 512Mi
ha_backend_cpu_request: 500m
ha_backend_cpu_limit: 1000m
ha_postgres_memory_request: 512Mi
ha_postgres_memory_limit: 2Gi
ha_postgres_cpu_request: 500m
ha_postgres_cpu_limit: 2000m
ha_redis_memory_request: 512Mi
ha_redis_memory_limit: 1Gi
ha_redis_cpu_request: 200m
ha_redis_cpu_limit: 500m
ha_frontend_replicas: 3
ha_frontend_memory_request: 256Mi
ha_frontend_memory_limit: 512Mi
ha_frontend_cpu_request: 200m
ha_frontend_cpu_limit: 500m
""")


def named(values: dict[str, Any]) -> dict[str, Any]:
    return {f"ocp4_workload_litemaas_{name}": value for name, value in values.items()}


def options(role: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / "roles" / role / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]


def test_every_variable_has_the_default_that_it_had():
    roles = [Role(name) for name in ROLES]
    known = [options(name) for name in ROLES]
    differing = {}
    for name, value in named(BEFORE).items():
        found = [role.value(name) for role, its in zip(roles, known, strict=True) if name in its]
        if not found or any(each != value for each in found):
            differing[name] = found
    assert differing == {}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("as_text", [False, True], ids=["as data", "as text, as -e gives it"])
def test_every_value_is_taken(role: str, as_text: bool):
    known = options(role)
    given = {name: value for name, value in named(BEFORE).items() if name in known}
    if as_text:
        given = {name: str(value) for name, value in given.items() if not isinstance(value, list)}
    assert given
    assert ArgumentSpecValidator(known).validate(given).error_messages == []
