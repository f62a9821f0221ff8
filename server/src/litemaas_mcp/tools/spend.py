"""Spend: tokens, requests, failures and dollars, from LiteLLM's daily aggregates."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import date, timedelta
from hashlib import sha256
from typing import Annotated, Any, Literal

from pydantic import Field

from litemaas_mcp.backends import Backends
from litemaas_mcp.errors import Failure, Unavailable
from litemaas_mcp.tools import tool
from litemaas_mcp.tools.parts import Dollars, Page, Row, count, day, in_order, money, near, table, today
from litemaas_mcp.tools.users import find_user

LIMIT = 500  # rows in one answer: more than the days of a year

Day = Annotated[str | None, Field(description="first day, YYYY-MM-DD (UTC), inclusive; left out: since the first record")]
Group = Annotated[
    Literal["model", "user", "key", "day", "provider"],
    Field(description="what a row stands for: model is the name that callers use, day is a UTC date (latest first)"),
]


class Usage(Row):
    requests: Annotated[int, Field(description="all requests, failed ones included")]
    failures: int
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    total_spend: Annotated[Dollars, Field(description="US dollars")]

    @classmethod
    def sums(cls, row: dict[str, Any]) -> dict[str, Any]:
        """The fields' values from the database's columns, where sums of integers are numerics."""
        sums = {name: int(row[name]) for name in ("requests", "failures", "prompt_tokens", "completion_tokens")}
        return sums | {"total_tokens": sums["prompt_tokens"] + sums["completion_tokens"], "total_spend": row["total_spend"]}

    def sentence(self) -> str:
        failed = f"{count(self.failures)} failed"
        return f"{count(self.requests, 'request')} ({failed}), {count(self.total_tokens, 'token')}, {money(self.total_spend)}"

    def cells(self) -> tuple[str, ...]:
        return count(self.requests), count(self.failures), count(self.total_tokens), money(self.total_spend)


CELLS = ("requests", "failures", "tokens", "spend")


class SpendRow(Usage):
    model: str | None = None
    user_id: Annotated[str | None, Field(description="grouped by user: their id; by key: its owner's")] = None
    email: str | None = None
    key_alias: Annotated[
        str | None, Field(description="the key's alias, else the beginning of its hash, else LiteLLM's own name for it")
    ] = None
    date: Annotated[str | None, Field(description="YYYY-MM-DD, UTC")] = None
    provider: str | None = None

    @property
    def label(self) -> str:
        return self.date or self.model or self.provider or self.key_alias or self.email or self.user_id or "none"


class SpendSummary(Page):
    group_by: str
    date_from: Annotated[str | None, Field(description="first day of the answer, inclusive; null: nothing was ever recorded")]
    date_to: Annotated[str, Field(description="last day of the answer, inclusive")]
    model: Annotated[str | None, Field(description="the model that was asked for")]
    user_id: Annotated[str | None, Field(description="the id of the user who was asked for")]
    total: Annotated[Usage, Field(description="over all rows, also those that were cut")]
    total_rows: Annotated[int, Field(description="rows in all, before any cut")]
    rows: Annotated[list[SpendRow], Field(description="by spend, descending; days: the latest first")]

    def text(self) -> str:
        filters = "".join([f", model {self.model}" if self.model else "", f", user {self.user_id}" if self.user_id else ""])
        return "\n".join(
            [
                f"Usage by {self.group_by} from {self.date_from or 'the beginning'} to {self.date_to}, both inclusive, UTC{filters}.",
                f"Total: {self.total.sentence()}.",
                *table((self.group_by, *CELLS), ((row.label, *row.cells()) for row in self.rows), len(self.rows), self.total_rows, _MORE),
            ]
        )


_MORE = "Ask for fewer days, one model or one user to see the others; the total has them."


@tool(title="Spend summary")
async def get_spend_summary(
    backends: Backends,
    date_from: Day = None,
    date_to: Annotated[str | None, Field(description="last day, YYYY-MM-DD (UTC), inclusive; left out: today")] = None,
    model: Annotated[str | None, Field(max_length=256, description="only this model: the name that callers use, or the provider's")] = None,
    user_id: Annotated[str | None, Field(max_length=256, description="only this user: id, e-mail or user name")] = None,
    group_by: Group = "model",
) -> SpendSummary:
    """Sum requests, failures, tokens and dollars over days, by model, user, key, day or provider.

    Both days are inclusive and UTC: the same day twice asks for that day. Free models and failed requests count.
    LiteLLM records usage some seconds after the request.
    """
    since, until = day("date_from", date_from), day("date_to", date_to)
    in_order("date_from", since, "date_to", until)
    until = until or max(today(), since or today())
    user = (await find_user(backends, user_id, "user_id"))["user_id"] if user_id else None
    rows, total = await backends.database.spend(group_by, LIMIT, since, until, model or None, user)
    if model and not rows:
        await _must_be_known(backends, model)
    return SpendSummary(
        group_by=group_by,
        date_from=str(since) if since else total["first_day"],
        date_to=str(until),
        model=model or None,
        user_id=user,
        total=Usage(**Usage.sums(total)),
        total_rows=total["groups"],
        rows=[SpendRow(**Usage.sums(row), **_NAMES[group_by](row)) for row in rows],
        truncated=total["groups"] > len(rows),
        next_cursor=None,
    )


_NAMES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "model": lambda row: {"model": row["name"]},
    "user": lambda row: {"user_id": row["name"], "email": row["email"]},
    "key": lambda row: {"key_alias": key_label(row["name"], row["key_alias"]), "user_id": row["user_id"], "email": row["email"]},
    "day": lambda row: {"date": row["name"]},
    "provider": lambda row: {"provider": row["name"]},
}


def key_label(token: str, alias: str | None) -> str:
    """How a key is called: its alias, else the beginning of its hash; LiteLLM's own callers have names instead of hashes."""
    if alias:
        return alias
    if token.startswith("sk-"):  # what LiteLLM records when a key is refused may be the key itself
        token = sha256(token.encode()).hexdigest()
    return f"{token[:12]}…" if re.fullmatch("[0-9a-f]{64}", token) else token or "none"


