"""The deployment: what the roles take beside the same manifests applied by a bare client and by kubectl, in one run on one cluster.

The cluster is the stand-in of tests/support/cluster: it answers within a millisecond or two and its pods are ready at once, so the figures
are the deployer's own.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from conftest import Stack
from tests.benchmarks.timed import against, heading
from tests.support.ansible_run import Playbook
from tests.support.cluster.control_plane import Asked
from tests.support.clusters import Cluster, running
from tests.support.server import ServerProcess

ROUNDS = 3
TOKEN = "bench-token-of-the-mcp-server"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
PREFIX = "ocp4_workload_litemaas"
FIRST, AGAIN, REMOVAL = PHASES = ("first run", "second run", "removal")
THE_ROLE, KUBECTL, BARE = "the role", "kubectl", "a bare client"


@dataclass(frozen=True)
class Subject:
    """What is deployed, by a role; `seconds` and `requests` are the goals by phase."""

    name: str
    role: str = PREFIX
    deploy_mcp: bool = False
    seconds: dict[str, int] = field(default_factory=dict)
    requests: dict[str, int] = field(default_factory=dict)


SUBJECTS = (
    Subject("the stack"),
    # The goals are in requests what the deployer in use today takes for the same.
    Subject("the stack with its MCP server", deploy_mcp=True, seconds={FIRST: 18, AGAIN: 12}, requests={FIRST: 91, AGAIN: 96}),
    Subject("the MCP server alone", f"{PREFIX}_mcp", seconds={FIRST: 8, AGAIN: 6}),
)


@dataclass
class Runs:
    """Seconds and requests of each round."""

    seconds: list[float] = field(default_factory=list)
    requests: list[int] = field(default_factory=list)


@dataclass
class Figures:
    kubectl: str  # its version, empty where there is none
    runs: dict[tuple[str, str, str], Runs] = field(default_factory=dict)  # by subject, way and phase
    empty: list[float] = field(default_factory=list)  # seconds of an empty playbook
    objects: dict[str, int] = field(default_factory=dict)  # by subject
    kinds: dict[str, int] = field(default_factory=dict)  # requests of a first run of the whole, by what they are for


class Bench:
    def __init__(self, cluster: Cluster, stack: Stack, folder: Path, mcp_url: str) -> None:
        self.cluster, self.stack, self.folder, self.mcp_url = cluster, stack, folder, mcp_url
        self.manifests: dict[str, tuple[str, list[tuple[str, dict[str, Any]]]]] = {}  # by subject: their namespace, paths and objects
        self.figures = Figures(kubectl_version())

    def run(self) -> Figures:
        for number in range(ROUNDS):
            steps = [(way, subject) for way in (self.by_role, self.by_bare_client, self.by_kubectl) for subject in SUBJECTS]
            # What is applied past the roles is what a role has made in the first round.
            for way, subject in steps if number % 2 == 0 else reversed(steps):
                way(subject)
            started = time.perf_counter()
            _succeeded(*self.playbook(self._place(), []).run())
            self.figures.empty.append(time.perf_counter() - started)
        return self.figures

    def by_role(self, subject: Subject) -> None:
        namespace, place = self.namespace(subject), self._place()
        variables = {
            f"{PREFIX}_namespace": namespace,
            f"{PREFIX}_mcp_api_key": TOKEN,
            f"{PREFIX}_mcp_verify_url": self.mcp_url,
            "output_dir": str(place),
        }
        if subject.role == PREFIX:
            variables |= {f"{PREFIX}_oauth_enabled": True, f"{PREFIX}_deploy_mcp": subject.deploy_mcp}
        (place / "variables.json").write_text(json.dumps(variables))
        playbook = self.playbook(place, [{"ansible.builtin.include_role": {"name": f"rhpds.litemaas.{subject.role}"}}])
        for phase in PHASES:
            action = "destroy" if phase == REMOVAL else "provision"
            command = ["-e", "@variables.json", "-e", f"ACTION={action}"]
            asked, (code, said) = self.time(subject, THE_ROLE, phase, lambda command=command: playbook.run(*command))
            _succeeded(code, said)
            changed = int(re.search(r"changed=(\d+)", said.rpartition("PLAY RECAP")[2])[1])
            if (changed == 0) != (phase == AGAIN):
                raise SystemExit(f"{subject.name}, {phase}: changed={changed}\n{said[-4000:]}")
            if phase == FIRST and subject.name not in self.manifests:
                made = [(each.path.partition("?")[0], _bare(each.body)) for each in asked if each.method == "POST"]
                self.manifests[subject.name] = namespace, made
                self.figures.objects[subject.name] = len(made)
                if subject.deploy_mcp:
                    self.figures.kinds = _kinds(asked)
        self.cluster.remove_namespace(namespace)

    def by_bare_client(self, subject: Subject) -> None:
        namespace = self.namespace(subject)
        objects = [[path, body] for path, body in self._named(subject, namespace)]
        client = [sys.executable, str(Path(__file__).with_name("bare_deploy.py"))]
        for phase in PHASES:
            order = {
                "url": self.cluster.url,
                "token": self.cluster.server.token,
                "method": "DELETE" if phase == REMOVAL else "PATCH",
                "objects": objects,
            }
            self.time(subject, BARE, phase, lambda order=order: subprocess.run(client, input=json.dumps(order), text=True, check=True))
        self.cluster.remove_namespace(namespace)

    def by_kubectl(self, subject: Subject) -> None:
        if not self.figures.kubectl:
            return
        namespace, place = self.namespace(subject), self._place()
        file = place / "manifests.json"
        items = [body for _, body in self._named(subject, namespace)]
        file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
        environment = {"PATH": os.environ["PATH"], "HOME": str(place)}  # where it keeps what it has discovered
        kubectl = ["kubectl", "--kubeconfig", str(self.cluster.kubeconfig)]
        for phase in PHASES:
            # The stand-in has no schema to validate against.
            verb = ["delete", "--wait=false"] if phase == REMOVAL else ["apply", "--validate=false"]
            command = [*kubectl, *verb, "--filename", str(file)]
            _, done = self.time(
                subject,
                KUBECTL,
                phase,
                lambda command=command: subprocess.run(command, env=environment, capture_output=True, text=True, check=False),
            )
            _succeeded(done.returncode, done.stdout + done.stderr)
        self.cluster.remove_namespace(namespace)

    def time(self, subject: Subject, way: str, phase: str, run: Callable[[], Any]) -> tuple[list[Asked], Any]:
        """Run it; return the requests that it made, and what it returned."""
        before, started = len(self.cluster.requests), time.perf_counter()
        returned = run()
        elapsed = time.perf_counter() - started
        asked = self.cluster.requests[before:]
        runs = self.figures.runs.setdefault((subject.name, way, phase), Runs())
        runs.seconds.append(elapsed)
        runs.requests.append(len(asked))
        print(f"  {elapsed:6.2f} s {len(asked):4} requests  {phase} of {subject.name} by {way}", flush=True)
        return asked, returned

    def namespace(self, subject: Subject) -> str:
        """A new name; for the MCP server alone a namespace with LiteLLM's Secrets in it, as it is there then."""
        if subject.role == PREFIX:
            return self.cluster.new_namespace()
        namespace = self.cluster.create_namespace()
        secrets = {
            "litellm-secret": {"LITELLM_MASTER_KEY": self.stack.litellm_master_key},
            "litemaas-db": {"LITELLM_DATABASE_URL": self.stack.database_url, "DATABASE_URL": self.stack.litemaas_database_url},
        }
        for name, data in secrets.items():
            body = {"metadata": {"name": name}, "stringData": data}
            self.cluster.client.post(f"/api/v1/namespaces/{namespace}/secrets", json=body).raise_for_status()
        return namespace

    def playbook(self, place: Path, tasks: list[dict[str, Any]]) -> Playbook:
        """One that knows nothing of the cluster yet: kubernetes.core keeps what it has discovered in the folder of temporary files."""
        playbook = Playbook(place, tasks, recorded=False)
        playbook.environment |= self.cluster.environment | {"TMPDIR": str(place)}
        return playbook

    def _named(self, subject: Subject, namespace: str) -> list[tuple[str, dict[str, Any]]]:
        before, objects = self.manifests[subject.name]
        return json.loads(json.dumps(objects).replace(before, namespace))

    def _place(self) -> Path:
        return Path(tempfile.mkdtemp(dir=self.folder))


