"""Bytes as text: the declared charset where it can be, the best guess where it cannot."""

from __future__ import annotations

import codecs
import encodings

import pytest
from webencodings.labels import LABELS

from lamson.message.charset import decode, of_html
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


@pytest.mark.parametrize(
    ("data", "charset", "text"),
    [
        # A label stands for the wider charset (the WHATWG's Encoding Standard).
        (b"\xf9\xec\xe5\xed", "iso-8859-8-i", "שלום"),
        (b"\xf9\xec\xe5\xed", "ISO-8859-8-E", "שלום"),
        (b"\x80 \x93x\x94", "iso-8859-9", "€ “x”"),
        (b"\xa1\x85", "tis-620", "ก…"),
        ("①㈱髙橋".encode("cp932"), "shift_jis", "①㈱髙橋"),
        ("①㈱髙橋".encode("cp932"), "windows-31j", "①㈱髙橋"),
        ("똠방각하".encode("cp949"), "ks_c_5601-1987", "똠방각하"),
        ("똠".encode("cp949"), "euc-kr", "똠"),
        ("똠".encode("cp949"), "windows-949", "똠"),
        ("①".encode("cp932"), "windows-932", "①"),
        ("①".encode("cp932"), "csWindows31J", "①"),  # IANA's aliases (RFC 2978 section 2.3)
        ("ÿ€".encode("cp1252"), "cswindows1252", "ÿ€"),
        ("Ş".encode("iso8859-9"), "csISOLatin5", "Ş"),
        ("中文".encode("gbk"), "cn-gb", "中文"),  # RFC 1922
        ("中文".encode("gbk"), "cp51936", "中文"),  # Windows' numbers, as .NET writes them
        ("Ж".encode("koi8-r"), "windows-20866", "Ж"),
        ("Ł".encode("iso8859-2"), "cp28592", "Ł"),
        ("日本".encode("iso-2022-jp"), "cp50221", "日本"),
        ("嘅".encode("big5hkscs"), "big5", "嘅"),
        ("镕".encode("gb18030"), "gb2312", "镕"),
        ("é".encode("cp850"), "cp-850", "é"),
        ("é".encode("mac_roman"), "x-mac-roman", "é"),
        ("Ж".encode("cp1251"), "x-cp1251", "Ж"),
        (b"\xe9", "ISO_8859-1:1987", "é"),
        # Text that switches, with what Python's codecs do not know.
        (b"\x1b$B-!\x1b(B", "iso-2022-jp", "①"),
        (b"\x1b$B-!F|\x1b(B a\n\x1b$BF|\nb", "iso-2022-jp", "①日 a\n日\nb"),
        (b"\x1b$B|b\x1b(I1\x1b(J\\", "iso-2022-jp", "髙ｱ\\"),
        (b"\x1b$BF|\x1b(B", "utf-8", "日"),
        (b"\x1b$BF|\x1b(B", "", "日"),
        (b"~{<:Ky2;~} ok ~x ~~", "hz-gb-2312", "己所不 ok ~x ~"),
        (b"\x1b$)C\x0e0!\x0f a", "iso-2022-kr", "가 a"),
        (b"\x0e0!\x0f a", "iso-2022-kr", "가 a"),
        (b"\x1b$)A\x0e=;;;\x0f a", "iso-2022-cn", "交换 a"),
        # Byte order marks, and the order of octets where there is none.
        ("\ufeffé".encode(), "iso-8859-1", "é"),
        ("\ufeffé".encode(), "", "é"),
        ("xé".encode("utf-16"), "utf-16", "xé"),
        ("xé".encode("utf-16"), "utf-8", "xé"),
        ("xé".encode("utf-16-be"), "utf-16", "xé"),
        ("xé".encode("utf-16-le"), "utf-16", "xé"),
    ],
)
def test_what_is_meant(data: bytes, charset: str, text: str) -> None:
    defects = Defects()
    assert decode(data, charset, defects, "here") == text
    assert not defects


@pytest.mark.parametrize(
    ("data", "charset", "text"),
    [
        # One bad octet is one U+FFFD...
        ("Grüße aus Köln".encode() + b" caf\xe9", "utf-8", "Grüße aus Köln caf\ufffd"),
        ("Grüße aus Köl".encode() + b"\xc3", "utf-8", "Grüße aus Köl\ufffd"),
        ("日本".encode("cp932") + b"\x81", "shift_jis", "日本\ufffd"),
        (b"\x1b$BF|~~K\\\x1b(B", "iso-2022-jp", "日\ufffd本"),
        # ...unless most of it is another charset.
        (b"\xe4\xf6\xfc \xdf", "utf-8", "äöü ß"),
        ("日本語".encode(), "euc-kr", "日本語"),
        (b"\xad\xa1\xc6\xfc", "euc-jp", "①日"),
        # Java's own way with what is beyond the first plane.
        (b"hi \xed\xa0\xbd\xed\xb8\x80", "utf-8", "hi 😀"),
        (
            "äöü".encode() + b"\xed\xaf\xbf\xed\xbf\xbf\xed\xa0\x80",
            "us-ascii",
            "äöü\U0010ffff" + "\ufffd" * 3,
        ),
    ],
)
def test_what_is_not_of_the_charset(data: bytes, charset: str, text: str) -> None:
    defects = Defects()
    assert decode(data, charset, defects, "here") == text
    assert defects == [f"here: not valid in charset {charset!r}"]


def test_every_label_of_the_standard_is_known() -> None:
    for label, name in LABELS.items():
        defects = Defects()
        decode(b"\x1bx", label, defects, "here")
        assert not defects or name in ("replacement", "x-user-defined")


def test_a_page_says_its_charset_itself() -> None:
    assert of_html(b'<meta charset="koi8-r">') == "koi8-r"
    assert of_html(b"<META content='text/html; charset=big5' http-equiv=x>") == "big5"
    assert of_html(b"<meta charset=utf-16>") == "utf-8"
    assert of_html(b"<p>charset=big5") == ""


@pytest.mark.parametrize("charset", ["punycode", "idna", "unicode_escape", "undefined", "rot13"])
def test_codecs_that_are_no_charsets_are_not_used(charset: str) -> None:
    assert decode(b"a-b\\n", charset, Defects(), "here") == "a-b\\n"


def test_more_halves_than_anybody_writes_are_left() -> None:
    text = decode(b"\xed\xa0\xbd\xed\xb8\x80" * 20_001, "utf-8", Defects(), "here")
    assert text == "😀" * 20_000 + "\ufffd" * 6


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


@pytest.mark.timeout(20)
@pytest.mark.parametrize("piece", [b"<meta ", b"<meta charset ", b"<meta      "])
def test_a_thousand_pages_are_asked_for_their_charset_in_no_time(piece: bytes) -> None:
    page = piece * (4096 // len(piece))
    assert {of_html(page) for _ in range(4000)} == {""}
