"""What is told of a user, and who matches."""

from __future__ import annotations

import pytest
from ansible_collections.rhpds.litemaas.plugins.modules.litellm_user_info import OPTIONS, matches, shown, utc

USER = {"user_id": "u", "user_email": "U@Example.com", "user_role": "internal_user", "spend": 4.0, "teams": ["t"], "password": "hidden"}


@pytest.mark.parametrize(
    ("budget", "used"),
    [(None, None), (8.0, 0.5), (4.0, 1.0), (2.0, 2.0), (0, 1.0), (0.0, 1.0)],
)
def test_what_is_used_of_a_budget(budget, used):
    assert shown({**USER, "max_budget": budget})["budget_used"] == used


def test_fields_that_litellm_adds_are_not_shown_and_those_it_leaves_out_are_empty():
    user = shown({**USER, "models": None, "metadata": None})
    assert "hidden" not in str(user)
    assert (user["models"], user["metadata"], user["max_budget"]) == ([], {}, None)


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (None, None),
        ("2026-11-23T00:00:00Z", "2026-11-23T00:00:00Z"),
        ("2026-11-21T05:40:23.234000Z", "2026-11-21T05:40:23Z"),
        ("2026-11-21T05:40:23.234000+00:00", "2026-11-21T05:40:23Z"),
        ("2026-11-21 05:40:23", "2026-11-21T05:40:23Z"),
    ],
)
def test_moments_are_utc_to_the_second(moment, text):
    assert utc(moment) == text


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, True),
        ({"user_email": "u@example.COM"}, True),
        ({"user_email": "@example.com"}, False),
        ({"user_role": "internal_user", "team_id": "t"}, True),
        ({"user_role": "internal_user_viewer"}, False),
        ({"team_id": "T"}, False),
        ({"user_alias": "u"}, False),
    ],
)
def test_every_filter_must_match(filters, found):
    assert matches(USER, dict.fromkeys(OPTIONS) | filters) is found


def test_the_proxys_own_user_never_matches():
    assert not matches({**USER, "user_id": "default_user_id"}, dict.fromkeys(OPTIONS))
