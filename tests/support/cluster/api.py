"""The stand-in's API without HTTP: what a request is answered with, and the objects behind it."""

from __future__ import annotations

import base64
import copy
import json
import re
import secrets
from dataclasses import dataclass
from typing import Any

import yaml

from tests.support.cluster import access, patches, rules
from tests.support.cluster.access import User
from tests.support.cluster.kinds import KUBERNETES, OPENSHIFT, SCHEMAS, TRAEFIK, Decoding, Kind, Refusal, decode
from tests.support.cluster.kubelet import Kubelet, Object, stamp
from tests.support.cluster.store import Objects, without
from tests.support.cluster.workloads import Controllers

ADMIN = "admin-token"
VERSION = {"major": "1", "minor": "27", "gitVersion": "v1.27.0", "platform": "linux/amd64"}
VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
# Things that are asked by creating them and never kept.
REVIEWS = {"authorization.k8s.io": ("selfsubjectaccessreviews", "SelfSubjectAccessReview")}
# What no update changes.
OWN = ("name", "namespace", "uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds", "managedFields")
FIELDS = {
    "Pod": {"spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "status.phase", "status.podIP"},
    "Event": {f"involvedObject.{key}" for key in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")}
    | {"reason", "source", "type", "reportingComponent"},
    "Secret": {"type"},
    "Namespace": {"status.phase"},
    "Job": {"status.successful"},
    "ReplicaSet": {"status.replicas"},
}


def parsed(body: bytes) -> Any:
    """JSON, or the YAML of server-side apply."""
    try:
        return json.loads(body) if body.strip()[:1] in (b"{", b"[", b"") and body else yaml.safe_load(body)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


@dataclass(frozen=True)
class Call:
    """A request, and who makes it."""

    user: User
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def manager(self) -> str:
        """As whom metadata.managedFields knows the caller."""
        return self.query.get("fieldManager") or self.headers.get("user-agent", "unknown").partition("/")[0]

    @property
    def dry(self) -> bool:
        return bool(self.query.get("dryRun"))


class Api:
    def __init__(self, openshift: bool = True) -> None:
        self.store = Objects(KUBERNETES + (OPENSHIFT if openshift else TRAEFIK))
        self.kubelet = Kubelet()
        self.controllers = Controllers(self.store, self.kubelet)
        self.users = {ADMIN: User("admin", ("system:masters", "system:authenticated"))}
        for name in ("default", "kube-system"):
            self.store.make({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    def answer(self, method: str, path: str, query: dict[str, str], body: bytes, headers: dict[str, str]) -> tuple[int, Any]:
        """Status and document (text for what is no JSON); a Watch for a watch."""
        user = self.users.get(headers.get("authorization", "").removeprefix("Bearer "))
        if user is None:
            return 401, Refusal(401, "Unauthorized", "Unauthorized").status
        self.controllers.step()
        try:
            return self._discovery(path) or self._resource(Call(user, method, path, query, headers, body))
        except Refusal as refusal:
            return refusal.code, refusal.status

    # --- discovery

    def _discovery(self, path: str) -> tuple[int, Any] | None:
        path = path.rstrip("/")
        groups: dict[str, set[str]] = {}
        for kind in self.store.kinds:
            groups.setdefault(kind.group, set()).add(kind.version)
        groups |= {group: {"v1"} for group in REVIEWS}

        def group(name: str) -> Object:
            versions = [{"groupVersion": f"{name}/{version}", "version": version} for version in sorted(groups[name], reverse=True)]
            return {"name": name, "versions": versions, "preferredVersion": versions[0]}

        match path.split("/")[1:]:
            case ["version"]:
                return 200, VERSION
            case ["healthz" | "livez" | "readyz"]:
                return 200, "ok"
            case ["openapi", "v2"]:
                return 200, {
                    "swagger": "2.0",
                    "info": {"title": "Kubernetes", "version": VERSION["gitVersion"]},
                    "paths": {},
                    "definitions": SCHEMAS,
                }
            case ["api"]:
                return 200, {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
            case ["apis"]:
                return 200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": [group(name) for name in sorted(groups) if name]}
            case ["apis", name] if name in groups:
                return 200, {"kind": "APIGroup", "apiVersion": "v1"} | group(name)
            case ["api", "v1"]:
                return 200, self._resources("", "v1")
            case ["apis", name, version] if version in groups.get(name, ()):
                return 200, self._resources(name, version)
            case ["apis", name, version, *_] if name in groups and version in groups[name]:
                return None
            case ["api", "v1", *_]:
                return None
            case ["apis", _, _, *_] | ["metrics"]:
                return None
        return 404, {"paths": ["/api", "/apis", "/healthz", "/livez", "/openapi/v2", "/readyz", "/version"]}

    def _resources(self, group: str, version: str) -> Object:
        found = []
        for kind in self.store.kinds:
            if (kind.group, kind.version) == (group, version):
                entry = {"name": kind.plural, "singularName": "", "namespaced": kind.namespaced, "kind": kind.kind}
                entry["verbs"] = [verb for verb in VERBS if kind.kind != "Namespace" or verb != "deletecollection"]
                found.append(entry | ({"shortNames": list(kind.short)} if kind.short else {}))
                subresources = (["status"] if kind.status else []) + {"Pod": ["log"], "ServiceAccount": ["token"]}.get(kind.kind, [])
                for name in subresources:
                    verbs = {"log": ["get"], "token": ["create"]}.get(name, ["get", "patch", "update"])
                    found.append(entry | {"name": f"{kind.plural}/{name}", "verbs": verbs})
        if group in REVIEWS:
            plural, name = REVIEWS[group]
            found.append({"name": plural, "singularName": "", "namespaced": False, "kind": name, "verbs": ["create"]})
        api_version = f"{group}/{version}" if group else version
        return {"kind": "APIResourceList"} | ({"apiVersion": "v1"} if group else {}) | {"groupVersion": api_version, "resources": found}

    # --- resources

    def _resource(self, call: Call) -> tuple[int, Any]:
        user, method, query = call.user, call.method, call.query
        parts = call.path.strip("/").split("/")
        if parts[0] == "api":
            group, version, rest = "", *parts[1:2], parts[2:]
        else:
            group, version, rest = *[*parts[1:3], "", ""][:2], parts[3:]
        namespace = None
        if rest[:1] == ["namespaces"] and len(rest) > 2 and rest[2] not in ("status", "finalize"):
            namespace, rest = rest[1], rest[2:]
        plural, name, sub = [*rest, "", "", ""][:3]
        if not rest:
            self._permit_path(user, call.path)
        watching = query.get("watch", "") in ("1", "true", "True")
        verb = {
            "GET": "get" if name else "watch" if watching else "list",
            "POST": "create",
            "PUT": "update",
            "PATCH": "patch",
            "DELETE": "delete" if name else "deletecollection",
        }.get(method, method.lower())
        place = name if plural == "namespaces" and not group and name else namespace
        self._permit(user, verb, group, f"{plural}/{sub}" if sub else plural, place, name)
        if group in REVIEWS and plural == REVIEWS[group][0] and method == "POST":
            return 201, self._review(user, json.loads(call.body))
        kind = next((each for each in self.store.kinds if (each.group, each.version, each.plural) == (group, version, plural)), None)
        if kind is None and not any((each.group, each.version) == (group, version) for each in self.store.kinds):
            return 404, "404 page not found\n"
        if kind is None or len(rest) > 3 or (namespace and not kind.namespaced):
            raise Refusal(404, "NotFound", "the server could not find the requested resource", {})
        if sub:
            return self._subresource(call, kind, namespace, name, sub)
        match verb:
            case "get":
                return 200, self._existing(kind, namespace, name)
            case "list":
                return 200, self._list(kind, namespace, query)
            case "watch":
                return 200, Watch(self, kind, namespace, query)
            case "create" if not name:
                return 201, self._create(call, kind, namespace, self._parsed(kind, call.body))
            case "update" if name:
                thing = self._parsed(kind, call.body)
                if thing["metadata"].get("name") != name:
                    said = thing["metadata"].get("name", "")
                    text = f"the name of the object ({said}) does not match the name on the URL ({name})"
                    raise Refusal(400, "BadRequest", text)
                return 200, self._update(call, kind, self._existing(kind, namespace, name), thing)
            case "patch" if name:
                return self._patch(call, kind, namespace, name)
            case "delete":
                return 200, self._delete(call, kind, namespace, name)
            case "deletecollection":
                listed = self._list(kind, namespace, query)
                for each in listed["items"]:
                    self._delete(call, kind, namespace, each["metadata"]["name"])
                return 200, listed
        raise Refusal(405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {})

    def _permit(self, user: User, verb: str, group: str, resource: str, namespace: str | None, name: str) -> None:
        if not self._may(user, verb, group, resource, namespace, name):
            raise access.forbidden(user, verb, group, resource, namespace, name)

    def _may(self, user: User, verb: str, group: str, resource: str, namespace: str | None, name: str) -> bool:
        if user.is_admin or group in REVIEWS:
            return True
        return any(access.allows(rule, verb, group, resource, name) for rule in access.rules_of(user, self.store.objects, namespace))

    def _permit_path(self, user: User, path: str) -> None:
        if not user.is_admin and not path.startswith("/apis/"):
            raise Refusal(403, "Forbidden", f'forbidden: User "{user.name}" cannot get path "{path}"', {})
        raise Refusal(404, "NotFound", "the server could not find the requested resource", {})

    def _review(self, user: User, review: Object) -> Object:
        asked = review["spec"]["resourceAttributes"]
        resource = "/".join(filter(None, (asked.get("resource", ""), asked.get("subresource", ""))))
        allowed = self._may(user, asked["verb"], asked.get("group", ""), resource, asked.get("namespace"), asked.get("name", ""))
        return review | {"status": {"allowed": allowed}}

    def _existing(self, kind: Kind, namespace: str | None, name: str) -> Object:
        thing = self.store.things.get((kind, namespace, name))
        if thing is None:
            raise kind.not_found(name)
        return thing

    def _parsed(self, kind: Kind, body: bytes) -> Object:
        try:
            thing = parsed(body)
        except ValueError as error:
            text = (
                f"the object provided is unrecognized (must be of type {kind.kind}): couldn't get version/kind; json parse error: {error}"
            )
            raise Refusal(400, "BadRequest", text) from error
        if not isinstance(thing, dict):
            raise Refusal(400, "BadRequest", f"the object provided is unrecognized (must be of type {kind.kind})")
        start = f'{thing.get("kind", kind.kind)} in version "{kind.version}" cannot be handled as a {kind.kind}: '
        if kind.custom and "kind" not in thing:
            raise Refusal(400, "BadRequest", f"{start}unmarshalerDecoder: Object 'Kind' is missing in '{body.decode()}'")
        if thing.get("kind", kind.kind) != kind.kind:
            text = f"converting ({kind.version}.{thing['kind']}) to (core.{kind.kind}): unknown conversion"
            raise Refusal(400, "BadRequest", start + text)
        thing["metadata"] = thing.get("metadata") or {}
        return thing

    def _list(self, kind: Kind, namespace: str | None, query: dict[str, str]) -> Object:
        fits = selector(kind, query)
        found = [each for (of, at, _), each in self.store.things.items() if of == kind and namespace in (None, at) and fits(each)]
        found.sort(key=lambda each: (each["metadata"].get("namespace", ""), each["metadata"]["name"]))
        start, limit = 0, int(query.get("limit") or 0)
        if query.get("continue"):
            try:
                start = int(base64.b64decode(query["continue"], validate=True))
            except ValueError as error:
                raise Refusal(400, "BadRequest", f"invalid continue token: {error}") from error
        page = found[start : start + limit] if limit else found[start:]
        metadata: Object = {"resourceVersion": str(self.store.version)}
        if start + len(page) < len(found):
            metadata |= {
                "continue": base64.b64encode(str(start + limit).encode()).decode(),
                "remainingItemCount": len(found) - start - limit,
            }
        items = page if kind.custom else [{key: value for key, value in each.items() if key not in ("apiVersion", "kind")} for each in page]
        return {"kind": f"{kind.kind}List", "apiVersion": kind.api_version, "metadata": metadata, "items": items}

    # --- writes

    def _decoded(self, kind: Kind, thing: Object, name: str) -> Object:
        causes: list = []
        try:
            decoded = decode(kind.schema, thing, causes=causes if kind.custom else None)
        except Decoding as error:
            text = f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: {error}'
            raise Refusal(400, "BadRequest", text) from error
        if causes:
            raise kind.invalid(name, causes)
        return decoded | {"apiVersion": kind.api_version, "kind": kind.kind}

    def _checked(self, user: User, kind: Kind, thing: Object, old: Object | None) -> None:
        causes = rules.check(kind, thing, old)
        if causes:
            raise kind.invalid(thing["metadata"].get("name", ""), causes)
        if kind.kind in ("Role", "ClusterRole"):
            held = list(access.rules_of(user, self.store.objects, thing["metadata"].get("namespace")))
            access.forbid_escalation(user, kind, thing, held)

    def _create(self, call: Call, kind: Kind, namespace: str | None, thing: Object, owned: patches.Owned | None = None) -> Object:
        if kind.namespaced and thing["metadata"].get("namespace", namespace) != namespace:
            text = "the namespace of the provided object does not match the namespace sent on the request"
            raise Refusal(400, "BadRequest", text)
        if thing["metadata"].get("resourceVersion"):
            raise Refusal(500, None, "resourceVersion should not be set on objects to be created")
        name = thing["metadata"].get("name", "")
        thing = self._decoded(kind, thing, name)
        metadata = thing["metadata"]
        if not name and metadata.get("generateName"):
            metadata["name"] = name = metadata["generateName"] + secrets.token_hex(3)[:5]
        if kind.namespaced:
            metadata["namespace"] = namespace
            self._open(kind, namespace, name)
        if (kind, namespace, name) in self.store.things:
            raise Refusal(409, "AlreadyExists", f'{kind.resource} "{name}" already exists', kind.details(name))
        self._checked(call.user, kind, thing, None)
        thing = self.store.born(kind, thing)
        patches.record_owners(kind, None, thing, owned or patches.updated_owners(kind, None, thing, call.manager), stamp())
        return thing if call.dry else self.store.save(thing)

    def _open(self, kind: Kind, namespace: str | None, name: str) -> None:
        """A namespace takes new objects when it is there and not going."""
        found = self.store.find("Namespace", None, namespace or "")
        if not found:
            raise next(each for each in KUBERNETES if each.kind == "Namespace").not_found(namespace or "")
        if found["metadata"].get("deletionTimestamp"):
            text = f"unable to create new content in namespace {namespace} because it is being terminated"
            cause = {
                "reason": "NamespaceTerminating",
                "message": f"namespace {namespace} is being terminated",
                "field": "metadata.namespace",
            }
            raise Refusal(403, "Forbidden", f'{kind.resource} "{name}" is forbidden: {text}', kind.details(name) | {"causes": [cause]})

    def _update(self, call: Call, kind: Kind, old: Object, thing: Object, sub: str = "", owned: patches.Owned | None = None) -> Object:
        name = old["metadata"]["name"]
        wanted = thing["metadata"].get("resourceVersion")
        if wanted and wanted != old["metadata"]["resourceVersion"]:
            text = "the object has been modified; please apply your changes to the latest version and try again"
            raise Refusal(409, "Conflict", f'Operation cannot be fulfilled on {kind.resource} "{name}": {text}', kind.details(name))
        if kind.custom and not wanted:
            text = "Invalid value: 0x0: must be specified for an update"
            causes = [{"reason": "FieldValueInvalid", "message": text, "field": "metadata.resourceVersion"}]
            details = kind.details(name) | {"causes": causes}
            raise Refusal(422, "Invalid", f'{kind.resource} "{name}" is invalid: metadata.resourceVersion: {text}', details)
        thing = self._decoded(kind, thing, name)
        if sub == "status":
            thing = old | {"status": thing.get("status", {})}
        else:
            kept = {key: old["metadata"][key] for key in (*OWN, "resourceVersion") if key in old["metadata"]}
            thing["metadata"] = {key: value for key, value in thing["metadata"].items() if key not in OWN} | kept
            if kind.status and "status" in old:
                thing["status"] = old["status"]
            elif kind.status:
                thing.pop("status", None)
            self._inherit(kind, thing, old)
            self._checked(call.user, kind, thing, old)
        plain = without(thing, "managedFields") | {}
        if owned is None and plain == without(old, "managedFields"):
            return old
        thing = copy.deepcopy(thing)
        patches.record_owners(kind, old, thing, owned or patches.updated_owners(kind, old, thing, call.manager), stamp())
        if call.dry:
            return thing
        if thing["metadata"].get("deletionTimestamp") and not thing["metadata"].get("finalizers"):
            self.store.forget(old)
            return thing
        return self.store.save(thing)

    def _inherit(self, kind: Kind, thing: Object, old: Object) -> None:
        """What an update may leave out and yet keeps."""
        if kind.kind == "Service" and not kind.custom and thing.get("spec", {}).get("type") != "ExternalName":
            for key in ("clusterIP", "clusterIPs"):
                if key in old["spec"] and not thing["spec"].get(key):
                    thing["spec"][key] = old["spec"][key]
            if thing["spec"].get("clusterIP") != old["spec"].get("clusterIP"):
                thing["spec"]["clusterIPs"] = [thing["spec"]["clusterIP"]]

    def _patch(self, call: Call, kind: Kind, namespace: str | None, name: str, sub: str = "") -> tuple[int, Object]:
        form = call.headers.get("content-type", "").partition(";")[0]
        known = ["json-patch+json", "merge-patch+json", *([] if kind.custom else ["strategic-merge-patch+json"]), "apply-patch+yaml"]
        if form.removeprefix("application/") not in known:
            if not kind.custom:
                raise Refusal(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})
            text = "the body of the request was in an unknown format - accepted media types include: "
            raise Refusal(415, "UnsupportedMediaType", text + ", ".join(f"application/{each}" for each in known))
        patch = parsed(call.body)
        if form == "application/apply-patch+yaml":
            return self._apply(call, kind, namespace, name, patch)
        old = self._existing(kind, namespace, name)
        if form == "application/json-patch+json":
            new = patches.json_patch(old, patch)
        elif form == "application/merge-patch+json":
            new = patches.merge_patch(old, patch)
        else:
            new = patches.strategic_merge(kind.schema, old, patch)
        return 200, self._update(call, kind, old, copy.deepcopy(new), sub)

    def _apply(self, call: Call, kind: Kind, namespace: str | None, name: str, config: Object) -> tuple[int, Object]:
        who = call.query.get("fieldManager")
        if not who:
            text = "is required for apply patch"
            causes = [{"reason": "FieldValueRequired", "message": f"Required value: {text}", "field": "fieldManager"}]
            details = {"group": "meta.k8s.io", "kind": "PatchOptions", "causes": causes}
            raise Refusal(422, "Invalid", f'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: {text}', details)
        old = self.store.things.get((kind, namespace, name))
        config = copy.deepcopy(config)
        config.setdefault("metadata", {}).setdefault("name", name)
        new, owned = patches.apply(kind, old, config, who, call.query.get("force") in ("1", "true", "True"))
        if old is None:
            return 201, self._create(call, kind, namespace, new, owned)
        return 200, self._update(call, kind, old, copy.deepcopy(new), owned=owned)

    def _delete(self, call: Call, kind: Kind, namespace: str | None, name: str) -> Object:
        thing = self._existing(kind, namespace, name)
        options = json.loads(call.body) if call.body else {}
        options |= {key: call.query[key] for key in ("propagationPolicy", "dryRun") if key in call.query}
        for key, wanted in (options.get("preconditions") or {}).items():
            if thing["metadata"].get(key) != wanted:
                field, done = {"uid": ("UID", "deleted and then recreated"), "resourceVersion": ("ResourceVersion", "modified")}[key]
                text = f"the {field} in the precondition ({wanted}) does not match the {field} in record ({thing['metadata'][key]})"
                message = f'Operation cannot be fulfilled on {kind.full} "{name}": {text}. The object might have been {done}'
                raise Refusal(409, "Conflict", message, kind.details(name) | {"kind": kind.kind})
        status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
        status["details"] = kind.details(name) | {"uid": thing["metadata"]["uid"]}
        if options.get("dryRun"):
            return status
        if kind.kind == "Pod" and (options.get("gracePeriodSeconds") == 0 or call.query.get("gracePeriodSeconds") == "0"):
            self.store.forget(thing)
            return thing
        # the API of Jobs is older than the garbage collector, and by default leaves their pods
        policy = options.get("propagationPolicy") or ("Orphan" if kind.kind == "Job" else "Background")
        waiting = self.store.remove(thing, policy)
        return waiting or (thing if kind.kind in ("Pod", "PersistentVolumeClaim", "ServiceAccount") else status)

    def _subresource(self, call: Call, kind: Kind, namespace: str | None, name: str, sub: str) -> tuple[int, Any]:
        match sub, call.method:
            case ("status", "GET") if kind.status:
                return 200, self._existing(kind, namespace, name)
            case ("status", "PUT") if kind.status:
                return 200, self._update(call, kind, self._existing(kind, namespace, name), self._parsed(kind, call.body), "status")
            case ("status", "PATCH") if kind.status:
                return self._patch(call, kind, namespace, name, "status")
            case ("log", "GET") if kind.kind == "Pod":
                pod = self._existing(kind, namespace, name)
                return 200, self.kubelet.log(pod, "&".join(f"{key}={value}" for key, value in call.query.items()))
            case ("exec", "GET") if kind.kind == "Pod" and (found := self.kubelet.execution(self._existing(kind, namespace, name))):
                return 101, found
            case ("token", "POST") if kind.kind == "ServiceAccount":
                self._existing(kind, namespace, name)
                token = secrets.token_urlsafe(32)
                self.users[token] = User.service_account(namespace, name)
                return 201, {"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "metadata": {}, "status": {"token": token}}
        raise Refusal(404, "NotFound", "the server could not find the requested resource", {})


class Watch:
    """The changes of a kind from a resourceVersion on, and before them, when none is given, what is there."""

    def __init__(self, api: Api, kind: Kind, namespace: str | None, query: dict[str, str]) -> None:
        self.api, self.kind, self.namespace, self.fits = api, kind, namespace, selector(kind, query)
        self.timeout = float(query.get("timeoutSeconds") or 300)
        self.since = int(query.get("resourceVersion") or 0)
        self.begun = self.since > 0
        self.seen: set[str] = set()

    def events(self) -> list[Object]:
        """What is new since the last call."""
        self.api.controllers.step()
        store, found = self.api.store, []
        if not self.begun:
            self.begun, self.since = True, store.version
            listed = self.api._list(self.kind, self.namespace, {})["items"]
            found = [
                self._event("ADDED", each | {"apiVersion": self.kind.api_version, "kind": self.kind.kind})
                for each in listed
                if self.fits(each)
            ]
        for version, what, kind, thing in store.history:
            if version > self.since and kind == self.kind and self.namespace in (None, thing["metadata"].get("namespace")):
                uid = thing["metadata"]["uid"]
                if self.fits(thing):
                    found.append(self._event(what, thing))
                elif uid in self.seen:
                    self.seen.discard(uid)
                    found.append({"type": "DELETED", "object": thing})
        self.since = store.version
        return found

    def _event(self, what: str, thing: Object) -> Object:
        self.seen.add(thing["metadata"]["uid"])
        return {"type": what, "object": thing}


def selector(kind: Kind, query: dict[str, str]) -> Any:
    """Whether an object fits the query's labelSelector and fieldSelector."""
    labels = [_label_requirement(text) for text in re.split(r",(?![^(]*\))", query.get("labelSelector", "")) if text.strip()]
    fields = []
    for text in filter(None, query.get("fieldSelector", "").split(",")):
        name, operator, value = re.fullmatch(r"([^=!]+)(==|=|!=)(.*)", text).groups()
        if name not in {"metadata.name", "metadata.namespace"} | (FIELDS.get(kind.kind, set()) if not kind.custom else set()):
            raise Refusal(400, "BadRequest", f"field label not supported: {name}")
        fields.append((name.split("."), operator != "!=", value))

    def fits(thing: Object) -> bool:
        own = thing["metadata"].get("labels", {})
        return all(each(own) for each in labels) and all((_at(thing, path) == value) == equal for path, equal, value in fields)

    return fits


def _at(thing: Any, path: list[str]) -> str:
    for key in path:
        thing = thing.get(key, "") if isinstance(thing, dict) else ""
    return thing.get("component", "") if isinstance(thing, dict) else str(thing)


def _label_requirement(text: str) -> Any:
    text = text.strip()
    if found := re.fullmatch(r"([^\s=!()]+)\s+(in|notin)\s+\(([^)]*)\)", text):
        values = [each.strip() for each in found[3].split(",")]
        return lambda labels: (labels.get(found[1]) in values) == (found[2] == "in")
    if found := re.fullmatch(r"([^\s=!()]+)\s*(==|=|!=)\s*([^\s=!()]*)", text):
        return lambda labels: (labels.get(found[1]) == found[3]) == (found[2] != "!=")
    if found := re.fullmatch(r"(!?)\s*([^\s=!()]+)", text):
        return lambda labels: (found[2] in labels) != bool(found[1])
    raise Refusal(400, "BadRequest", f"unable to parse requirement: {text}")
