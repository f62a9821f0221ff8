"""What becomes of pods where there is no node: ready at once, or as a test says. Serves the stand-in and a real API server alike."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.support.cluster.execution import Execution, Run

Object = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """How the pods of a name do: `how` is ready, never_ready, image_pull, crash, no_livez, no_command or unschedulable."""

    how: str = "ready"
    after: float = 0.0  # seconds until it shows
    log: str = ""
    message: str = "0/6 nodes are available: 6 Insufficient memory."  # of an unschedulable pod
    exit_code: int = 1  # of a crash
    report: str = ""  # what a Job's container has written to its termination log


class Kubelet:
    """Says what to write about each pod. `behave` sets the outcome for all whose name or image begins with a text."""

    def __init__(self) -> None:
        self.default = Outcome()
        self.outcomes: dict[str, Outcome] = {}
        self._executions: dict[str, Run] = {}
        self._shown: dict[str, Outcome] = {}  # uid → what its status says by now
        self._seen: dict[str, float] = {}  # uid → when it was first seen
        self._count = 0

    def behave(self, beginning: str, how: str = "ready", **more: Any) -> None:
        self.outcomes[beginning] = Outcome(how, **more)

    def executes(self, beginning: str, run: Run) -> None:
        """Let `run` do what is asked of pods whose name begins so; of others nothing can be asked."""
        self._executions[beginning] = run

    def reset(self) -> None:
        self.default = Outcome()
        self.outcomes.clear()
        self._executions.clear()

    def outcome(self, pod: Object) -> Outcome:
        texts = [pod["metadata"]["name"], *(each.get("image", "") for each in pod["spec"]["containers"])]
        fitting = [start for start in self.outcomes if any(text.startswith(start) for text in texts)]
        return self.outcomes[max(fitting, key=len)] if fitting else self.default

    def execution(self, pod: Object) -> Execution | None:
        """Who does what is asked of this pod."""
        name = pod["metadata"]["name"]
        return next((Execution(pod, run) for start, run in self._executions.items() if name.startswith(start)), None)

    def log(self, pod: Object, query: str = "") -> str:
        """What the pod's container has said; `query` may ask for the last lines only (tailLines)."""
        lines = self.outcome(pod).log.splitlines(keepends=True)
        tail = re.search(r"tailLines=(\d+)", query)
        return "".join(lines[len(lines) - int(tail[1]) :] if tail and int(tail[1]) < len(lines) else lines)

    def news(self, pod: Object) -> tuple[Object, list[Object]] | None:
        """The status and the events to write now for this pod, or None."""
        uid, outcome = pod["metadata"]["uid"], self.outcome(pod)
        age = time.monotonic() - self._seen.setdefault(uid, time.monotonic())
        if pod["metadata"].get("deletionTimestamp") or self._shown.get(uid) == outcome or age < outcome.after:
            return None
        if pod["status"].get("phase") in ("Succeeded", "Failed"):
            return None
        self._shown[uid] = outcome
        self._count += 1
        return self._status(pod, outcome), [event(pod, *each) for each in _events(pod, outcome)]

    def _status(self, pod: Object, outcome: Outcome) -> Object:
        now, owners = stamp(), pod["metadata"].get("ownerReferences", [])
        job = any(each["kind"] == "Job" for each in owners)
        if outcome.how == "unschedulable":
            condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": outcome.message}
            return {"phase": "Pending", "conditions": [condition | {"lastProbeTime": None, "lastTransitionTime": now}]}
        ready = outcome.how == "ready" and not job
        ended = job and outcome.how in ("ready", "crash")
        phase = "Pending" if outcome.how == "image_pull" else "Running"
        if ended:
            phase = "Succeeded" if outcome.how == "ready" else "Failed"
        conditions = [("PodScheduled", True), ("Initialized", outcome.how != "image_pull"), ("ContainersReady", ready), ("Ready", ready)]
        address = f"10.200.{self._count // 250 % 256}.{self._count % 250 + 1}"
        return {
            "phase": phase,
            "conditions": [
                {"type": name, "status": "True" if true else "False", "lastProbeTime": None, "lastTransitionTime": now}
                for name, true in conditions
            ],
            "startTime": now,
            "podIP": address,
            "podIPs": [{"ip": address}],
            "containerStatuses": [_container(pod, each, outcome, now, job) for each in pod["spec"]["containers"]],
        }


