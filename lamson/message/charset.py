"""Bytes of a declared charset as text, whatever the bytes and whatever was declared.

For everything that shows a stranger's mail as text. Never raises: where charset and bytes disagree,
the text is the best that can be had, and `defects` says what was wrong.

A label stands for what the WHATWG's Encoding Standard says, as in browsers and mail programs: for
more than it says, since ``gb2312`` is written by programs that mean GB 18030, and ``shift_jis`` by
those that mean Windows' code page. Labels that only mail knows are Python's.

Only charsets from a fixed list are asked of Python's codec registry. It keeps every name that it
was ever asked for, so names from mail would fill the memory; and some of its codecs are no charsets
(``unicode_escape``) or take quadratic time (``punycode``).
"""

from __future__ import annotations

import codecs
import re
from contextlib import suppress
from encodings.aliases import aliases
from functools import cache
from typing import TYPE_CHECKING

from webencodings.labels import LABELS

from lamson.message import iso2022

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamson.message.defects import Defects

_NOT_TEXT = {"base64_codec", "bz2_codec", "hex_codec", "quopri_codec", "rot_13", "uu_codec"}
_NOT_TEXT |= {"zlib_codec", "mbcs", "oem"}
_NO_ALIAS = {"cp720", "cp737", "cp856", "cp874", "koi8_t", "koi8_u", "mac_farsi", "utf_8_sig"}

# The standard's encodings whose codecs have other names here, or do not all that it has.
_STANDARD = {
    "big5": "big5hkscs",
    "euc-kr": "cp949",
    "gbk": "gb18030",
    "iso-8859-8-i": "iso8859_8",
    "shift_jis": "cp932",
    "windows-874": "cp874",
    "x-mac-cyrillic": "mac_cyrillic",
}
_NOT_IN_MAIL = {"replacement", "x-user-defined"}
# Python's codecs, and the wider ones that are meant where they are declared.
_WIDER = {
    "ascii": "utf_8",
    "big5": "big5hkscs",
    "euc_kr": "cp949",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "iso8859_11": "cp874",
    "iso8859_9": "cp1254",
    "latin_1": "cp1252",
    "shift_jis": "cp932",
    "tis_620": "cp874",
    "utf_8_sig": "utf_8",
}
_MORE_NAMES = {
    "cn-gb": "gb18030",
    "cp943": "cp932",
    "cp20866": "koi8_r",
    "cp21866": "koi8_u",
    "cp50220": "iso2022_jp",
    "cp50221": "iso2022_jp",
    "cp50222": "iso2022_jp",
    "cp51932": "euc_jp",
    "cp51936": "gb18030",
    "cp51949": "cp949",
    "cp52936": "hz",
    "cp54936": "gb18030",
    "cseucpkdfmtjapanese": "euc_jp",
    "gb": "gb18030",
    "iso-2022-jp-ms": "iso2022_jp",
    "iso-10646-utf-8": "utf_8",
    "iso-10646-utf8": "utf_8",
    "iso-latin-1": "cp1252",
    "iso-2022-cn": "iso2022_cn",
    "iso-2022-cn-ext": "iso2022_cn",
    "iso-8859-6-e": "iso8859_6",
    "iso-8859-6-i": "iso8859_6",
    "iso-8859-8-e": "iso8859_8",
    "iso-10646-ucs-2": "utf_16",
    "ucs-2": "utf_16",
    "unicode": "utf_16",
    "unicode-1-1": "utf_16",
    "unicode-1-1-utf-7": "utf_7",
    "unicode-2-0-utf-7": "utf_7",
    "ucs-4": "utf_32",
    "iso-10646-ucs-4": "utf_32",
    "unicode-utf-8": "utf_8",
    "utf-16": "utf_16",
    "utf-8-mac": "utf_8",
    "utf8mb4": "utf_8",
    "utf8n": "utf_8",
    "win-1251": "cp1251",
    "windows-932": "cp932",
    "windows-31j": "cp932",
    "windows-936": "gb18030",
    "windows-949": "cp949",
    "windows-950": "big5hkscs",
}
# Where the first codec does not know a character, another of the same charset may.
_RELATIVES = {"big5hkscs": "cp950", "cp932": "shift_jis_2004", "cp949": "johab"}
_MARKS = (
    (codecs.BOM_UTF8, "utf_8"),
    (codecs.BOM_UTF16_LE, "utf_16"),
    (codecs.BOM_UTF16_BE, "utf_16"),
)
# The charset of one that is written in seven bits and switches, for `iso2022`.
_SHIFTED = {"iso2022_kr", "iso2022_cn"}
_SWITCHING = re.compile("iso2022|hz$")
_SWITCH = re.compile(rb"\x1b\$[(@AB]")
_ASCII = bytes(range(128))
_HALVES = re.compile(rb"\xed[\xa0-\xaf][\x80-\xbf]\xed[\xb0-\xbf][\x80-\xbf]")
_MAX_HALVES = 20_000  # pairs of them that are joined in one text
_EUC_PAIRS = re.compile(rb"(?:[\xa1-\xfe]{2})++")
_PLAIN = frozenset({"", "us-ascii", "utf-8", "iso-8859-1"})
_META_WITHIN = 4096
_META = re.compile(rb"""<meta\s[^<>]*?\bcharset\s*+=\s*+["']?\s*+([\w.:-]{1,40})""", re.IGNORECASE)
# Windows' numbers for those of ISO 8859: 28592 is iso-8859-2.
_ISO_PAGES = {str(28590 + number): f"iso8859{number}" for number in range(1, 16)}
_NOT_IN_LABELS = re.compile("[^a-z0-9]+")

