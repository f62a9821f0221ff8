"""`make bench`: what is built here measured beside named baselines on this machine, in one run.

The server's figures are written to docs/benchmarks.md, those of workshop keys to docs/benchmarks-keys.md, those of LiteLLM's
administration to docs/benchmarks-admin.md, those of the deployment to docs/benchmarks-deploy.md, those of MCP servers behind LiteLLM to
docs/benchmarks-gateway.md. `python tests/benchmarks keys`, `admin`, `deploy`, `gateway` or `server` measures one of them.

Everything that is compared runs at the same time on the same data, in rounds of alternating order; a figure is the median of its rounds.
"""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import psycopg

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from conftest import LOCAL, Stack, alone, playbook  # noqa: E402
from tests.benchmarks import admin, deploy, gateway, keys  # noqa: E402
from tests.benchmarks.data import WINDOW, Scratch, scratch_tables  # noqa: E402
from tests.benchmarks.report import Figures, Load, Loads, Sizes, SpendLoads, report  # noqa: E402
from tests.support.mcp_http import MODERN, RawClient, request_parts  # noqa: E402
from tests.support.server import ServerProcess  # noqa: E402

HERE = Path(__file__).parent
NAME = "test-1.106.2"
LATEST_LEGACY = "2025-11-25"
TOKEN = "bench-token"


