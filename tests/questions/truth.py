"""What the right answers are, found without the server: from LiteLLM's raw request log (its daily table for MCP calls only), its API,
the seed's plan, the model provider's stand-in, and the Kubernetes API's own list of pods. Days are UTC.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import psycopg
import yaml
from psycopg.rows import dict_row

from conftest import ROOT, Stack

# A failed request may lack the public name; a health check's always does. The name that callers use, then the provider's.
MODEL = """coalesce(nullif(model_group, ''), nullif(model, ''), 'unknown')"""
# The log keeps one row of an MCP tool's call that LiteLLM counts twice in its daily table, once for the model that made it: of these calls
# alone the daily table is asked.
CALLS = f"""(
    SELECT "startTime"::date AS day, {MODEL} AS model, "user", 1 AS requests, (status = 'failure')::int AS failures, total_tokens, spend
    FROM "LiteLLM_SpendLogs" WHERE coalesce(mcp_namespaced_tool_name, '') = ''
    UNION ALL
    SELECT date::date, {MODEL}, user_id, api_requests, failed_requests, prompt_tokens + completion_tokens, spend
    FROM "LiteLLM_DailyUserSpend" WHERE mcp_namespaced_tool_name <> ''
) calls"""
SUMS = """coalesce(sum(requests), 0)::int AS requests, coalesce(sum(failures), 0)::int AS failures,
    coalesce(sum(total_tokens), 0)::int AS total_tokens, coalesce(sum(spend), 0) AS total_spend"""
UI_SESSIONS = "litellm-dashboard"
OWN = (None, "", "default_user_id")  # whom LiteLLM names for calls of its own, of its master key, and of keys without a user


def today() -> date:
    return datetime.now(UTC).date()


def seed_plan() -> ModuleType:
    """The seed's own description of what it seeds."""
    name = "litemaas_seed_plan"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(ROOT) / "roles/litemaas_local/files/seed/plan.py")
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


class Truth:
    """Everything known about a stack by other ways than the server's; close it after use."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._log = psycopg.connect(stack.database_url, autocommit=True, row_factory=dict_row)
        headers = {"Authorization": f"Bearer {stack.litellm_master_key}"}
        self.litellm = httpx.Client(base_url=stack.litellm_url, headers=headers, timeout=60, trust_env=False)

    def __enter__(self) -> Truth:
        return self

    def __exit__(self, *_: object) -> None:
        self._log.close()
        self.litellm.close()

    # --- usage, from the raw log

    def usage(self, since: date, until: date) -> dict[str, Any]:
        """Requests, failures, tokens and dollars of the days from `since` to `until`, both inclusive."""
        return self._usage("true", since, until)[0]

    def usage_by_model(self, since: date, until: date) -> dict[str, dict[str, Any]]:
        return {row.pop("name"): row for row in self._usage("model", since, until)}

    def usage_by_user(self, since: date, until: date) -> list[dict[str, Any]]:
        """Who called, also those who are no user any more, with their e-mail addresses, the highest spend first."""
        people = {user["user_id"]: user["user_email"] for user in self.users()}
        rows = [row for row in self._usage('"user"', since, until) if row["name"] not in OWN]
        rows = [{"user_id": row["name"], "email": people.get(row.pop("name")), **row} for row in rows]
        return sorted(rows, key=lambda row: (-row["total_spend"], -row["requests"], row["user_id"]))

    def usage_by_day(self, since: date, until: date) -> list[dict[str, Any]]:
        """One row a day, also for days without any request."""
        days = [since + timedelta(days=n) for n in range((until - since).days + 1)]
        return [{"date": day.isoformat(), **self.usage(day, day), "unique_models": len(self.usage_by_model(day, day))} for day in days]

    def _usage(self, group: str, since: date, until: date) -> list[dict[str, Any]]:
        grouped, named = ("", "") if group == "true" else ("GROUP BY 1", f"{group} AS name, ")
        query = f"SELECT {named}{SUMS} FROM {CALLS} WHERE day BETWEEN %s AND %s {grouped}"
        return self._log.execute(query, [since, until]).fetchall()

    # --- users and keys, from LiteLLM's API

    def users(self) -> list[dict[str, Any]]:
        """LiteLLM's users but its own."""
        return [user for user in self._pages("/user/list", "users", page_size=100) if user["user_id"] not in OWN]

    def user(self, name: str) -> dict[str, Any]:
        """The one user of that alias."""
        [user] = [user for user in self.users() if user["user_alias"] == name]
        return user

    def keys(self) -> list[dict[str, Any]]:
        """LiteLLM's keys but those of its web interface's sessions, the newest first."""
        keys = self._pages("/key/list", "keys", size=100, return_full_object=True)
        return sorted((key for key in keys if key["team_id"] != UI_SESSIONS), key=lambda key: key["created_at"], reverse=True)

    def keys_expiring(self, since: date, until: date) -> list[dict[str, Any]]:
        return [key for key in self.keys() if key["expires"] and since <= moment(key["expires"]).date() <= until]

    def _pages(self, path: str, field: str, **query: Any) -> Iterator[dict[str, Any]]:
        page, pages = 1, 1
        while page <= pages:
            answer = self.litellm.get(path, params={**query, "page": page}).raise_for_status().json()
            yield from answer[field]
            page, pages = page + 1, answer["total_pages"]

    # --- models: what is served LiteLLM says, what they are like the plan, how they are the provider

    @cached_property
    def plan(self) -> ModuleType:
        return seed_plan()

    def models(self) -> list[str]:
        """The names LiteLLM serves."""
        data = self.litellm.get("/model/info").raise_for_status().json()["data"]
        return sorted({model["model_name"] for model in data})

    def health(self, names: Iterable[str]) -> dict[str, bool]:
        """Whether each model's provider answers when it is called, past LiteLLM and the server."""
        healthy = {}
        called = {model.name: model.provider_name for model in self.plan.SERVED}
        for name in names:
            body = {"model": called.get(name) or name, "messages": [{"role": "user", "content": "hello"}]}
            healthy[name] = httpx.post(f"{self._stack.stub_url}/v1/chat/completions", json=body, trust_env=False).status_code == 200
        return healthy

    # --- pods, from the Kubernetes API

    def pods(self) -> dict[str, dict[str, Any]]:
        """By name: phase, ready (none for one that has done its work), restarts, and when a container last ended before one."""
        config = yaml.safe_load(Path(self._stack.kubeconfig).read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        answer = httpx.get(
            f"{cluster['server']}/api/v1/namespaces/{self._stack.namespace}/pods",
            headers={"Authorization": f"Bearer {user['token']}"},
            verify=not cluster.get("insecure-skip-tls-verify", False),
            trust_env=False,
        )
        return {pod["metadata"]["name"]: _pod(pod["status"]) for pod in answer.raise_for_status().json()["items"]}


def moment(stamp: str) -> datetime:
    """LiteLLM's and Kubernetes' times; without a zone they are UTC."""
    parsed = datetime.fromisoformat(stamp)
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def _pod(status: dict[str, Any]) -> dict[str, Any]:
    containers = status.get("containerStatuses", [])
    ready = any(condition["type"] == "Ready" and condition["status"] == "True" for condition in status["conditions"])
    ends = [end["finishedAt"] for container in containers if (end := container.get("lastState", {}).get("terminated"))]
    return {
        "phase": status["phase"],
        "ready": None if status["phase"] == "Succeeded" else ready,
        "restarts": sum(container["restartCount"] for container in containers),
        "last_restart_at": moment(max(ends)) if ends else None,
    }
