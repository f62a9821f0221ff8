"""One spelling for every budget period."""

from __future__ import annotations

import pytest
from litemaas_mcp.durations import normalise


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        *(("daily", "1d"), ("weekly", "7d"), ("monthly", "30d"), ("hourly", "1h"), (" Daily ", "1d")),
        *(("30d", "30d"), ("12h", "12h"), ("90m", "90m"), ("45s", "45s"), ("1mo", "1mo"), ("2w", "14d"), ("07D", "7d")),
    ],
)
def test_a_period_has_one_spelling(given, sent):
    assert normalise(given) == sent


@pytest.mark.parametrize("given", ["", "fortnight", "0d", "-1d", "1.5d", "d", "1y", "1 d", "1d1h", "999999d", "1d\n2d"])
def test_what_is_no_period_is_refused_with_what_is(given):
    with pytest.raises(ValueError, match="daily, weekly, monthly"):
        normalise(given)
