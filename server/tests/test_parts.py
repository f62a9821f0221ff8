"""What the tools share: money, dates, near misses, cursors."""

from __future__ import annotations

import pytest
from litemaas_mcp.errors import Failure
from litemaas_mcp.tools.parts import count, cursor, exact, money, near, position


@pytest.mark.parametrize(
    ("dollars", "text"),
    [
        *((None, "none"), (0, "$0.00"), (0.1 + 0.2, "$0.30"), (1234.5, "$1,234.50"), (1999.999, "$2,000.00"), (0.5, "$0.50")),
        *((0.000015, "$0.000015"), (0.0123456, "$0.01235"), (1e-10, "$0.0000000001"), (0.99999, "$1.00"), (-0.25, "$-0.25")),
    ],
)
def test_money_is_written_without_noise(dollars, text):
    assert money(dollars) == text


def test_sums_lose_their_noise_and_nothing_that_a_token_costs():
    assert exact(0.1 + 0.2) == 0.3
    assert exact(1e-9 + 3e-10) == 1.3e-9


def test_things_are_counted_in_words():
    assert (count(0, "user"), count(1, "user"), count(1234, "user"), count(1234)) == ("0 users", "1 user", "1,234 users", "1,234")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("llama-scout", "llama-scout-17b"), ("lama-scout-17b", "llama-scout-17b"), ("GRANITE", "granite"), ("grnite", "granite")],
)
def test_near_misses(typed, meant):
    assert near(typed, ["llama-scout-17b", "granite", "phi", None])[0] == meant


def test_nothing_is_near_a_stranger():
    assert near("zzz", ["llama", "granite"]) == []
    assert near("", ["llama"]) == []


def test_a_cursor_gives_back_what_it_was_made_of():
    assert position("list_users", cursor("list_users", 0.1 + 0.2, "ü"), float, str) == [0.1 + 0.2, "ü"]
    assert position("list_users", None, float, str) is None


@pytest.mark.parametrize("given", ["a", "=", "W10", "eyJhIjoxfQ", "bnVsbA", "\0", "ü", "A" * 400])
def test_a_cursor_that_was_tampered_with_is_refused_by_field(given):
    with pytest.raises(Failure, match=r"^cursor: "):
        position("list_users", given, float, str)
