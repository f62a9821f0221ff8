"""The stand-in's controllers: what Kubernetes makes of Deployments, StatefulSets, Jobs, owners and namespaces, one step at a time."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import secrets
import time
from collections.abc import Iterator
from typing import Any, Protocol

from tests.support.cluster.kinds import Refusal
from tests.support.cluster.kubelet import Kubelet, Object, event, stamp
from tests.support.cluster.rules import selects

# What a ResourceQuota counts beside pods; the stand-in refuses pods only.
QUOTED = {"services": "Service", "secrets": "Secret", "configmaps": "ConfigMap", "persistentvolumeclaims": "PersistentVolumeClaim"}
ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
TERMINATING_FOR = 0.3  # seconds that a namespace is seen to be going


class Store(Protocol):
    def objects(self, kind: str, namespace: str | None = None) -> list[Object]: ...
    def everything(self) -> list[Object]: ...
    def find(self, kind: str, namespace: str | None, name: str) -> Object | None: ...
    def current(self, thing: Object) -> Object | None: ...
    def save(self, thing: Object) -> Object: ...
    def make(self, thing: Object) -> Object: ...
    def remove(self, thing: Object, propagation: str = "Background") -> Object | None: ...
    def forget(self, thing: Object) -> None: ...


def hashed(value: Any) -> str:
    digest = hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest()
    return "".join(ALPHABET[byte % len(ALPHABET)] for byte in digest[:10])


def suffix() -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(5))


class Controllers:
    def __init__(self, store: Store, kubelet: Kubelet) -> None:
        self.store, self.kubelet = store, kubelet
        self._progress: dict[str, tuple[Any, float]] = {}  # Deployment's uid → what it had reached, and when
        self._terminating: dict[str, float] = {}

    def step(self) -> None:
        """Bring everything as far as it comes at this moment."""
        for namespace in self.store.objects("Namespace"):
            self._namespace(namespace)
        for thing in self._current(self.store.everything()):
            self._collect(thing)
        for kind in ("Deployment", "ReplicaSet", "StatefulSet", "Job", "Pod", "ReplicaSet", "StatefulSet", "Job", "Deployment"):
            for thing in self._current(self.store.objects(kind)):
                if not thing["metadata"].get("deletionTimestamp") or kind == "Pod":
                    getattr(self, f"_{kind.lower()}")(thing)
        for budget in self.store.objects("PodDisruptionBudget"):
            self._poddisruptionbudget(budget)
        for quota in self.store.objects("ResourceQuota"):
            self._resourcequota(quota)

    def _current(self, things: list[Object]) -> Iterator[Object]:
        """Each as it is when its turn comes, unless it is gone by then."""
        for thing in things:
            if found := self.store.current(thing):
                yield found

    def _status(self, thing: Object, status: Object) -> None:
        self.store.save(thing | {"status": status})

    def _event(self, about: Object, kind: str, reason: str, message: str, component: str) -> None:
        """Make it, or count the one that says the same."""
        for known in self.store.objects("Event", about["metadata"]["namespace"]):
            same = (known["involvedObject"].get("uid"), known["reason"], known["message"]) == (about["metadata"]["uid"], reason, message)
            if same:
                return
        self.store.make(event(about, kind, reason, message, component))

    # --- namespaces and owners

    def _namespace(self, namespace: Object) -> None:
        name = namespace["metadata"]["name"]
        if not namespace["metadata"].get("deletionTimestamp"):
            for account in (
                {"apiVersion": "v1", "kind": "ServiceAccount"},
                {"apiVersion": "v1", "kind": "ConfigMap", "data": {"ca.crt": ""}},
            ):
                wanted = "default" if account["kind"] == "ServiceAccount" else "kube-root-ca.crt"
                if not self.store.find(account["kind"], name, wanted):
                    self.store.make(account | {"metadata": {"name": wanted, "namespace": name}})
            return
        since = self._terminating.setdefault(namespace["metadata"]["uid"], time.monotonic())
        if time.monotonic() - since < TERMINATING_FOR:
            return
        for thing in self.store.everything():
            if thing["metadata"].get("namespace") == name:
                self.store.forget(thing)
        self.store.forget(namespace)

    def _collect(self, thing: Object) -> None:
        """Delete what has lost its owners, and let go of what only waited for its dependents or its users."""
        metadata = thing["metadata"]
        finalizers = metadata.get("finalizers", [])
        if metadata.get("deletionTimestamp") and "foregroundDeletion" in finalizers:
            dependents = [each for each in self.store.everything() if self._owns(thing, each)]
            for each in dependents:
                if not each["metadata"].get("deletionTimestamp"):
                    self.store.remove(each, "Foreground")
            if not dependents:
                self._release(thing, "foregroundDeletion")
        elif metadata.get("deletionTimestamp") and "orphan" in finalizers:
            for each in self.store.everything():
                if self._owns(thing, each):
                    left = [owner for owner in each["metadata"]["ownerReferences"] if owner["uid"] != metadata["uid"]]
                    rest = {key: value for key, value in each["metadata"].items() if key != "ownerReferences"}
                    self.store.save(each | {"metadata": rest | ({"ownerReferences": left} if left else {})})
            self._release(thing, "orphan")
        elif metadata.get("deletionTimestamp") and "kubernetes.io/pvc-protection" in finalizers:
            name, namespace = metadata["name"], metadata["namespace"]
            volumes = [volume for pod in self.store.objects("Pod", namespace) for volume in pod["spec"].get("volumes", [])]
            if not any(each.get("persistentVolumeClaim", {}).get("claimName") == name for each in volumes):
                self._release(thing, "kubernetes.io/pvc-protection")
        elif metadata.get("ownerReferences") and not metadata.get("deletionTimestamp"):
            alive = {each["metadata"]["uid"] for each in self.store.everything()}
            if not any(owner["uid"] in alive for owner in metadata["ownerReferences"]):
                self.store.remove(thing)

    def _owns(self, owner: Object, thing: Object) -> bool:
        return any(each["uid"] == owner["metadata"]["uid"] for each in thing["metadata"].get("ownerReferences", []))

    def _release(self, thing: Object, finalizer: str) -> None:
        left = [each for each in thing["metadata"]["finalizers"] if each != finalizer]
        if left:
            self.store.save(thing | {"metadata": thing["metadata"] | {"finalizers": left}})
        else:
            self.store.forget(thing)

    # --- workloads

    def _owned(self, kind: str, owner: Object) -> list[Object]:
        return [each for each in self.store.objects(kind, owner["metadata"]["namespace"]) if self._owns(owner, each)]

    def _reference(self, owner: Object) -> list[Object]:
        name, uid = owner["metadata"]["name"], owner["metadata"]["uid"]
        reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": name, "uid": uid}
        return [reference | {"controller": True, "blockOwnerDeletion": True}]

    def _live_pods(self, namespace: str) -> list[Object]:
        return [pod for pod in self.store.objects("Pod", namespace) if pod["status"].get("phase") not in ("Succeeded", "Failed")]

    def _make_pod(self, owner: Object, name: str, labels: dict[str, str], component: str) -> str | None:
        """The text of the refusal, if there is one."""
        template, namespace = copy.deepcopy(owner["spec"]["template"]), owner["metadata"]["namespace"]
        account = template["spec"].get("serviceAccountName", "default")
        template["spec"] |= {"serviceAccountName": account, "serviceAccount": account}
        claims = [each["metadata"]["name"] for each in owner["spec"].get("volumeClaimTemplates", [])]
        volumes = [{"name": claim, "persistentVolumeClaim": {"claimName": f"{claim}-{name}"}} for claim in claims]
        if volumes or template["spec"].get("volumes"):
            template["spec"]["volumes"] = [*volumes, *template["spec"].get("volumes", [])]
        start = owner["metadata"]["name"] + "-"
        refusal = None
        if not self.store.find("ServiceAccount", namespace, account):
            refusal = (
                f'pods "{start}" is forbidden: error looking up service account {namespace}/{account}: serviceaccount "{account}" not found'
            )
        used = len(self._live_pods(namespace))
        for quota in self.store.objects("ResourceQuota", namespace):
            limit = quota["spec"].get("hard", {}).get("pods")
            if limit is not None and used + 1 > int(limit):
                what = f"{quota['metadata']['name']}, requested: pods=1, used: pods={used}, limited: pods={limit}"
                refusal = f'pods "{name}" is forbidden: exceeded quota: {what}'
        if refusal:
            self._refused(owner, refusal, component)
            return refusal
        metadata = {"name": name, "generateName": start, "namespace": namespace, "ownerReferences": self._reference(owner)}
        metadata["labels"] = template["metadata"].get("labels", {}) | labels
        if "annotations" in template["metadata"]:
            metadata["annotations"] = template["metadata"]["annotations"]
        try:
            self.store.make({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]})
        except Refusal as error:
            return str(error)
        self._event(owner, "Normal", "SuccessfulCreate", f"Created pod: {name}", component)
        return None

    def _refused(self, owner: Object, refusal: str, component: str) -> None:
        known = self.store.objects("Event", owner["metadata"]["namespace"])
        if not any(each["involvedObject"].get("uid") == owner["metadata"]["uid"] and each["reason"] == "FailedCreate" for each in known):
            self._event(owner, "Warning", "FailedCreate", f"Error creating: {refusal}", component)

    def _deployment(self, deployment: Object) -> None:
        spec, metadata = deployment["spec"], deployment["metadata"]
        if spec.get("paused"):
            return self._status(deployment, deployment["status"] | {"observedGeneration": metadata["generation"]})
        sets = self._owned("ReplicaSet", deployment)
        current = next((each for each in sets if _template(each) == spec["template"]), None)
        revision = max((_revision(each) for each in sets), default=0)
        if current is None:
            current = self._new_set(deployment, revision + 1)
            sets.append(current)
        elif _revision(current) < revision:  # back to an earlier one
            current = self._annotate(current, {"deployment.kubernetes.io/revision": str(revision + 1)})
        old = [each for each in sets if each["metadata"]["uid"] != current["metadata"]["uid"]]
        ready = current["status"].get("readyReplicas", 0)
        others = sum(each["status"].get("replicas", 0) for each in old)
        recreate = spec["strategy"]["type"] == "Recreate"
        if not (recreate and others):
            self._scale(deployment, current, spec["replicas"], "up")
        if recreate or ready >= spec["replicas"]:
            for each in old:
                self._scale(deployment, each, 0, "down")
        for each in sorted(old, key=_revision)[: max(0, len(old) - spec["revisionHistoryLimit"])]:
            if not each["spec"]["replicas"] and not each["status"].get("replicas"):
                self.store.forget(each)
        wanted = str(max(_revision(current), 1))
        if metadata.get("annotations", {}).get("deployment.kubernetes.io/revision") != wanted:
            deployment = self._annotate(deployment, {"deployment.kubernetes.io/revision": wanted})
        return self._status(deployment, self._deployment_status(deployment, current, sets))

    def _annotate(self, thing: Object, annotations: dict[str, str]) -> Object:
        metadata = thing["metadata"]
        thing = thing | {"metadata": metadata | {"annotations": metadata.get("annotations", {}) | annotations}}
        self.store.save(thing)
        return self.store.find(thing["kind"], metadata["namespace"], metadata["name"])

    def _new_set(self, deployment: Object, revision: int) -> Object:
        spec, metadata = deployment["spec"], deployment["metadata"]
        template = copy.deepcopy(spec["template"])
        label = {"pod-template-hash": hashed(template)}
        template["metadata"]["labels"] = template["metadata"].get("labels", {}) | label
        surge = spec["strategy"].get("rollingUpdate", {}).get("maxSurge", 0)
        annotations = {
            "deployment.kubernetes.io/desired-replicas": str(spec["replicas"]),
            "deployment.kubernetes.io/max-replicas": str(spec["replicas"] + _share(surge, spec["replicas"], math.ceil)),
            "deployment.kubernetes.io/revision": str(revision),
        }
        return self.store.make({
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": f"{metadata['name']}-{label['pod-template-hash']}",
                "namespace": metadata["namespace"],
                "labels": template["metadata"]["labels"],
                "annotations": annotations,
                "ownerReferences": self._reference(deployment),
            },
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": spec["selector"].get("matchLabels", {}) | label},
                "template": template,
            },
        })  # fmt: skip

    def _scale(self, deployment: Object, replica_set: Object, replicas: int, direction: str) -> None:
        if replica_set["spec"]["replicas"] != replicas:
            text = f"Scaled {direction} replica set {replica_set['metadata']['name']} to {replicas}"
            self._event(deployment, "Normal", "ScalingReplicaSet", text, "deployment-controller")
            self.store.save(replica_set | {"spec": replica_set["spec"] | {"replicas": replicas}})

    def _deployment_status(self, deployment: Object, current: Object, sets: list[Object]) -> Object:
        spec, uid = deployment["spec"], deployment["metadata"]["uid"]
        fresh = {each["metadata"]["uid"]: each for each in self._owned("ReplicaSet", deployment)}
        sets, current = list(fresh.values()), fresh[current["metadata"]["uid"]]

        def total(name: str) -> int:
            return sum(each["status"].get(name, 0) for each in sets)

        updated, available = current["status"].get("replicas", 0), total("availableReplicas")
        unavailable = max(0, sum(each["spec"]["replicas"] for each in sets) - available)
        missing = _share(spec["strategy"].get("rollingUpdate", {}).get("maxUnavailable", 0), spec["replicas"], math.floor)
        done = updated == spec["replicas"] == total("replicas") == available
        reached = (updated, available, current["metadata"]["uid"])
        if self._progress.get(uid, (None, 0))[0] != reached:
            self._progress[uid] = reached, time.monotonic()
        name = current["metadata"]["name"]
        late = not done and time.monotonic() - self._progress[uid][1] > spec["progressDeadlineSeconds"]
        if done:
            progressing = "True", "NewReplicaSetAvailable", f'ReplicaSet "{name}" has successfully progressed.'
        elif late:
            progressing = "False", "ProgressDeadlineExceeded", f'ReplicaSet "{name}" has timed out progressing.'
        elif updated:
            progressing = "True", "ReplicaSetUpdated", f'ReplicaSet "{name}" is progressing.'
        else:
            progressing = "True", "NewReplicaSetCreated", f'Created new replica set "{name}"'
        enough = available >= spec["replicas"] - missing
        conditions = [
            ("Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
            if enough
            else ("Available", "False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability."),
            ("Progressing", *progressing),
        ]
        failed = next((each for each in current["status"].get("conditions", []) if each["type"] == "ReplicaFailure"), None)
        if failed:
            conditions.append(("ReplicaFailure", "True", failed["reason"], failed["message"]))
        counts = {
            "replicas": total("replicas"),
            "updatedReplicas": updated,
            "readyReplicas": total("readyReplicas"),
            "availableReplicas": available,
            "unavailableReplicas": unavailable,
        }
        known = {
            (each["type"], each["status"], each["reason"], each["message"]): each for each in deployment["status"].get("conditions", [])
        }
        status = {"observedGeneration": deployment["metadata"]["generation"]} | {key: value for key, value in counts.items() if value}
        status["conditions"] = [known.get(each) or _condition(*each) for each in conditions]
        return status

    def _replicaset(self, replica_set: Object) -> None:
        metadata, wanted = replica_set["metadata"], replica_set["spec"]["replicas"]
        pods, refusal = self._going_on("Pod", replica_set), None
        while len(pods) < wanted and refusal is None:
            labels = (
                {"pod-template-hash": metadata["labels"]["pod-template-hash"]} if "pod-template-hash" in metadata.get("labels", {}) else {}
            )
            refusal = self._make_pod(replica_set, f"{metadata['name']}-{suffix()}", labels, "replicaset-controller")
            pods = self._going_on("Pod", replica_set)
        for pod in pods[wanted:]:
            self.store.remove(pod)
            self._event(replica_set, "Normal", "SuccessfulDelete", f"Deleted pod: {pod['metadata']['name']}", "replicaset-controller")
        pods = pods[:wanted]
        ready = sum(_ready(pod) for pod in pods)
        status = {"replicas": len(pods), "observedGeneration": metadata["generation"]}
        status |= {key: ready for key in ("readyReplicas", "availableReplicas") if ready}
        if pods:
            status["fullyLabeledReplicas"] = len(pods)
        if refusal:
            known = [each for each in replica_set["status"].get("conditions", []) if each["type"] == "ReplicaFailure"]
            condition = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": refusal}
            status["conditions"] = known or [condition | {"lastTransitionTime": stamp()}]
        self._status(replica_set, status)

    def _going_on(self, kind: str, owner: Object) -> list[Object]:
        return [each for each in self._owned(kind, owner) if not each["metadata"].get("deletionTimestamp")]

    def _statefulset(self, stateful_set: Object) -> None:
        metadata, spec = stateful_set["metadata"], stateful_set["spec"]
        name, revision = metadata["name"], f"{metadata['name']}-{hashed(spec['template'])}"
        parallel = spec["podManagementPolicy"] == "Parallel"
        for number in range(spec["replicas"]):
            pod = self.store.find("Pod", metadata["namespace"], f"{name}-{number}")
            if pod is None:
                self._claims(stateful_set, f"{name}-{number}")
                labels = {"controller-revision-hash": revision, "statefulset.kubernetes.io/pod-name": f"{name}-{number}"}
                self._make_pod(stateful_set, f"{name}-{number}", labels, "statefulset-controller")
            elif (
                pod["metadata"]["labels"].get("controller-revision-hash") != revision
                and spec["updateStrategy"]["type"] == "RollingUpdate"
                and (parallel or _ready(pod))  # a pod that hangs is waited for
            ):
                self.store.remove(pod)
            if not parallel and not (pod and _ready(pod)):
                break
        pods = self._going_on("Pod", stateful_set)
        for pod in pods:
            if int(pod["metadata"]["name"].rpartition("-")[2]) >= spec["replicas"]:
                self.store.remove(pod)
        pods = self._going_on("Pod", stateful_set)
        updated = sum(pod["metadata"]["labels"].get("controller-revision-hash") == revision for pod in pods)
        whole = updated == len(pods) == spec["replicas"]
        running = revision if whole else stateful_set["status"].get("currentRevision", revision)
        ready = sum(_ready(pod) for pod in pods)
        counts = {
            "readyReplicas": ready,
            "currentReplicas": updated if running == revision else len(pods) - updated,
            "updatedReplicas": updated,
        }
        status = {
            "observedGeneration": metadata["generation"],
            "replicas": len(pods),
            "currentRevision": running,
            "updateRevision": revision,
        }
        self._status(stateful_set, status | {key: value for key, value in counts.items() if value} | {"collisionCount": 0})

    def _claims(self, stateful_set: Object, pod: str) -> None:
        namespace = stateful_set["metadata"]["namespace"]
        for claim in stateful_set["spec"].get("volumeClaimTemplates", []):
            name = f"{claim['metadata']['name']}-{pod}"
            if not self.store.find("PersistentVolumeClaim", namespace, name):
                labels = stateful_set["spec"]["selector"].get("matchLabels", {})
                metadata = {"name": name, "namespace": namespace, "labels": claim["metadata"].get("labels", {}) | labels}
                self.store.make({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": claim["spec"]})

    def _job(self, job: Object) -> None:
        status = dict(job["status"])
        if any(each["type"] in ("Complete", "Failed") and each["status"] == "True" for each in status.get("conditions", [])):
            return
        status.setdefault("startTime", stamp())
        pods = self._owned("Pod", job)
        phases = [pod["status"].get("phase") for pod in pods]
        succeeded, failed, wanted = phases.count("Succeeded"), phases.count("Failed"), job["spec"].get("completions", 1)
        if failed > job["spec"]["backoffLimit"]:
            condition = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}
            condition["message"] = "Job has reached the specified backoff limit"
            self._event(job, "Warning", "BackoffLimitExceeded", condition["message"], "job-controller")
        elif succeeded >= wanted:
            condition = {"type": "Complete", "status": "True"}
            status["completionTime"] = stamp()
            self._event(job, "Normal", "Completed", "Job completed", "job-controller")
        else:
            condition = None
            while len(pods) - failed < min(wanted, job["spec"]["parallelism"]) and not self._make_pod(
                job, f"{job['metadata']['name']}-{suffix()}", {}, "job-controller"
            ):
                pods = self._owned("Pod", job)
        if condition:
            status["conditions"] = [condition | {"lastProbeTime": stamp(), "lastTransitionTime": stamp()}]
        active = 0 if condition else len(pods) - succeeded - failed
        counts = {"active": active, "succeeded": succeeded, "failed": failed}
        status = {key: value for key, value in status.items() if key not in counts}
        self._status(job, status | {key: value for key, value in counts.items() if value})

    def _pod(self, pod: Object) -> None:
        if pod["metadata"].get("deletionTimestamp"):
            self.store.forget(pod)
        elif news := self.kubelet.news(pod):
            status, events = news
            if status["conditions"][0]["status"] == "True":
                pod = pod | {"spec": pod["spec"] | {"nodeName": "node"}}
            self._status(pod, pod["status"] | status)
            for each in events:
                self.store.make(each)

    def _resourcequota(self, quota: Object) -> None:
        namespace, hard = quota["metadata"]["namespace"], quota["spec"].get("hard", {})
        used = {key: len(self.store.objects(kind, namespace)) for key, kind in QUOTED.items() if key in hard}
        if "pods" in hard:
            used["pods"] = len(self._live_pods(namespace))
        self._status(quota, {"hard": hard, "used": {key: str(count) for key, count in used.items()}})

    def _poddisruptionbudget(self, budget: Object) -> None:
        spec = budget["spec"]
        pods = [
            pod
            for pod in self._live_pods(budget["metadata"]["namespace"])
            if selects(spec.get("selector", {}), pod["metadata"].get("labels", {}))
        ]
        healthy, expected = sum(_ready(pod) for pod in pods), len(pods)
        if "maxUnavailable" in spec:
            desired = max(0, expected - _share(spec["maxUnavailable"], expected, math.ceil))
        else:
            desired = _share(spec.get("minAvailable", 1), expected, math.ceil)
        status = {"observedGeneration": budget["metadata"]["generation"], "disruptionsAllowed": max(0, healthy - desired)}
        self._status(budget, status | {"currentHealthy": healthy, "desiredHealthy": desired, "expectedPods": expected})


def _template(replica_set: Object) -> Object:
    """The Deployment's template from which the ReplicaSet was made."""
    template = copy.deepcopy(replica_set["spec"]["template"])
    template["metadata"].get("labels", {}).pop("pod-template-hash", None)
    return template


def _revision(thing: Object) -> int:
    return int(thing["metadata"].get("annotations", {}).get("deployment.kubernetes.io/revision", 0))


def _share(value: int | str, whole: int, rounded: Any) -> int:
    return rounded(whole * int(value[:-1]) / 100) if isinstance(value, str) else value


def _ready(pod: Object) -> bool:
    return any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", []))


def _condition(kind: str, status: str, reason: str, message: str) -> Object:
    times = {"lastUpdateTime": stamp(), "lastTransitionTime": stamp()}
    return {"type": kind, "status": status} | times | {"reason": reason, "message": message}
