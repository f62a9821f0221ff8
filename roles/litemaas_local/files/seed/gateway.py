"""What goes through LiteLLM's own API: models, teams, users, keys, and completions that really pass through the proxy.

What exists is read from LiteLLM's tables, so that nothing is posted twice and a second run costs no call.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import plan
from psycopg import Connection, sql

PARALLEL_CALLS = 8
COMPLETION_TIMEOUT = 120  # seconds; LiteLLM retries a failing upstream before it gives up


class Gateway:
    """LiteLLM's admin API at `url`; `master_key` may do everything."""

    def __init__(self, url: str, master_key: str, database: Connection) -> None:
        # Nobody's proxy stands between this machine and itself.
        self._http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {master_key}"}, timeout=60, trust_env=False)
        self._database = database

    def _post(self, path: str, body: dict[str, Any]) -> None:
        response = self._http.post(path, json={name: value for name, value in body.items() if value is not None})
        if response.is_error:
            raise SystemExit(f"seed: LiteLLM refused {path} with {response.status_code}: {response.text[:500]}")

    def _missing(self, things: Iterable[Any], table: str, column: str, attribute: str) -> list[Any]:
        query = sql.SQL("SELECT {} FROM {}").format(sql.Identifier(column), sql.Identifier(table))
        present = {row[0] for row in self._database.execute(query)}
        self._database.commit()
        return [thing for thing in things if getattr(thing, attribute) not in present]

    def add_models(self, upstream_url: str) -> int:
        """Create the missing models, served by the stub at `upstream_url`; return how many."""
        wanted = [model for model in plan.SERVED if not model.in_config]
        missing = self._missing(wanted, "LiteLLM_ProxyModelTable", "model_id", "id")
        for model in missing:
            parameters = {"model": model.upstream, "api_base": f"{upstream_url}/v1", "api_key": "sk-none"}
            limits = {name: value for name, value in (("tpm", model.tpm), ("rpm", model.rpm)) if value}
            prices = {"input_cost_per_token": model.input_cost, "output_cost_per_token": model.output_cost}
            info = {"id": model.id, "mode": "chat", "max_tokens": model.max_tokens}
            self._post("/model/new", {"model_name": model.name, "litellm_params": parameters | limits | prices, "model_info": info})
        return len(missing)

    def add_users(self) -> int:
        """Create the missing users, without the key LiteLLM would make for each; return how many."""
        missing = self._missing(plan.USERS, "LiteLLM_UserTable", "user_id", "id")
        for user in missing:
            limits = {"max_budget": user.max_budget, "budget_duration": user.budget_duration, "tpm_limit": user.tpm, "rpm_limit": user.rpm}
            who = {"user_id": user.id, "user_email": user.email, "user_alias": user.user_alias, "user_role": "internal_user"}
            self._post("/user/new", {**who, **limits, "auto_create_key": False})
        return len(missing)

    def add_teams(self) -> int:
        """Create the missing teams with their members; return how many."""
        missing = self._missing(plan.TEAMS, "LiteLLM_TeamTable", "team_id", "id")
        for team in missing:
            budget = {"max_budget": team.max_budget, "budget_duration": team.budget_duration}
            self._post("/team/new", {"team_id": team.id, "team_alias": team.alias, **budget})
            members = [{"role": "user", "user_id": user.id} for user in plan.USERS if user.team == team.id]
            self._post("/team/member_add", {"team_id": team.id, "member": members})
        return len(missing)

    def add_keys(self) -> int:
        """Create the missing keys (their dates are history.put_dates); return how many."""
        missing = self._missing(plan.KEYS, "LiteLLM_VerificationToken", "token", "token")
        for key in missing:
            limits = {"max_budget": key.max_budget, "budget_duration": key.budget_duration, "tpm_limit": key.tpm, "rpm_limit": key.rpm}
            what = {"key": key.secret, "key_alias": key.alias, "user_id": key.owner_id, "team_id": key.team, "models": list(key.models)}
            self._post("/key/generate", {**what, **limits, "blocked": key.blocked or None})
        return len(missing)

    def complete(self) -> int:
        """Send the planned completions, failing ones among them, and return how many ended as planned.

        Not all of them must: somebody may have used up or changed a seeded budget since.
        """
        calls = plan.completions()
        with ThreadPoolExecutor(PARALLEL_CALLS) as pool:
            statuses = list(pool.map(self._complete, calls))
        to_fail = [model.broken or message == plan.STUB_FAILING for _, model, message in calls]
        as_planned = [(status != 200) for status, failing in zip(statuses, to_fail, strict=True) if (status != 200) == failing]
        if set(as_planned) != {True, False}:
            raise SystemExit(f"seed: some completions must succeed and some fail, but LiteLLM answered {sorted(set(statuses))}")
        return len(as_planned)

    def _complete(self, call: tuple[plan.Key, plan.Model, str]) -> int:
        key, model, message = call
        body = {"model": model.name, "messages": [{"role": "user", "content": message}]}
        authorization = {"Authorization": f"Bearer {key.secret}"}
        return self._http.post("/v1/chat/completions", json=body, headers=authorization, timeout=COMPLETION_TIMEOUT).status_code
