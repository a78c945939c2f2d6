"""lamson.delivery.moment: when mail is to leave."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from lamson.delivery.moment import seconds_of


@pytest.mark.parametrize(
    ("at", "error", "why"),
    [
        (datetime(2030, 1, 1), TypeError, "has no time zone"),
        ("tomorrow", TypeError, "a datetime or seconds since the epoch, not 'tomorrow'"),
        (True, TypeError, "not True"),
        (float("nan"), ValueError, "no time in seconds since the epoch"),
        (3600, ValueError, "no time in seconds since the epoch"),
        (1893456000000, ValueError, "no time in seconds since the epoch"),
    ],
)
def test_what_is_no_time_is_refused(at: Any, error: type[Exception], why: str) -> None:
    with pytest.raises(error, match=why):
        seconds_of(at)


def test_a_time_is_a_datetime_or_seconds() -> None:
    assert seconds_of(datetime(2030, 1, 1, tzinfo=UTC)) == 1893456000.0
    assert seconds_of(1893456000) == 1893456000.0


def test_the_last_of_all_times_has_a_date_in_each_zone() -> None:
    last = seconds_of(datetime.max.replace(tzinfo=timezone(-timedelta(hours=12))))
    assert datetime.fromtimestamp(last, timezone(timedelta(hours=14))).year == 9999
