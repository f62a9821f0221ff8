"""What never leaves: secret values in logs and errors, invisible characters in answers."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, unquote

from pydantic_core import from_json

SHORTEST = 4
_secrets: set[str] = set()
_known = re.compile(r"(?!)")

# Secrets that we were never told: virtual keys, LiteMaaS admin keys, passwords inside URLs, tokens in a query.
_SHAPES = re.compile(r"\b(?:sk-|ltm_admin_)[\w.-]+|(?<=://)[^\s/:@]*:[^\s/@]+(?=@)|(?<=[?&]token=)[^&\s\"']+")
# Control characters but tab and line ends; zero-width, bidirectional and other invisible formatting characters.
_INVISIBLE = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f"
    r"\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)


def protect(values: Iterable[str]) -> None:
    """Make `scrub` remove these values from now on; of a URL its password too, as written and decoded.

    What is shorter than `SHORTEST` characters hides nothing and would make every other text unreadable.
    """
    global _known
    for value in values:
        # Not by urlsplit: a password may hold what should have been percent-encoded.
        password = value.partition("://")[2].rpartition("@")[0].partition(":")[2]
        for secret in (value, password, unquote(password)):
            if len(secret) >= SHORTEST:
                _secrets.update((secret, quote(secret, safe="")))
    # Longest first, so that a secret inside a longer one leaves no rest.
    _known = re.compile("|".join(map(re.escape, sorted(_secrets, key=len, reverse=True))) or r"(?!)")


def scrub(text: str) -> str:
    """Return the text with every protected value, and all that has the shape of a secret, replaced by `***`."""
    return _SHAPES.sub("***", _known.sub("***", text))


def visible(text: str) -> str:
    """Return the text without invisible characters: names from pods and rows are not ours."""
    return text if text.isprintable() else _INVISIBLE.sub("", text)


def visible_json(document: str) -> Any:
    """Return the value of a JSON document without invisible characters in any of its strings."""
    value = from_json(document)
    # JSON escapes the control characters but DEL; the others stand as they are. Most answers have none of either.
    escaped = any(mark in document for mark in ("\\u", "\\b", "\\f", "\x7f"))
    if not escaped and (document.isascii() or not _INVISIBLE.search(document)):
        return value
    return _visible_value(value)


def _visible_value(value: Any) -> Any:
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, dict):
        return {key: _visible_value(item) for key, item in value.items()}
    return [_visible_value(item) for item in value] if isinstance(value, list) else value


class ScrubbingFormatter(logging.Formatter):
    """Formats a record, traceback included, and scrubs the whole."""

    def format(self, record: logging.LogRecord) -> str:
        return scrub(super().format(record))


def configure_logging(level: str) -> None:
    """Send all logs, scrubbed, to standard error: ours at `level`, those of libraries from WARNING on unless we debug."""
    handler = logging.StreamHandler()
    handler.setFormatter(ScrubbingFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level="DEBUG" if level == "DEBUG" else "WARNING", handlers=[handler], force=True)
    logging.getLogger("litemaas_mcp").setLevel(level)
