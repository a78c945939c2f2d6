"""Dates of header fields."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from lamson.message.date import parse


@pytest.mark.parametrize(
    ("text", "date"),
    [
        (
            "Fri, 21 Nov 1997 09:55:06 -0600",
            datetime(1997, 11, 21, 15, 55, 6, tzinfo=UTC),
        ),
        ("Fri (x), 21 Nov 1997 09:55:06 -06:00", datetime(1997, 11, 21, 15, 55, 6, tzinfo=UTC)),
        ("Fri, 21 Nov 1997 09:55:06 GMT-0600 (CST)", datetime(1997, 11, 21, 15, 55, 6, tzinfo=UTC)),
        ("ven., 21 Nov 97 09:55:06 -0600; x", datetime(1997, 11, 21, 15, 55, 6, tzinfo=UTC)),
        ("Fri, 21 Nov 126 09:55:06 Z", datetime(2026, 11, 21, 9, 55, 6, tzinfo=UTC)),
        ("1997-11-21T09:55:06-06:00", datetime(1997, 11, 21, 15, 55, 6, tzinfo=UTC)),
        ("1997-11-21 09:55:06.5 -0600", datetime(1997, 11, 21, 15, 55, 6, 500000, tzinfo=UTC)),
        ("1997-11-21T09:55:06", datetime(1997, 11, 21, 9, 55, 6, tzinfo=UTC)),
        ("1997-11-21T", None),
        ("21 Nov 97 09:55 GMT", datetime(1997, 11, 21, 9, 55, tzinfo=UTC)),
        (
            "Fri, 21 Nov 1997 09:55:06 -0000 (x)",
            datetime(1997, 11, 21, 9, 55, 6, tzinfo=UTC),
        ),
        ("Fri, 21 Nov 1997 09:55:60", datetime(1997, 11, 21, 9, 55, 59, tzinfo=UTC)),
        ("Fri, 21 Nov 1997 09:55:06 +9999", datetime(1997, 11, 21, 9, 55, 6, tzinfo=UTC)),
        (  # RFC 5322 appendix A.6.3
            "Fri, 21 Nov 1997 09(comment):   55  :  06 -0600",
            datetime(1997, 11, 21, 15, 55, 6, tzinfo=UTC),
        ),
        ("Fri, 21 Nov 1997 09:55:06.123 -0600", datetime(1997, 11, 21, 15, 55, 6, tzinfo=UTC)),
        ("Fri, 21 Nov 1997 9:55:06 PM -0600", datetime(1997, 11, 22, 3, 55, 6, tzinfo=UTC)),
        ("Friday, November 21, 1997 12:05 a.m.", datetime(1997, 11, 21, 0, 5, tzinfo=UTC)),
        ("21 Nov 1997 12:05:06 PM GMT", datetime(1997, 11, 21, 12, 5, 6, tzinfo=UTC)),
        ("21 Nov 1997 15:55:06 PM GMT", datetime(1997, 11, 21, 15, 55, 6, tzinfo=UTC)),
        ("21 Sept. 1997 09:55:06 GMT", datetime(1997, 9, 21, 9, 55, 6, tzinfo=UTC)),
        ("21 Nov. 1997 09:55:06 GMT", datetime(1997, 11, 21, 9, 55, 6, tzinfo=UTC)),
        ("", None),
        ("yesterday", None),
        ("Fri, 31 Feb 1997 09:55:06 -0600", None),
        ("Fri, 21 Nov 99999 09:55:06 -0600", None),
        ("1 Jan 2000 25:00:00 +" + "9" * 150, None),
    ],
)
def test_parse(text: str, date: datetime | None) -> None:
    found = parse(text)
    assert found == date
    assert found is None or found.utcoffset() is not None
