"""Workshop keys: what litellm_keys takes beside the way in use today and beside a bare HTTP client, in one run on one proxy."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

from conftest import Stack
from tests.benchmarks.timed import Stopwatch, against, heading
from tests.support.ansible_run import Playbook
from tests.support.relay import Relay

KEYS, LOOPED, CONCURRENCY, ROUNDS, AD_HOC = 300, 30, 8, 3, 7
SETTINGS = {"max_budget": 5.0, "budget_duration": "7d", "duration": "30d", "models": ["all-proxy-models"]}


class Bench(Stopwatch):
    """The steps: `empty` an empty playbook, `made` KEYS keys and as many users, `keys` KEYS keys without users, `looped` LOOPED keys."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        super().__init__(stack, folder)
        self.reads: dict[str, int] = {}  # requests of a run that changes nothing
        self.held: dict[str, int] = {}  # keys and users of the proxy then

    def run(self) -> Bench:
        for number in range(ROUNDS):
            steps = [self.by_module, self.by_floor, self.by_loop]
            for step in steps if number % 2 == 0 else reversed(steps):
                step()
            self.playbook("empty", [])
        self.ad_hoc()
        return self

    def by_module(self) -> None:
        name = f"bench-{uuid.uuid4().hex[:6]}"
        options = {**self.connection, "name": name, "prefix": f"{name}-", "count": KEYS, "concurrency": CONCURRENCY, **SETTINGS}
        absent = {**self.connection, "name": name, "state": "absent"}
        for what in ("made", "again"):
            self.playbook(what, [{"rhpds.litemaas.litellm_keys": options}])
        if not self.reads:
            self.count_reads(options)
        self.playbook("removed", [{"rhpds.litemaas.litellm_keys": absent}])
        alone = {name: value for name, value in options.items() if name not in ("prefix", "count")}
        alone["keys"] = [{"key_alias": f"{name}-{number}"} for number in range(KEYS)]
        self.playbook("keys", [{"rhpds.litemaas.litellm_keys": alone}])
        Playbook(self.place(), [{"rhpds.litemaas.litellm_keys": absent}]).run()

    def count_reads(self, options: dict[str, Any]) -> None:
        """Once more through a relay that counts, outside the times."""
        self.held = {
            "keys": self.http.get("/key/list", params={"size": 1}).json()["total_count"],
            "users": self.http.get("/user/list", params={"page_size": 1}).json()["total"],
        }
        with Relay(self.stack.litellm_url) as relay:
            code, said = Playbook(self.place(), [{"rhpds.litemaas.litellm_keys": {**options, "url": relay.url}}]).run()
        if code or "changed=0" not in said or any(asked.method != "GET" for asked in relay.asked):
            raise SystemExit(f"a second run changed something:\n{said[-2000:]}")
        self.reads = {"keys": relay.count("/key/list"), "users": relay.count("/user/list"), "all": len(relay.asked)}

    def by_floor(self) -> None:
        name = f"bench-{uuid.uuid4().hex[:6]}"
        names = [f"{name}-{number}" for number in range(KEYS)]
        users = [["/user/new", {"user_id": each, "auto_create_key": False}] for each in names]
        keys = [["/key/generate", {"key_alias": each, "user_id": each, "key": f"sk-{uuid.uuid4().hex}", **SETTINGS}] for each in names]
        self.bare("floor", users, keys, concurrency=CONCURRENCY)
        for start in range(0, KEYS, 100):
            self.http.post("/user/delete", json={"user_ids": names[start : start + 100]}).raise_for_status()  # and their keys

    def by_loop(self) -> None:
        """One key after the other, each by eight tasks, as the role in use today makes them; it makes no users."""
        name = f"bench-{uuid.uuid4().hex[:6]}"
        folder = self.place()
        (folder / "one.json").write_text(json.dumps(self._tasks_of_a_key()))
        variables = {"prefix": name, "api": self.connection, "settings": SETTINGS}
        loop = {"ansible.builtin.include_tasks": "one.json", "loop": list(range(LOOPED)), "loop_control": {"loop_var": "number"}}
        self.playbook("looped", [{"ansible.builtin.set_fact": variables}, loop], folder)
        aliases = [f"{name}-{number}" for number in range(LOOPED)]
        self.http.post("/key/delete", json={"key_aliases": aliases}).raise_for_status()

    def _tasks_of_a_key(self) -> list[dict[str, Any]]:
        body = {"key_alias": "{{ alias }}", "user_id": "{{ user }}", **SETTINGS}
        return [
            {"ansible.builtin.set_fact": {"alias": "{{ prefix }}-{{ number }}"}},
            {"ansible.builtin.set_fact": {"user": "{{ prefix }}-{{ number }}@example.com"}},
            {
                "ansible.builtin.uri": {
                    "url": "{{ api.url }}/key/generate",
                    "method": "POST",
                    "headers": {"Authorization": "Bearer {{ api.api_key }}"},
                    "body_format": "json",
                    "body": body,
                    "status_code": [200, 400, 409],
                },
                "register": "answer",
            },
            {"ansible.builtin.set_fact": {"failed": "{{ answer.status != 200 }}"}},
            {"ansible.builtin.set_fact": {"made": "{{ answer.json }}"}, "when": "answer.status == 200"},
            {"ansible.builtin.set_fact": {"error": "{{ answer.json | default({}) }}"}, "when": "answer.status != 200"},
            {"ansible.builtin.set_fact": {"all_made": "{{ all_made | default([]) + [made] }}"}},
            {"ansible.builtin.debug": {"msg": "{{ alias }} {{ made.token_id | default('') }}"}},
        ]

    def ad_hoc(self) -> None:
        user = f"bench-{uuid.uuid4().hex[:6]}"
        self.http.post("/user/new", json={"user_id": user, "auto_create_key": False}).raise_for_status()
        environment = Playbook(self.place(), [], recorded=False).environment
        environment |= {"LITELLM_API_URL": self.connection["url"], "LITELLM_API_KEY": self.connection["api_key"]}
        ansible = [sys.executable, "-m", "ansible", "adhoc", "localhost", "-m"]
        for number in range(AD_HOC):
            commands = {
                "ping": [*ansible, "ansible.builtin.ping"],
                "budget": [*ansible, "rhpds.litemaas.litellm_user_budget", "-a", f"user={user} max_budget={number + 1}"],
            }
            for what in sorted(commands, reverse=number % 2 == 1):
                started = time.perf_counter()
                subprocess.run(commands[what], env=environment, cwd=self.folder, capture_output=True, check=True)
                self.note(what, time.perf_counter() - started)
        self.http.post("/user/delete", json={"user_ids": [user]}).raise_for_status()


