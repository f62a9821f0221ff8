"""Periods, in the one spelling that every LiteLLM version reads alike. The MCP server uses this very file."""

from __future__ import annotations

import re

# LiteLLM 1.81 takes every word, and weeks, for a day.
_WORDS = {"hourly": "1h", "daily": "1d", "weekly": "7d", "monthly": "30d"}
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400, "mo": 30 * 86400}
_LONGEST = 36525 * 86400  # a hundred years: LiteLLM fails on a date that no calendar has


def normalise(duration: str) -> str:
    """Return the duration as LiteLLM is told: a number with s, m, h, d or mo.

    >>> normalise("weekly"), normalise("2w"), normalise("1mo")
    ('7d', '14d', '1mo')

    Raises:
        ValueError: it is no duration. The text says what is.
    """
    number, unit = _parse(duration)
    return f"{number * 7}d" if unit == "w" else f"{number}{unit}"


def seconds(duration: str) -> int:
    """Return how long a duration lasts, a month being 30 days. Raises ValueError like `normalise`.

    >>> seconds("1h"), seconds("1mo")
    (3600, 2592000)
    """
    number, unit = _parse(duration)
    return number * _SECONDS[unit]


def _parse(duration: str) -> tuple[int, str]:
    text = duration.strip().lower()
    match = re.fullmatch(r"0*([1-9][0-9]{0,9})(s|m|h|d|w|mo)", _WORDS.get(text, text))
    # 1M would be a minute, and whoever writes it means a month.
    if not match or re.fullmatch("[0-9]+M", duration.strip()) or int(match[1]) * _SECONDS[match[2]] > _LONGEST:
        raise ValueError(
            "must be daily, weekly, monthly, or a number with s, m, h, d, w or mo, such as 12h, 30d or 1mo, and at most 100 years"
        )
    return int(match[1]), match[2]
