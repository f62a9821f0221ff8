"""What is asked of the API in test_stand_in.py's conversation, and how two answers are made comparable.

answers.json holds what a real API server (Kubernetes 1.20) answered, recorded with
`UPDATE_SNAPSHOTS=1 KUBEBUILDER_ASSETS=… pytest tests/integration/cluster`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx

NAMESPACE = "conversation"
CORE, APPS, BATCH = (f"/{group}/namespaces/{NAMESPACE}" for group in ("api/v1", "apis/apps/v1", "apis/batch/v1"))
RBAC, NETWORK, ROUTES = (
    f"/apis/{group}/v1/namespaces/{NAMESPACE}" for group in ("rbac.authorization.k8s.io", "networking.k8s.io", "route.openshift.io")
)
JSON, MERGE, STRATEGIC, APPLY = "json-patch+json", "merge-patch+json", "strategic-merge-patch+json", "apply-patch+yaml"

CONTAINER = {"name": "main", "image": "quay.io/example/app:1"}


def template(*containers: dict, **spec: Any) -> dict:
    return {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": list(containers or (CONTAINER,)), **spec}}


def deployment(name: str = "bad", **spec: Any) -> dict:
    return {"metadata": {"name": name}, "spec": {"selector": {"matchLabels": {"app": "x"}}, "template": template()} | spec}


RICH = template(
    {
        **CONTAINER,
        "tty": False,
        "command": [],
        "ports": [{"containerPort": 8080, "name": "http"}],
        "env": [
            {"name": "A", "value": ""},
            {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "C", "valueFrom": {"secretKeyRef": {"name": "s", "key": "a", "optional": False}}},
        ],
        "envFrom": [{"secretRef": {"name": "s"}}],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http"}, "initialDelaySeconds": 0},
        "livenessProbe": {"exec": {"command": ["true"]}, "timeoutSeconds": 3},
        "startupProbe": {"tcpSocket": {"port": 1}},
        "resources": {"requests": {"cpu": 0.5, "memory": "1024Mi"}, "limits": {"cpu": "1000m", "memory": "1.5Gi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "runAsNonRoot": True, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "v", "mountPath": "/v", "readOnly": False}],
    },
    automountServiceAccountToken=False,
    hostNetwork=False,
    serviceAccountName="sa",
    securityContext={"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    imagePullSecrets=[{"name": "pull"}],
    initContainers=[{"name": "first", "image": "example:latest"}],
    volumes=[
        {"name": "v", "secret": {"secretName": "s"}},
        {"name": "c", "configMap": {"name": "c", "items": [{"key": "a", "path": "a"}]}},
        {"name": "e", "emptyDir": {}},
        {"name": "none"},
        {"name": "p", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}},
    ],
    topologySpreadConstraints=[
        {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {"matchLabels": {"app": "x"}}}
    ],
)
CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
JOB = {"template": {"spec": {"restartPolicy": "Never", "containers": [CONTAINER]}}}
INGRESS = {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "svc", "port": {"number": 80}}}}
ROUTE = {"apiVersion": "route.openshift.io/v1", "kind": "Route", "metadata": {"name": "rt"}}
APPLIED = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "applied", "labels": {"a": "1"}}}
APPLIED_DEPLOYMENT = {"apiVersion": "apps/v1", "kind": "Deployment"} | deployment(
    "applied",
    replicas=2,
    template=template(
        {**CONTAINER, "args": ["x"], "ports": [{"containerPort": 80, "protocol": "TCP"}], "env": [{"name": "A", "value": "1"}]}
    ),
)
Step = tuple[str, str, Any, dict[str, str]]  # method, path, body, query (with `form` for the kind of patch)


def steps() -> Iterator[Step]:
    """Each step may build on those before. Pods are left alone: what becomes of them has tests of its own."""

    def post(path: str, body: Any, **query: str) -> Step:
        return "POST", path, body, query

    def get(path: str, **query: str) -> Step:
        return "GET", path, None, query

    def put(path: str, body: Any, **query: str) -> Step:
        return "PUT", path, body, query

    def patch(form: str, path: str, body: Any, **query: str) -> Step:
        return "PATCH", path, body, {"form": form, **query}

    def delete(path: str, body: Any = None, **query: str) -> Step:
        return "DELETE", path, body, query

    # what is stored: defaults, canonical values, what vanishes
    yield post(f"{CORE}/secrets", {"metadata": {"name": "s"}, "stringData": {"a": "b"}})
    yield post(f"{CORE}/secrets", {"metadata": {"name": "typed"}, "type": "kubernetes.io/basic-auth", "data": {"password": "Yg=="}})
    yield post(f"{CORE}/configmaps", {"metadata": {"name": "c", "labels": {}}, "data": {"a": "b", "empty": ""}, "unknown": 1})
    yield post(f"{CORE}/configmaps", {"metadata": {"name": "nothing", "annotations": {"a": "b"}}, "data": {}})
    yield post(f"{CORE}/serviceaccounts", {"metadata": {"name": "sa"}, "imagePullSecrets": [{"name": "pull"}]})
    yield post(f"{CORE}/services", {"metadata": {"name": "svc"}, "spec": {"selector": {"app": "x"}, "ports": [{"port": 80}]}})
    ports = [{"name": "http", "port": 80, "targetPort": "http"}, {"name": "other", "port": 81}]
    yield post(f"{CORE}/services", {"metadata": {"name": "headless"}, "spec": {"clusterIP": "None", "ports": ports}})
    yield post(f"{CORE}/persistentvolumeclaims", {"metadata": {"name": "claim"}, "spec": CLAIM})
    yield post(f"{APPS}/deployments", deployment("rich", template=RICH, paused=True) | {"metadata": {"name": "rich", "annotations": {}}})
    yield post(f"{APPS}/deployments", deployment("strategy", strategy={"type": "Recreate"}, replicas=0, paused=True))
    claims = [{"metadata": {"name": "data"}, "spec": CLAIM}]
    mounted = template({**CONTAINER, "image": "example", "volumeMounts": [{"name": "data", "mountPath": "/data"}]})
    spec = {"serviceName": "headless", "selector": {"matchLabels": {"app": "x"}}, "template": mounted, "volumeClaimTemplates": claims}
    yield post(f"{APPS}/statefulsets", {"metadata": {"name": "ss"}, "spec": spec | {"replicas": 0}})
    yield post(f"{BATCH}/jobs", {"metadata": {"name": "j"}, "spec": {**JOB, "parallelism": 0}})
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
    yield post(f"{RBAC}/roles", {"metadata": {"name": "r"}, "rules": rules})
    yield post(f"{RBAC}/roles", {"metadata": {"name": "empty"}})
    subjects = [{"kind": "ServiceAccount", "name": "sa", "namespace": NAMESPACE}, {"kind": "User", "name": "u"}]
    yield post(f"{RBAC}/rolebindings", {"metadata": {"name": "rb"}, "roleRef": {"kind": "Role", "name": "r"}, "subjects": subjects})
    peers = [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"a": "b"}}}]
    policy = {"podSelector": {}, "ingress": [{"from": peers, "ports": [{"port": 80}]}]}
    yield post(f"{NETWORK}/networkpolicies", {"metadata": {"name": "ingress"}, "spec": policy})
    yield post(f"{NETWORK}/networkpolicies", {"metadata": {"name": "egress"}, "spec": {"podSelector": {}, "egress": [{}], "ingress": []}})
    yield post(f"{NETWORK}/ingresses", {"metadata": {"name": "i"}, "spec": {"rules": [{"host": "a.b", "http": {"paths": [INGRESS]}}]}})
    spec = {"host": "a.b", "unknown": 1, "to": {"name": "svc"}, "tls": {"termination": "edge"}, "port": {"targetPort": "http"}}
    yield post(f"{ROUTES}/routes", ROUTE | {"spec": spec})
    yield post(f"{CORE}/resourcequotas", {"metadata": {"name": "q"}, "spec": {"hard": {"services": "10"}}})
    yield get(f"{CORE}/configmaps/c")
    yield get(f"{CORE}/secrets", fieldSelector="metadata.name=s")

    # what is refused on creation
    bad = {"metadata": {"name": "bad"}}
    yield post("/api/v1/namespaces/nowhere/configmaps", bad)
    yield post(f"{CORE}/configmaps", {"metadata": {"name": "c"}})
    yield post(f"{CORE}/configmaps", {"metadata": {"name": "X_y"}})
    yield post(f"{CORE}/configmaps", {"metadata": {}})
    yield post(f"{CORE}/configmaps", {"metadata": {"name": "bad", "namespace": "other"}})
    yield post(f"{CORE}/configmaps", {"kind": "Secret", "apiVersion": "v1", **bad})
    yield post(f"{CORE}/configmaps", {"metadata": {"name": "bad", "labels": {"a": "b c"}}})
    yield post(f"{CORE}/configmaps", {**bad, "data": {"a": 1}})
    yield post(f"{CORE}/configmaps", {**bad, "data": {"a b": "1"}})
    yield post(f"{CORE}/configmaps", {"metadata": {"name": "bad", "resourceVersion": "1"}})
    yield post(f"{CORE}/configmaps", "{no json")
    yield post(f"{CORE}/secrets", {**bad, "data": {"a": "no base64!"}})
    yield post(f"{CORE}/services", {**bad, "spec": {"ports": [{"port": 1}, {"port": 2}]}})
    yield post(f"{CORE}/services", {**bad, "spec": {}})
    yield post(f"{CORE}/services", {"metadata": {"name": "1x"}, "spec": {"ports": [{"port": 1}]}})
    yield post(f"{APPS}/deployments", bad)
    yield post(f"{APPS}/deployments", {**bad, "spec": {"template": {"spec": {"containers": [CONTAINER]}}}})
    yield post(f"{APPS}/deployments", deployment(selector={"matchLabels": {"app": "y"}}))
    yield post(f"{APPS}/deployments", deployment(replicas="two"))
    yield post(f"{APPS}/deployments", deployment(replicas=-1))
    yield post(f"{APPS}/deployments", deployment(template={"metadata": {"labels": {"app": "x"}}, "spec": {"containers": []}}))
    yield post(f"{APPS}/deployments", deployment(template=template({"name": "main"})))
    mounts = [{"name": "unknown", "mountPath": "/x"}]
    yield post(f"{APPS}/deployments", deployment(template=template({"image": "x"}, {**CONTAINER, "volumeMounts": mounts})))
    yield post(f"{APPS}/deployments", deployment(template=template(CONTAINER, CONTAINER)))
    yield post(f"{APPS}/deployments", deployment(template=template(restartPolicy="Never")))
    yield post(f"{APPS}/deployments", deployment(template=template({**CONTAINER, "env": [{"name": "a b", "value": "1"}]})))
    yield post(f"{APPS}/deployments", deployment(template=template({**CONTAINER, "env": [{"name": "a", "value": 1}]})))
    yield post(f"{APPS}/deployments", deployment(template=template({**CONTAINER, "resources": {"limits": {"cpu": "abc"}}})))
    resources = {"limits": {"cpu": "1"}, "requests": {"cpu": "2"}}
    yield post(f"{APPS}/deployments", deployment(template=template({**CONTAINER, "resources": resources})))
    yield post(f"{BATCH}/jobs", {**bad, "spec": {"template": {"spec": {"containers": [CONTAINER]}}}})
    yield post(f"{ROUTES}/routes", ROUTE | {**bad, "spec": {"host": "a.b"}})
    yield post(f"{ROUTES}/routes", ROUTE | {**bad, "spec": {"to": {"kind": "Service", "name": "x"}, "tls": {"termination": "edgy"}}})
    yield post(f"{ROUTES}/routes", {**bad, "spec": {"to": {"kind": "Service", "name": "x"}}})
    yield post(f"{CORE}/pods/x", {})

    # replacing
    yield put(f"{CORE}/configmaps/c", {"metadata": {"name": "c", "resourceVersion": "1"}, "data": {"a": "b"}})
    yield put(f"{CORE}/configmaps/c", {"metadata": {"name": "c"}, "data": {"a": "c"}})
    yield put(f"{CORE}/configmaps/c", {"metadata": {"name": "other"}})
    yield put(f"{CORE}/configmaps/nowhere", {"metadata": {"name": "nowhere"}})
    yield put(f"{ROUTES}/routes/rt", ROUTE | {"spec": {"to": {"kind": "Service", "name": "x"}}})

    # patches
    yield patch(MERGE, f"{CORE}/configmaps/nowhere", {"data": {"a": "c"}})
    yield patch("json", f"{CORE}/configmaps/c", {"data": {"a": "c"}})
    yield patch(STRATEGIC, f"{ROUTES}/routes/rt", {"spec": {"host": "a.c"}})
    yield patch(MERGE, f"{ROUTES}/routes/rt", {"spec": {"host": "a.c", "path": "/x"}})
    yield patch(JSON, f"{CORE}/configmaps/c", [{"op": "test", "path": "/data/a", "value": "wrong"}])
    yield patch(JSON, f"{CORE}/configmaps/c", [{"op": "remove", "path": "/data/nothing"}])
    operations = [{"op": "replace", "path": "/data/a", "value": "q"}, {"op": "add", "path": "/data/b", "value": "q"}]
    yield patch(JSON, f"{CORE}/configmaps/c", operations)
    yield patch(JSON, f"{CORE}/configmaps/c", [{"op": "copy", "from": "/data/b", "path": "/data/d"}, {"op": "remove", "path": "/data/b"}])
    yield patch(MERGE, f"{CORE}/configmaps/c", {"metadata": {"resourceVersion": "1"}, "data": {"a": "c"}})
    yield patch(MERGE, f"{CORE}/configmaps/c", {"data": {"a": None, "e": "f"}}, dryRun="All")
    yield patch(MERGE, f"{CORE}/secrets/s", {"stringData": {"a": "new", "z": "y"}})
    containers = [{"name": "main", "image": "example:2", "env": [{"name": "A", "value": "2"}, {"name": "B", "$patch": "delete"}]}]
    sidecar = {"name": "side", "image": "side:1"}
    merged = {"spec": {"template": {"spec": {"containers": [*containers, sidecar], "volumes": [{"name": "none", "$patch": "delete"}]}}}}
    yield patch(STRATEGIC, f"{APPS}/deployments/rich", merged)
    lists = {"spec": {"template": {"spec": {"containers": [CONTAINER], "initContainers": None, "volumes": None}}}}
    yield patch(MERGE, f"{APPS}/deployments/rich", lists)
    yield patch(MERGE, f"{APPS}/deployments/rich", {"metadata": {"labels": {"only": "metadata"}}})
    yield patch(MERGE, f"{APPS}/deployments/rich", {"metadata": {"labels": {"only": "metadata"}}})

    # what may not change
    yield patch(MERGE, f"{CORE}/secrets/s", {"type": "example/other"})
    yield patch(MERGE, f"{CORE}/services/svc", {"spec": {"clusterIP": "10.0.3.4"}})
    yield patch(MERGE, f"{CORE}/services/svc", {"spec": {"ports": []}})
    yield patch(MERGE, f"{APPS}/deployments/rich", {"spec": {"selector": {"matchLabels": {"app": "y"}}}})
    bigger = {"metadata": {"name": "data"}, "spec": CLAIM | {"resources": {"requests": {"storage": "2Gi"}}}}
    yield patch(MERGE, f"{APPS}/statefulsets/ss", {"spec": {"volumeClaimTemplates": [bigger]}})
    yield patch(MERGE, f"{APPS}/statefulsets/ss", {"spec": {"serviceName": "other"}})
    yield patch(MERGE, f"{BATCH}/jobs/j", {"spec": {"template": {"spec": {"activeDeadlineSeconds": 4}}}})
    yield patch(MERGE, f"{CORE}/persistentvolumeclaims/claim", {"spec": {"resources": {"requests": {"storage": "2Gi"}}}})
    yield patch(MERGE, f"{RBAC}/rolebindings/rb", {"roleRef": {"name": "other"}})

    # server-side apply
    path = f"{CORE}/configmaps/applied"
    yield patch(APPLY, path, APPLIED | {"data": {"a": "1", "b": "2"}})
    yield patch(APPLY, path, APPLIED | {"data": {"a": "1", "b": "2"}}, fieldManager="one")
    yield patch(APPLY, path, APPLIED | {"data": {"a": "1", "b": "2"}}, fieldManager="one")
    yield patch(APPLY, path, APPLIED | {"data": {"a": "1", "b": "3"}}, fieldManager="two")
    yield patch(APPLY, path, APPLIED | {"data": {"a": "9", "b": "3"}}, fieldManager="two")
    yield patch(APPLY, path, APPLIED | {"data": {"a": "1", "b": "3"}}, fieldManager="two", force="true")
    yield patch(APPLY, path, APPLIED | {"data": {"a": "1"}}, fieldManager="two", force="true")
    yield patch(MERGE, path, {"data": {"z": "1"}}, fieldManager="three")
    yield patch(APPLY, path, APPLIED | {"data": {"z": "2"}}, fieldManager="one")
    yield patch(APPLY, path, APPLIED | {"data": {"z": "2"}}, fieldManager="one", force="true")
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "applied"}}
    yield patch(APPLY, f"{CORE}/secrets/applied", secret | {"stringData": {"a": "b"}}, fieldManager="one")
    yield patch(APPLY, f"{CORE}/secrets/applied", secret | {"data": {"a": "Yw=="}}, fieldManager="one")
    path = f"{APPS}/deployments/applied"
    yield patch(APPLY, path, APPLIED_DEPLOYMENT, fieldManager="one", dryRun="All")
    yield get(path)

    for mistake in ({"unknown": 1}, {"replicas": "two"}, {"template": {"spec": {"containers": [{"name": "main", "image": 1}]}}}):
        wrong = APPLIED_DEPLOYMENT | {"spec": APPLIED_DEPLOYMENT["spec"] | mistake}
        yield patch(APPLY, path, wrong, fieldManager="one")
    requests = template({**CONTAINER, "resources": {"requests": {"cpu": 0.1}}})
    yield patch(APPLY, path, APPLIED_DEPLOYMENT | {"spec": {"template": requests}}, fieldManager="one")
    twice = {"spec": {"template": template({**CONTAINER, "env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]})}}
    yield patch(APPLY, path, APPLIED_DEPLOYMENT | twice, fieldManager="one")
    yield patch(APPLY, path, APPLIED_DEPLOYMENT | {"spec": {"template": template({"image": "x"})}}, fieldManager="one")

    # lists
    yield get(f"{CORE}/configmaps", labelSelector="a in (1,2),!b")
    yield get(f"{CORE}/configmaps", labelSelector="a=(")
    yield get(f"{CORE}/configmaps", fieldSelector="metadata.name=c")
    yield get(f"{CORE}/pods", fieldSelector="spec.unknown=1")
    yield get(f"{CORE}/unknowns")
    yield get("/apis/unknown.io/v1/things")
    yield get(f"{CORE}/secrets/s/status")

    # deleting
    yield delete(f"{CORE}/configmaps/nowhere")
    yield delete(f"{CORE}/configmaps/c", dryRun="All")
    yield delete(f"{CORE}/configmaps/c", {"preconditions": {"uid": "other"}})
    yield delete(f"{APPS}/deployments/rich", {"preconditions": {"uid": "other"}})
    yield delete(f"{CORE}/configmaps/c", {"preconditions": {"resourceVersion": "1"}})
    yield delete(f"{APPS}/deployments/strategy", {"preconditions": {"resourceVersion": "1"}}, dryRun="All")
    yield delete(f"{CORE}/configmaps/c")
    yield delete(f"{CORE}/services/svc", {"propagationPolicy": "Background"})
    yield delete(f"{CORE}/persistentvolumeclaims/claim")
    yield delete(f"{ROUTES}/routes/rt")


def name_of(step: Step) -> str:
    method, path, body, query = step
    short = path.replace(f"/namespaces/{NAMESPACE}", "").removeprefix("/api/v1").removeprefix("/apis/")
    said = "&".join(f"{key}={value}" for key, value in query.items() if key != "form")
    return " ".join(filter(None, (method, short, query.get("form", ""), said, "" if body is None else json.dumps(body, sort_keys=True))))


def ask(client: httpx.Client, step: Step) -> dict[str, Any]:
    """The answer, without what differs from one run to the next."""
    method, path, body, query = step
    query = dict(query)
    form = query.pop("form", "json")
    content = body if isinstance(body, str) else json.dumps(body) if body is not None else None
    answer = client.request(method, path, params=query, content=content, headers={"Content-Type": f"application/{form}"})
    try:
        document = answer.json()
    except ValueError:
        document = answer.text
    return {"status": answer.status_code, "body": comparable(document)}


# Each is replaced by the words before "=".
VARYING = {
    "UID": r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    "TIME": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
    "ADDRESS": r"10\.0\.\d+\.\d+(?=\")(?<!10\.0\.3\.4)",
    'resourceVersion": "N"': r'resourceVersion": "\d{2,}"',
    "in record (N)": r"in record \(\d+\)",
    # the words of Go's decoders, and Go values printed whole
    r"cannot be handled as a \1: …": r"cannot be handled as a (\w+): (?!converting)(?:[^\"\\]|\\.)*",
    "json parse error: …": r"json parse error: (?:[^\"\\]|\\.)*",
    "core.PodTemplateSpec{…}": r"core\.PodTemplateSpec\{(?:[^\"\\]|\\.)*\}(?=: field)",
    "for bound claims…": r"for bound claims(?:[^\"\\]|\\.)*",
    "expected …": r"expected (?=string|numeric)[^\"\\]*",
    "unable to parse requirement: …": r"unable to parse requirement: (?:[^\"\\]|\\.)*",
}


def comparable(document: Any) -> Any:
    if isinstance(document, dict) and isinstance(document.get("items"), list):
        document = document | {"items": [_without_updates(each) for each in document["items"]]}
    text = json.dumps(_without_updates(document), ensure_ascii=False, sort_keys=True)
    for word, pattern in VARYING.items():
        text = re.sub(pattern, word, text)
    return json.loads(text)


def _without_updates(document: Any) -> Any:
    """Less what controllers do meanwhile, and less the owners of fields that were updated rather than applied."""
    if not isinstance(document, dict) or "uid" not in document.get("metadata", {}):
        return document
    metadata = dict(document["metadata"])
    owners = [each for each in metadata.pop("managedFields", []) if each["operation"] == "Apply"]
    owners.sort(key=lambda each: each["manager"])
    document = document | {"metadata": metadata | ({"managedFields": owners} if owners else {})}
    if document.get("kind") in ("Deployment", "StatefulSet", "Job"):  # the controllers are sometimes quicker, sometimes not
        document.pop("status", None)
    return document