_SURROGATE = re.compile("[\ud800-\udfff]")  # utf-7 can spell one; no database or socket takes it
_NO_SURROGATES = dict.fromkeys(range(0xD800, 0xE000), 0xFFFD)


def _key(label: str) -> str:
    """What of a label counts: ``cp-850``, ``CP850`` and ``cp_850`` are one."""
    return _NOT_IN_LABELS.sub("", label.lower())


def _labels() -> dict[str, str]:
    """The codec by the key of each label that we know."""
    found = {name: codec for name, codec in aliases.items() if codec not in _NOT_TEXT}
    found |= {codec: codec for codec in {*found.values(), *_NO_ALIAS}}
    known = {_key(name): _WIDER.get(codec, codec) for name, codec in found.items()}
    standard = {
        _key(label): _STANDARD.get(name) or known[_key(name)]
        for label, name in LABELS.items()
        if name not in _NOT_IN_MAIL and known.get(_key(label)) != "utf_8"  # which goes further
    }
    return known | standard | {_key(label): codec for label, codec in _MORE_NAMES.items()}


_CODECS = _labels()


def decode(data: bytes, charset: str, defects: Defects, where: str) -> str:
    """``data`` as text. ``charset`` is the declared name, "" for none; ``where`` is for defects.

    A byte order mark is no text. Where the octets are not of the declared charset, what is no
    character becomes U+FFFD, or all is read by the likelier charset, whichever keeps more letters.
    """
    is_ascii = data.isascii()
    if is_ascii and charset.lower() in _PLAIN and b"\x1b" not in data:
        return data.decode("ascii").replace("\0", "")
    codec = _codec(charset)
    if codec is None:
        defects.add(f"{where}: unknown charset {charset[:40]!r}", kind="charset")
        codec = "utf_8"
    if is_ascii and codec == "utf_8" and _SWITCH.search(data):
        codec = "iso2022_jp"  # nobody means escape sequences by it
    for mark, marked in _MARKS:
        if data.startswith(mark) and (codec.startswith("utf_") or len(mark) == 3 or b"\0" in data):
            return _fit(_marked(data, mark, marked, defects, where))
    if codec == "utf_16":
        codec = "utf_16_be" if _is_big_endian(data) else "utf_16_le"
    if codec in _SHIFTED:  # of one Python knows the name alone, of the other not all that is sent
        return _fit(_guess(data, codec, is_ascii=is_ascii))
    with suppress(UnicodeError):
        return _fit(data.decode(codec))
    text = _guess(data, codec, is_ascii=is_ascii)
    if "\ufffd" in text or not (_SWITCHING.match(codec) and is_ascii):
        defects.add(f"{where}: not valid in charset {charset[:40] or 'utf-8'!r}", kind="charset")
    return _fit(text)


def _guess(data: bytes, codec: str, *, is_ascii: bool) -> str:
    """The text of octets that are not of the charset."""
    if codec != "utf_8" and not is_ascii:
        with suppress(UnicodeError):
            return data.decode("utf_8")
    if codec == "utf_8":
        return _nearly_utf8(data)
    if codec in ("iso2022_jp", "cp932") and not is_ascii:
        with suppress(UnicodeError):
            return data.decode("euc_jp")
    if _SWITCHING.match(codec):
        shifted = "gb18030" if codec == "iso2022_cn" else "cp949"
        return iso2022.decode(data, shifted=shifted, tilde=codec == "hz")
    if codec == "euc_jp":
        return _EUC_PAIRS.sub(
            lambda pairs: iso2022.japanese(pairs[0]).encode("utf_8"), data
        ).decode("utf_8", "replace")
    if relative := _RELATIVES.get(codec):
        with suppress(UnicodeError):
            return data.decode(relative)
    return data.decode(codec, "replace")