def _bare(body: dict[str, Any]) -> dict[str, Any]:
    """An object as it was rendered."""
    annotations = {name: text for name, text in body["metadata"].get("annotations", {}).items() if name != LAST_APPLIED}
    return body | {"metadata": body["metadata"] | {"annotations": annotations}}


def _kinds(asked: list[Asked]) -> dict[str, int]:
    """How many requests found out what the cluster serves, read objects, and wrote them."""
    discovery = re.compile(r"/version/?|/api(s)?(/v1)?|/apis/[^/]+/[^/]+")
    found = {"discovery": 0, "reads": 0, "writes": 0}
    for each in asked:
        path = each.path.partition("?")[0]
        found["writes" if each.method != "GET" else "discovery" if discovery.fullmatch(path.rstrip("/")) else "reads"] += 1
    return found


def _succeeded(code: int, said: str) -> None:
    if code:
        raise SystemExit(said[-4000:])


def kubectl_version() -> str:
    if not shutil.which("kubectl"):
        return ""
    done = subprocess.run(["kubectl", "version", "--client", "--output=json"], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)["clientVersion"]["gitVersion"]


def measure(stack: Stack) -> Figures:
    environment = {
        "MCP_API_KEY": TOKEN,
        "DATABASE_URL": stack.database_readonly_url,
        "LITELLM_API_URL": stack.litellm_url,
        "LITELLM_API_KEY": stack.litellm_master_key,
        "LOG_LEVEL": "WARNING",
    }
    with tempfile.TemporaryDirectory() as folder, running("stand-in") as cluster, ServerProcess(environment) as server:
        server.wait_for("/readyz")
        return Bench(cluster, stack, Path(folder), server.origin).run()


