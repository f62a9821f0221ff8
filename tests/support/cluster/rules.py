"""What the API server does to an object beyond its schema: generated values, and what it refuses, in its words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from tests.support.cluster.kinds import Kind, amount

Cause = tuple[str, str, str]  # field, reason, message
SUBDOMAIN = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
LABEL = r"[a-z]([-a-z0-9]*[a-z0-9])?"
LABEL_VALUE = r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?"
ENV = r"[-._a-zA-Z][-._a-zA-Z0-9]*"
DATA_KEY = r"[-._a-zA-Z0-9]+"
ENDS = "and must start and end with an alphanumeric character"
SAID = {
    SUBDOMAIN: f"a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', {ENDS} (e.g. 'example.com'",
    LABEL: "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123'",
    LABEL_VALUE: f"a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', {ENDS} "
    "(e.g. 'MyValue',  or 'my_value',  or '12345'",
    ENV: "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', "
    "and must not start with a digit (e.g. 'my.env-name',  or 'MY_ENV.NAME',  or 'MyEnvName1'",
    DATA_KEY: "a valid config key must consist of alphanumeric characters, '-', '_' or '.' "
    "(e.g. 'key.name',  or 'KEY_NAME',  or 'key-name'",
}
IMMUTABLE = "field is immutable"
RBAC_KINDS = {"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}


def check(kind: Kind, new: dict, old: dict | None) -> list[Cause]:
    """All that is wrong with `new`, which may be the successor of `old`."""
    rule = None if kind.custom else RULES.get(kind.kind)
    causes = [*_metadata(kind, new), *(rule(new) if rule else [])]
    return causes + (list(_successor(kind, new, old)) if old and not kind.custom else [])


def required(place: str, more: str = "") -> Cause:
    return place, "Required", f"Required value{more}"


def _fits(place: str, value: str, pattern: str) -> Iterator[Cause]:
    if not re.fullmatch(pattern, value):
        text = f"{SAID[pattern]}, regex used for validation is '{pattern}')"
        yield place, "Invalid", f"Invalid value: {json.dumps(value)}: {text}"


def _metadata(kind: Kind, new: dict) -> Iterator[Cause]:
    metadata = new["metadata"]
    if not metadata.get("name"):
        yield required("metadata.name", ": name or generateName is required")
    elif kind.kind not in RBAC_KINDS:
        yield from _fits("metadata.name", metadata["name"], LABEL if kind.kind == "Service" else SUBDOMAIN)
    for value in metadata.get("labels", {}).values():
        yield from _fits("metadata.labels", value, LABEL_VALUE)


def _data(new: dict) -> Iterator[Cause]:
    for key in new.get("data", {}):
        yield from _fits(f"data[{key}]", key, DATA_KEY)


def _service(new: dict) -> Iterator[Cause]:
    spec = new.get("spec", {})
    ports = spec.get("ports", [])
    if not ports and spec.get("clusterIP") != "None" and spec.get("type") != "ExternalName":
        yield required("spec.ports")
    for number, port in enumerate(ports):
        if len(ports) > 1 and not port.get("name"):
            yield required(f"spec.ports[{number}].name")


def _workload(policies: tuple[str, ...]) -> Any:
    def rule(new: dict) -> Iterator[Cause]:
        spec = new.get("spec", {})
        if spec.get("replicas", 0) < 0:
            yield "spec.replicas", "Invalid", f"Invalid value: {spec['replicas']}: must be greater than or equal to 0"
        template = spec.get("template", {})
        if new["kind"] != "Job":
            selector, labels = spec.get("selector"), template.get("metadata", {}).get("labels")
            if not selector:
                yield required("spec.selector")
            if not selector or not selects(selector, labels or {}):
                what = "map[string]string(nil)" if labels is None else _go_map(labels)
                yield (
                    "spec.template.metadata.labels",
                    "Invalid",
                    f"Invalid value: {what}: `selector` does not match template `labels`",
                )
        yield from _pod(template.get("spec", {}), "spec.template.spec", policies)

    return rule


def _cron_job(new: dict) -> Iterator[Cause]:
    spec = new.get("spec", {})
    if not spec.get("schedule"):
        yield required("spec.schedule")
    elif not re.fullmatch(r"@\w+|\S+( +\S+){4}", spec["schedule"]):
        text = f"Expected exactly 5 fields, found {len(spec['schedule'].split())}: {spec['schedule']}"
        yield "spec.schedule", "Invalid", f"Invalid value: {json.dumps(spec['schedule'])}: {text}"
    pod = spec.get("jobTemplate", {}).get("spec", {}).get("template", {}).get("spec", {})
    yield from _pod(pod, "spec.jobTemplate.spec.template.spec", ("OnFailure", "Never"))


def _pod(spec: dict, place: str, policies: tuple[str, ...]) -> Iterator[Cause]:
    volumes = {each.get("name") for each in spec.get("volumes", [])}
    if not spec.get("containers"):
        yield required(f"{place}.containers")
    names: set[str] = set()
    for group in ("initContainers", "containers"):
        for number, container in enumerate(spec.get(group, [])):
            yield from _container(container, f"{place}.{group}[{number}]", volumes)
            if container.get("name") in names:
                yield f"{place}.{group}[{number}].name", "Duplicate", f"Duplicate value: {json.dumps(container['name'])}"
            names.add(container.get("name", object()))
    if policies and spec.get("restartPolicy", "Always") not in policies:
        if policies == ("Always",):
            text = f'Unsupported value: {json.dumps(spec["restartPolicy"])}: supported values: "Always"'
            yield f"{place}.restartPolicy", "NotSupported", text
        else:
            yield required(f"{place}.restartPolicy", ': valid values: "OnFailure", "Never"')


def _container(container: dict, place: str, volumes: set[str]) -> Iterator[Cause]:
    for key in ("name", "image"):
        if not container.get(key):
            yield required(f"{place}.{key}")
    for number, variable in enumerate(container.get("env", [])):
        yield from _fits(f"{place}.env[{number}].name", variable.get("name", ""), ENV)
    for number, mount in enumerate(container.get("volumeMounts", [])):
        if mount.get("name") not in volumes:
            yield f"{place}.volumeMounts[{number}].name", "NotFound", f"Not found: {json.dumps(mount.get('name', ''))}"
    resources = container.get("resources", {})
    for name, wanted in resources.get("requests", {}).items():
        limit = resources.get("limits", {}).get(name)
        if limit and amount(wanted) > amount(limit):
            yield f"{place}.resources.requests", "Invalid", f'Invalid value: "{wanted}": must be less than or equal to {name} limit'


def _stateful_set_template(new: dict) -> Iterator[Cause]:
    # its claims are volumes too
    spec = new.get("spec", {})
    claims = [{"name": each["metadata"]["name"]} for each in spec.get("volumeClaimTemplates", [])]
    template = spec.get("template", {})
    pod = template.get("spec", {})
    whole = {**new, "spec": {**spec, "template": {**template, "spec": {**pod, "volumes": [*pod.get("volumes", []), *claims]}}}}
    yield from _workload(("Always",))(whole)


def _successor(kind: Kind, new: dict, old: dict) -> Iterator[Cause]:
    spec, was = new.get("spec", {}), old.get("spec", {})

    def changed(*names: str) -> bool:
        return any(spec.get(name) != was.get(name) for name in names)

    match kind.kind:
        case "Deployment" | "ReplicaSet" if changed("selector"):
            yield "spec.selector", "Invalid", f"Invalid value: {_go_selector(spec.get('selector', {}))}: {IMMUTABLE}"
        case "StatefulSet" if changed(*({*spec, *was} - {"replicas", "template", "updateStrategy"})):
            allowed = "'replicas', 'template', and 'updateStrategy'"
            yield "spec", "Forbidden", f"Forbidden: updates to statefulset spec for fields other than {allowed} are forbidden"
        case "Job" if changed("template"):
            yield "spec.template", "Invalid", f"Invalid value: core.PodTemplateSpec{{…}}: {IMMUTABLE}"
        case "Secret" if new.get("type") != old.get("type"):
            yield "type", "Invalid", f"Invalid value: {json.dumps(new.get('type'))}: {IMMUTABLE}"
        case "Service" if changed("clusterIP") and was.get("clusterIP") and spec.get("type") != "ExternalName":
            yield "spec.clusterIPs[0]", "Invalid", f'Invalid value: []string{{"{spec.get("clusterIP", "")}"}}: may not change once set'
        case "PersistentVolumeClaim" if changed(*spec, *was):
            yield "spec", "Forbidden", "Forbidden: spec is immutable after creation except resources.requests for bound claims\n"
        case "RoleBinding" | "ClusterRoleBinding" if new["roleRef"] != old["roleRef"]:
            ref = new["roleRef"]
            text = f'rbac.RoleRef{{APIGroup:"{ref.get("apiGroup")}", Kind:"{ref.get("kind")}", Name:"{ref.get("name")}"}}'
            yield "roleRef", "Invalid", f"Invalid value: {text}: cannot change roleRef"
        case "StorageClass" if new.get("provisioner") != old.get("provisioner"):
            yield "provisioner", "Forbidden", "Forbidden: updates to provisioner are forbidden."


def _go_map(values: dict) -> str:
    return "map[string]string{" + ", ".join(f'"{key}":"{value}"' for key, value in sorted(values.items())) + "}"


def _go_selector(selector: dict) -> str:
    labels = _go_map(selector["matchLabels"]) if "matchLabels" in selector else "map[string]string(nil)"
    return f"v1.LabelSelector{{MatchLabels:{labels}, MatchExpressions:[]v1.LabelSelectorRequirement(nil)}}"


def selects(selector: dict, labels: dict) -> bool:
    """Whether a LabelSelector (matchLabels, matchExpressions) fits the labels."""
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    return all(_expression(each, labels) for each in selector.get("matchExpressions", []))


def _expression(each: dict, labels: dict) -> bool:
    value = labels.get(each["key"])
    return {
        "In": value in each.get("values", []),
        "NotIn": value not in each.get("values", []),
        "Exists": value is not None,
        "DoesNotExist": value is None,
    }[each["operator"]]


RULES = {
    "ConfigMap": _data,
    "Secret": _data,
    "Service": _service,
    "Deployment": _workload(("Always",)),
    "ReplicaSet": _workload(("Always",)),
    "StatefulSet": _stateful_set_template,
    "Job": _workload(("OnFailure", "Never")),
    "CronJob": _cron_job,
    "Pod": lambda new: _pod(new.get("spec", {}), "spec", ()),
}
