"""Content transfer encodings undone (RFC 2045 section 6), whatever the octets are.

For `Part`. Linear, and besides the octets that come in and those that go out at most once their
size in memory: nothing is made per octet or line. What is wrong is said in `defects`.
"""

from __future__ import annotations

import binascii
import re
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lamson.message.defects import Defects

IDENTITY = frozenset({"", "7bit", "8bit", "binary"})

_STEP = 1 << 16
_LETTER = re.compile(rb"[A-Za-z0-9+/]")
_NOT_LETTERS = bytes(octet for octet in range(256) if not _LETTER.match(bytes([octet])))
_PADDING = re.compile(b"=")
_FOREIGN = re.compile(rb"[^A-Za-z0-9+/=\s]")
_RUN = re.compile(rb"([^=]++)(=*+)")
_BROKEN_LINE = re.compile(rb"=\r(?!\n)")
_LINE_END = re.compile(rb"\n")
_BLANKS_AT_END = re.compile(rb"(?<![ \t])[ \t]++(?=\r?\n|\Z)")
_UUENCODED = frozenset({"uuencode", "x-uuencode", "uue", "x-uue"})
_BEGIN = re.compile(rb"^begin(-base64)?[ \t]++[0-7]{3,4}[ \t]++[^\n]*+\n", re.MULTILINE)
_END = re.compile(rb"^(?:end|====)[ \t\r]*+$", re.MULTILINE)
# As programs spell what RFC 2045 section 6.1 names.
_SPELT = {
    "7-bit": "7bit",
    "7bits": "7bit",
    "8-bit": "8bit",
    "8bits": "8bit",
    "base-64": "base64",
    "x-base64": "base64",
    "quoted_printable": "quoted-printable",
    "quotedprintable": "quoted-printable",
}


def undo(data: memoryview, encoding: str, defects: Defects, where: str) -> bytes:
    """The octets that ``data`` stands for; ``encoding`` is in lower case, "" for none."""
    encoding = _SPELT.get(encoding, encoding)
    if encoding == "base64":
        return _base64(data, defects, where)
    if encoding == "quoted-printable":
        if _BROKEN_LINE.search(data):  # all up to the next LF goes, as others may not have it
            defects.add(
                f"{where}: a bare CR ends a line of quoted-printable", hides=True, kind="ambiguous"
            )
        if _BLANKS_AT_END.search(data):  # were put there on the way (RFC 2045 section 6.7)
            return _without_blanks(data)
        return binascii.a2b_qp(data)
    if encoding in _UUENCODED and (begin := _BEGIN.search(data)):
        defects.add(  # and some name the file as that line does
            f"{where}: uuencoded, which not every program undoes", hides=True, kind="ambiguous"
        )
        rest = data[begin.end() :]
        end = _END.search(rest)
        rest = rest[: end.start()] if end else rest
        return _base64(rest, defects, where) if begin[1] else _uuencoded(rest)
    if encoding not in IDENTITY:
        defects.add(
            f"{where}: unknown transfer encoding {encoding[:40]!r}", hides=True, kind="encoding"
        )
    return bytes(data)


def _without_blanks(data: memoryview) -> bytes:
    """Quoted-printable without white space at the ends of its lines, some lines at a time."""
    decoded = bytearray()
    at = 0
    while at < len(data):
        found = _LINE_END.search(data, min(at + _STEP, len(data)))
        end = found.end() if found else len(data)
        decoded += binascii.a2b_qp(_BLANKS_AT_END.sub(b"", data[at:end]))
        at = end
    return bytes(decoded)


def _uuencoded(data: memoryview) -> bytes:
    decoded = bytearray()
    at = 0
    while at < len(data):
        found = _LINE_END.search(data, at)
        end = found.end() if found else len(data)
        line = bytes(data[at:end]).strip(b"\r\n")[:90]
        at = end
        try:
            decoded += binascii.a2b_uu(line)
        except binascii.Error:  # junk at its end, as many programs write it
            size = ((line[0] - 32) & 63) * 4 // 3 + 5 if line else 0
            with suppress(binascii.Error):
                decoded += binascii.a2b_uu(line[:size])
    return bytes(decoded)


def _base64(data: memoryview, defects: Defects, where: str) -> bytes:
    padding = _PADDING.search(data)
    if padding is None or not _LETTER.search(data, padding.end()):
        try:
            return binascii.a2b_base64(data)
        except binascii.Error:
            defects.add(f"{where}: bad base64", kind="encoding")
        return bytes(_letters(data))
    # Some stop there, some go on. Gateways append a footer in base64; lists append one of text.
    defects.add(f"{where}: base64 goes on after its padding", hides=True, kind="ambiguous")
    if _FOREIGN.search(data, padding.end()):
        return bytes(_letters(data[: padding.start()]))
    decoded = bytearray()
    for run in _RUN.finditer(data):
        octets = _letters(data[run.start(1) : run.end(1)])
        if decoded and (run.end(2) - run.start(2) + len(octets)) % 3:  # a word, and no base64
            break
        decoded += octets
    return bytes(decoded)


def _letters(data: memoryview) -> bytearray:
    """What the letters of one run stand for, whatever is between them; what they lack is added."""
    decoded = bytearray()
    left = b""
    for at in range(0, len(data), _STEP):
        letters = left + bytes(data[at : at + _STEP]).translate(None, _NOT_LETTERS)
        whole = len(letters) & ~3
        decoded += binascii.a2b_base64(letters[:whole])
        left = letters[whole:]
    if len(left) > 1:
        decoded += binascii.a2b_base64(left + b"==")
    return decoded


def base64_in_runs(data: bytes) -> tuple[bytes, bool]:
    """A short text of base64, maybe of several padded runs, and whether it is right."""
    letters = data.translate(None, _NOT_LETTERS)
    decoded = b"".join(bytes(_letters(memoryview(run))) for run in data.split(b"="))
    return decoded, (len(letters) + data.count(b"=")) % 4 == 0
