"""Which names are slips."""

from __future__ import annotations

import pytest
from ansible_collections.rhpds.litemaas.plugins.action.known_variables import letters_apart, nearest
from hypothesis import given
from hypothesis import strategies as st

WORDS = st.text("abc_", max_size=8)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("x_replica", "x_replicas"),
        ("x_replicass", "x_replicas"),
        ("x_rpelicas", "x_replicas"),
        ("x_replicates", "x_replicas"),
        ("x_imagge", "x_image"),
        ("x_something", None),
        ("x_replicating", None),
    ],
)
def test_a_slip_is_near_a_known_name(name, near):
    assert nearest(name, {"x_replicas", "x_image"}) == near


def slow(one, other):
    if not one or not other:
        return len(one) + len(other)
    return min(slow(one[1:], other) + 1, slow(one, other[1:]) + 1, slow(one[1:], other[1:]) + (one[0] != other[0]))


@given(st.text("ab", max_size=5), st.text("ab", max_size=5))
def test_the_distance_is_right_where_it_matters(one, other):
    assert min(letters_apart(one, other), 3) == min(slow(one, other), 3)


@given(WORDS, WORDS)
def test_the_distance_is_the_same_both_ways(here, there):
    assert min(letters_apart(here, there), 3) == min(letters_apart(there, here), 3)
