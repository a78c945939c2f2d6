"""Text that switches between charsets, whatever its octets are."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lamson.message.iso2022 import decode, japanese

PIECES = [
    b"\x1b$B",
    b"\x1b$(D",
    b"\x1b(I",
    b"\x1b(B",
    b"\x1b$)C",
    b"\x0e",
    b"\x0f",
    b"~{",
    b"~}",
    b"\n",
]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", ""),
        (b"plain\r\ntext", "plain\r\ntext"),
        ("日本語".encode("iso-2022-jp"), "日本語"),
        ("丂日".encode("iso-2022-jp-1"), "丂日"),
        (b"\x1b(I12\x1b(B", "ｱｲ"),
        ("한국 中文".encode("iso-2022-jp-2"), "한국 中文"),
        (b"\x1b$BF|K\\", "日本"),  # which does not end as it should
        (b"\x1b$BF|K", "日\ufffd"),  # nor this
        (b"\x1b$Bab\x1b(B\x1b$BF|\x1b(B", "痰日"),
        ("ｱ".encode("cp932") + "日".encode("iso-2022-jp"), "ｱ日"),
    ],
)
def test_japanese(data: bytes, text: str) -> None:
    assert decode(data) == text


def test_the_octets_of_euc() -> None:
    assert japanese(b"\xad\xa1\xc6\xfc") == "①日"


@given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=5)).map(b"".join), st.booleans())
@example(data=b"\x1b$(D" + bytes(10), tilde=False)
def test_any_octets_are_text(data: bytes, tilde: bool) -> None:
    text = decode(data, tilde=tilde)
    assert len(text) <= len(data)
    text.encode()
