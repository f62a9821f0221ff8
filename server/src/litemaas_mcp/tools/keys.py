"""Virtual keys: whose they are, what they spent, when they end. Never a key itself."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from litemaas_mcp.backends import Backends
from litemaas_mcp.errors import Failure
from litemaas_mcp.tools import tool
from litemaas_mcp.tools.parts import Cursor, Page, Row, count, cursor, day, in_order, moment, money, position, table
from litemaas_mcp.tools.spend import key_label
from litemaas_mcp.tools.users import find_user


class Key(Row):
    key_alias: Annotated[str, Field(description="the key's alias, else the beginning of its hash")]
    user_id: str | None
    email: Annotated[str | None, Field(description="the owner's e-mail")]
    team: Annotated[str | None, Field(description="the team's alias, else its id")]
    spend: Annotated[float, Field(description="US dollars")]
    max_budget: Annotated[float | None, Field(description="US dollars; null is no limit of its own, 0 is nothing")]
    budget_duration: str | None
    models: Annotated[list[str], Field(description="models that the key may use; empty: all that its owner or team may")]
    expires: Annotated[datetime | None, Field(description="UTC; null: never")]
    expired: bool
    blocked: bool
    created_at: Annotated[datetime | None, Field(description="UTC")]


class Keys(Page):
    keys: Annotated[list[Key], Field(description="newest first")]
    total: Annotated[int, Field(description="keys in all, with these filters")]
    user_id: Annotated[str | None, Field(description="the id of the user who was asked for")]
    expires_after: str | None
    expires_before: str | None
    status: str | None
    as_of: Annotated[datetime, Field(description="the moment that decides what is expired")]

    def text(self) -> str:
        filters = [
            f"of user {self.user_id}" if self.user_id else "",
            f"expiring from {self.expires_after}" if self.expires_after else "",
            f"expiring until {self.expires_before} inclusive" if self.expires_before else "",
            f"that are {self.status}" if self.status else "",
        ]
        rows = (
            (
                key.key_alias,
                key.email or key.user_id,
                key.team,
                money(key.spend),
                f"{money(key.max_budget)}{' per ' + key.budget_duration if key.budget_duration else ''}"
                if key.max_budget is not None
                else "no limit",
                ", ".join(key.models[:3]) + (f" and {len(key.models) - 3} more" if len(key.models) > 3 else "") or "all",
                moment(key.expires) if key.expires else "never",
                "blocked" if key.blocked else "expired" if key.expired else "active",
            )
            for key in self.keys
        )
        return "\n".join(
            [
                " ".join(filter(None, [count(self.total, "virtual key"), *filters]))
                + ", newest first (times in UTC; keys of UI sessions are left out).",
                *table(
                    ("key", "user", "team", "spend", "budget", "models", "expires", "status"),
                    rows,
                    len(self.keys),
                    self.total,
                    _more(self.next_cursor),
                ),
            ]
        )


def _more(next_cursor: str | None) -> str:
    return f"next_cursor={next_cursor}" if next_cursor else "These are the last."


@tool(title="Virtual keys")
async def list_virtual_keys(
    backends: Backends,
    limit: Annotated[int, Field(ge=1, le=500, description="keys at most")] = 100,
    cursor: Cursor = None,
    user: Annotated[str | None, Field(max_length=256, description="only this user's keys: id, e-mail or user name")] = None,
    expires_after: Annotated[str | None, Field(description="only keys that expire on this day (YYYY-MM-DD, UTC) or later")] = None,
    expires_before: Annotated[str | None, Field(description="only keys that expire on this day (YYYY-MM-DD, UTC) or earlier")] = None,
    status: Annotated[
        Literal["active", "expired", "blocked"] | None,
        Field(description="expired: past its expiry; blocked: blocked, expired or not; active: neither"),
    ] = None,
) -> Keys:
    """List virtual keys with owner, team, spend, budget, models and expiry, newest first. Keys themselves are never shown.

    Keys that expire in a month: expires_after its first and expires_before its last day (both inclusive); with
    status=active only those that are still valid.
    """
    since, until = day("expires_after", expires_after), day("expires_before", expires_before)
    in_order("expires_after", since, "expires_before", until)
    after = _position(cursor)
    owner = (await find_user(backends, user, "user"))["user_id"] if user else None
    now = datetime.now(UTC)
    rows, total = await backends.database.keys(limit + 1, now, after, owner, since, until, status)
    shown = rows[:limit]
    more = len(rows) > limit
    return Keys(
        keys=_keys(shown),
        total=total,
        user_id=owner,
        expires_after=str(since) if since else None,
        expires_before=str(until) if until else None,
        status=status,
        as_of=now,
        truncated=more,
        next_cursor=_cursor(shown[-1]) if more else None,
    )


def _cursor(row: dict[str, Any]) -> str:
    return cursor("list_virtual_keys", row["created_at"] and row["created_at"].isoformat(), row["token"])


def _position(given: str | None) -> tuple[datetime | None, str] | None:
    values = position("list_virtual_keys", given, (str, type(None)), str)
    if not values:
        return None
    try:
        created_at = datetime.fromisoformat(values[0]) if values[0] else None
    except ValueError:
        raise Failure("cursor: this is no next_cursor of list_virtual_keys. Leave it out to start with the first page.") from None
    return created_at, values[1]


_KEYS = TypeAdapter(list[Key])


def _keys(rows: list[dict[str, Any]]) -> list[Key]:
    """All at once: pydantic reads a list of rows several times as fast as one after the other."""
    return _KEYS.validate_python([row | {"key_alias": key_label(row["token"], row["key_alias"])} for row in rows])
