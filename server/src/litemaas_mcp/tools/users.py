"""Users: who they are, what they may spend, and changing that."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import Field

from litemaas_mcp.backends import Backends
from litemaas_mcp.durations import normalise
from litemaas_mcp.errors import Failure, Unavailable
from litemaas_mcp.tools import Answer, tool
from litemaas_mcp.tools.parts import Cursor, Page, Row, count, cursor, moment, money, near, position, same, table, utc

Name = Annotated[str, Field(min_length=1, max_length=256)]


class User(Row):
    user_id: str
    email: str | None
    user_name: Annotated[str | None, Field(description="LiteMaaS's user name, else LiteLLM's alias")]
    spend: Annotated[float, Field(description="US dollars spent in the current budget period; in all, where there is no period")]
    max_budget: Annotated[float | None, Field(description="US dollars that the user may spend in a period; null is no limit, 0 is nothing")]
    budget_duration: Annotated[str | None, Field(description="length of the period, such as 1d or 30d; null: spend is never reset")]
    budget_reset_at: Annotated[datetime | None, Field(description="UTC; when the period ends and spend goes back to 0")]
    reset_due: Annotated[
        bool, Field(description="the period has ended, but LiteLLM has not reset the spend yet: it is still that of the ended period")
    ]
    tpm_limit: Annotated[int | None, Field(description="tokens per minute; null is no limit, 0 is none at all")]
    rpm_limit: Annotated[int | None, Field(description="requests per minute; null is no limit, 0 is none at all")]

    @property
    def label(self) -> str:
        return self.email or self.user_name or self.user_id


class Users(Page):
    users: Annotated[list[User], Field(description="by spend, descending")]
    total: Annotated[int, Field(description="users in all")]
    notes: list[str]

    def text(self) -> str:
        rows = (
            (
                user.label,
                user.user_id,
                money(user.spend) + ("*" if user.reset_due else ""),
                _limit(user),
                moment(user.budget_reset_at),
                user.tpm_limit,
                user.rpm_limit,
            )
            for user in self.users
        )
        return "\n".join(
            [
                f"{count(self.total, 'user')} by spend in the current budget period (times in UTC).",
                *table(
                    ("user", "id", "spend", "budget", "resets", "TPM", "RPM"),
                    rows,
                    len(self.users),
                    self.total,
                    f"next_cursor={self.next_cursor}" if self.next_cursor else "These are the last.",
                ),
                *(
                    ["* the period has ended; LiteLLM resets this spend at its next check."]
                    if any(user.reset_due for user in self.users)
                    else []
                ),
                *self.notes,
            ]
        )


@tool(title="Users by spend")
async def list_users(
    backends: Backends,
    limit: Annotated[int, Field(ge=1, le=500, description="users at most")] = 100,
    cursor: Cursor = None,
) -> Users:
    """List users with their spend, budgets and rate limits, the highest spend first.

    Spend is that of each user's current budget period. For the spend of given days ask get_spend_summary with group_by=user.
    """
    after = position("list_users", cursor, (int, float), str)
    if after and not math.isfinite(after[0]):
        raise Failure("cursor: this is no next_cursor of list_users. Leave it out to start with the first page.")
    rows, total = await backends.database.users(limit + 1, (float(after[0]), after[1]) if after else None)
    shown = rows[:limit]
    try:
        names, notes = await backends.database.litemaas_users([row["user_id"] for row in shown]), []
    except Failure as failure:
        names, notes = {}, [f"LiteMaaS's user names could not be read: {failure}"]
    return Users(
        users=[_user(row, names.get(row["user_id"])) for row in shown],
        total=total,
        notes=notes,
        truncated=len(rows) > limit,
        next_cursor=_cursor(shown[-1]) if len(rows) > limit else None,
    )


def _cursor(row: dict[str, Any]) -> str:
    return cursor("list_users", row["spend"], row["user_id"])


def _user(row: dict[str, Any], litemaas: dict[str, Any] | None) -> User:
    reset_at = utc(row["budget_reset_at"])
    return User(
        user_id=row["user_id"],
        email=row["user_email"],
        user_name=litemaas["username"] if litemaas else row["user_alias"],
        spend=row["spend"],
        max_budget=row["max_budget"],
        budget_duration=row["budget_duration"],
        budget_reset_at=reset_at,
        reset_due=bool(reset_at and reset_at <= datetime.now(UTC)),
        tpm_limit=row["tpm_limit"],
        rpm_limit=row["rpm_limit"],
    )


def _limit(user: User) -> str:
    return f"{money(user.max_budget)} {_period(user.budget_duration)}" if user.max_budget is not None else "no limit"


def _period(duration: str | None) -> str:
    return f"per {duration}" if duration else "in all (never reset)"


NAMED = 20  # users that an error names


async def find_user(backends: Backends, name: str, field: str) -> dict[str, Any]:
    """Return LiteLLM's row of the one user with this id, e-mail or user name.

    Raises:
        Failure: there is none (near misses are named) or more than one (all are).
    """
    name = name.strip()
    if not name:
        raise Failure(f"{field}: is empty. Give an id, e-mail or user name.")
    rows = await backends.database.users_named(name)
    if len(rows) == 1:
        return rows[0]
    if rows:
        more = f" and {len(rows) - NAMED} more" if len(rows) > NAMED else ""
        raise Failure(f"{field}: {name!r} is the name of {len(rows)} users: {'; '.join(map(_who, rows[:NAMED]))}{more}. Use the id.")
    candidates = await backends.database.names_like(name)
    by_name = {value: row for row in candidates for value in (row["user_id"], row["user_alias"], *_email_names(row["user_email"])) if value}
    meant = {row["user_id"]: row for row in (by_name[found] for found in near(name, by_name))}
    hint = f"Did you mean {'; '.join(map(_who, meant.values()))}?" if meant else "list_users shows who there is."
    raise Failure(f"{field}: there is no user with the id, e-mail or user name {name!r}. {hint}")


def _email_names(email: str | None) -> tuple[str, ...]:
    return (email, email.partition("@")[0]) if email else ()


def _who(row: dict[str, Any]) -> str:
    known = ", ".join(filter(None, (row["user_email"], row["user_alias"])))
    return f"{row['user_id']} ({known})" if known else row["user_id"]


class UserBudget(Row):
    max_budget: Annotated[float | None, Field(description="US dollars; null is no limit")]
    budget_duration: Annotated[str | None, Field(description="length of the period; null: spend is never reset")]
    budget_reset_at: Annotated[datetime | None, Field(description="UTC")]
    spend: Annotated[float, Field(description="US dollars, in the current period")]

    @classmethod
    def of(cls, row: dict[str, Any]) -> UserBudget:
        """From LiteLLM's row, whether the database or the API gave it."""
        reset_at = row["budget_reset_at"]
        return cls(
            max_budget=row["max_budget"],
            budget_duration=row["budget_duration"],
            budget_reset_at=datetime.fromisoformat(reset_at) if isinstance(reset_at, str) else utc(reset_at),
            spend=row["spend"] or 0.0,
        )