def _container(pod: Object, container: Object, outcome: Outcome, now: str, job: bool) -> Object:
    name, image = container["name"], container.get("image", "")
    state: Object = {"running": {"startedAt": now}}
    last: Object = {}
    done = {"startedAt": now, "finishedAt": now}
    if outcome.how == "image_pull":
        state = {"waiting": {"reason": "ImagePullBackOff", "message": f'Back-off pulling image "{image}"'}}
    elif outcome.how == "no_command":  # as CRI-O says it
        command = [*container.get("command", []), *container.get("args", []), "sh"][0]
        text = f"container create failed: executable file `{command}` not found in $PATH: No such file or directory"
        state = {"waiting": {"reason": "CreateContainerError", "message": text}}
    elif outcome.how in ("crash", "no_livez"):
        failed = {"terminated": {"exitCode": outcome.exit_code, "reason": "OOMKilled" if outcome.exit_code == 137 else "Error"} | done}
        who = f"{pod['metadata']['name']}_{pod['metadata']['namespace']}({pod['metadata']['uid']})"
        text = f"back-off 10s restarting failed container={name} pod={who}"
        state, last = (failed, {}) if job else ({"waiting": {"reason": "CrashLoopBackOff", "message": text}}, failed)
    elif job and outcome.how == "ready":
        report = {"message": outcome.report} if outcome.report else {}
        state = {"terminated": {"exitCode": 0, "reason": "Completed"} | report | done}
    return {
        "name": name,
        "image": image,
        "imageID": "",
        "ready": outcome.how == "ready" and not job,
        "restartCount": 2 if last else 0,
        "state": state,
        "lastState": last,
    }


def _events(pod: Object, outcome: Outcome) -> Iterator[tuple[str, str, str, str]]:
    """(type, reason, message, component)."""
    images = [each.get("image", "") for each in pod["spec"]["containers"]]
    if outcome.how == "unschedulable":
        yield "Warning", "FailedScheduling", outcome.message, "default-scheduler"
    elif outcome.how == "image_pull":
        for image in images:
            why = f'rpc error: code = NotFound desc = failed to pull and unpack image "{image}": not found'
            yield "Normal", "Pulling", f'Pulling image "{image}"', "kubelet"
            yield "Warning", "Failed", f'Failed to pull image "{image}": {why}', "kubelet"
            yield "Warning", "Failed", "Error: ImagePullBackOff", "kubelet"
            yield "Normal", "BackOff", f'Back-off pulling image "{image}"', "kubelet"
    elif outcome.how == "crash":
        yield "Warning", "BackOff", "Back-off restarting failed container", "kubelet"
    elif outcome.how == "no_livez":
        yield "Warning", "Unhealthy", "Liveness probe failed: HTTP probe failed with statuscode: 404", "kubelet"
        yield "Normal", "Killing", "Container failed liveness probe, will be restarted", "kubelet"
        yield "Warning", "BackOff", "Back-off restarting failed container", "kubelet"
    elif outcome.how == "no_command":
        yield "Warning", "Failed", "Error: container create failed", "kubelet"
    elif outcome.how == "never_ready":
        yield "Warning", "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503", "kubelet"


def event(about: Object, kind: str, reason: str, message: str, component: str) -> Object:
    """An Event of core/v1, named as Kubernetes' own components name theirs."""
    now, metadata = stamp(), about["metadata"]
    namespace = metadata.get("namespace", "default")
    subject = {"kind": about["kind"], "apiVersion": about["apiVersion"], "name": metadata["name"], "namespace": namespace}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{metadata['name']}.{secrets.token_hex(8)}", "namespace": namespace},
        "involvedObject": subject | {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]},
        "type": kind,
        "reason": reason,
        "message": message,
        "source": {"component": component},
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
        "eventTime": None,
        "reportingComponent": "",
        "reportingInstance": "",
    }


def stamp() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
