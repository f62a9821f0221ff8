"""When two values are the same, what is sent, and what a bad value is told."""

from __future__ import annotations

import math

import pytest
from ansible_collections.rhpds.litemaas.plugins.module_utils.client import LiteLLMError
from ansible_collections.rhpds.litemaas.plugins.module_utils.fields import (
    COUNT,
    DOLLARS,
    FLAG,
    LABEL,
    MAPPING,
    NAMES,
    PERIOD,
    TEXT,
    Field,
    wanted_of,
)
from ansible_collections.rhpds.litemaas.plugins.module_utils.keys import KEY_FIELDS, PERMISSION
from hypothesis import given
from hypothesis import strategies as st

DOLLAR = Field("max_budget", DOLLARS, clear=None)
MONEY = st.floats(0, 1e12, allow_nan=False)


@given(MONEY)
def test_money_is_exact_and_equal_to_itself_with_15_digits(amount):
    wanted = DOLLAR.wanted(repr(amount))
    assert wanted == amount
    assert DOLLAR.same(float(f"{amount:.15g}"), wanted)
    assert DOLLAR.sent(None, wanted) == amount


@given(MONEY, MONEY)
def test_amounts_a_cent_apart_differ(one, other):
    if not math.isclose(one, other, rel_tol=1e-9):
        assert not DOLLAR.same(one, other)


@pytest.mark.parametrize("word", ["unlimited", "UNLIMITED", " null "])
def test_a_word_clears_what_can_be_cleared(word):
    assert DOLLAR.wanted(word) is None
    assert DOLLAR.sent(5.0, None) is None
    assert DOLLAR.same(None, None)
    assert not DOLLAR.same(0.0, None)
    with pytest.raises(LiteLLMError, match=r"^tpm_limit: must be a whole number, 0 or more\. It is"):
        Field("tpm_limit", COUNT).wanted(word)
    assert Field("team_id", TEXT).wanted(word) == word


def test_what_was_not_given_is_not_wanted():
    assert wanted_of((DOLLAR, Field("models", NAMES), Field("blocked", FLAG)), {"max_budget": None, "models": [], "blocked": False}) == {
        "models": [],
        "blocked": False,
    }


@pytest.mark.parametrize(
    ("kind", "have", "wanted", "same"),
    [
        (PERIOD, "daily", "1d", True),
        (PERIOD, "4w", "28d", True),
        (PERIOD, "30d", "1mo", False),
        (PERIOD, "when it rains", "1d", False),
        (NAMES, ["a", "b"], ["b", "a"], True),
        (NAMES, ["a"], ["a", "b"], False),
        (MAPPING, {"a": 1, "servers": "own"}, {"a": 1}, True),
        (MAPPING, {"a": 1}, {"b": None}, True),
        (MAPPING, {"a": 1}, {"a": None}, False),
        (COUNT, 5, 5, True),
        (COUNT, 5, 6, False),
        (PERMISSION, {"mcp_servers": ["a", "b"]}, {"mcp_servers": ["b", "a"]}, True),
        (PERMISSION, {"mcp_servers": ["a"]}, {"mcp_servers": []}, False),
        (PERMISSION, {}, {"mcp_servers": [], "mcp_tool_permissions": {}}, True),
        (PERMISSION, {"mcp_tool_permissions": {"s": ["t", "u"]}}, {"mcp_tool_permissions": {"s": ["u", "t"]}}, True),
        (PERMISSION, {"mcp_tool_permissions": {"s": ["t"]}}, {"mcp_tool_permissions": {"s": []}}, False),
    ],
)
def test_sameness(kind, have, wanted, same):
    assert Field("field", kind).same(have, wanted) == same


def test_a_mapping_keeps_what_was_not_named():
    assert Field("metadata", MAPPING).sent({"a": 1, "b": 2}, {"b": None, "c": 3}) == {"a": 1, "c": 3}


@pytest.mark.parametrize("field", KEY_FIELDS, ids=lambda field: field.name)
def test_a_record_without_the_field_is_clear(field):
    assert field.is_clear(field.held({}))
    assert field.is_clear(field.held({field.name: None}))


@given(st.text().filter(lambda text: not any(letter.isdigit() for letter in text)), st.sampled_from([DOLLARS, COUNT, PERIOD]))
def test_a_text_without_a_number_is_refused_with_a_sentence(text, kind):
    if text.strip().lower() not in ("unlimited", "null", "hourly", "daily", "weekly", "monthly"):
        with pytest.raises(LiteLLMError, match=r"^limit: must be .*, or unlimited for none\. It is"):
            Field("limit", kind, clear=None).wanted(text)


def test_a_callbacks_credentials_in_metadata_are_not_shown():
    metadata = {"a": 1, "logging": [{"callback_name": "langfuse", "callback_vars": {"langfuse_secret_key": "hidden"}}]}
    shown = MAPPING.show(metadata)
    assert shown == {"a": 1, "logging": [{"callback_name": "langfuse", "callback_vars": {"langfuse_secret_key": "***"}}]}
    assert MAPPING.merge(metadata, {"a": 2})["logging"] == metadata["logging"]


@pytest.mark.parametrize("empty", ["", " "])
def test_a_label_is_not_empty(empty):
    with pytest.raises(LiteLLMError, match=r"^team_alias: must not be empty\. It is"):
        Field("team_alias", LABEL).wanted(empty)
