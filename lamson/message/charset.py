"""Bytes of a declared charset as text, whatever the bytes and whatever was declared.

For everything that shows a stranger's mail as text. Never raises: where charset and bytes disagree,
the text is the best that can be had, and `defects` says what was wrong.

Only charsets from a fixed list are asked of Python's codec registry. It keeps every name that it
was ever asked for, so names from mail would fill the memory; and some of its codecs are no charsets
(``unicode_escape``) or take quadratic time (``punycode``).
"""

from __future__ import annotations

import re
from encodings import normalize_encoding
from encodings.aliases import aliases
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lamson.message.defects import Defects

_NOT_TEXT = {"base64_codec", "bz2_codec", "hex_codec", "quopri_codec", "rot_13", "uu_codec"}
_NOT_TEXT |= {"zlib_codec", "mbcs", "oem"}
_NO_ALIAS = {"cp720", "cp737", "cp856", "cp874", "koi8_t", "koi8_u", "mac_farsi", "utf_8_sig"}

# What is declared stands for more than it says: every mail reader takes the wider charset.
_WIDER = {"gb2312": "gb18030", "gbk": "gb18030", "latin_1": "cp1252", "ascii": "utf_8"}
_MORE_NAMES = {
    "windows_874": "cp874",
    "x_sjis": "shift_jis",
    "x_gbk": "gb18030",
    "utf8mb4": "utf_8",
}

_CODECS = {name: codec for name, codec in aliases.items() if codec not in _NOT_TEXT}
_CODECS |= {codec: codec for codec in {*_CODECS.values(), *_NO_ALIAS}} | _MORE_NAMES
_CODECS = {name: _WIDER.get(codec, codec) for name, codec in _CODECS.items()}

_SURROGATE = re.compile("[\ud800-\udfff]")  # utf-7 can spell one; no database or socket takes it
_NO_SURROGATES = dict.fromkeys(range(0xD800, 0xE000), 0xFFFD)


def decode(data: bytes, charset: str, defects: Defects, where: str) -> str:
    """``data`` as text. ``charset`` is the declared name, "" for none; ``where`` is for defects."""
    if data.isascii() and charset.lower() in ("", "us-ascii", "utf-8", "iso-8859-1"):
        return data.decode("ascii").replace("\0", "")
    codec = _codec(charset)
    if codec is None:
        defects.add(f"{where}: unknown charset {charset[:40]!r}", kind="charset")
        codec = "utf_8"
    try:
        return _fit(data.decode(codec))
    except UnicodeError:
        defects.add(f"{where}: not valid in charset {charset[:40] or 'utf-8'!r}", kind="charset")
    try:
        return _fit(data.decode("utf_8"))
    except UnicodeError:
        fallback = "cp1252" if codec == "utf_8" else codec
        return _fit(data.decode(fallback, "replace"))


def decode_lines(data: bytes, charset: str, defects: Defects, where: str) -> str:
    r"""The same for a text of many lines, whose line ends become ``\n``.

    They are made so before the text is: a character may take four times what its octet took.
    """
    if (b"\r" in data or b"\0" in data) and _keeps_ascii(_codec(charset) or "utf_8"):
        data = data.translate(None, b"\0").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    text = decode(data, charset, defects, where)
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


@cache
def _keeps_ascii(codec: str) -> bool:
    """True where CR, LF and NUL are single octets, as in all charsets but a few."""
    return "\r\n\0".encode(codec) == b"\r\n\0"


def _fit(text: str) -> str:
    """The text as a database takes it: PostgreSQL refuses NUL, as RFC 5322 section 2.3 does."""
    text = text.replace("\0", "")
    return text.translate(_NO_SURROGATES) if _SURROGATE.search(text) else text


def _codec(charset: str) -> str | None:
    """Python's codec for the charset; None where there is none that we would ask for."""
    if charset.lower() in ("", "utf-8"):
        return "utf_8"
    if len(charset) > 40 or not charset.isascii():
        return None
    return _CODECS.get(normalize_encoding(charset.strip()).lower())
