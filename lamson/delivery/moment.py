"""When mail is to leave: a datetime with a time zone, or seconds since the epoch."""

from __future__ import annotations

import math
from datetime import datetime

_LONG_AGO = 1e8  # seconds since the epoch: who means a duration does not mean the seventies
_LAST = 253402128000.0  # 9999-12-30: a day later some time zone has a year that Python has not


def seconds_of(at: datetime | float) -> float:
    """A time as seconds since the epoch. Raises TypeError or ValueError for what is none."""
    if isinstance(at, datetime):
        if at.utcoffset() is None:
            raise TypeError(
                f"at={at!r} has no time zone, so nobody knows when that is: give it one, as in"
                ' datetime(2027, 1, 31, 9, tzinfo=ZoneInfo("Europe/Berlin"))'
            )
        return min(at.timestamp(), _LAST)
    if isinstance(at, bool) or not isinstance(at, int | float):
        raise TypeError(f"at= is a datetime or seconds since the epoch, not {at!r}")
    if not math.isfinite(at) or not _LONG_AGO <= at <= _LAST:  # or milliseconds
        raise ValueError(f"at={at!r} is no time in seconds since the epoch, as time.time() gives")
    return float(at)
