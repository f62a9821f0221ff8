"""The grammar of periods."""

from __future__ import annotations

import re

import pytest
from ansible_collections.rhpds.litemaas.plugins.module_utils.durations import normalise, seconds
from hypothesis import given
from hypothesis import strategies as st

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400, "mo": 30 * 86400}
CENTURY = 36525 * 86400
LENGTHS = st.sampled_from(sorted(UNITS)).flatmap(lambda unit: st.tuples(st.integers(1, CENTURY // UNITS[unit]), st.just(unit)))


@given(LENGTHS)
def test_a_duration_is_as_long_as_it_says_and_in_the_spelling_every_version_reads(length):
    number, unit = length
    told = normalise(f"{number}{unit}")
    assert re.fullmatch("[1-9][0-9]*(s|m|h|d|mo)", told)
    assert normalise(told) == told
    assert seconds(f"{number}{unit}") == seconds(told) == number * UNITS[unit]


@given(LENGTHS, st.sampled_from(["", " ", "\t"]), st.integers(0, 3))
def test_blanks_letters_case_and_leading_zeros_do_not_matter(length, blank, zeros):
    number, unit = length
    if unit == "m":
        return
    assert normalise(f"{blank}{'0' * zeros}{number}{unit.upper()}{blank}") == normalise(f"{number}{unit}")


@given(st.text().filter(lambda text: not re.fullmatch(r"\s*([0-9]+(s|m|h|d|w|mo)|hourly|daily|weekly|monthly)\s*", text.lower())))
def test_everything_else_is_refused_with_a_sentence(text):
    with pytest.raises(ValueError, match="must be daily, weekly, monthly"):
        normalise(text)


@pytest.mark.parametrize(("word", "told"), [("hourly", "1h"), ("daily", "1d"), ("Weekly", "7d"), ("monthly", "30d"), ("2w", "14d")])
def test_words_and_weeks_are_days(word, told):
    assert normalise(word) == told


@pytest.mark.parametrize(
    "text",
    ["", "0d", "000s", "-1d", "1.5h", "1 d", "d", "7", "1y", "36526d", "1M", "3155760001s", "99999999999999s", "1d2h", "٣d", "1d\n1d"],
)
def test_what_is_no_duration(text):
    with pytest.raises(ValueError, match="must be daily"):
        normalise(text)