def report(figures: Figures) -> str:
    def cell(subject: Subject, way: str, phase: str) -> str:
        runs = figures.runs[subject.name, way, phase]
        seconds, requests = median(runs.seconds), median(runs.requests)
        goals = (subject.seconds.get(phase), subject.requests.get(phase)) if way == THE_ROLE else (None, None)
        return " | ".join(
            against(figure, goal is None or value <= goal)
            for figure, value, goal in zip((f"{seconds:.1f} s", f"{requests:.0f}"), (seconds, requests), goals, strict=True)
        )

    ways = [THE_ROLE, *([KUBECTL] if figures.kubectl else []), BARE]
    rows = [
        f"| {subject.name} ({figures.objects[subject.name]} objects) | {way} | "
        + " | ".join(cell(subject, way, phase) for phase in PHASES)
        + " |"
        for subject in SUBJECTS
        for way in ways
    ]
    return "\n".join(
        [
            *heading(
                "the deployment",
                "deploy",
                f"kubernetes (Python) {version('kubernetes')}",
                f"kubectl {figures.kubectl}" if figures.kubectl else "no kubectl (Debian's is in kubernetes-client)",
            ),
            *EXPLANATION.strip().splitlines(),
            "",
            f"| what | by | {' | | '.join(PHASES)} | |",
            "|---|---|---|---|---|---|---|---|",
            *rows,
            "",
            *GOALS.strip().splitlines(),
            "",
            f"An empty playbook takes {median(figures.empty):.1f} s. Of the requests of a first run with the MCP server "
            f"{figures.kinds['discovery']} find out what",
            f"the cluster serves, {figures.kinds['reads']} read objects, and {figures.kinds['writes']} write them.",
            "",
        ]
    )


EXPLANATION = f"""
Seconds from the start of a process to its end, and its requests to the cluster's API: medians of {ROUNDS} rounds of alternating order.
The cluster is the tests' stand-in for an API server, on the same machine; its pods are ready at once. At the end of a run with the MCP
server the role asks a real one for its health and its tools. A second run must change nothing (`changed=0`), else there is no such page.
Removal keeps the database's volume and its Secrets. The bare client (`tests/benchmarks/bare_deploy.py`) applies the objects that the
role made in its first run, server-side and one request each; kubectl applies the same. Both look at nothing else, make no password and
wait for no pod. A first run knows nothing of the cluster yet.
"""
GOALS = """
The goals, for the stack with its MCP server: 18 s and 12 s, in no more requests than the deployer in use today needs, which takes 37 to
42 s and 91 requests, then 36 s and 96 requests with nine changes. For the MCP server alone: 8 s and 6 s.
"""