class BudgetUpdate(Answer):
    user_id: str
    email: str | None
    changed: Annotated[bool, Field(description="whether LiteLLM's row was changed; false when it was so already, and in a dry run")]
    dry_run: bool
    before: UserBudget
    after: Annotated[UserBudget, Field(description="as read back from LiteLLM; in a dry run, as it would be")]
    litemaas: Annotated[str, Field(description="what was done with LiteMaaS's own row")]
    notes: Annotated[list[str], Field(description="what else to know")]
    time_zone: str = "UTC"

    def text(self) -> str:
        who = f"{self.email} ({self.user_id})" if self.email else self.user_id
        return " ".join(
            [
                "Dry run, nothing was written." if self.dry_run else "Done." if self.changed else "LiteLLM has it so already.",
                f"Budget of {who}: before {_budget(self.before)}; after {_budget(self.after)}.",
                f"Spent in the current period: {money(self.after.spend)}; it resets at {moment(self.after.budget_reset_at)} UTC."
                if self.after.budget_reset_at
                else f"Spent: {money(self.after.spend)}; it is never reset."
                if not self.after.budget_duration
                else "",
                f"LiteMaaS: {self.litemaas}",
                *self.notes,
            ]
        )


def _budget(budget: UserBudget) -> str:
    return "no limit" if budget.max_budget is None else f"{money(budget.max_budget)} {_period(budget.budget_duration)}"


