"""Spend logs beside the table that they come from."""

from __future__ import annotations

from datetime import timedelta

import pytest


@pytest.fixture
def yesterday(owner):
    """A whole day with calls, which changes no more."""
    return owner.execute('select max("startTime")::date - 1 from "LiteLLM_SpendLogs"').fetchone()[0]


def test_a_day_is_the_whole_day(admin, owner, yesterday):
    page = admin.data("litellm_usage_spend_logs", start_date=str(yesterday), end_date=str(yesterday), page_size=100)
    assert (page["start_date"], page["end_date"]) == (f"{yesterday} 00:00:00", f"{yesterday} 23:59:59")
    truth = owner.execute('select count(*), sum(spend) from "LiteLLM_SpendLogs" where "startTime"::date = %s', (yesterday,)).fetchone()
    rows = list(page["data"])
    while page["truncated"]:
        dates = {"start_date": str(yesterday), "end_date": str(yesterday)}
        page = admin.data("litellm_usage_spend_logs", **dates, cursor=page["next_cursor"])
        rows += page["data"]
    assert len({row["request_id"] for row in rows}) == len(rows) == truth[0] > 10
    assert sum(row["spend"] for row in rows) == pytest.approx(truth[1])
    assert not [row for row in rows if {"messages", "response", "proxy_server_request"} & row.keys()]


def test_filters_of_calls_narrow_the_list(admin, owner, yesterday, old):
    columns = 'request_id, "user", api_key, model, model_group, spend, team_id'
    query = (
        f'select {columns} from "LiteLLM_SpendLogs" where "startTime"::date = %s and spend > 0 and "user" <> %s and team_id <> %s limit 1'
    )
    request_id, user, key, model, group, spend, team = owner.execute(query, (yesterday, "", "")).fetchone()
    dates = {"start_date": str(yesterday), "end_date": str(yesterday)}
    fitting = {"user_id": user, "api_key": key, "model": model, "team_id": team, "min_spend": spend * 0.999, "max_spend": spend * 1.001}
    fitting |= {"status_filter": "success"}
    excluding = dict.fromkeys(("user_id", "api_key", "model", "team_id", "key_alias", "end_user", "error_code"), "nobody-at-all")
    excluding |= {"min_spend": spend + 1, "max_spend": spend / 2, "status_filter": "failure"}
    for filters, found in ((fitting, [request_id]), (excluding, [])):
        for name, value in filters.items():
            page = admin.data("litellm_usage_spend_logs", **dates, request_id=request_id, **{name: value})
            assert [row["request_id"] for row in page["data"]] == found, name
    assert admin.data("litellm_usage_spend_logs", **dates, user_id="nobody-at-all")["data"] == []
    if old:
        assert admin.error("litellm_usage_spend_logs", **dates, model_group=group)["message"].startswith("model_group: ")
    else:
        rows = admin.data("litellm_usage_spend_logs", **dates, model_group=group, sort_by="spend", sort_order="asc")["data"]
        assert {row["model_group"] for row in rows} == {group}
        assert [row["spend"] for row in rows] == sorted(row["spend"] for row in rows)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"start_date": "yesterday"}, "start_date: 'yesterday' is no day"),
        ({"end_date": "2026-02-30"}, "end_date: '2026-02-30' is no day"),
        ({"start_date": "2026-03-02", "end_date": "2026-03-01"}, "start_date: 2026-03-02 00:00:00 is after end_date"),
        ({"start_date": "2026-W13-3"}, "start_date: '2026-W13-3' is no day"),
        ({"start_date": "0001-01-01T00:00:00+14:00"}, "start_date: '0001-01-01T00:00:00+14:00' is no day"),
        ({"page_size": 101}, "page_size: "),
        ({"span_type": "x"}, "span_type: "),
    ],
)
def test_a_bad_question_names_its_field(admin, fields, says):
    error = admin.error("litellm_usage_spend_logs", **fields)
    assert error["status"] == 400
    assert error["message"].startswith(says)


def test_a_list_longer_than_litellm_counts_is_read_to_its_end(admin, owner, old):
    (calls,) = owner.execute('select count(*) from "LiteLLM_SpendLogs"').fetchone()
    assert calls > 10_000, "the stack is seeded with more"
    dates = {"start_date": "2020-01-01", "end_date": "2099-12-31"}
    page = admin.data("litellm_usage_spend_logs", **dates, page=100, page_size=100)
    assert page["total_is_capped"] is not old
    assert page["truncated"] is True
    seen = 100 * 100
    while page["truncated"]:
        page = admin.data("litellm_usage_spend_logs", **dates, cursor=page["next_cursor"])
        seen += len(page["data"])
    # Tests before this one may still be written down.
    assert seen >= calls


def test_a_cursor_carries_the_days_and_is_of_this_list_alone(admin, yesterday):
    dates = {"start_date": str(yesterday), "end_date": str(yesterday)}
    first = admin.data("litellm_usage_spend_logs", **dates, page_size=5)
    for same in dates, {}:
        second = admin.data("litellm_usage_spend_logs", **same, cursor=first["next_cursor"])
        assert (second["start_date"], second["end_date"], second["page"]) == (first["start_date"], first["end_date"], 2)
    for other in {"status_filter": "failure"}, {"start_date": str(yesterday - timedelta(days=1))}, {"end_date": "2099-01-01"}:
        error = admin.error("litellm_usage_spend_logs", **(dates | other), cursor=first["next_cursor"])
        assert error["message"].startswith("cursor: it belongs to a list with other filters. Repeat those")
    for tool, filters in ("litellm_user_list", {"role": "internal_user"}), ("litellm_key_list", {"user_id": "nobody-at-all"}):
        cursor = admin.data(tool, **{"page_size" if "user" in tool else "size": 1})["next_cursor"]
        assert admin.error(tool, **filters, cursor=cursor)["message"].startswith("cursor: it belongs to a list with other filters")


@pytest.mark.parametrize(
    ("moment", "asked"),
    [
        ("2026-03-24T10:00:00Z", "2026-03-24 10:00:00"),
        ("2026-03-24T10:00:00+02:00", "2026-03-24 08:00:00"),
        ("2026-03-24T10:00:00.123Z", "2026-03-24 10:00:00"),
        ("2026-03-24 10:00:00", "2026-03-24 10:00:00"),
        (" 2026-03-24 ", "2026-03-24 00:00:00"),
    ],
)
def test_a_moment_may_be_written_with_its_zone(admin, moment, asked):
    assert admin.data("litellm_usage_spend_logs", start_date=moment, end_date="2026-03-25", page_size=1)["start_date"] == asked
