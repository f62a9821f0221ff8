"""The kinds that the stand-in serves, and how their objects are put into words: schemas, defaults, canonical values.

`schema.json` holds the schemas of a real API server, `crds.yaml` those of OpenShift's kinds; `python -m tests.support.cluster.record`
makes the first. What a schema does not say (defaults, which zero values vanish) was measured by
tests/integration/cluster/test_stand_in.py, which runs against both.
"""

from __future__ import annotations

import base64
import binascii
import copy
import json
import re
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent
SCHEMAS: dict[str, dict] = json.loads((FOLDER / "schema.json").read_text())
CRDS: list[dict] = list(yaml.safe_load_all((FOLDER / "crds.yaml").read_text()))


class Refusal(Exception):
    """An answer that is no success; `status` is what the API server would send."""

    def __init__(self, code: int, reason: str | None, message: str, details: dict | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message}
        self.status |= {key: value for key, value in {"reason": reason, "details": details}.items() if value is not None}
        self.status["code"] = code


@dataclass(frozen=True)
class Kind:
    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True
    schema: dict = field(default_factory=dict, repr=False, compare=False, hash=False)
    status: bool = True  # has the subresource
    custom: bool = False  # declared by a CRD: no strategic merge, kind and apiVersion in the items of a list
    counted: bool = False  # metadata.generation counts the changes of its spec
    short: tuple[str, ...] = ()

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def full(self) -> str:
        return f"{self.kind}.{self.group}" if self.group else self.kind

    def details(self, name: str | None) -> dict:
        return ({"name": name} if name else {}) | ({"group": self.group} if self.group else {}) | {"kind": self.plural}

    def not_found(self, name: str) -> Refusal:
        return Refusal(404, "NotFound", f'{self.resource} "{name}" not found', self.details(name))

    def invalid(self, name: str, causes: list[tuple[str, str, str]]) -> Refusal:
        """`causes`: (field, reason without FieldValue, message)."""
        texts = [f"{place}: {message}" for place, _, message in causes]
        details = ({"name": name} if name else {}) | ({"group": self.group} if self.group else {}) | {"kind": self.kind}
        details["causes"] = [{"reason": f"FieldValue{reason}", "message": message, "field": place} for place, reason, message in causes]
        said = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
        return Refusal(422, "Invalid", f'{self.full} "{name}" is invalid: {said}', details)


def _ref(name: str) -> dict:
    return {"$ref": f"#/definitions/{name}"}


def _core(kind: str, plural: str, definition: str, group: str = "", version: str = "v1", short: str = "", **more: Any) -> Kind:
    return Kind(group, version, kind, plural, schema=_ref(f"io.k8s.api.{definition}"), short=tuple(short.split()), **more)


RBAC = "rbac.authorization.k8s.io"
KUBERNETES = [
    _core("Namespace", "namespaces", "core.v1.Namespace", short="ns", namespaced=False),
    _core("Node", "nodes", "core.v1.Node", short="no", namespaced=False),
    _core("ConfigMap", "configmaps", "core.v1.ConfigMap", short="cm", status=False),
    _core("Event", "events", "core.v1.Event", short="ev", status=False),
    _core("PersistentVolumeClaim", "persistentvolumeclaims", "core.v1.PersistentVolumeClaim", short="pvc"),
    _core("Pod", "pods", "core.v1.Pod", short="po"),
    _core("ResourceQuota", "resourcequotas", "core.v1.ResourceQuota", short="quota"),
    _core("Secret", "secrets", "core.v1.Secret", status=False),
    _core("Service", "services", "core.v1.Service", short="svc"),
    _core("ServiceAccount", "serviceaccounts", "core.v1.ServiceAccount", short="sa", status=False),
    _core("Deployment", "deployments", "apps.v1.Deployment", "apps", short="deploy", counted=True),
    _core("ReplicaSet", "replicasets", "apps.v1.ReplicaSet", "apps", short="rs", counted=True),
    _core("StatefulSet", "statefulsets", "apps.v1.StatefulSet", "apps", short="sts", counted=True),
    _core("Job", "jobs", "batch.v1.Job", "batch"),
    _core("CronJob", "cronjobs", "batch.v1.CronJob", "batch", short="cj"),
    _core("HorizontalPodAutoscaler", "horizontalpodautoscalers", "autoscaling.v2.HorizontalPodAutoscaler", "autoscaling", "v2", "hpa"),
    _core("PodDisruptionBudget", "poddisruptionbudgets", "policy.v1.PodDisruptionBudget", "policy", short="pdb", counted=True),
    _core("Ingress", "ingresses", "networking.v1.Ingress", "networking.k8s.io", short="ing", counted=True),
    _core("NetworkPolicy", "networkpolicies", "networking.v1.NetworkPolicy", "networking.k8s.io", short="netpol",
          status=False, counted=True),
    _core("StorageClass", "storageclasses", "storage.v1.StorageClass", "storage.k8s.io", short="sc", namespaced=False, status=False),
    _core("Role", "roles", "rbac.v1.Role", RBAC, status=False),
    _core("RoleBinding", "rolebindings", "rbac.v1.RoleBinding", RBAC, status=False),
    _core("ClusterRole", "clusterroles", "rbac.v1.ClusterRole", RBAC, namespaced=False, status=False),
    _core("ClusterRoleBinding", "clusterrolebindings", "rbac.v1.ClusterRoleBinding", RBAC, namespaced=False, status=False),
]  # fmt: skip


