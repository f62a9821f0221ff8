"""Periods, in the one spelling that every LiteLLM version reads alike. The MCP server uses this very file."""

from __future__ import annotations

import re

# LiteLLM 1.81 takes every word, and weeks, for a day.
_WORDS = {"hourly": "1h", "daily": "1d", "weekly": "7d", "monthly": "30d"}
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def normalise(duration: str) -> str:
    """Return the duration as LiteLLM is told: a number with s, m, h, d or mo.

    >>> normalise("weekly"), normalise("2w"), normalise("1mo")
    ('7d', '14d', '1mo')

    Raises:
        ValueError: it is no duration. The text says what is.
    """
    text = duration.strip().lower()
    text = _WORDS.get(text, text)
    match = re.fullmatch(r"0*([1-9][0-9]{0,4})(s|m|h|d|w|mo)", text)
    if not match:
        raise ValueError("must be daily, weekly, monthly, or a number with s, m, h, d, w or mo, such as 12h, 30d or 1mo")
    number, unit = int(match[1]), match[2]
    return f"{number * 7}d" if unit == "w" else f"{number}{unit}"


def seconds(duration: str) -> int:
    """Return how long a duration lasts, a month being 30 days. Raises ValueError like `normalise`.

    >>> seconds("1h"), seconds("1mo")
    (3600, 2592000)
    """
    number, unit = re.fullmatch("([0-9]+)([a-z]+)", normalise(duration)).groups()
    return int(number) * _SECONDS.get(unit, 30 * 86400)
