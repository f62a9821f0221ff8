"""What the stand-in stores, and what the API server gives to a new object."""

from __future__ import annotations

import copy
import secrets
import uuid

from tests.support.cluster import rules
from tests.support.cluster.kinds import Kind, decode
from tests.support.cluster.kubelet import Object, stamp

DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"


class Objects:
    """What is stored, by kind, namespace and name. Everything in it is replaced, never changed in place."""

    def __init__(self, kinds: list[Kind]) -> None:
        self.kinds = kinds
        self.by_name = {(kind.api_version, kind.kind): kind for kind in kinds}
        self.things: dict[tuple[Kind, str | None, str], Object] = {}
        self.history: list[tuple[int, str, Kind, Object]] = []  # (resourceVersion, ADDED …, kind, the object then)
        self.version = 1

    def kind(self, thing: Object) -> Kind:
        return self.by_name[thing["apiVersion"], thing["kind"]]

    def key(self, thing: Object) -> tuple[Kind, str | None, str]:
        return self.kind(thing), thing["metadata"].get("namespace"), thing["metadata"]["name"]

    def objects(self, kind: str, namespace: str | None = None) -> list[Object]:
        found = [thing for (of, at, _), thing in self.things.items() if of.kind == kind and not of.custom and namespace in (None, at)]
        return sorted(found, key=lambda each: (each["metadata"].get("namespace", ""), each["metadata"]["name"]))

    def everything(self) -> list[Object]:
        return list(self.things.values())

    def find(self, kind: str, namespace: str | None, name: str) -> Object | None:
        return next((each for each in self.objects(kind, namespace) if each["metadata"]["name"] == name), None)

    def current(self, thing: Object) -> Object | None:
        return self.things.get(self.key(thing))

    def save(self, thing: Object) -> Object:
        """Keep the thing with the next resourceVersion, unless it is already there just so."""
        key = self.key(thing)
        before = self.things.get(key)
        if before and without(before, "resourceVersion") == without(thing, "resourceVersion"):
            return before
        self.version += 1
        metadata = thing["metadata"] | {"resourceVersion": str(self.version)}
        if before and key[0].counted and _spec(before) != _spec(thing):
            metadata["generation"] = before["metadata"]["generation"] + 1
        self.things[key] = copy.deepcopy(thing | {"metadata": metadata})
        self.history.append((self.version, "MODIFIED" if before else "ADDED", key[0], self.things[key]))
        return self.things[key]

    def make(self, thing: Object) -> Object:
        """Keep a new thing that a controller makes."""
        kind = self.kind(thing)
        thing = decode(kind.schema, thing)
        causes = rules.check(kind, thing, None)
        if causes:
            raise kind.invalid(thing["metadata"]["name"], causes)
        return self.save(self.born(kind, thing))

    def born(self, kind: Kind, thing: Object) -> Object:
        """With what the API server gives to a new object."""
        metadata = {key: value for key, value in thing["metadata"].items() if key not in ("generation", "deletionTimestamp")}
        metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": stamp()}
        if kind.counted:
            metadata["generation"] = 1
        thing = thing | {"metadata": metadata, "apiVersion": kind.api_version, "kind": kind.kind}
        if kind.custom:
            return {key: value for key, value in thing.items() if key != "status" or not kind.status}
        if kind.status:
            thing |= {"status": decode(kind.schema, {})["status"]} if "status" in decode(kind.schema, {}) else {}
        match kind.kind:
            case "Service":
                address = thing["spec"].get("clusterIP") or f"10.0.{secrets.randbelow(256)}.{secrets.randbelow(254) + 1}"
                if thing["spec"]["type"] != "ExternalName":
                    thing["spec"] = thing["spec"] | {"clusterIP": address, "clusterIPs": [address]}
            case "PersistentVolumeClaim":
                metadata["finalizers"] = ["kubernetes.io/pvc-protection", *metadata.get("finalizers", [])]
                default = [
                    each for each in self.objects("StorageClass") if each["metadata"].get("annotations", {}).get(DEFAULT_CLASS) == "true"
                ]
                if default and "storageClassName" not in thing["spec"]:
                    thing["spec"] = thing["spec"] | {"storageClassName": default[0]["metadata"]["name"]}
            case "Job" if not thing["spec"].get("manualSelector"):
                owner = {"controller-uid": metadata["uid"]}
                template = thing["spec"]["template"]
                labels = template["metadata"].get("labels", {}) | owner | {"job-name": metadata["name"]}
                template = template | {"metadata": template["metadata"] | {"labels": labels}}
                thing["spec"] = thing["spec"] | {"selector": {"matchLabels": owner}, "template": template}
                if not metadata.get("labels"):  # a Job without labels takes its template's
                    metadata["labels"] = labels
        return thing

    def forget(self, thing: Object) -> None:
        key = self.key(thing)
        if key in self.things:
            self.version += 1
            self.history.append((self.version, "DELETED", key[0], self.things.pop(key)))

    def remove(self, thing: Object, propagation: str = "Background") -> Object | None:
        """Delete: at once (None), or the object that now waits for its finalizers."""
        metadata, kind = thing["metadata"], self.kind(thing)
        finalizers = list(metadata.get("finalizers", []))
        finalizer = {"Foreground": "foregroundDeletion", "Orphan": "orphan"}.get(propagation)
        if finalizer and finalizer not in finalizers:
            finalizers.append(finalizer)
        waits = finalizers or kind.kind == "Namespace" or (kind.kind == "Pod" and thing["spec"].get("nodeName"))
        if not waits:
            self.forget(thing)
            return None
        if metadata.get("deletionTimestamp"):
            return thing
        grace = 30 if kind.kind == "Pod" else 0
        metadata = metadata | {"deletionTimestamp": stamp(), "deletionGracePeriodSeconds": grace}
        if finalizers:
            metadata["finalizers"] = finalizers
        if kind.counted:
            metadata["generation"] += 1
        if kind.kind == "Namespace":
            del metadata["deletionGracePeriodSeconds"]
            thing = thing | {"status": {"phase": "Terminating"}}
        return self.save(thing | {"metadata": metadata})


def without(thing: Object, *names: str) -> Object:
    return thing | {"metadata": {key: value for key, value in thing["metadata"].items() if key not in names}}


def _spec(thing: Object) -> Object:
    return {key: value for key, value in thing.items() if key not in ("metadata", "status")}
