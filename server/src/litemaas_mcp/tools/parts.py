"""What several tools share: dates, money, pages, and the words for them."""

from __future__ import annotations

import base64
import difflib
import json
import math
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import islice
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

from litemaas_mcp.errors import Failure
from litemaas_mcp.tools import Answer

SHOWN = 25  # rows in an answer's text; the structured content has them all


def exact(number: float) -> float:
    """Remove the noise that sums of binary fractions carry (0.30000000000000004): what is left is far below what a token costs."""
    return round(number, 10)


Dollars = Annotated[float, PlainSerializer(exact, return_type=float)]
Cursor = Annotated[str | None, Field(description="`next_cursor` of the previous page; leave out for the first page", max_length=500)]


class Row(BaseModel):
    """A row of an answer."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)


class Page(Answer):
    """Rows that may be only a part of what there is; dates and times in one time zone."""

    truncated: Annotated[bool, Field(description="whether there are more rows than these")] = False
    next_cursor: Annotated[
        str | None, Field(description="pass as `cursor` for the rows after these; null when there are none, or none can be asked for")
    ] = None
    time_zone: str = "UTC"


def today() -> date:
    return datetime.now(UTC).date()


def utc(moment: datetime | None) -> datetime | None:
    """Say of one of LiteLLM's timestamps that it is UTC."""
    return moment.replace(tzinfo=UTC) if moment else None


def day(field: str, value: str | None) -> date | None:
    """Return the date that a caller wrote. Raises `Failure`, naming the field."""
    if not value:
        return None
    try:
        # fromisoformat also takes 20260325 and 2026-W13-3.
        return datetime.strptime(value.strip(), "%Y-%m-%d").date()
    except ValueError:
        raise Failure(f"{field}: {value[:40]!r} is no date. Write YYYY-MM-DD, such as {today()}.") from None


def in_order(first: str, since: date | None, last: str, until: date | None) -> None:
    """Raise `Failure` when the first day is after the last."""
    if since and until and since > until:
        raise Failure(f"{first}: {since} is after {last}, {until}. Both days are inclusive: the same day twice asks for that day.")


def cursor(tool: str, *position: Any) -> str:
    """Return the position in a list, opaque to the caller."""
    return base64.urlsafe_b64encode(json.dumps([tool, *position]).encode()).rstrip(b"=").decode()


def position(tool: str, given: str | None, *types: type | tuple[type, ...]) -> list[Any] | None:
    """Return what `cursor` made for the same tool. Raises `Failure` for anything else."""
    if not given:
        return None
    try:
        name, *values = json.loads(base64.b64decode(given + "=" * (-len(given) % 4), altchars=b"-_", validate=True))
    except (ValueError, TypeError):
        name, values = None, []
    if name != tool or len(values) != len(types) or not all(map(isinstance, values, types)):
        raise Failure(f"cursor: this is no next_cursor of {tool}. Leave it out to start with the first page.")
    return values


def same(stored: Any, wanted: Any) -> bool:
    """Whether both are the same value, or the same amount: LiteLLM answers with 15 digits, LiteMaaS's row holds a decimal."""
    if isinstance(wanted, (int, float)) and isinstance(stored, (int, float, Decimal)):
        return math.isclose(stored, wanted, rel_tol=1e-12)
    return stored == wanted


def near(name: str, names: Iterable[str | None]) -> list[str]:
    """Return up to five of the names that may be meant, the nearest first."""
    known = {known.lower(): known for known in names if known}
    wanted = name.lower()
    containing = sorted((known for known in known if wanted and wanted in known), key=len)
    return [known[found] for found in dict.fromkeys([*containing, *difflib.get_close_matches(wanted, known, n=5, cutoff=0.6)])][:5]


def money(dollars: float | None) -> str:
    """$1,234.50, and of an amount below a dollar four digits that count: $0.00001535."""
    if dollars is None:
        return "none"
    # repr is the shortest decimal that means this float; it has no noise to round away but that of sums.
    amount = Decimal(repr(exact(dollars)))
    if amount == 0 or abs(amount) >= 1:
        return f"${amount:,.2f}"
    whole, _, cents = f"{amount:.{3 - amount.adjusted()}f}".rstrip("0").partition(".")
    return f"${whole}.{cents:0<2}"


def count(number: int, thing: str = "") -> str:
    """1,234 or, of a thing, "1 user" and "1,234 users"."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}" if thing else f"{number:,}"


def moment(when: datetime | None) -> str:
    return f"{when:%Y-%m-%d %H:%M}" if when else "none"


def table(header: Sequence[str], rows: Iterable[Sequence[object]], given: int, of: int, more: str) -> list[str]:
    """Return lines of a table of the first rows, and a line that says what is missing.

    Args:
        rows: the answer's rows; made one by one, so that those which are not shown cost nothing.
        given: how many rows the answer has.
        of: how many rows there are in all.
        more: how to get the rows after those of the answer.
    """
    lines = [" | ".join(header), *(" | ".join("none" if cell is None else str(cell) for cell in row) for row in islice(rows, SHOWN))]
    if given > SHOWN:
        lines.append(f"… {given - SHOWN} more rows in the structured content.")
    if of > given:
        lines.append(f"Showing {count(given)} of {count(of)}. {more}")
    return lines if given else []
