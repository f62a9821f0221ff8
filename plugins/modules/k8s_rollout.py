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
  - When one does not, the failure says which, why (the image can't be pulled, a quota is used up, a container crashes, no node takes the
    pod), and what its last events and log lines are.
  - It gives up before O(timeout) on what time does not heal - a failed Job, a Deployment past its progress deadline, an image name that is
    none - and on an image that can't be pulled or a container that crashes for longer than O(patience).
author: RHDP (@rhpds)
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - rhpds.litemaas.attributes.info
options:
  namespace:
    description: The namespace of the workloads.
    type: str
    required: true
  workloads:
    description: The workloads, as V(Deployment/litellm), V(StatefulSet/litellm-postgres) or V(Job/name).
    type: list
    elements: str
    required: true
  timeout:
    description: How many seconds to wait for all of them.
    type: int
    default: 600
  patience:
    description: For how many seconds an image may fail to be pulled, or a container may crash again and again.
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
"""

import time
from typing import Any

from ansible_collections.rhpds.litemaas.plugins.module_utils.cluster import Cluster, ClusterError, cluster_module

APIS = {"Deployment": "/apis/apps/v1", "StatefulSet": "/apis/apps/v1", "Job": "/apis/batch/v1"}
PLURAL = {"Deployment": "deployments", "StatefulSet": "statefulsets", "Job": "jobs"}
POLL = 2  # seconds
HOPELESS = ("InvalidImageName",)
UNHEALTHY = {
    "InvalidImageName": "the image's name is none",
    "ErrImagePull": "the image can't be pulled",
    "ImagePullBackOff": "the image can't be pulled",
    "ErrImageNeverPull": "the image is not on the node, and may not be pulled",
    "CrashLoopBackOff": "the container crashes again and again",
    "CreateContainerConfigError": "the container's configuration is wrong",
    "CreateContainerError": "the container can't be made",
    "RunContainerError": "the container can't be started",
}
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

    def look(self) -> bool:
        """Read it; return whether it is rolled out. Raises ClusterError when it is not there."""
        path = f"{APIS[self.kind]}/namespaces/{self._namespace}/{PLURAL[self.kind]}/{self._own}"
        found = self._cluster.get(path)
        if found is None:
            raise ClusterError(f"{self.name} does not exist in namespace {self._namespace}.")
        self._object = found
        return self._complete() if self.kind == "Job" else self._rolled_out()

    def state(self) -> str:
        """Say how far it is."""
        status, spec = self._status, self._object.get("spec", {})
        if self.kind == "Job":
            return f"{status.get('succeeded', 0)} of {spec.get('completions', 1)} completed"
        return f"{status.get('readyReplicas', 0)} of {spec.get('replicas', 1)} pods ready"

    def trouble(self) -> dict[str, str]:
        """Return what keeps it from being rolled out: for each reason a sentence."""
        found = {}
        for condition in self._status.get("conditions", []):
            kind, holds = condition["type"], condition["status"] == "True"
            if (kind == "Failed" and holds) or (kind == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded"):
                found[condition.get("reason") or kind] = condition.get("message", "")
            if kind == "ReplicaFailure" and holds:
                quota = "a quota is used up: " if "exceeded quota" in condition.get("message", "") else ""
                found["ReplicaFailure"] = quota + condition.get("message", "")
        for pod in self.pods():
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

    def gives_up(self) -> bool:
        """Whether no waiting will help."""
        return bool(self.trouble().keys() & {"ProgressDeadlineExceeded", "BackoffLimitExceeded", "DeadlineExceeded", *HOPELESS})

    def pods(self) -> list[dict[str, Any]]:
        """Return the pods of its newest version."""
        labels = self._object["spec"].get("selector", {}).get("matchLabels", {})
        if not labels:
            return []
        selector = ",".join(f"{name}={value}" for name, value in labels.items())
        return (self._cluster.get(f"/api/v1/namespaces/{self._namespace}/pods", labelSelector=selector) or {}).get("items", [])

    def evidence(self) -> str:
        """Return its last events and the last lines of a log that tell what went wrong."""
        pods = [pod for pod in self.pods() if not _ready(pod)]
        names = {self._own, *(pod["metadata"]["name"] for pod in pods)}
        events = (self._cluster.get(f"/api/v1/namespaces/{self._namespace}/events") or {}).get("items", [])
        mine = [
            event
            for event in events
            if (about := event["involvedObject"].get("name", "")) in names
            or (about.startswith(f"{self._own}-") and event["type"] == "Warning")
        ]
        mine.sort(key=lambda event: event.get("lastTimestamp") or event.get("eventTime") or "")
        lines = [f"  {event.get('reason')}: {event.get('message', '').strip()}" for event in mine[-EVENTS:]]
        text = "".join(f"\n{line}" for line in ["Last events:", *lines]) if lines else "\nThere are no events."
        for pod in pods:
            for container in _containers(pod):
                if log := self._log(pod, container):
                    return f"{text}\nLast lines of {pod['metadata']['name']}, container {container['name']}:\n{log}"
        return text

    @property
    def _status(self) -> dict[str, Any]:
        return self._object.get("status", {})

    def _rolled_out(self) -> bool:
        status, wanted = self._status, self._object["spec"].get("replicas", 1)
        if status.get("observedGeneration", 0) < self._object["metadata"]["generation"]:
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


def _ready(pod: dict[str, Any]) -> bool:
    return any(each["type"] == "Ready" and each["status"] == "True" for each in pod.get("status", {}).get("conditions", []))


def wait(workloads: list[Workload], timeout: float, patience: float) -> None:
    """Return when all are rolled out. Raises ClusterError with the reason when one is not in time."""
    begun = time.monotonic()
    ill_since: dict[str, float] = {}
    waiting = workloads
    while waiting := [each for each in waiting if not each.look()]:
        now = time.monotonic()
        for workload in waiting:
            since = ill_since.setdefault(workload.name, now)
            if not workload.trouble():
                del ill_since[workload.name]
            elif workload.gives_up() or now - since >= patience:
                raise ClusterError(_account(workload, "and will not be"))
        if now - begun >= timeout:
            raise ClusterError(_account(waiting[0], f"after {timeout} s"))
        time.sleep(min(POLL, max(0.1, begun + timeout - now)))


def _account(workload: Workload, when: str) -> str:
    reasons = " ".join(workload.trouble().values()) or "Its pods are not ready: see its log."
    return f"{workload.name} is not rolled out {when} ({workload.state()}). {reasons}{workload.evidence()}"


def main() -> None:
    module = cluster_module(
        namespace={"type": "str", "required": True},
        workloads={"type": "list", "elements": "str", "required": True},
        timeout={"type": "int", "default": 600},
        patience={"type": "int", "default": 120},
    )
    begun = time.monotonic()
    try:
        cluster = Cluster(module)
        workloads = [Workload(cluster, module.params["namespace"], name) for name in module.params["workloads"]]
        if not module.check_mode:
            wait(workloads, module.params["timeout"], module.params["patience"])
    except ClusterError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, waited=round(time.monotonic() - begun, 1))


if __name__ == "__main__":
    main()
