"""lamson.postfix.want: numbers and times as Postfix writes them."""

from __future__ import annotations

import pytest

from lamson.errors import LamsonError
from lamson.postfix import want


@pytest.mark.parametrize(
    ("text", "expected"),
    [("5", 5), ("5s", 5), ("2m", 120), ("1h", 3600), ("1d", 86400), ("1w", 604800)],
)
def test_times_as_postfix_writes_them(text: str, expected: float) -> None:
    assert want.seconds(text) == expected


@pytest.mark.parametrize("text", ["", "s", "1.5s", "5 s", "-1s", "5y"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(LamsonError, match="is no time that Postfix knows"):
        want.seconds(text)
