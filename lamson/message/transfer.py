"""Content transfer encodings undone (RFC 2045 section 6), whatever the octets are.

For `Part`. Linear, and besides the octets that come in and those that go out at most once their
size in memory: nothing is made per octet or line. What is wrong is said in `defects`.
"""

from __future__ import annotations

import binascii
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lamson.message.defects import Defects

IDENTITY = frozenset({"", "7bit", "8bit", "binary"})

_STEP = 1 << 16
_LETTER = re.compile(rb"[A-Za-z0-9+/]")
_NOT_LETTERS = bytes(octet for octet in range(256) if not _LETTER.match(bytes([octet])))
_PADDING = re.compile(b"=")
_BROKEN_LINE = re.compile(rb"=\r(?!\n)")


def undo(data: memoryview, encoding: str, defects: Defects, where: str) -> bytes:
    """The octets that ``data`` stands for; ``encoding`` is in lower case, "" for none."""
    if encoding == "base64":
        return _base64(data, defects, where)
    if encoding == "quoted-printable":
        if _BROKEN_LINE.search(data):  # all up to the next LF goes, as others may not have it
            defects.add(
                f"{where}: a bare CR ends a line of quoted-printable", hides=True, kind="ambiguous"
            )
        return binascii.a2b_qp(data)
    if encoding not in IDENTITY:
        defects.add(
            f"{where}: unknown transfer encoding {encoding[:40]!r}", hides=True, kind="encoding"
        )
    return bytes(data)


def _base64(data: memoryview, defects: Defects, where: str) -> bytes:
    padding = _PADDING.search(data)
    if padding and _LETTER.search(data, padding.end()):  # some stop there, some go on
        defects.add(f"{where}: base64 goes on after its padding", hides=True, kind="ambiguous")
    try:
        return binascii.a2b_base64(data)
    except binascii.Error:
        defects.add(f"{where}: bad base64", kind="encoding")
    # The letters count, whatever stands between them; what the last ones lack is added.
    decoded = bytearray()
    left = b""
    for at in range(0, len(data), _STEP):
        letters = left + bytes(data[at : at + _STEP]).translate(None, _NOT_LETTERS)
        whole = len(letters) & ~3
        decoded += binascii.a2b_base64(letters[:whole])
        left = letters[whole:]
    if len(left) > 1:
        decoded += binascii.a2b_base64(left + b"==")
    return bytes(decoded)
