"""Records schema.json from the API server of KUBEBUILDER_ASSETS: `python -m tests.support.cluster.record`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from tests.support.cluster.control_plane import ControlPlane

API = "io.k8s.api"
KEPT = {"type", "format", "properties", "$ref", "items", "additionalProperties", "required", "x-kubernetes-patch-merge-key",
        "x-kubernetes-patch-strategy", "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-map-type"}  # fmt: skip
KINDS = """core.v1: Namespace Node ConfigMap Event PersistentVolumeClaim Pod ResourceQuota Secret Service ServiceAccount
apps.v1: Deployment ReplicaSet StatefulSet
batch.v1: Job CronJob
autoscaling.v2: HorizontalPodAutoscaler
policy.v1: PodDisruptionBudget
networking.v1: Ingress NetworkPolicy
storage.v1: StorageClass
rbac.v1: Role RoleBinding ClusterRole ClusterRoleBinding"""
# What an old server serves under an older version's name is the same but for the name.
OLDER = {"batch.v1.CronJob": "batch.v1beta1.CronJob", "policy.v1": "policy.v1beta1", "autoscaling.v2": "autoscaling.v2beta2"}
# Fields that came after Kubernetes 1.20 and are no reason to record from a newer one.
STRING, INTEGER = {"type": "string"}, {"type": "integer", "format": "int32"}
NEWER: dict[str, dict[str, Any]] = {
    "batch.v1.CronJobSpec": {"timeZone": STRING},
    "policy.v1.PodDisruptionBudgetSpec": {"unhealthyPodEvictionPolicy": STRING},
    "apps.v1.StatefulSetSpec": {"persistentVolumeClaimRetentionPolicy": {"type": "object", "additionalProperties": STRING}},
    "core.v1.ServiceSpec": {"internalTrafficPolicy": STRING},
    "core.v1.TopologySpreadConstraint": {
        "minDomains": INTEGER,
        "matchLabelKeys": {"type": "array", "items": STRING},
        "nodeAffinityPolicy": STRING,
        "nodeTaintsPolicy": STRING,
    },
}


def trimmed(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return schema
    return {
        key: {name: trimmed(inner) for name, inner in value.items()} if key == "properties" else trimmed(value)
        for key, value in schema.items()
        if key in KEPT
    }


def renamed(definitions: dict[str, Any]) -> dict[str, Any]:
    text = json.dumps(definitions)
    for new, old in OLDER.items():
        if f"{API}.{old}" in text and f'"{API}.{new}"' not in text:
            text = text.replace(f"{API}.{old}", f"{API}.{new}")
    return json.loads(text)


def needed(definitions: dict[str, Any]) -> dict[str, Any]:
    """The definitions of our kinds and all that they refer to."""
    found: dict[str, Any] = {}
    lines = (line.partition(": ") for line in KINDS.splitlines())
    waiting = [f"{API}.{package}.{kind}" for package, _, kinds in lines for kind in kinds.split()]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = trimmed(definitions[name])
            found[name].get("properties", {}).update(NEWER.get(name.removeprefix(f"{API}."), {}))
            waiting += [part.partition('"')[0] for part in json.dumps(found[name]).split("#/definitions/")[1:]]
    return found


if __name__ == "__main__":
    if "KUBEBUILDER_ASSETS" not in os.environ:
        sys.exit("Set KUBEBUILDER_ASSETS to a folder with etcd and kube-apiserver.")
    with ControlPlane(Path(os.environ["KUBEBUILDER_ASSETS"])) as server:
        recorded = needed(renamed(server.client.get("/openapi/v2").raise_for_status().json()["definitions"]))
    lines = [f"{json.dumps(name)}: {json.dumps(recorded[name], sort_keys=True)}" for name in sorted(recorded)]
    Path(__file__).with_name("schema.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
