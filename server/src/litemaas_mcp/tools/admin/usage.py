"""What was spent, call by call."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Field

from litemaas_mcp.backends.admin import Admin
from litemaas_mcp.errors import Failure
from litemaas_mcp.tools.admin import (
    Brief,
    Cursor,
    Dollars,
    Filter,
    Page,
    Rows,
    Size,
    admin_tool,
    brief,
    given,
    hash_of,
    paged,
    place,
)
from litemaas_mcp.tools.parts import position, today

_NAME = "litellm_usage_spend_logs"
_CONTENTS = ("messages", "response", "proxy_server_request")


class SpendLogs(Rows):
    data: Annotated[Brief, Field(description="calls, without prompts and answers; fields that are null or empty are left out")]
    start_date: Annotated[str, Field(description="UTC")]
    end_date: Annotated[str, Field(description="UTC, inclusive")]
    total_is_capped: Annotated[bool, Field(description="whether LiteLLM stopped counting: total and total_pages are the least there are")]


@admin_tool(title="Spend, call by call")
async def litellm_usage_spend_logs(
    litellm: Admin,
    start_date: Annotated[
        str | None,
        Field(
            description="first day (YYYY-MM-DD) or moment (YYYY-MM-DD HH:MM:SS), UTC unless it names its zone; left out: the last day",
            max_length=40,
        ),
    ] = None,
    end_date: Annotated[
        str | None, Field(description="last day or moment, likewise, and inclusive; left out: today", max_length=40)
    ] = None,
    user_id: Annotated[Filter | None, Field(description="only calls of this user: the whole id")] = None,
    api_key: Annotated[Filter | None, Field(description="only calls with the key of this hash")] = None,
    key_alias: Annotated[Filter | None, Field(description="only calls with keys whose alias contains this")] = None,
    team_id: Annotated[Filter | None, Field(description="only calls of this team")] = None,
    end_user: Annotated[Filter | None, Field(description="only calls for this end user")] = None,
    request_id: Annotated[Filter | None, Field(description="only the call of this id")] = None,
    session_id: Annotated[Filter | None, Field(description="only calls whose session contains this (not in 1.81)")] = None,
    search: Annotated[
        Filter | None, Field(description="only calls of which an id (request, key hash, team, user, session, model) is this (not in 1.81)")
    ] = None,
    model: Annotated[Filter | None, Field(description="only calls of this model, with its provider, such as openai/gpt-4o")] = None,
    model_group: Annotated[Filter | None, Field(description="only calls of the model of this public name (not in 1.81)")] = None,
    model_id: Annotated[Filter | None, Field(description="only calls of the deployment of this id (not in 1.81)")] = None,
    status_filter: Annotated[Literal["success", "failure"] | None, Field(description="only calls that ended so")] = None,
    error_code: Annotated[Filter | None, Field(description="only calls that failed with this code, such as 429")] = None,
    error_message: Annotated[Filter | None, Field(description="only calls whose error contains this (not in 1.81)")] = None,
    min_spend: Annotated[Dollars | None, Field(description="only calls that cost at least this many US dollars")] = None,
    max_spend: Annotated[Dollars | None, Field(description="only calls that cost at most this many US dollars")] = None,
    cache_hit_filter: Annotated[
        Literal["hit", "miss"] | None, Field(description="only calls that the cache answered, or not (not in 1.81)")
    ] = None,
    span_type: Annotated[Literal["llm", "agent", "mcp", "batch"] | None, Field(description="only calls of this type (not in 1.81)")] = None,
    used_client_oauth_token: Annotated[
        bool | None, Field(description="only calls with the client's own token for the provider, or without (not in 1.81)")
    ] = None,
    exclude_internal_health_checks: Annotated[bool | None, Field(description="without LiteLLM's own health checks (not in 1.81)")] = None,
    group_by_session: Annotated[bool | None, Field(description="one row for each session (not in 1.81)")] = None,
    sort_by: Annotated[
        Literal["spend", "total_tokens", "startTime", "endTime", "request_duration_ms", "model", "ttft_ms"] | None,
        Field(description="what to sort by; left out: startTime (not in 1.81)"),
    ] = None,
    sort_order: Annotated[Literal["asc", "desc"] | None, Field(description="left out: desc (not in 1.81)")] = None,
    page: Page = 1,
    page_size: Size = 25,
    cursor: Cursor = None,
) -> SpendLogs:
    """List single calls with model, user, key, tokens and cost, the newest first, a page at a time. Sums are not its business.

    Both days are inclusive, in UTC; without any, it is today.
    """
    # The next page is one of the same days, also after midnight.
    *_, first_before, last_before = position(_NAME, cursor, int, int, str, str, str) or (None, None)
    last = _moment("end_date", end_date or last_before or str(today()), "23:59:59")
    first = _moment("start_date", start_date or first_before or last[:10], "00:00:00")
    if first > last:
        raise Failure(f"start_date: {first} is after end_date, {last}. Both are inclusive: the same day twice asks for that day.")
    filters = given(
        start_date=first,
        end_date=last,
        user_id=user_id,
        api_key=hash_of(api_key) if api_key else None,
        key_alias=key_alias,
        team_id=team_id,
        end_user=end_user,
        request_id=request_id,
        session_id=session_id,
        search=search,
        model=model,
        model_group=model_group,
        model_id=model_id,
        status_filter=status_filter,
        error_code=error_code,
        error_message=error_message,
        min_spend=min_spend,
        max_spend=max_spend,
        cache_hit_filter=cache_hit_filter,
        span_type=span_type,
        used_client_oauth_token=used_client_oauth_token,
        exclude_internal_health_checks=exclude_internal_health_checks,
        group_by_session=group_by_session,
        sort_by=sort_by,
        sort_order=sort_order,
    )
    page, page_size = place(_NAME, cursor, page, page_size, filters, first, last)
    answer = await litellm.rows("/spend/logs/v2", **filters, page=page, page_size=page_size)
    # Later versions count only to 10,000; the pages after those are there.
    capped = bool(answer.get("total_is_capped"))
    more = capped and len(answer["data"]) == page_size
    return SpendLogs(
        data=[brief({name: part for name, part in row.items() if name not in _CONTENTS}) for row in answer["data"]],
        start_date=first,
        end_date=last,
        total_is_capped=capped,
        **paged(_NAME, page, page_size, filters, first, last, total=answer["total"], pages=answer["total_pages"], uncounted=more),
    )


def _moment(field: str, value: str, time: str) -> str:
    """Return a day, or a moment, as LiteLLM wants it, in UTC. Raises `Failure`, naming the field."""
    text = value.strip()
    try:
        if not _DATE.fullmatch(text):
            raise ValueError
        moment = datetime.fromisoformat(text if len(text) > 10 else f"{text} {time}")
        return str((moment.astimezone(UTC) if moment.tzinfo else moment).replace(microsecond=0, tzinfo=None))
    except (ValueError, OverflowError):
        remedy = f"Write YYYY-MM-DD, such as {today()}, or YYYY-MM-DD HH:MM:SS, in UTC or with a zone, such as {today()}T10:00:00+02:00."
        raise Failure(f"{field}: {value[:40]!r} is no day. {remedy}") from None


# fromisoformat also takes 20260325 and 2026-W13-3.
_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?)?", re.ASCII)