def _nearly_utf8(data: bytes) -> str:
    """With one U+FFFD for each bad octet; or by windows-1252, where few of them are good UTF-8.

    Programs in Java write UTF-16 in the manner of UTF-8: each half of a pair for itself (CESU-8).
    """
    if b"\xed" in data:
        data = _HALVES.sub(_joined, data, _MAX_HALVES)
    text = data.decode("utf_8", "replace")
    bad = text.count("\ufffd")
    # Each character that is good has two octets or more.
    good = (len(data.translate(None, _ASCII)) - bad) // 2
    return text if good >= bad else data.decode("cp1252", "replace")


def _joined(halves: re.Match[bytes]) -> bytes:
    _, one, two, _, three, four = halves[0]
    high, low = (one & 15) << 6 | two & 63, (three & 15) << 6 | four & 63
    return chr(0x10000 + (high << 10) + low).encode()


def _marked(data: bytes, mark: bytes, codec: str, defects: Defects, where: str) -> str:
    data = data[len(mark) :] if codec == "utf_8" else data
    try:
        return data.decode(codec)
    except UnicodeError:
        defects.add(f"{where}: not valid in charset {codec.replace('_', '-')!r}", kind="charset")
    return _nearly_utf8(data) if codec == "utf_8" else data.decode(codec, "replace")


def _is_big_endian(data: bytes) -> bool:
    """By where the zeros are of what is Latin in it (RFC 2781 section 4.3 leaves it to us)."""
    return data[:4096:2].count(0) >= data[1:4096:2].count(0)


def is_told(charset: str) -> bool:
    """True where a charset is declared that we know, and not only by a program's default."""
    return charset.lower() not in ("", "us-ascii") and _codec(charset) is not None


def octets_of(text: str, charset: str) -> bytes:
    """The octets that ``text`` was in what declares this charset; UTF-8's where it could not."""
    try:
        return text.encode(_codec(charset) or "utf_8")
    except (UnicodeError, LookupError):
        return text.encode("utf_8", "replace")


def of_html(data: bytes) -> str:
    """The charset that an HTML page declares itself, "" for none.

    As browsers look for it (HTML standard, section 13.2.3.2): in the first octets, and whoever
    could read the declaration need not be told of UTF-16.
    """
    found = _META.search(data[:_META_WITHIN])
    charset = found[1].decode("ascii") if found else ""
    return "utf-8" if charset.lower().startswith("utf-16") else charset


def decode_lines(data: bytes, charset: str, defects: Defects, where: str) -> str:
    r"""The same for a text of many lines, whose line ends become ``\n``.

    They are made so before the text is: a character may take four times what its octet took.
    """
    is_wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and b"\0" in data
    if (
        (b"\r" in data or b"\0" in data)
        and not is_wide
        and _keeps_ascii(_codec(charset) or "utf_8")
    ):
        data = data.translate(None, b"\0").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    text = decode(data, charset, defects, where)
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


@cache
def _keeps_ascii(codec: str) -> bool:
    """True where CR, LF and NUL are single octets, as in all charsets but a few."""
    return codec in _SHIFTED or "\r\n\0".encode(codec) == b"\r\n\0"


def _fit(text: str) -> str:
    """The text as a database takes it: PostgreSQL refuses NUL, as RFC 5322 section 2.3 does."""
    text = text.replace("\0", "").removeprefix("\ufeff")
    return text.translate(_NO_SURROGATES) if _SURROGATE.search(text) else text


def _codec(charset: str) -> str | None:
    """Python's codec for the charset; None where there is none that we would ask for."""
    if charset.lower() in ("", "utf-8"):
        return "utf_8"
    if len(charset) > 40 or not charset.isascii():
        return None
    key = _key(charset)
    return _CODECS.get(key) or next(filter(None, map(_CODECS.get, _spellings(key))), None)


def _spellings(key: str) -> Iterator[str]:
    """Other keys of what may be meant: an experiment's, IANA's alias, a code page of Windows."""
    yield key.removeprefix("x").replace("dos", "cp")
    yield key.removeprefix("cs")  # RFC 2978 section 2.3: csUTF8, cswindows1252
    for maker in ("windows", "win", "ibm", "cp"):
        if key.startswith(maker):
            number = key.removeprefix(maker)
            yield f"cp{number}"
            yield _ISO_PAGES.get(number, "")
