"""A date of a header field as a value (RFC 5322 section 3.3), whatever was written there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_tz

_DAY = 86_400


def parse(text: str) -> datetime | None:
    """The date with its time zone, UTC where none is told; None where it is no date.

    ``text`` should be short: what is no date may take the time of its square.
    """
    try:
        found = parsedate_tz(text)
        if found is None:
            return None
        offset = found[9]
        zone = timezone(timedelta(seconds=offset)) if offset and abs(offset) < _DAY else UTC
        second = min(found[5], 59)  # a leap second
        return datetime(*found[:5], second, tzinfo=zone)
    except (ValueError, OverflowError, IndexError, TypeError):
        return None
