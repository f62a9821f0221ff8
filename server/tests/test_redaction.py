"""What never leaves: secrets in logs and errors, invisible characters in answers."""

from __future__ import annotations

import io
import json
import logging

import pytest
from litemaas_mcp import redaction


@pytest.fixture(autouse=True)
def only_our_secrets(monkeypatch):
    monkeypatch.setattr(redaction, "_secrets", set())
    monkeypatch.setattr(redaction, "_known", redaction._known)


@pytest.mark.parametrize(
    "text",
    [
        "the token canary token",
        "GET /mcp?token=canary%20token",
        "postgresql://reader:p%40ss@db/litellm",
        "password p@ss is wrong",
        "password p%40ss is wrong",
    ],
)
def test_protected_values_are_removed_as_written_encoded_and_decoded(text):
    redaction.protect(["canary token", "postgresql://reader:p%40ss@db/litellm"])
    scrubbed = redaction.scrub(text)
    assert "***" in scrubbed
    assert not any(secret in scrubbed for secret in ("canary", "p@ss", "p%40ss"))


@pytest.mark.parametrize(
    "text",
    [
        "key sk-AbCdEf123456 is blocked",
        "ltm_admin_abcdef123",
        "a short one is sk-Ab.",
        "could not connect to postgresql://someone:else@host/db",
        "POST /mcp?a=b&token=abc123&c=d",
    ],
)
def test_secrets_that_nobody_told_us_are_removed_by_their_shape(text):
    assert "***" in redaction.scrub(text)
    assert not any(secret in redaction.scrub(text) for secret in ("AbCdEf", "sk-Ab", "abcdef123", "else@", "abc123"))


def test_a_secret_inside_a_longer_one_leaves_no_rest():
    redaction.protect(["abc", "abcdef"])
    assert redaction.scrub("x abcdef y") == "x *** y"


def test_a_password_of_one_letter_does_not_make_every_text_unreadable():
    redaction.protect(["postgresql://a:b@db/x"])
    assert redaction.scrub("database postgresql://a:b@db/x") == "database ***"
    assert redaction.scrub("the database can't be reached") == "the database can't be reached"


def test_ordinary_text_is_left_alone():
    text = "granite-3-8b-instruct answered at 12:30:05, see http://litellm:4000/health?model=x and ask-me@example.com"
    assert redaction.scrub(text) == text


def test_tracebacks_are_scrubbed_too():
    redaction.protect(["canary"])
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(redaction.ScrubbingFormatter())
    logger = logging.Logger("test")
    logger.addHandler(handler)
    try:
        raise ValueError("the canary is dead")
    except ValueError:
        logger.exception("it happened with %s", "canary")
    assert "ValueError: the *** is dead" in stream.getvalue()
    assert "canary" not in stream.getvalue().replace('raise ValueError("the canary', "").replace('"canary"', "")


INVISIBLE = ["\b", "\f", "\u200b", "\u202e", "\u2066", "\ufeff", "\x00", "\x1b", "\x7f", "\u00ad", "\U000e0041"]


@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("character", INVISIBLE)
def test_invisible_characters_are_stripped_from_every_string(character, ascii_only):
    document = json.dumps({"pods": [{"name": f"lite{character}llm"}], "restarts": 3}, ensure_ascii=ascii_only)
    assert redaction.visible_json(document) == {"pods": [{"name": "litellm"}], "restarts": 3}
    assert redaction.visible(f"lite{character}llm") == "litellm"


@pytest.mark.parametrize("text", ["line\nline\ttab", "José Ångström 李雷 🚀", "a\u00a0b", "back\\u200bslash"])
def test_visible_text_is_left_alone(text):
    assert redaction.visible(text) == text
    assert redaction.visible_json(json.dumps([text])) == [text]
