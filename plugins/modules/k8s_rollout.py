#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Waiting for workloads, with the reason when they don't come up."""

from __future__ import annotations

DOCUMENTATION = r"""
module: k8s_rollout
short_description: Wait until workloads are rolled out, or say why they are not
version_added: 0.4.0
description:
  - Waits until every Deployment and StatefulSet named runs its newest version with all its replicas, and every Job named is complete.
  - When one does not, the failure says which, why (the image can't be pulled or is older than this collection, a quota is used up, a
    container crashes, no node takes the pod), and what its last events and log lines are.
  - It gives up before O(timeout) on what time does not heal - a failed Job, an image name that is none, an image without what it is probed
    at or started with - and on a container that can't be started or crashes for longer than O(patience). Crashes count from when every
    workload named before is up, since it may be what they come of.
  - A StatefulSet replaces a pod only once that is ready, so one that hangs, such as with a wrong image, would keep its correction out
    for ever. A pod of an earlier version that does not run is deleted.
author: RHDP (@rhpds)
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
attributes:
  check_mode:
    description: Can run in check mode. It then neither waits nor deletes a pod.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: N/A
options:
  namespace:
    description: The namespace of the workloads.
    type: str
    required: true
  workloads:
    description: The workloads, as V(Deployment/litellm), V(StatefulSet/litellm-postgres) or V(Job/name), those first that others need.
    type: list
    elements: str
    required: true
  timeout:
    description: How many seconds to wait for all of them.
    type: int
    default: 600
  patience:
    description: For how many seconds an image may fail to be pulled, or a container to be started, or may crash again and again.
    type: int
    default: 120
requirements:
  - kubernetes >= 24.2.0
  - kubernetes.core
"""

EXAMPLES = r"""
- name: Everything is up
  rhpds.litemaas.k8s_rollout:
    namespace: litemaas
    workloads: [StatefulSet/litellm-postgres, Deployment/litellm]
"""

RETURN = r"""
waited:
  description: How many seconds it took.
  returned: success
  type: float
  sample: 12.4
replaced:
  description: The pods of an earlier version that were deleted, since they kept out the newest.
  returned: success
  type: list
  elements: str
  sample: [litellm-postgres-0]
"""

import re
import time
from typing import Any

from ansible_collections.rhpds.litemaas.plugins.module_utils.cluster import Cluster, ClusterError, Refused, cluster_module

APIS = {"Deployment": "/apis/apps/v1", "StatefulSet": "/apis/apps/v1", "Job": "/apis/batch/v1"}
PLURAL = {"Deployment": "deployments", "StatefulSet": "statefulsets", "Job": "jobs"}
REVISION = "deployment.kubernetes.io/revision"
POLL = 2  # seconds
OUTDATED = "Outdated"  # our word: no reason of Kubernetes'
CRASHES = "CrashLoopBackOff"
HOPELESS = {"BackoffLimitExceeded", "DeadlineExceeded", "InvalidImageName", OUTDATED}
UNHEALTHY = {
    "InvalidImageName": "the image's name is none",
    "ErrImagePull": "the image can't be pulled",
    "ImagePullBackOff": "the image can't be pulled",
    "ErrImageNeverPull": "the image is not on the node, and may not be pulled",
    CRASHES: "the container crashes again and again",
    "CreateContainerConfigError": "the container's configuration is wrong",
    "CreateContainerError": "the container can't be made",
    "RunContainerError": "the container can't be started",
    "PostStartHookError": "the container's postStart hook fails",
}
NO_COMMAND = re.compile(r"executable file\b.* not found in \$PATH")
NO_LIVENESS = re.compile(r"Liveness probe failed: .*\b404\b")
EVENTS = 5  # how many of the last are shown
LINES = 12


