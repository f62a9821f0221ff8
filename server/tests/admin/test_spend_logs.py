"""Spend logs beside the table that they come from."""

from __future__ import annotations

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
        ({"page_size": 101}, "page_size: "),
        ({"span_type": "x"}, "span_type: "),
    ],
)
def test_a_bad_question_names_its_field(admin, fields, says):
    error = admin.error("litellm_usage_spend_logs", **fields)
    assert error["status"] == 400
    assert error["message"].startswith(says)
