"""lamson_milter.libmilter.spool: bodies in memory, in a file, cut off."""

from __future__ import annotations

import pytest

from lamson_milter.libmilter.budget import Budget, FullError, Share
from lamson_milter.libmilter.spool import IN_MEMORY, Spool


def share(limit: int = 1 << 30) -> Share:
    return Share(Budget(limit))


def test_small_bodies_stay_in_memory() -> None:
    spool = Spool(100, share())
    assert not spool.write(b"abc")
    assert not spool.write(b"def")
    assert spool.read() == b"abcdef"
    assert spool._file is None


def test_large_ones_go_to_a_file() -> None:
    spool = Spool(10 * IN_MEMORY, share())
    chunk = b"x" * 65535
    for _ in range(40):
        assert not spool.write(chunk)
    assert spool._file is not None
    assert spool.read() == chunk * 40
    spool.close()
    assert spool._file is None


def test_no_more_is_kept_than_wanted() -> None:
    spool = Spool(5, share())
    assert not spool.write(b"abc")
    assert spool.write(b"defg")
    assert spool.is_truncated
    assert spool.read() == b"abcde"


def test_the_header_stands_above_and_is_not_limited() -> None:
    spool = Spool(3, share(), b"A: b\r\n\r\n")
    assert spool.write(b"defg")
    assert spool.read() == b"A: b\r\n\r\ndef"


def test_what_lies_in_memory_is_counted() -> None:
    budget = Budget(4 * IN_MEMORY)
    mine = Share(budget)
    spool = Spool(10 * IN_MEMORY, mine)
    for _ in range(8):
        spool.write(b"x" * (IN_MEMORY // 2))
    assert budget.used <= IN_MEMORY, "the rest is in a file"
    with pytest.raises(FullError):
        spool.read()
    mine.clear()
    assert budget.used == 0
    assert len(spool.read()) == budget.used == 4 * IN_MEMORY
    spool.close()