class Workload:
    """One Deployment, StatefulSet or Job as it is now."""

    def __init__(self, cluster: Cluster, namespace: str, name: str) -> None:
        self._cluster, self._namespace, self.name = cluster, namespace, name
        self.kind, __, self._own = name.partition("/")
        if self.kind not in APIS or not self._own:
            raise ClusterError(f"workloads: {name!r} is not of the form Deployment/name, StatefulSet/name or Job/name.")
        self._object: dict[str, Any] = {}
        self.restarts = 0  # of its pods' containers, when last asked for its trouble

    def is_rolled_out(self, listed: dict[str, dict[str, Any]]) -> bool:
        """Find it among those that there are, by name; say whether it is rolled out. Raises ClusterError when it is not there."""
        if self.name not in listed:
            raise ClusterError(f"{self.name} does not exist in namespace {self._namespace}.")
        self._object = listed[self.name]
        return self._complete() if self.kind == "Job" else self._rolled_out()

    def state(self) -> str:
        """Say how far it is."""
        status, spec = self._status, self._object.get("spec", {})
        if self.kind == "Job":
            return f"{status.get('succeeded', 0)} of {spec.get('completions', 1)} completed"
        return f"{status.get('readyReplicas', 0)} of {spec.get('replicas', 1)} pods ready"

    def trouble(self) -> dict[str, str]:
        """Return what keeps it from being rolled out: for each reason a sentence."""
        found: dict[str, str] = {}
        if not self._observed():
            return found
        for condition in self._status.get("conditions", []):
            kind, holds = condition["type"], condition["status"] == "True"
            if (kind == "Failed" and holds) or (kind == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded"):
                found[condition.get("reason") or kind] = condition.get("message", "")
            if kind == "ReplicaFailure" and holds:
                quota = "a quota is used up: " if "exceeded quota" in condition.get("message", "") else ""
                found["ReplicaFailure"] = quota + condition.get("message", "")
        pods = self.pods()
        self.restarts = sum(container.get("restartCount", 0) for pod in pods for container in _containers(pod))
        for pod in pods:
            found |= _ills(pod)
            for container in _containers(pod):
                if lacks := self._lacks(pod, container):
                    found[OUTDATED] = (
                        f"pod {pod['metadata']['name']}, container {container['name']}: the image is older than this collection"
                        f" ({container.get('image', '')}): {lacks}. Name a newer one."
                    )
        return found

    def unblock(self) -> list[str]:
        """Delete the pods of an earlier version that will not run, and return their names."""
        if self.kind != "StatefulSet" or not self._observed():
            return []
        newest = {pod["metadata"]["name"] for pod in self.pods()}
        hanging = [
            pod
            for pod in self._selected()
            if pod["metadata"]["name"] not in newest and not pod["metadata"].get("deletionTimestamp") and _ills(pod)
        ]
        for pod in hanging:
            name = pod["metadata"]["name"]
            try:
                self._cluster.delete(f"/api/v1/namespaces/{self._namespace}/pods/{name}")
            except Refused as error:
                raise ClusterError(
                    f"{self.name}: its pod {name} is of an earlier version and does not run, and Kubernetes replaces it by the newest only"
                    f" once it is ready. Delete it: oc delete pod -n {self._namespace} {name}. Here that is refused: {error}"
                ) from error
        return [pod["metadata"]["name"] for pod in hanging]

    def pods(self) -> list[dict[str, Any]]:
        """Return the pods of its newest version."""
        if self.kind == "StatefulSet":
            return self._selected(**{"controller-revision-hash": self._status.get("updateRevision", "")})
        if self.kind == "Deployment" and self._status.get("replicas", 0) > self._status.get("updatedReplicas", 0):
            path = f"/apis/apps/v1/namespaces/{self._namespace}/replicasets"
            listed = (self._cluster.get(path, labelSelector=self._selector()) or {}).get("items", [])
            newest = self._object["metadata"].get("annotations", {}).get(REVISION)
            for each in listed:
                if each["metadata"].get("annotations", {}).get(REVISION) == newest:
                    return self._selected(**{"pod-template-hash": each["metadata"]["labels"]["pod-template-hash"]})
        return self._selected()

    def evidence(self) -> str:
        """Return its last events and the last lines of a log that tell what went wrong."""
        pods = [pod for pod in self.pods() if not _ready(pod)]
        names = {self._own, *(pod["metadata"]["name"] for pod in pods)}
        mine = [
            event
            for event in self._events()
            if (about := event["involvedObject"].get("name", "")) in names
            or (about.startswith(f"{self._own}-") and event["type"] == "Warning")
        ]
        mine.sort(key=lambda event: event.get("lastTimestamp") or event.get("eventTime") or "")
        lines = [f"  {event.get('reason')}: {event.get('message', '').strip()}" for event in mine[-EVENTS:]]
        text = "".join(f"\n{line}" for line in ["Last events:", *lines]) if lines else "\nThere are no events to be seen."
        for pod in pods:
            for container in _containers(pod):
                if log := self._log(pod, container):
                    return f"{text}\nLast lines of {pod['metadata']['name']}, container {container['name']}:\n{log}"
        return text

    @property
    def _status(self) -> dict[str, Any]:
        return self._object.get("status", {})

    def _observed(self) -> bool:
        """Whether its status is that of what was last asked for. A Job's never changes."""
        return self.kind == "Job" or self._status.get("observedGeneration", 0) >= self._object["metadata"]["generation"]

    def _selector(self, **labels: str) -> str:
        labels |= self._object["spec"].get("selector", {}).get("matchLabels", {})
        return ",".join(f"{name}={value}" for name, value in labels.items())

    def _selected(self, **labels: str) -> list[dict[str, Any]]:
        selector = self._selector(**labels)
        if not selector:
            return []
        return (self._cluster.get(f"/api/v1/namespaces/{self._namespace}/pods", labelSelector=selector) or {}).get("items", [])

    def _events(self) -> list[dict[str, Any]]:
        try:
            return (self._cluster.get(f"/api/v1/namespaces/{self._namespace}/events") or {}).get("items", [])
        except Refused:  # they only add to what is known
            return []

    def _lacks(self, pod: dict[str, Any], container: dict[str, Any]) -> str:
        """Say what the image has not that this collection's has; empty when that is not what is wrong."""
        states = [*container.get("state", {}).values(), *container.get("lastState", {}).values()]
        if any(NO_COMMAND.search((state or {}).get("message", "")) for state in states):
            return "it has no such command as it is started with"
        name, path = pod["metadata"]["name"], _liveness_path(pod, container["name"])
        if path and container.get("restartCount") and not container.get("ready"):
            said = [each.get("message", "") for each in self._events() if each["involvedObject"].get("name") == name]
            if any(NO_LIVENESS.match(each) for each in said):
                return f"it answers {path}, at which it is asked whether it lives, with 404"
        return ""

    def _rolled_out(self) -> bool:
        status, wanted = self._status, self._object["spec"].get("replicas", 1)
        if not self._observed():
            return False
        if self.kind == "StatefulSet":
            newest = status.get("currentRevision") == status.get("updateRevision") or status.get("updatedReplicas", 0) == wanted
            return newest and status.get("readyReplicas", 0) == wanted
        return wanted == status.get("updatedReplicas", 0) == status.get("availableReplicas", 0) == status.get("replicas", 0)

    def _complete(self) -> bool:
        return any(each["type"] == "Complete" and each["status"] == "True" for each in self._status.get("conditions", []))

    def _log(self, pod: dict[str, Any], container: dict[str, Any]) -> str:
        # What crashed has left its last words in the log before.
        crashed = bool(container.get("restartCount")) and "running" not in container.get("state", {})
        path = f"/api/v1/namespaces/{self._namespace}/pods/{pod['metadata']['name']}/log"
        try:
            log = self._cluster.text(path, container=container["name"], tailLines=LINES, previous=str(crashed).lower())
        except ClusterError:  # there is no log of what never started
            return ""
        return "\n".join(f"  {line}" for line in log.splitlines()[-LINES:])


def _containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    status = pod.get("status", {})
    return [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]


def _ills(pod: dict[str, Any]) -> dict[str, str]:
    """Return why the pod does not run: for each reason a sentence."""
    found = {}
    for condition in pod.get("status", {}).get("conditions", []):
        if condition["type"] == "PodScheduled" and condition.get("reason") == "Unschedulable":
            found["Unschedulable"] = f"pod {pod['metadata']['name']}: no node takes it: {condition.get('message', '')}"
    for container in _containers(pod):
        waiting = container.get("state", {}).get("waiting") or {}
        if waiting.get("reason") in UNHEALTHY:
            found[waiting["reason"]] = (
                f"pod {pod['metadata']['name']}, container {container['name']}: {UNHEALTHY[waiting['reason']]}"
                f" ({container.get('image', '')}): {waiting.get('message', waiting['reason'])}"
            )
    return found


def _liveness_path(pod: dict[str, Any], container: str) -> str:
    """Return where a container is asked over HTTP whether it lives; empty when it is not."""
    specs = [each for each in pod["spec"]["containers"] if each["name"] == container]
    return specs[0].get("livenessProbe", {}).get("httpGet", {}).get("path", "") if specs else ""


def _ready(pod: dict[str, Any]) -> bool:
    return any(each["type"] == "Ready" and each["status"] == "True" for each in pod.get("status", {}).get("conditions", []))


def not_rolled_out(cluster: Cluster, namespace: str, workloads: list[Workload]) -> list[Workload]:
    """Return those that are not, asking for each kind once. Raises ClusterError when one is not there."""
    listed = {
        f"{kind}/{item['metadata']['name']}": item
        for kind in sorted({each.kind for each in workloads})
        for item in (cluster.get(f"{APIS[kind]}/namespaces/{namespace}/{PLURAL[kind]}") or {}).get("items") or []
    }
    return [each for each in workloads if not each.is_rolled_out(listed)]


def wait(cluster: Cluster, namespace: str, workloads: list[Workload], timeout: float, patience: float) -> list[str]:
    """Return when all are rolled out: the pods that were in the way. Raises ClusterError with the reason when one is not in time."""
    begun = time.monotonic()
    ill_since: dict[str, float] = {}
    forgiven: dict[str, int] = {}  # how often it had crashed while one before it was not up
    replaced: list[str] = []
    waiting = workloads
    while waiting := not_rolled_out(cluster, namespace, waiting):
        now = time.monotonic()
        for workload in waiting:
            replaced += workload.unblock()
            trouble = workload.trouble()
            if workload is not waiting[0]:
                forgiven[workload.name] = workload.restarts
            ills = trouble.keys() & UNHEALTHY.keys()
            if workload.restarts <= forgiven.get(workload.name, -1):  # it waits to be started again
                ills -= {CRASHES}
            since = ill_since.setdefault(workload.name, now)
            if not ills:
                del ill_since[workload.name]
            if trouble.keys() & HOPELESS or (ills and now - since >= patience):
                raise ClusterError(_account(workload, trouble, "and will not be"))
        if now - begun >= timeout:
            raise ClusterError(_account(waiting[0], waiting[0].trouble(), f"after {timeout} s"))
        time.sleep(min(POLL, max(0.1, begun + timeout - now)))
    return replaced


def _account(workload: Workload, trouble: dict[str, str], when: str) -> str:
    # Of an image that is too old, a crash loop is what comes of it.
    reasons = trouble.get(OUTDATED) or " ".join(trouble.values()) or "Its pods are not ready: see its log."
    return f"{workload.name} is not rolled out {when} ({workload.state()}). {reasons}{workload.evidence()}"


def main() -> None:
    module = cluster_module(
        namespace={"type": "str", "required": True},
        workloads={"type": "list", "elements": "str", "required": True},
        timeout={"type": "int", "default": 600},
        patience={"type": "int", "default": 120},
    )
    begun = time.monotonic()
    replaced: list[str] = []
    try:
        cluster = Cluster(module)
        namespace = module.params["namespace"]
        workloads = [Workload(cluster, namespace, name) for name in module.params["workloads"]]
        if not module.check_mode:
            replaced = wait(cluster, namespace, workloads, module.params["timeout"], module.params["patience"])
    except ClusterError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(replaced), waited=round(time.monotonic() - begun, 1), replaced=replaced)


if __name__ == "__main__":
    main()
