"""A message that is attached to another: it stands there as it is, never in base64.

RFC 2046 section 5.2.1 allows no encoding for it, and mail readers show an encoded one as an empty
file. So it goes as 7bit or 8bit. Where it holds what neither may (a line beyond 998 octets, NUL),
its own parts are encoded anew instead, those alone that need it: then what it says stays, and its
signatures do not.
"""

from __future__ import annotations

import binascii
import re

from lamson.message import compose
from lamson.message.defects import Defects
from lamson.message.header import Header
from lamson.message.parameters import ContentField
from lamson.message.transfer import undo

_MAX_DEPTH = 50
_HEADER_END = re.compile(rb"(?:\A|\r\n)\r\n")
_ENCODING = re.compile(rb"(?im)^content-transfer-encoding[ \t]*:[^\n]*\n(?:[ \t][^\n]*\n)*")
_LONG = re.compile(rb"[^\r\n]{%d}" % (compose.MAX_LINE + 1))


def as_lines(message: bytes) -> bytes:
    """``message`` in lines that mail can carry; but for line ends as it is, where it can."""
    return _fitting(compose.normalise_newlines(message), 0)


def _fits(data: bytes) -> bool:
    return b"\0" not in data and not _LONG.search(data)


def _fitting(entity: bytes, depth: int) -> bytes:
    if _fits(entity):
        return entity
    end = _HEADER_END.search(entity)
    header, body = (entity, b"") if end is None else (entity[: end.end()], entity[end.end() :])
    fields = Header(header, Defects())
    if not _fits(header):
        header = b"\r\n".join(map(_folded, header.replace(b"\0", b"").split(b"\r\n")))
    if _fits(body):
        return header + body
    declared = ContentField(fields, "Content-Type", Defects())
    kind = declared.value or "text/plain"
    if depth < _MAX_DEPTH:
        boundaries = declared.octets("boundary")
        if kind.startswith("multipart/") and boundaries:
            return header + _parts(body, boundaries[0], depth)
        if kind == "message/rfc822":
            return header + _fitting(body, depth + 1)
    return _encoded(header, body, fields, is_text=kind.startswith("text/"))


def _folded(line: bytes) -> bytes:
    """One line of a header, with folds before its last blanks, and where there is none anywhere."""
    lines: list[bytes] = []
    start, lead = 0, b""  # what is left of the line, and what stands before it
    while len(lead) + len(line) - start > compose.MAX_LINE:
        stop = start + compose.MAX_LINE - len(lead)
        first = start + 1 - len(lead)
        at = max(line.rfind(b" ", first, stop), line.rfind(b"\t", first, stop))
        if at < 0 or not line[start:at].strip():
            lines.append(lead + line[start:stop])
            start, lead = stop, b" "
        else:
            lines.append(lead + line[start:at])
            start, lead = at, b""
    return b"\r\n".join((*lines, lead + line[start:]))


def _parts(body: bytes, boundary: bytes, depth: int) -> bytes:
    """A multipart's body, each piece between its boundary lines made to fit."""
    line = re.compile(rb"(?:\A|\r\n)--%b(?:--)?[ \t]*(?:\r\n|\Z)" % re.escape(boundary))
    made, at = [], 0
    for found in line.finditer(body):
        piece = body[at : found.start()]
        made += [_fitting(piece, depth + 1) if at else piece, found[0]]
        at = found.end()
    rest = b"".join((*made, body[at:]))
    # What stands before and after the parts is read by nobody (RFC 2046 section 5.1.1).
    return (
        rest if _fits(rest) else b"\r\n".join(map(_folded, rest.replace(b"\0", b"").split(b"\r\n")))
    )


def _encoded(header: bytes, body: bytes, fields: Header, *, is_text: bool) -> bytes:
    raw = next(fields.raw("Content-Transfer-Encoding"), b"").strip().lower().decode("latin-1")
    content = undo(memoryview(body), raw, Defects(), "") if raw else body
    if raw == "quoted-printable" or (is_text and raw != "base64"):
        name, data = b"quoted-printable", compose.normalise_newlines(binascii.b2a_qp(content))
    else:
        name, data = b"base64", compose.base64_lines(content)
    kept = _ENCODING.sub(b"", header)
    blank = kept.endswith(b"\r\n\r\n") or kept == b"\r\n"
    kept = kept[:-2] if blank else kept
    return b"%bContent-Transfer-Encoding: %b\r\n\r\n%b" % (kept, name, data)
