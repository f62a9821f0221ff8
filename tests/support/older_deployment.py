"""What the deployer before this collection leaves in a cluster: the objects of a highly available stack, none of them marked as its own."""

from __future__ import annotations

import base64
from typing import Any

Object = dict[str, Any]

# Its second run gave litellm-secret and litemaas-db new values, and left the pods and the volume with the old ones.
DATABASE = {
    "username": "litellm",
    "password": "database-password",
    "database": "litemaas_db",
    "DATABASE_URL": "postgresql://litellm:database-password@litellm-postgres:5432/litemaas_db?sslmode=disable",
    "LITELLM_DATABASE_URL": "postgresql://litellm:database-password@litellm-postgres:5432/litellm?sslmode=disable",
}
LITELLM = {"LITELLM_MASTER_KEY": "sk-master-key-of-old", "UI_USERNAME": "admin", "UI_PASSWORD": "ui-password"}
BACKEND = {"JWT_SECRET": "jwt-secret", "ADMIN_API_KEY": "admin-api-key", "OAUTH_CLIENT_SECRET": "oauth-client-secret"}


def objects(namespace: str, domain: str = "apps.example.com") -> list[Object]:
    """Return them, in an order in which they can be made."""
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": {"app": "litellm", "deployment-mode": "ha"}}},
        *(_secret(namespace, *each) for each in (("litemaas-db", DATABASE), ("litellm-secret", LITELLM), ("backend-secret", BACKEND))),
        _object("v1", "ConfigMap", namespace, "litemaas-postgres-init", data={"init.sql": "CREATE DATABASE litellm_db;"}),
        _object("v1", "ConfigMap", namespace, "litemaas-key-cleanup-script", data={"cleanup.py": "import requests"}),
        _postgres(namespace),
        _deployment(namespace, "litellm-redis", "cache", 6379, []),
        _deployment(namespace, "litellm", "ai-proxy", 4000, ["postgres", "redis"], DATABASE_URL=("litemaas-db", "DATABASE_URL")),
        _deployment(namespace, "litellm-backend", "api", 8080, ["database"], DATABASE_URL=("litemaas-db", "DATABASE_URL")),
        _deployment(namespace, "litellm-frontend", "web", 8080, ["backend"]),
        *(
            _object("v1", "Service", namespace, name, spec={"selector": {"app": name}, "ports": [{"name": port_name, "port": port}]})
            for name, port_name, port in (
                ("litellm", "http", 4000),
                ("litellm-backend", "http", 8080),
                ("litellm-frontend", "http", 8080),
                ("litellm-postgres", "postgres", 5432),
                ("litellm-redis", "redis", 6379),
            )
        ),
        *(
            _object("route.openshift.io/v1", "Route", namespace, name, spec=path | {
                "host": f"{name}.{domain}",
                "to": {"kind": "Service", "name": service},
                "port": {"targetPort": "http"},
                "tls": {"termination": "edge", "insecureEdgeTerminationPolicy": "Redirect"},
            })
            for name, service, path in (
                ("litellm", "litellm", {}),
                ("litellm-admin", "litellm-backend", {"path": "/api"}),
                ("litellm-frontend", "litellm-frontend", {}),
            )
        ),
        *(
            _object("networking.k8s.io/v1", "NetworkPolicy", namespace, name, spec={"podSelector": {}, "ingress": [{"from": [source]}]})
            for name, source in (
                ("allow-from-openshift-ingress", {"namespaceSelector": {"matchLabels": {"name": "openshift-ingress"}}}),
                ("allow-intra-namespace", {"podSelector": {}}),
            )
        ),
    ]  # fmt: skip


def _object(api: str, kind: str, namespace: str, name: str, **fields: Any) -> Object:
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": namespace}} | fields


def _secret(namespace: str, name: str, values: dict[str, str]) -> Object:
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    return _object("v1", "Secret", namespace, name, type="Opaque", data=data)


def _environment(variables: dict[str, tuple[str, str]]) -> list[Object]:
    return [{"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}} for name, (secret, key) in variables.items()]


def _deployment(namespace: str, name: str, component: str, port: int, waits: list[str], **variables: tuple[str, str]) -> Object:
    labels = {"app": name, "component": component}
    container = {"name": name, "image": f"example.com/{name}:0.3.2", "ports": [{"containerPort": port, "name": "http"}]}
    waiting = [{"name": f"wait-for-{other}", "image": "busybox:1.36", "command": ["sh", "-c", f"nc -z {other}"]} for other in waits]
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container | {"env": _environment(variables)}]}}
    if waiting:
        template["spec"]["initContainers"] = waiting
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template}
    return _object("apps/v1", "Deployment", namespace, name, spec=spec)


def _postgres(namespace: str) -> Object:
    labels = {"app": "litellm-postgres", "component": "database"}
    variables = {"POSTGRES_USER": ("litemaas-db", "username"), "POSTGRES_PASSWORD": ("litemaas-db", "password")}
    container = {
        "name": "postgres",
        "image": "docker.io/library/postgres:16-alpine",
        "command": ["sh", "-c", "postgres"],  # past the image's entrypoint, so no script of /docker-entrypoint-initdb.d ever ran
        "env": [*_environment(variables), {"name": "PGDATA", "value": "/var/lib/postgresql/data/pgdata"}],
        "volumeMounts": [{"name": "postgres-storage", "mountPath": "/var/lib/postgresql/data"}],
    }
    claim = {
        "metadata": {"name": "postgres-storage", "labels": {"app": "litellm-postgres"}},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "slow-but-there",
            "resources": {"requests": {"storage": "25Gi"}},
        },
    }
    spec = {
        "serviceName": "litellm-postgres",
        "replicas": 1,
        "selector": {"matchLabels": {"app": "litellm-postgres"}},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        "volumeClaimTemplates": [claim],
    }
    return _object("apps/v1", "StatefulSet", namespace, "litellm-postgres", spec=spec)