def measure(stack: Stack) -> Bench:
    with tempfile.TemporaryDirectory() as folder:
        return Bench(stack, Path(folder)).run()


def report(bench: Bench) -> str:
    empty, made, floor = bench.of("empty"), bench.of("made"), bench.of("floor")
    ours, keys, looped = (made - empty) / KEYS, bench.of("keys") - empty, (bench.of("looped") - empty) / LOOPED
    most = -(-bench.held["keys"] // 100) - (-bench.held["users"] // 100)
    budget, ping = bench.of("budget"), bench.of("ping")

    rows = [
        (f"{KEYS} keys and users by `litellm_keys`", made, made - empty, ours),
        (f"the same calls by a bare HTTP client, {CONCURRENCY} at a time", floor, floor, floor / KEYS),
        (f"{KEYS} keys, no users, by `litellm_keys`", bench.of("keys"), keys, keys / KEYS),
        (f"{LOOPED} keys, no users, by a loop of eight tasks a key", bench.of("looped"), bench.of("looped") - empty, looped),
        (f"`litellm_keys` again, nothing to change, {KEYS} keys", bench.of("again"), bench.of("again") - empty, None),
        (f"`litellm_keys` removes the {KEYS} keys and users", bench.of("removed"), bench.of("removed") - empty, None),
        ("an empty playbook", empty, None, None),
    ]
    goals = [
        ("times faster than the loop, a key without a user", against(f"{looped / (keys / KEYS):.0f}", looped * KEYS / keys >= 20), "≥ 20"),
        ("times the bare client's time", against(f"{(made - empty) / floor:.2f}", (made - empty) / floor <= 1.3), "≤ 1.3"),
        (
            f"reads of a run that changes nothing, {bench.held['keys']} keys and {bench.held['users']} users on the proxy",
            against(str(bench.reads["all"]), bench.reads["all"] <= most),
            f"≤ {most}",
        ),
        ("one ad-hoc `litellm_user_budget` beside `ansible -m ping`", against(f"{budget / ping:.2f}", budget / ping <= 1.3), "≤ 1.3"),
    ]
    return "\n".join(
        [
            *heading("workshop keys", "keys", f"LiteLLM {bench.stack.litellm_version}"),
            "Ansible, LiteLLM and its database share the machine, and what is compared runs in the same rounds: the ratios matter, not",
            f"the absolute figures. Figures are medians of {ROUNDS} rounds. The loop sets facts, sends",
            "`/key/generate` by `uri`, sets facts over the answer and shows it, as the workshop role in use today does; it is measured",
            "on fewer keys. It makes no users, so it is compared with `litellm_keys` that makes none.",
            "The bare client is a process of its own, which sends the same `/user/new` and `/key/generate` calls and reads nothing back.",
            "",
            "| | seconds | beyond Ansible's start | ms a key |",
            "|---|---|---|---|",
            *(
                f"| {name} | {all_of_it:.2f} | {'' if beyond is None else f'{beyond:.2f}'} | {'' if key is None else f'{key * 1000:.0f}'} |"
                for name, all_of_it, beyond, key in rows
            ),
            "",
            "| | | goal |",
            "|---|---|---|",
            *(f"| {name} | {figure} | {goal} |" for name, figure, goal in goals),
            "",
            f"Ad hoc: {budget:.2f} s beside {ping:.2f} s (medians of {AD_HOC}).",
            "",
        ]
    )