@dataclass(frozen=True)
class Question:
    """A tool call asked of a server in a protocol revision."""

    server: ServerProcess
    tool: str
    arguments: dict[str, Any]
    revision: str = MODERN

    def put_by(self, callers: int, seconds: float) -> Load:
        headers, body = request_parts("tools/call", {"name": self.tool, "arguments": self.arguments}, self.revision)
        headers |= {"Host": f"127.0.0.1:{self.server.port}", "Authorization": f"Bearer {TOKEN}", "Content-Length": str(len(body))}
        head = "POST /mcp HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n"
        order = {"host": "127.0.0.1", "port": self.server.port, "request": head + body.decode(), "callers": callers, "seconds": seconds}
        done = subprocess.run([sys.executable, str(HERE / "load.py")], input=json.dumps(order), capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{self.tool} at {callers} callers: {done.stderr[-2000:]}\nThe server wrote:\n{self.server.output[-2000:]}")
        result = json.loads(done.stdout)
        return Load(result["per_second"], result["p50"], result["p99"])

    def answer(self) -> dict[str, Any]:
        with RawClient(self.server.url, TOKEN, revision=self.revision, timeout=120) as client:
            return client.call(self.tool, **self.arguments)["structuredContent"]


def measure(what: str, questions: dict[str, Question], callers: int, *, seconds: float = 5, rounds: int = 3) -> Loads:
    """Put each question by so many callers, in `rounds` of alternating order; the median of each."""
    started = time.perf_counter()
    seen: dict[str, list[Load]] = {name: [] for name in questions}
    for question in questions.values():
        question.put_by(callers, 1)  # warm
    for turn in range(rounds):
        for name in sorted(questions, reverse=turn % 2 == 1):
            seen[name].append(questions[name].put_by(callers, seconds))
    loads = {name: Load.median_of(loads) for name, loads in seen.items()}
    figures = ", ".join(f"{name} {load.per_second:.1f}/s" for name, load in loads.items())
    print(f"{time.perf_counter() - started:6.1f} s  {what}, {callers} callers: {figures}", flush=True)
    return loads


def measure_starts(start: Callable[[], ServerProcess], ready: tuple[str, int], starts: int = 5) -> tuple[float, float]:
    """Seconds from spawning the process to ready, and resident MB right then: medians."""
    seconds, megabytes = [], []
    for _ in range(starts):
        with start() as server:
            seconds.append(server.wait_for(*ready))
            megabytes.append(server.resident_mb())
    return median(seconds), median(megabytes)


@contextmanager
def running_stack() -> Iterator[Stack]:
    """The tests' own stack, started when it is not running, and stopped again only in that case."""
    described = LOCAL / NAME / "stack.json"
    LOCAL.mkdir(exist_ok=True)
    with (LOCAL / f"{NAME}.lock").open("w") as lock:
        # As tests do: whoever stops the stack first looks whether somebody else uses it.
        fcntl.flock(lock, fcntl.LOCK_SH)
        was_running = described.exists() and Path(f"/proc/{Stack.read(described).pids['litellm']}").exists()
        playbook(NAME, "started")
        try:
            yield Stack.read(described)
        finally:
            if not was_running and alone(lock):
                playbook(NAME, "stopped")


def check_answers(scratch: Scratch, questions: dict[str, Question]) -> None:
    """Stop when an answer is not the log table's truth: a fast wrong answer is worth nothing."""
    with psycopg.connect(scratch.url) as connection:
        truth = connection.execute(
            """select count(*), sum(total_tokens), count(*) filter (where status = 'failure')
               from "LiteLLM_SpendLogs" where "startTime" >= %s""",
            (scratch.since,),
        ).fetchone()
    for question, rows in (questions["spend"], "rows"), (questions["days"], "days"):
        answer = question.answer()[rows]
        given = tuple(sum(row[field] for row in answer) for field in ("requests", "total_tokens", "failures"))
        if given != truth:
            raise SystemExit(f"{question.tool} answers {given}; the log table holds {truth} (requests, tokens, failures)")


def run() -> Figures:
    """Measure everything."""
    with running_stack() as stack, scratch_tables(stack.database_url, stack.database_readonly_url) as scratch:
        scratch.fill()
        environment = {
            "MCP_API_KEY": TOKEN,
            "DATABASE_URL": scratch.reader_url,
            "LITELLM_API_URL": stack.litellm_url,
            "LITELLM_API_KEY": stack.litellm_master_key,
            "LOG_LEVEL": "WARNING",
        }
        start_ours = partial(ServerProcess, environment)
        start_bare = partial(ServerProcess, {"DATABASE_URL": scratch.url}, [sys.executable, str(HERE / "bare.py")])
        starts = {"ours": measure_starts(start_ours, ("/readyz", 200)), "bare": measure_starts(start_bare, ("/", 404))}
        print(f"          cold start (s) and memory (MB): {starts}", flush=True)
        with ServerProcess(environment, [sys.executable, str(HERE / "ours.py")]) as ours, start_bare() as bare:
            ours.wait_for("/readyz")
            bare.wait_for("/", 404)
            cheap = {revision: measure_cheap_tools(ours, bare, revision) for revision in (MODERN, LATEST_LEGACY)}
            sizes, spend = measure_spend(scratch, ours, bare)
            memory_after = {"ours": ours.resident_mb(), "bare": bare.resident_mb()}
        with psycopg.connect(scratch.url) as connection:
            postgres = connection.execute("show server_version").fetchone()[0]
    return Figures(postgres, stack.litellm_version, WINDOW, starts, cheap, sizes, spend, memory_after)


def measure_cheap_tools(ours: ServerProcess, bare: ServerProcess, revision: str) -> Loads:
    questions = {
        "bare": Question(bare, "constant", {}, revision),
        "constant": Question(ours, "constant", {}, revision),
        "one key": Question(ours, "list_virtual_keys", {"limit": 1}, revision),
        "keys": Question(ours, "list_virtual_keys", {}, revision),
    }
    return measure(f"cheap tools, {revision}", questions, 16)


def measure_spend(scratch: Scratch, ours: ServerProcess, bare: ServerProcess) -> tuple[Sizes, SpendLoads]:
    """Both questions by daily rows and by logs, then with ten times the daily rows, then with ten times the logs too."""
    dates = {"date_from": str(scratch.since), "date_to": str(scratch.today)}
    by_daily = {"spend": Question(ours, "get_spend_summary", dates), "days": Question(ours, "get_daily_stats", {"days": WINDOW})}
    by_logs = {"spend": Question(bare, "spend_by_logs", dates), "days": Question(bare, "days_by_logs", {"date_from": dates["date_from"]})}
    check_answers(scratch, by_daily)
    sizes, loads = {"base": scratch.counts()}, {}
    for callers in (1, 16):
        loads["daily", callers] = measure("daily rows", by_daily, callers)
        loads["logs", callers] = measure("log rows", by_logs, callers)
    scratch.tenfold_daily_rows()
    sizes["daily"] = scratch.counts()
    for callers in (1, 16):
        loads["ten times daily", callers] = measure("ten times the daily rows", by_daily, callers)
    scratch.tenfold_log_rows()
    sizes["logs"] = scratch.counts()
    for callers in (1, 16):
        loads["beside ten times logs", callers] = measure("daily rows beside ten times the log rows", by_daily, callers)
    loads["ten times logs", 1] = measure("ten times the log rows", by_logs, 1)
    return sizes, loads


def measure_server() -> None:
    (ROOT / "docs" / "benchmarks.md").write_text(report(run()))
    print("docs/benchmarks.md is written")


def measure_keys() -> None:
    with running_stack() as stack:
        (ROOT / "docs" / "benchmarks-keys.md").write_text(keys.report(keys.measure(stack)))
    print("docs/benchmarks-keys.md is written")


def measure_admin() -> None:
    with running_stack() as stack:
        (ROOT / "docs" / "benchmarks-admin.md").write_text(admin.report(admin.measure(stack), stack.litellm_version))
    print("docs/benchmarks-admin.md is written")


def measure_deploy() -> None:
    with running_stack() as stack:
        (ROOT / "docs" / "benchmarks-deploy.md").write_text(deploy.report(deploy.measure(stack)))
    print("docs/benchmarks-deploy.md is written")


def measure_gateway() -> None:
    with running_stack() as stack:
        (ROOT / "docs" / "benchmarks-gateway.md").write_text(gateway.report(gateway.measure(stack)))
    print("docs/benchmarks-gateway.md is written")


if __name__ == "__main__":
    parts = {"server": measure_server, "keys": measure_keys, "admin": measure_admin, "deploy": measure_deploy, "gateway": measure_gateway}
    for part in sys.argv[1:] or parts:
        parts[part]()
