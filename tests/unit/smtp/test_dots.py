"""lamson.smtp.dots"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamson.smtp.dots import stuffed, stuffed_pieces


@pytest.mark.parametrize(
    ("content", "sent"),
    [
        (b"x\r\n", b"x\r\n.\r\n"),
        (b"x", b"x\r\n.\r\n"),
        (b"", b".\r\n"),
        (b".\r\n", b"..\r\n.\r\n"),
        (b"a\r\n.b\r\n..\r\n", b"a\r\n..b\r\n...\r\n.\r\n"),
        (b"a.b\r\n", b"a.b\r\n.\r\n"),
        (b".", b"..\r\n.\r\n"),
        (b"\r\n.\r\n", b"\r\n..\r\n.\r\n"),
    ],
)
def test_dots_are_stuffed(content: bytes, sent: bytes) -> None:
    assert stuffed(content) == sent


@given(st.lists(st.text("ab.\t ").map(str.encode)))
def test_the_receiver_gets_what_was_sent_and_sees_no_end_before_it(lines: list[bytes]) -> None:
    *received, end, rest = stuffed(b"".join(line + b"\r\n" for line in lines)).split(b"\r\n")
    assert (end, rest) == (b".", b"")
    assert b"." not in received
    assert [line[line.startswith(b".") :] for line in received] == lines


@given(st.text(".a\r\n").map(str.encode), st.integers(1, 5))
def test_piece_by_piece_it_is_the_same(content: bytes, size: int) -> None:
    assert b"".join(stuffed_pieces(content, size)) == stuffed(content)
