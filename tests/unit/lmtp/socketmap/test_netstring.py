"""lamson_lmtp.socketmap.netstring: whole ones come out, whatever the chunks; garbage is named."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamson_lmtp.socketmap.netstring import NetstringError, Netstrings, encode


def taken(netstrings: Netstrings) -> list[bytes]:
    return list(iter(netstrings.take, None))


@given(texts=st.lists(st.binary(max_size=30)), cuts=st.lists(st.integers(0, 500)))
def test_chunks_make_no_difference(texts: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(map(encode, texts))
    edges = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    netstrings = Netstrings(100)
    for start, end in pairwise(edges):
        netstrings.receive(stream[start:end])
    assert taken(netstrings) == texts
    assert not netstrings.has_part


@pytest.mark.parametrize(
    ("garbage", "problem"),
    [
        (b"x", "no length"),
        (b":,", "no length"),
        (b"-1:,", "no length"),
        (b"01:a,", "no length"),
        (b"00", "no length"),
        (b"1234", "no length"),
        (b"101:", "longer than 100"),
        (b"2:abc", "does not end with a comma"),
        (b"GET / HTTP/1.1\r\n", "no length"),
        (b"\x00\xff", "no length"),
        (b"9" * 100_000, "no length"),
    ],
)
def test_garbage_is_an_error_at_once(garbage: bytes, problem: str) -> None:
    netstrings = Netstrings(100)
    with pytest.raises(NetstringError, match=problem):
        netstrings.receive(b"3:one," + garbage)
    assert taken(netstrings) == [b"one"], "what came before is good"


@given(st.lists(st.binary(max_size=20), max_size=10))
def test_nothing_but_its_own_error_is_raised(chunks: list[bytes]) -> None:
    netstrings = Netstrings(100)
    try:
        for chunk in chunks:
            netstrings.receive(chunk)
    except NetstringError:
        pass


def test_it_says_whether_one_was_completed() -> None:
    netstrings = Netstrings(100)
    assert not netstrings.receive(b"3:a")
    assert netstrings.has_part
    assert netstrings.receive(b"bc,4:")
    assert netstrings.has_part
