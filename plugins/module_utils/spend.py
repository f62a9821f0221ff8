"""Spend and usage of days, put together from LiteLLM's daily sums."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import product
from typing import Any

from ansible_collections.rhpds.litemaas.plugins.module_utils.client import Client, LiteLLMError

FIGURES = (
    "spend",
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "api_requests",
    "successful_requests",
    "failed_requests",
)
NOBODY = "Unassigned"  # how LiteLLM calls the owner of what has none
SPAN = timedelta(days=7)  # that one request asks for, so that no answer is too large for LiteLLM
ROWS = {"user": 1000, "team": 1_000_000}  # LiteLLM's greatest page of each


class Figures(dict):
    """Sums by the names of FIGURES."""

    def __init__(self) -> None:
        super().__init__(dict.fromkeys(FIGURES, 0))

    def add(self, figures: dict[str, Any], sign: int = 1) -> None:
        for name in FIGURES:
            self[name] += sign * (figures.get(name) or 0)

    def any(self) -> bool:
        """Whether there is anything in it."""
        return bool(self["api_requests"] or self["total_tokens"] or abs(self["spend"]) > 1e-12)


class Activity:
    """What keys did on each of some days. LiteLLM tells, per day, what each key did with each model, and for each owner.

    Attributes:
        names: what LiteLLM tells of each key (`key_alias`) and each owner (`user_email`, `user_alias` or `team_alias`).
    """

    def __init__(self, client: Client, owner: str, first: date, last: date, token: str | None) -> None:
        self._by_key: dict[tuple[str, str], Figures] = defaultdict(Figures)
        self._by_model: dict[tuple[str, str], dict[str, Figures]] = defaultdict(lambda: defaultdict(Figures))
        self._by_owner: dict[tuple[str, str], dict[str, Figures]] = defaultdict(lambda: defaultdict(Figures))
        self.names: dict[str, dict[str, Any]] = {}
        self._owner = owner
        for day in _days(client, owner, first, last, token):
            self._take(day["date"], day["breakdown"])

    def rows(self, models: bool, owners: bool) -> Iterator[tuple[dict[str, Any], Figures]]:
        """Yield what was done, by day, key, and as far as asked for model and owner.

        Raises LiteLLMError where LiteLLM's sums do not tell which model an owner used.
        """
        for (day, key), total in self._by_key.items():
            of_models = self._models((day, key), total) if models else {None: total}
            of_owners = self._by_owner[day, key] or {NOBODY: total} if owners else {None: total}
            if len(of_models) > 1 and len(of_owners) > 1:
                name = self.names[key].get("key_alias") or key
                raise LiteLLMError(
                    f"On {day} the key {name} worked for {', '.join(sorted(of_owners))}, and LiteLLM does not tell which model it used for "
                    f"whom. Leave out either the models or the {self._owner}s."
                )
            for model, owner in product(of_models, of_owners):
                figures = of_models[model] if len(of_owners) == 1 else of_owners[owner]
                yield {"day": day, "key": key, "model": model, self._owner: None if owner == NOBODY else owner}, figures

    def _models(self, place: tuple[str, str], total: Figures) -> dict[str | None, Figures]:
        """What was done with each model; None is what LiteLLM 1.81 does not assign to one, such as a request for one that is unknown."""
        models: dict[str | None, Figures] = dict(self._by_model[place])
        rest = Figures()
        rest.add(total)
        for figures in models.values():
            rest.add(figures, -1)
        return models | ({None: rest} if rest.any() or not models else {})

    def _take(self, day: str, breakdown: dict[str, Any]) -> None:
        for key, entry in breakdown["api_keys"].items():
            self._by_key[day, key].add(entry["metrics"])
            self.names[key] = entry["metadata"]
        for model, entry in breakdown["model_groups"].items():
            for key, part in entry["api_key_breakdown"].items():
                self._by_model[day, key][model].add(part["metrics"])
        for owner, entry in breakdown["entities"].items():
            self.names[owner] = entry["metadata"]
            for key, part in entry["api_key_breakdown"].items():
                self._by_owner[day, key][owner].add(part["metrics"])


def _days(client: Client, owner: str, first: date, last: date, token: str | None) -> Iterator[dict[str, Any]]:
    path = f"/{owner}/daily/activity"
    while first <= last:
        end = min(first + SPAN - timedelta(days=1), last)
        parameters = {"start_date": first.isoformat(), "end_date": end.isoformat(), "api_key": token}
        yield from _span(client, path, parameters, ROWS[owner])
        first = end + timedelta(days=1)


def _span(client: Client, path: str, parameters: dict[str, Any], rows: int) -> Iterator[dict[str, Any]]:
    page = client.get(path, **parameters, page=1, page_size=rows)
    pages = page["metadata"]["total_pages"]
    if pages > 1:
        # The pages of LiteLLM 1.81 are in no order, and may repeat or miss rows; but there, this has everything.
        whole = client.get(f"{path}/aggregated", **parameters)["results"]
        if any(day["breakdown"].get("entities") for day in whole):
            yield from whole
            return
    yield from page["results"]
    for number in range(2, pages + 1):
        yield from client.get(path, **parameters, page=number, page_size=rows)["results"]
