"""The value of a header field as text: unfolded, encoded words decoded (RFC 2047).

For `Header`. Total and linear: a value that is longer than `MAX_VALUE` is given without decoding
its encoded words; one that is malformed is given as well as can be, and `defects` says so. The text
never holds CR, LF or NUL, not even by way of an encoded word, so that it may be written into a
field of an answer.
"""

from __future__ import annotations

import binascii
import re
from typing import TYPE_CHECKING

from lamson.message.charset import decode
from lamson.message.transfer import base64_in_runs

if TYPE_CHECKING:
    from lamson.message.defects import Defects

MAX_VALUE = 8192  # octets of a value in which encoded words are looked for

_LINE_BREAKS = re.compile("[\r\n\0]+")
_BLANKS = dict.fromkeys(map(ord, "\r\n\0"), " ")
# An underscore is a space in Q; the language after "*" is RFC 2231 section 5. Many programs leave a
# question mark as it is (against RFC 2047 section 4.2), and readers go on to the end of the word.
_WORD = re.compile(
    r"=\?([^?*\s]{1,40})(?:\*[^?\s]{0,40})?\?([bBqQ])\?((?:[^?=]|\?(?!=)|=(?!\?(?!=)))*+)\?="
)


def unfold(value: bytes) -> bytes:
    """The value of a field, as `Header` cut it out, on one line (RFC 5322 section 2.2.3)."""
    return value.replace(b"\r\n", b"").replace(b"\n", b"") if b"\n" in value else value


def decode_words(value: bytes, defects: Defects, name: str) -> str:
    """The text of a field's value. ``name`` is the field's, for ``defects``."""
    value = unfold(value)
    if value.isascii() and b"=?" not in value and b"\r" not in value and b"\0" not in value:
        return value.decode("ascii")
    where = f"header field {name[:40].lower()}"
    value = value.replace(b"\0", b"\r")  # a word border: `decode` would close the gap
    text = decode(value, "", defects, where)
    if len(value) > MAX_VALUE:
        if "=?" in text:
            defects.add(
                f"{where}: longer than {MAX_VALUE} octets, encoded words left as they are",
                kind="limit",
            )
    elif "=?" in text:
        text = _words(text, defects, where)
    if _LINE_BREAKS.search(text):
        defects.add(f"{where}: holds a line break or NUL")
        # Of a long one no list of pieces is made.
        is_short = len(text) <= MAX_VALUE
        text = _LINE_BREAKS.sub(" ", text) if is_short else text.translate(_BLANKS)
        text = text.rstrip(" ")
    return text


def _words(text: str, defects: Defects, where: str) -> str:
    """``text`` with its encoded words decoded.

    White space between two of them does not count (RFC 2047 section 6.2). Neighbours of one charset
    are decoded together: many programs cut a character in two.
    """
    done: list[str] = []
    charset, pending = "", b""
    end = 0
    for word in _WORD.finditer(text):
        between = text[end : word.start()]
        if pending and (between.strip(" \t") or word[1].lower() != charset):
            done.append(decode(pending, charset, defects, where))
            pending = b""
        if not end or between.strip(" \t"):
            done.append(between)
        charset = word[1].lower()
        pending += _octets(word[2], word[3], defects, where)
        end = word.end()
    if pending:
        done.append(decode(pending, charset, defects, where))
    if not end:
        defects.add(f"{where}: malformed encoded word")
    return "".join(done) + text[end:]


def _octets(encoding: str, text: str, defects: Defects, where: str) -> bytes:
    data = text.encode("utf-8")
    if encoding in "qQ":
        return binascii.a2b_qp(data, header=True)
    octets, is_right = base64_in_runs(data)
    if not is_right:
        defects.add(f"{where}: bad base64 in an encoded word", kind="encoding")
    return octets
