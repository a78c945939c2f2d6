"""A date of a header field as a value (RFC 5322 section 3.3), whatever was written there."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_tz

_DAY = 86_400
_COMMENT = re.compile(r"\([^()]*+\)")
_WEEKDAY = re.compile(r"[^\W\d_]{1,20}\.?\s*,?\s*(?=[0-9])")  # in any language
# Behind the time: a zone with a colon, or with a name before it, as JavaScript writes one.
_ZONE = re.compile(
    r"(?<=[0-9 ])(?:(?:GMT|UTC?)\s?)?([+-][0-9]{2}):?([0-9]{2})(?![0-9:]).*", re.DOTALL
)
_COLON = re.compile(r"(?<=[0-9])\s*:\s*(?=[0-9])")  # RFC 5322 section 4.3, and its example A.6.3
_FRACTION = re.compile(r"(?<=:[0-9]{2}:[0-9]{2})[.,][0-9]++")
_HALF_OF_DAY = re.compile(
    r"\b([0-9]{1,2})(:[0-9]{2}(?::[0-9]{2})?)\s?([ap])\.?m\b\.?", re.IGNORECASE
)
_MONTH = re.compile(r"\b(sept)\b\.?|(?<=\b[a-z]{3})\.(?=\s)", re.IGNORECASE)
_ISO = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}.*", re.DOTALL)


def parse(text: str) -> datetime | None:
    """The date with its time zone, UTC where none is told; None where it is no date.

    ``text`` should be short: what is no date may take the time of its square.
    """
    text = _COLON.sub(":", _COMMENT.sub(" ", text).strip())
    if weekday := _WEEKDAY.match(text):
        text = text[weekday.end() :]
    try:
        if _ISO.fullmatch(text):  # RFC 3339, which some programs write
            found = datetime.fromisoformat(
                _ZONE.sub(r"\1:\2", text).replace(" +", "+").replace(" -", "-")
            )
            return found if found.tzinfo else found.replace(tzinfo=UTC)
        text = _FRACTION.sub("", _HALF_OF_DAY.sub(_of_whole_day, text))
        text = _MONTH.sub(lambda found: "Sep" if found[1] else "", text)
        parsed = parsedate_tz(_ZONE.sub(r" \1\2", text))
        if parsed is None:
            return None
        year, offset = parsed[0], parsed[9]
        if 100 <= year < 1000:  # as a fault of the year 2000 wrote it (RFC 5322 section 4.3)
            year += 1900
        zone = timezone(timedelta(seconds=offset)) if offset and abs(offset) < _DAY else UTC
        second = min(parsed[5], 59)  # a leap second
        return datetime(year, *parsed[1:5], second, tzinfo=zone)
    except (ValueError, OverflowError, IndexError, TypeError):
        return None


def _of_whole_day(found: re.Match[str]) -> str:
    """A time of twelve hours as one of twenty-four; one beyond twelve says it already."""
    hour = int(found[1])
    if 0 < hour <= 12:
        hour = hour % 12 + (12 if found[3] in "pP" else 0)
    return f"{hour:02}{found[2]} "
