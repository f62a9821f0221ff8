"""Runs for real, on this machine, what the MCP role deploys: its containers' commands with the environment that the cluster gives them."""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path
from typing import Any

from tests.support.clusters import Cluster, decoded, eventually
from tests.support.server import COMMAND, ServerProcess, free_port

PROBE = "litemaas-database-probe"  # a Job that is asked for what it has reported


class RealPods:
    """As long as the context lasts, the Jobs and the Deployment litemaas-mcp of a namespace run as processes.

    The Deployment's is started anew when its template changes, as a rollout would; `url` stays the same.
    """

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster, self._namespace = cluster, namespace
        self._port = free_port()
        self._ended = threading.Event()
        self._jobs: dict[str, subprocess.CompletedProcess[str]] = {}
        self._template: Any = None
        self.server: ServerProcess | None = None
        self.starts = 0
        self._thread = threading.Thread(target=self._watch, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def jobs(self) -> dict[str, subprocess.CompletedProcess[str]]:
        return dict(self._jobs)

    def environment(self, container: dict[str, Any]) -> dict[str, str]:
        """Return a container's environment, with what it refers to looked up in the cluster."""
        found = {}
        for each in container["env"]:
            if "value" in each:
                found[each["name"]] = each["value"]
                continue
            reference = each["valueFrom"]["secretKeyRef"]
            secret = self._cluster.get(f"/api/v1/namespaces/{self._namespace}/secrets/{reference['name']}")
            value = decoded(secret or {}).get(reference["key"])
            assert value is not None or reference.get("optional"), f"{each['name']}: no such key of a Secret: {reference}"
            if value is not None:
                found[each["name"]] = value
        return found

    def wait(self) -> None:
        """Return when what the Deployment is now runs and is ready: the cluster's stand-in says so at once."""
        eventually(lambda: self.server and self._template == self._wanted(), "the Deployment's template runs")
        self.server.wait_for("/readyz")

    def execute(self, command: list[str], kubeconfig: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command as in the Deployment's pod, with the rights of `kubeconfig` as its service account's."""
        (container,) = self._template["spec"]["containers"]
        environment = {"PATH": os.environ["PATH"]} | self.environment(container) | ({"KUBECONFIG": str(kubeconfig)} if kubeconfig else {})
        return subprocess.run([COMMAND, *command[1:]], env=environment, capture_output=True, text=True, check=False)

    def __enter__(self) -> RealPods:
        if self._cluster.server:
            self._cluster.kubelet.behave(PROBE, "never_ready")  # until it has been run
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        if self.server:
            self.server.stop()

    def _watch(self) -> None:
        while not self._ended.wait(0.2):
            jobs = self._cluster.get(f"/apis/batch/v1/namespaces/{self._namespace}/jobs") or {"items": []}
            for job in jobs["items"]:
                if job["metadata"]["name"] not in self._jobs:
                    self._run(job)
            template = self._wanted()
            if template and template != self._template:
                self._roll(template)

    def _wanted(self) -> dict[str, Any] | None:
        found = self._cluster.get(f"/apis/apps/v1/namespaces/{self._namespace}/deployments/litemaas-mcp")
        return found["spec"]["template"] if found else None

    def _run(self, job: dict[str, Any]) -> None:
        (container,) = job["spec"]["template"]["spec"]["containers"]
        environment = {"PATH": os.environ["PATH"]} | self.environment(container)
        name = job["metadata"]["name"]
        command = [COMMAND, *(each for each in container["args"] if each not in ("--report", "/dev/termination-log"))]
        self._jobs[name] = done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if name.startswith(PROBE) and self._cluster.server:
            self._cluster.kubelet.behave(name, "crash" if done.returncode else "ready", report=done.stdout, log=done.stderr)

    def _roll(self, template: dict[str, Any]) -> None:
        if self.server:
            self.server.stop()
        (container,) = template["spec"]["containers"]
        self.server = ServerProcess(self.environment(container) | {"PORT": str(self._port)})
        self.server.port = self._port
        self._template = template
        self.starts += 1
