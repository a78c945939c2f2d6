"""Bytes as text: the declared charset where it can be, the best guess where it cannot."""

from __future__ import annotations

import codecs
import encodings

import pytest

from lamson.message.charset import decode
from lamson.message.defects import Defects


@pytest.mark.parametrize(
    ("data", "charset", "text"),
    [
        (b"plain", "", "plain"),
        (b"plain", "US-ASCII", "plain"),
        ("naïve".encode(), "", "naïve"),
        ("naïve".encode(), "utf-8", "naïve"),
        ("naïve".encode("latin-1"), "ISO-8859-1", "naïve"),
        (b"\x93quoted\x94", "iso-8859-1", "“quoted”"),  # what is meant is windows-1252
        ("Ж".encode("koi8-r"), "KOI8-R", "Ж"),
        ("ї".encode("koi8-u"), "koi8-u", "ї"),
        ("文".encode("gb18030"), "gb2312", "文"),
        ("日本".encode("iso-2022-jp"), "ISO-2022-JP", "日本"),
        ("ไทย".encode("cp874"), "windows-874", "ไทย"),
        ("naïve".encode(), "us-ascii", "naïve"),
    ],
)
def test_what_is_declared_and_right(data: bytes, charset: str, text: str) -> None:
    defects = Defects()
    assert decode(data, charset, defects, "here") == text
    assert not defects


@pytest.mark.parametrize(
    ("data", "charset", "text", "defect"),
    [
        (b"na\xefve", "", "naïve", "here: not valid in charset 'utf-8'"),
        (b"na\xefve", "utf-8", "naïve", "here: not valid in charset 'utf-8'"),
        (b"na\xefve", "x-nobody", "naïve", "here: unknown charset 'x-nobody'"),
        ("naïv".encode(), "utf-16", "naïv", "here: not valid in charset 'utf-16'"),
        (b"text", "zlib", "text", "here: unknown charset 'zlib'"),
        (b"text", "a\0b", "text", "here: unknown charset 'a\\x00b'"),
        (b"text", "x" * 1000, "text", f"here: unknown charset '{'x' * 40}'"),
        (b"text", "ütf", "text", "here: unknown charset 'ütf'"),
        (b"\x81\xff", "", "\ufffdÿ", "here: not valid in charset 'utf-8'"),
    ],
)
def test_what_is_wrong_is_said(data: bytes, charset: str, text: str, defect: str) -> None:
    defects = Defects()
    assert decode(data, charset, defects, "here") == text
    assert defect in defects


@pytest.mark.parametrize("charset", ["punycode", "idna", "unicode_escape", "undefined", "rot13"])
def test_codecs_that_are_no_charsets_are_not_used(charset: str) -> None:
    assert decode(b"a-b\\n", charset, Defects(), "here") == "a-b\\n"


def test_a_lone_surrogate_never_comes_out() -> None:
    assert decode(b"+2AA-", "utf-7", Defects(), "here") == "\ufffd"


@pytest.mark.parametrize("charset", ["", "utf-8", "us-ascii", "koi8-r", "x-nobody"])
@pytest.mark.parametrize("data", [b"a\0b", b"a\0b\xc3\xbc", b"a\0b\xff"])
def test_a_nul_never_comes_out(data: bytes, charset: str) -> None:
    assert decode(data, charset, Defects(), "here").startswith("ab")


def test_unknown_names_leave_nothing_behind() -> None:
    """Python's registry of codecs keeps every name that it was asked for, for ever."""
    cache = encodings._cache
    before = len(cache)
    for number in range(100):
        decode(b"text", f"x-flood-{number}", Defects(), "here")
    assert len(cache) == before
    with pytest.raises(LookupError):
        codecs.lookup("x-flood-and-this-one-stays")
    assert len(cache) == before + 1
