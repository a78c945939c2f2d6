"""Message ids, as they came: whole, or not at all."""

from __future__ import annotations

import pytest

from lamson.message.message_ids import MAX_FIELD, read, writable


@pytest.mark.parametrize(
    ("raw", "ids"),
    [
        (None, []),
        (b"", []),
        (b"<a@x> (comment) <b@x>\r\n\t<a@x>", ["<a@x>", "<b@x>"]),
        (b"<folded\r\n @x> <fol\r\n\tded@y.\r\n test>", ["<folded@x>", "<folded@y.test>"]),
        (b"<not folded@x>", []),
        (b"<a@x\r\n <b@x>", ["<b@x>"]),
        (b"<a@x\r\n>", ["<a@x>"]),
        (b"< a@x > <\r\n b@x>", ["<a@x>", "<b@x>"]),
        (b"a@x, b@x", []),
        (b"<" + b"a" * 901 + b">", []),
    ],
)
def test_ids_stand_in_brackets(raw: bytes | None, ids: list[str]) -> None:
    assert read(raw) == ids


def test_bare_ones_where_they_are_wanted_and_no_others_are_there() -> None:
    assert read(b"a@x, b@x", bare=True) == ["<a@x>", "<b@x>"]
    assert read(b"a@x <b@x>", bare=True) == ["<b@x>"]
    assert read(b"<a b@x>", bare=True) == []
    assert read(b"a" * 401 + b"@x, b@x", bare=True) == ["<b@x>"]


def test_what_is_written_again_is_ascii() -> None:
    raw = "<ä@x> <b@x> <c\x7f@x>".encode()
    assert read(raw) == ["<ä@x>", "<b@x>", "<c\x7f@x>"]
    assert writable(raw) == ["<b@x>"]


def test_of_a_long_field_begin_and_end_are_read() -> None:
    known = [f"<{number}@example.com>" for number in range(10_000)]
    ids = read(" ".join(known).encode())
    assert (ids[0], ids[-1]) == (known[0], known[-1])
    assert set(ids) < set(known)
    assert len(" ".join(ids)) in range(MAX_FIELD - 40, MAX_FIELD + 1)