@tool(title="Update a user's budget", writes=True, destructive=True)
async def update_user_budget(
    backends: Backends,
    user_id: Annotated[Name, Field(description="id, e-mail or user name of one existing user")],
    max_budget: Annotated[
        float,
        Field(ge=0, le=1e12, allow_inf_nan=False, description="US dollars that the user may spend in each period; 0 stops all paid use"),
    ],
    budget_duration: Annotated[
        str | None,
        Field(
            max_length=20,
            description="length of the period: daily, weekly, monthly, or such as 12h, 30d, 1mo; left out, the period stays as it is",
        ),
    ] = None,
    dry_run: Annotated[bool, Field(description="say what would change, and change nothing")] = False,
) -> BudgetUpdate:
    """Set how much a user may spend, and in which period. Never creates a user. Returns the budget before and after, read back."""
    try:
        wanted_duration = normalise(budget_duration) if budget_duration else None
    except ValueError as error:
        raise Failure(f"budget_duration: {budget_duration!r} {error}.") from None
    row = await find_user(backends, user_id, "user_id")
    # The database may be a replica that lags: what is true now, LiteLLM knows.
    before = await backends.litellm.user(row["user_id"])
    if before is None:
        raise Failure(f"user_id: {_who(row)} was in LiteLLM's database but is gone now. Nothing was changed.")
    wanted = {"max_budget": max_budget} | ({"budget_duration": wanted_duration} if wanted_duration else {})
    # A write that carries the duration moves the reset date, so only what differs is sent. An old spelling such as
    # "weekly" differs from 7d: LiteLLM 1.81 takes it for a day.
    changes = {name: value for name, value in wanted.items() if not same(before[name], value)}
    after = before
    if dry_run:
        after = before | changes | ({"budget_reset_at": None} if "budget_duration" in changes else {})
        litemaas = "its row would be updated too." if backends.litemaas else _UNTOUCHED
    else:
        if changes:
            await backends.litellm.update_user(row["user_id"], changes)
            after = await _read_back(backends, before, wanted)
        litemaas = await _update_litemaas(backends, row["user_id"], wanted)
        if backends.litemaas:
            # Its backend may write LiteLLM too: what counts is what stands at the end.
            after = await _read_back(backends, before, wanted)
    return BudgetUpdate(
        user_id=row["user_id"],
        email=row["user_email"],
        changed=bool(changes) and not dry_run,
        dry_run=dry_run,
        before=UserBudget.of(before),
        after=UserBudget.of(after),
        litemaas=litemaas,
        notes=_notes(before, after, wanted),
    )


_UNTOUCHED = "its own row was not touched, since LITEMAAS_API_URL is not set; LiteMaaS may go on showing the old budget."


async def _read_back(backends: Backends, before: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    user_id = before["user_id"]
    try:
        after = await backends.litellm.user(user_id)
    except Unavailable as error:
        raise Unavailable(
            f"LiteLLM accepted the change of {user_id} but could not be asked whether it holds: {error} Call again to make sure."
        ) from error
    # LiteLLM's update creates an unknown user. If this one was deleted a moment ago, we can only tell.
    if after and after.get("created_at") != before.get("created_at"):
        raise Failure(
            f"user_id: {user_id} was deleted while its budget was being changed, and LiteLLM made a new, empty user of that id. "
            "If nobody created it again on purpose, delete it in LiteLLM."
        )
    missed = (
        [f"{name} is {after.get(name)!r} instead of {value!r}" for name, value in wanted.items() if not same(after.get(name), value)]
        if after
        else ["the user is gone"]
    )
    if missed:
        raise Failure(f"LiteLLM accepted the change of {user_id} but did not keep it: {'; '.join(missed)}.")
    assert after
    return after


_LITEMAAS_NAMES = {"max_budget": "maxBudget", "budget_duration": "budgetDuration"}


async def _update_litemaas(backends: Backends, user_id: str, wanted: dict[str, Any]) -> str:
    """Bring LiteMaaS's own row up to date, and say what became of it. Never raises: by now LiteLLM is changed."""
    if not backends.litemaas:
        return _UNTOUCHED
    try:
        row = (await backends.database.litemaas_users([user_id])).get(user_id, {})
    except Failure:
        row = {}
    # Its new row goes to LiteLLM too, where a duration moves the reset date: here as well only what differs is sent.
    changes = {_LITEMAAS_NAMES[name]: value for name, value in wanted.items() if not same(row.get(name), value)}
    if not changes:
        return "its row says so already."
    try:
        answer = await backends.litemaas.update_budget(user_id, changes)
    except Failure as failure:
        return f"NOT updated, while LiteLLM is: {failure} Call again to bring both together."
    if answer is None:
        return "it has no such user; nothing to update there."
    missed = [f"{name} {answer.get(name)!r} instead of {value!r}" for name, value in changes.items() if not same(answer.get(name), value)]
    return f"its row was updated, but it answers {', '.join(missed)}." if missed else "its row was updated too."


def _notes(before: dict[str, Any], after: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    notes = []
    if not after["budget_duration"]:
        notes.append("There is no period: the budget is for all time. Pass budget_duration to have spend reset.")
    elif "budget_duration" not in wanted and after["budget_duration"] in ("weekly", "monthly"):
        notes.append(
            f"The period is stored as {after['budget_duration']!r}, which LiteLLM 1.81 takes for a day: pass budget_duration to mend it."
        )
    if (after["spend"] or 0) >= wanted["max_budget"]:
        until = " until the reset" if after["budget_duration"] else ""
        notes.append(f"The user has already spent this much: calls are refused{until}.")
    return notes