async def _must_be_known(backends: Backends, model: str) -> None:
    """Raise `Failure` for a model that neither spend nor the gateway knows: a typing error must not read as "no use"."""
    try:
        served = [deployment["model_name"] for deployment in await backends.litellm.deployments()]
    except Unavailable:
        return
    known = {*served, *await backends.database.models_used()}
    if model not in known:
        unknown_model("model", model, known)


def unknown_model(field: str, model: str, known: Iterable[str]) -> None:
    """Raise the `Failure` that names the models which may be meant."""
    meant = near(model, known)
    hint = f"Did you mean {', '.join(meant)}?" if meant else f"There is {', '.join(sorted(known)[:20]) or 'none'}."
    raise Failure(f"{field}: there is no model {model!r}. {hint}")


class DayStats(Usage):
    date: Annotated[str, Field(description="YYYY-MM-DD, UTC")]
    unique_models: Annotated[int, Field(description="different models that were asked for")]


class DailyStats(Page):
    date_from: str
    date_to: Annotated[str, Field(description="today: its numbers still grow")]
    total: Usage
    days: Annotated[list[DayStats], Field(description="every day, also those without any use, oldest first")]

    @classmethod
    def filled(cls, rows: list[dict[str, Any]], since: date, until: date) -> DailyStats:
        """With a row of zeros for each day that has none."""
        by_date = {row["date"]: row for row in rows}
        dates = [str(since + timedelta(days=number)) for number in range((until - since).days + 1)]
        days = [_day(name, by_date.get(name, {})) for name in dates]
        total = {field: sum(getattr(day, field) for day in days) for field in Usage.model_fields}
        return cls(date_from=dates[0], date_to=dates[-1], total=Usage(**total), days=days)

    def text(self) -> str:
        latest_first = ((day.date, *day.cells(), day.unique_models) for day in reversed(self.days))
        return "\n".join(
            [
                f"Daily totals from {self.date_from} to {self.date_to}, both inclusive, UTC; today's still grow.",
                f"Total: {self.total.sentence()}.",
                *table(("date", *CELLS, "models"), latest_first, len(self.days), len(self.days), ""),
            ]
        )


_NOTHING = dict.fromkeys(("requests", "failures", "prompt_tokens", "completion_tokens", "total_spend"), 0)


def _day(name: str, row: dict[str, Any]) -> DayStats:
    return DayStats(date=name, unique_models=row.get("unique_models", 0), **Usage.sums(_NOTHING | row))


@tool(title="Daily statistics")
async def get_daily_stats(
    backends: Backends,
    days: Annotated[int, Field(ge=1, le=366, description="how many days, today (UTC) included")] = 7,
) -> DailyStats:
    """Requests, failures, tokens, spend and number of models for each of the past N days (UTC), today included.

    Days without any use are there too, with zeros.
    """
    until = today()
    since = until - timedelta(days=days - 1)
    return DailyStats.filled(await backends.database.daily_totals(since, until), since, until)
