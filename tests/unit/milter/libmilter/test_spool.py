"""lamson_milter.libmilter.spool: bodies in memory, in a file, cut off."""

from __future__ import annotations

from lamson_milter.libmilter.spool import IN_MEMORY, Spool


def test_small_bodies_stay_in_memory() -> None:
    spool = Spool(100)
    assert not spool.write(b"abc")
    assert not spool.write(b"def")
    assert spool.read() == b"abcdef"
    assert spool._file is None


def test_large_ones_go_to_a_file() -> None:
    spool = Spool(10 * IN_MEMORY)
    chunk = b"x" * 65535
    for _ in range(40):
        assert not spool.write(chunk)
    assert spool._file is not None
    assert spool.read() == chunk * 40
    spool.close()
    assert spool._file is None


def test_no_more_is_kept_than_wanted() -> None:
    spool = Spool(5)
    assert not spool.write(b"abc")
    assert spool.write(b"defg")
    assert spool.is_truncated
    assert spool.read() == b"abcde"
