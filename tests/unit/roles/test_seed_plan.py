"""The plan of the seeded data, for every day on which somebody may seed."""

from __future__ import annotations

import hashlib
from datetime import date, timedelta

import pytest

from tests.questions.truth import seed_plan

PLAN = seed_plan()
DAYS = [date(2027, 1, 1) + timedelta(days=n) for n in range(2 * 366)]  # 2028 has a 29 February


@pytest.mark.parametrize("seeded_on", [day for day in DAYS if day.day in (1, 28, 29, 30, 31)], ids=str)
def test_a_key_expires_this_month_but_not_yet(seeded_on):
    dates = [key.expires(seeded_on) for key in PLAN.KEYS if key.expires]
    ahead = [when for when in dates if when.date() >= seeded_on and (when.year, when.month) == (seeded_on.year, seeded_on.month)]
    assert ahead


def test_the_history_has_60_days_and_the_latest_25_march():
    for today in DAYS:
        days = PLAN.history(today)
        assert days == sorted(set(days))
        assert days[-60:] == [today - timedelta(days=n) for n in reversed(range(60))]
        march = max(day for day in (date(today.year, 3, 25), date(today.year - 1, 3, 25)) if day < today)
        assert march in days
        assert len(days) <= 65


def test_traffic_is_a_function_of_its_day():
    # Told by one number, so that a change is a choice (raise EDITION with it) and not an accident of a Python version.
    day = date(2026, 11, 20)
    told = [(request.key.name, request.model.name, request.prompt_tokens, request.failed) for request in PLAN.traffic(day)]
    assert hashlib.sha256(repr(told).encode()).hexdigest()[:12] == "cdc316a55d73"


def test_every_second_sunday_is_quiet_and_no_other_day():
    week = [date(2026, 11, 9) + timedelta(days=n) for n in range(14)]
    assert [day for day in week if not PLAN.traffic(day)] == [date(2026, 11, 15)]


def test_the_traffic_holds_what_questions_are_about():
    requests = [request for day in PLAN.history(date(2026, 11, 21)) for request in PLAN.traffic(day)]
    assert 5_000 < len(requests) < 60_000
    assert {request.model.name for request in requests} == {model.name for model in PLAN.SERVED}
    assert any(request.failed and not request.model.broken for request in requests)
    assert all(request.failed for request in requests if request.model.broken)
    assert all(not request.key.models or request.model.name in request.key.models for request in requests)


def test_raw_keys_are_keys_to_litellm():
    for key in PLAN.KEYS:
        assert key.secret.startswith("sk-")
        assert len(key.secret) >= 16
    assert len({key.token for key in PLAN.KEYS}) == len(PLAN.KEYS)
