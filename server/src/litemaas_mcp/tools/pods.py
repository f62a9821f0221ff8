"""Pods: what runs in the namespace, what does not, and what restarted."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from litemaas_mcp.backends import Backends
from litemaas_mcp.tools import tool
from litemaas_mcp.tools.parts import Page

# Reasons of a container's state that say nothing about what is wrong.
BLAND = ("Completed", "PodInitializing", "ContainerCreating")
LIMIT = 200  # pods in one answer; what needs attention comes first, so that a cut never hides it


class Pod(BaseModel):
    model_config = ConfigDict(frozen=True)

    name: str
    phase: Annotated[str, Field(description="Pending, Running, Succeeded, Failed or Unknown")]
    ready: Annotated[bool | None, Field(description="the pod's Ready condition; null for a pod that completed its work")]
    reason: Annotated[str | None, Field(description="why it is not ready, such as CrashLoopBackOff, Unschedulable or Terminating")]
    restarts: Annotated[int, Field(description="container restarts since the pod was made")]
    last_restart_at: Annotated[datetime | None, Field(description="UTC; when a container last ended and was started again")]
    last_restart_reason: Annotated[str | None, Field(description="why that container ended, such as OOMKilled (exit code 137)")]
    age_h: Annotated[float, Field(description="hours since the pod was made")]
    owner: Annotated[str | None, Field(description="kind and name of the controller that made the pod")]

    @property
    def needs_attention(self) -> bool:
        return self.ready is False


class PodStatus(Page):
    namespace: str
    as_of: Annotated[datetime, Field(description="UTC")]
    total: int
    ready: int
    completed: Annotated[int, Field(description="pods that ended with success, such as those of finished Jobs: no fault")]
    not_ready: int
    restarted_24h: Annotated[int, Field(description="pods in which a container restarted in the last 24 hours")]
    pods: Annotated[list[Pod], Field(description="what is not ready first, then the latest restarts")]

    def text(self) -> str:
        head = (
            f"{self.total} pods in namespace {self.namespace} at {self.as_of:%Y-%m-%d %H:%M} UTC: {self.ready} ready, "
            f"{self.not_ready} not ready, {self.completed} completed; {self.restarted_24h} restarted in the last 24 hours."
        )
        if not self.total:
            return f"{head}\nIf there should be some, check NAMESPACE in the server's environment."
        lines = [_line(pod) for pod in self.pods]
        if self.truncated:
            lines.append(
                f"Cut: {len(self.pods)} of {self.total} pods are shown, those that need attention first; the counts are over all. "
                f"The others: oc get pods -n {self.namespace}."
            )
        return "\n".join([head, *lines])


@tool(title="Pod status")
async def get_pod_status(backends: Backends) -> PodStatus:
    """Show the pods of the LiteMaaS namespace: phase, readiness, restarts with time and reason, age in hours, owner.

    Answers "are all pods running?" (not_ready is 0) and "which pods have restarted recently?" (last_restart_at, UTC).
    """
    now = datetime.now(UTC)
    pods = [_pod(item, now) for item in await backends.cluster.pods()]
    pods.sort(key=lambda pod: (not pod.needs_attention, -(pod.last_restart_at.timestamp() if pod.last_restart_at else 0), pod.name))
    return PodStatus(
        namespace=backends.cluster.namespace,
        as_of=now,
        total=len(pods),
        ready=sum(pod.ready is True for pod in pods),
        completed=sum(pod.ready is None for pod in pods),
        not_ready=sum(pod.needs_attention for pod in pods),
        restarted_24h=sum(bool(pod.last_restart_at and (now - pod.last_restart_at).total_seconds() < 24 * 3600) for pod in pods),
        pods=pods[:LIMIT],
        truncated=len(pods) > LIMIT,
    )


def _pod(item: dict[str, Any], now: datetime) -> Pod:
    metadata, status = item["metadata"], item.get("status", {})
    containers = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    conditions = {condition["type"]: condition for condition in status.get("conditions", [])}
    # A pod without conditions has not been looked at by any node yet: that is not ready, however few its containers are.
    ready = None if status.get("phase") == "Succeeded" else conditions.get("Ready", {}).get("status") == "True"
    ended = max((end for container in containers if (end := container.get("lastState", {}).get("terminated"))), key=_finished, default=None)
    owner = next(iter(metadata.get("ownerReferences", [])), None)
    return Pod(
        name=metadata["name"],
        phase=status.get("phase", "Unknown"),
        ready=ready,
        reason=_reason(metadata, status, containers, conditions) if ready is False else None,
        restarts=sum(container.get("restartCount", 0) for container in containers),
        last_restart_at=_finished(ended) if ended else None,
        last_restart_reason=f"{ended.get('reason', 'ended')} (exit code {ended.get('exitCode')})" if ended else None,
        age_h=round((now - _time(metadata["creationTimestamp"])).total_seconds() / 3600, 1),
        owner=f"{owner['kind']}/{owner['name']}" if owner else None,
    )


def _reason(metadata: dict[str, Any], status: dict[str, Any], containers: list[dict[str, Any]], conditions: dict[str, Any]) -> str | None:
    """The most telling of the reasons that Kubernetes gives, as kubectl would choose."""
    if "deletionTimestamp" in metadata:
        return "Terminating"
    states = [state.get("reason") for container in containers for state in container.get("state", {}).values()]
    telling = [reason for reason in states if reason not in BLAND]
    whole = [status.get("reason"), conditions.get("PodScheduled", {}).get("reason"), conditions.get("Ready", {}).get("reason")]
    return next(filter(None, [*telling, *whole, *states]), None)


def _finished(terminated: dict[str, Any]) -> datetime:
    return _time(terminated.get("finishedAt") or "1970-01-01T00:00:00Z")


def _time(stamp: str) -> datetime:
    return datetime.fromisoformat(stamp)


def _line(pod: Pod) -> str:
    state = "completed" if pod.ready is None else "ready" if pod.ready else f"NOT READY ({pod.reason or pod.phase})"
    restarts = f", {pod.restarts} restarts" if pod.restarts else ""
    last = f", last {pod.last_restart_at:%Y-%m-%d %H:%M} UTC: {pod.last_restart_reason}" if pod.last_restart_at else ""
    return f"{pod.name}: {pod.phase}, {state}{restarts}{last}, {pod.age_h} h old, {pod.owner or 'no owner'}"