def _custom(crd: dict) -> Kind:
    spec, version = crd["spec"], crd["spec"]["versions"][0]
    schema = copy.deepcopy(version["schema"]["openAPIV3Schema"])
    schema["properties"] |= {"apiVersion": {"type": "string"}, "kind": {"type": "string"}}
    schema["properties"]["metadata"] = _ref("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta")
    names = spec["names"]
    return Kind(
        spec["group"],
        version["name"],
        names["kind"],
        names["plural"],
        spec["scope"] == "Namespaced",
        schema,
        "status" in version.get("subresources", {}),
        custom=True,
        counted=True,
    )


OPENSHIFT = [_custom(crd) for crd in CRDS if crd["spec"]["group"] != "traefik.io"]
TRAEFIK = [_custom(crd) for crd in CRDS if crd["spec"]["group"] == "traefik.io"]


def resolve(schema: dict) -> tuple[str, dict]:
    """The schema behind a reference, and the last part of its name ("" without one)."""
    if "$ref" not in schema:
        return "", schema
    name = schema["$ref"].rpartition("/")[2]
    return name.rpartition(".")[2], SCHEMAS[name]


# --- values as the API server stores them

DEFAULTS: dict[str, dict[str, Any]] = {
    "Container": {"resources": {}, "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"},
    "ContainerPort": {"protocol": "TCP"},
    "ClusterRole": {"rules": None},
    "ConfigMapVolumeSource": {"defaultMode": 420},
    "CronJob": {"status": {}},
    "CronJobSpec": {"concurrencyPolicy": "Allow", "suspend": False, "successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 1},
    "Deployment": {"spec": {}, "status": {}},
    "DeploymentSpec": {"replicas": 1, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600, "strategy": {}, "template": {}},
    "DownwardAPIVolumeSource": {"defaultMode": 420},
    "HTTPGetAction": {"path": "/", "scheme": "HTTP"},
    "HorizontalPodAutoscalerSpec": {
        "minReplicas": 1,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}],
    },
    "HorizontalPodAutoscaler": {"status": {"currentReplicas": 0, "desiredReplicas": 0, "currentMetrics": None, "conditions": None}},
    "Ingress": {"status": {"loadBalancer": {}}},
    "Job": {"status": {}},
    "JobSpec": {"backoffLimit": 6, "template": {}},
    "JobTemplateSpec": {"metadata": {}},
    "Namespace": {"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}},
    "NetworkPolicyPort": {"protocol": "TCP"},
    "ObjectFieldSelector": {"apiVersion": "v1"},
    "PersistentVolumeClaim": {"status": {"phase": "Pending"}},
    "PersistentVolumeClaimSpec": {"volumeMode": "Filesystem", "resources": {}},
    "Pod": {"status": {"phase": "Pending", "qosClass": "BestEffort"}},
    "PodDisruptionBudget": {"status": {"disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0}},
    "PodSpec": {
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "securityContext": {},
        "schedulerName": "default-scheduler",
    },
    "PodTemplateSpec": {"metadata": {}, "spec": {}},
    "Probe": {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3},
    "ProjectedVolumeSource": {"defaultMode": 420},
    "ReplicaSet": {"status": {"replicas": 0}},
    "ResourceQuota": {"status": {}},
    "Role": {"rules": None},
    "RoleRef": {"apiGroup": RBAC},
    "RollingUpdateDeployment": {"maxUnavailable": "25%", "maxSurge": "25%"},
    "RollingUpdateStatefulSetStrategy": {"partition": 0},
    "Secret": {"type": "Opaque"},
    "SecretVolumeSource": {"defaultMode": 420},
    "Service": {"status": {"loadBalancer": {}}},
    "ServiceAccountTokenProjection": {"expirationSeconds": 3600},
    "ServicePort": {"protocol": "TCP"},
    "ServiceSpec": {"type": "ClusterIP", "sessionAffinity": "None"},
    "StatefulSet": {"status": {"replicas": 0}},
    "StatefulSetSpec": {
        "replicas": 1, "revisionHistoryLimit": 10, "podManagementPolicy": "OrderedReady", "updateStrategy": {}, "template": {},
    },
    "StorageClass": {"reclaimPolicy": "Delete", "volumeBindingMode": "Immediate"},
}  # fmt: skip

# Go forgets a zero that is no pointer.
FORGOTTEN_FALSE = {"hostNetwork", "hostPID", "hostIPC", "readOnly", "tty", "stdin", "stdinOnce", "paused", "publishNotReadyAddresses"}
FORGOTTEN_ZERO = {"initialDelaySeconds", "minReadySeconds", "hostPort", "nodePort", "healthCheckNodePort"} | set(DEFAULTS["Probe"])
KEPT_EMPTY = {"storageClassName", "ingressClassName"}


class Decoding(Exception):
    """The JSON does not have the shape that the schema wants."""


def decode(schema: dict, value: Any, place: str = "", causes: list[tuple[str, str, str]] | None = None) -> Any:
    """`value` as the API server keeps it: unknown and empty fields gone, defaults there, quantities canonical.

    For a kind of a CRD, what its schema forbids is added to `causes`.
    """
    name, schema = resolve(schema)
    if schema.get("format") == "int-or-string" or schema.get("x-kubernetes-int-or-string"):
        return value
    if name == "Quantity":
        return quantity(value)
    wanted = schema.get("type", "object")
    if wanted == "string":
        return _text(schema, value, place, causes)
    if wanted in ("integer", "number", "boolean"):
        fits = isinstance(value, bool) if wanted == "boolean" else isinstance(value, (int, float)) and not isinstance(value, bool)
        if not fits:
            _unfit(wanted, value, place, causes)
        elif causes is not None:
            _within(schema, value, place, causes)
        return value
    if wanted == "array":
        if not isinstance(value, list):
            return _unfit(wanted, value, place, causes)
        return [decode(schema["items"], each, f"{place}[{number}]", causes) for number, each in enumerate(value)]
    if not isinstance(value, dict):
        return _unfit(wanted, value, place, causes)
    if "properties" not in schema:
        inner = schema.get("additionalProperties")
        if not isinstance(inner, dict):
            return value
        return {key: decode(inner, each, f"{place}[{key}]", causes) for key, each in value.items() if each is not None}
    return _struct(name, schema, value, place, causes)


def _struct(name: str, schema: dict, value: dict, place: str, causes: list | None) -> dict:
    properties: dict[str, dict] = schema["properties"]
    custom = causes is not None and not name
    value = {
        key: each
        for key, each in value.items()
        if each is not None and (key in properties or schema.get("x-kubernetes-preserve-unknown-fields"))
    }
    if custom:
        value = {key: copy.deepcopy(inner["default"]) for key, inner in properties.items() if "default" in inner} | value
        for key in schema.get("required", []):
            if key not in value:
                causes.append((_below(place, key), "Required", "Required value"))
    else:
        value = {key: each for key, each in value.items() if not _zero(key, properties[key], each)}
        value = copy.deepcopy(DEFAULTS.get(name, {})) | value
        _special(name, value, place)
    return {
        key: each if each is None or key not in properties else decode(properties[key], each, _below(place, key), causes)
        for key, each in value.items()
    }


def _below(place: str, key: str) -> str:
    return f"{place}.{key}" if place else key


def _zero(key: str, schema: dict, value: Any) -> bool:
    if value is False:
        return key in FORGOTTEN_FALSE
    if value == 0 and not isinstance(value, (bool, str, list, dict)):
        return key in FORGOTTEN_ZERO
    if value == "":
        return key not in KEPT_EMPTY
    if value == []:
        return True
    return value == {} and "properties" not in resolve(schema)[1]


def _special(name: str, value: dict, place: str) -> None:
    """Defaults that depend on their neighbours."""
    match name:
        case "ObjectMeta" if place != "metadata":
            value.setdefault("creationTimestamp", None)
        case "Container" if value.get("image"):
            tag = value["image"].rpartition("/")[2].partition("@")
            latest = not tag[1] and tag[0].partition(":")[2] in ("", "latest")
            value.setdefault("imagePullPolicy", "Always" if latest else "IfNotPresent")
        case "PodSpec" if value.get("serviceAccountName") or value.get("serviceAccount"):
            account = value.get("serviceAccountName") or value["serviceAccount"]
            value |= {"serviceAccountName": account, "serviceAccount": account}
        case "ServicePort":
            value.setdefault("targetPort", value.get("port"))
        case "Volume" if set(value) == {"name"}:
            value["emptyDir"] = {}
        case "DeploymentStrategy" | "StatefulSetUpdateStrategy":
            if value.setdefault("type", "RollingUpdate") == "RollingUpdate":
                value.setdefault("rollingUpdate", {})
        case "JobSpec":
            if "parallelism" not in value:
                value.setdefault("completions", 1)
            value.setdefault("parallelism", 1)
        case "NetworkPolicySpec":
            value.setdefault("policyTypes", ["Ingress"] + (["Egress"] if value.get("egress") else []))
        case "Subject" if value.get("kind") in ("User", "Group"):
            value.setdefault("apiGroup", RBAC)
        case "Secret" if "stringData" in value:
            for key, text in value.pop("stringData").items():
                if not isinstance(text, str):
                    raise Decoding("v1.Secret.StringData: ReadString")
                value.setdefault("data", {})[key] = base64.b64encode(text.encode()).decode()
        case "PersistentVolumeClaim" if place.startswith("spec.volumeClaimTemplates"):
            value |= {"kind": "PersistentVolumeClaim", "apiVersion": "v1"}


def _text(schema: dict, value: Any, place: str, causes: list | None) -> Any:
    if not isinstance(value, str):
        return _unfit("string", value, place, causes)
    if schema.get("format") == "byte":
        try:
            base64.b64decode(value, validate=True)
        except binascii.Error as error:
            raise Decoding(f"{place}: decode base64: illegal base64 data") from error
    if causes is not None:
        _within(schema, value, place, causes)
    return value


def _within(schema: dict, value: Any, place: str, causes: list) -> None:
    if "enum" in schema and value not in schema["enum"]:
        known = ", ".join(f'"{each}"' for each in schema["enum"])
        causes.append((place, "NotSupported", f"Unsupported value: {json.dumps(value)}: supported values: {known}"))
    if "minimum" in schema and value < schema["minimum"]:
        causes.append((place, "Invalid", f"Invalid value: {value}: {place} in body should be greater than or equal to {schema['minimum']}"))


def _unfit(wanted: str, value: Any, place: str, causes: list | None) -> Any:
    found = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}[type(value)]
    if causes is None:
        raise Decoding(f"{place}: expects {wanted}, but found {found}")
    causes.append((place, "Invalid", f'Invalid value: "{found}": {place} in body must be of type {wanted}: "{found}"'))
    return value


BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
DECIMAL = {"n": -3, "u": -2, "m": -1, "": 0, "k": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}


def amount(text: str) -> Fraction:
    number, suffix = re.fullmatch(r"([+-]?[0-9.]+)(.*)", text).groups()
    return Fraction(number) * (Fraction(1024) ** BINARY[suffix] if suffix in BINARY else Fraction(1000) ** DECIMAL[suffix])


def quantity(value: Any) -> str:
    """A quantity with the largest suffix of its family that leaves no fraction, as the API server writes it."""
    found = re.fullmatch(r"([+-]?[0-9]+(?:\.[0-9]*)?|[+-]?\.[0-9]+)([KMGTPE]i|[numkMGTPE]?)", str(value))
    if isinstance(value, bool) or not found:
        raise Decoding("unmarshalerDecoder: quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")
    exact = amount(str(value))
    if exact == 0:
        return "0"
    family, base = (BINARY, 1024) if found[2] in BINARY else (DECIMAL, 1000)
    for suffix, power in sorted(family.items(), key=lambda each: -each[1]):
        if (exact / Fraction(base) ** power).denominator == 1:
            return f"{exact / Fraction(base) ** power}{suffix}"
    return str(exact) if exact.denominator == 1 else quantity(f"{exact.numerator * 1000 // exact.denominator}m")
