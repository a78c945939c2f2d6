"""The bytes of a message that we send: fields, texts, attachments, multiparts, line ends.

For `MailResponse`, and for what forwards or keeps a message with fields on top. Every line ends in
CRLF and has at most 998 octets (RFC 5322 section 2.1.1); everything is 7-bit but the fields of a
message that needs SMTPUTF8. A name or value that cannot be a field's raises ValueError.

The email package is not used for this: its policies encode a long Message-ID in In-Reply-To as if
it were a word, and cost 300 µs a message.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_LINE = 998  # octets without the CRLF: RFC 5322 section 2.1.1
WIDTH = 76  # characters: RFC 2047 section 2 for encoded words, RFC 2045 section 6.7 and 6.8

_NAME = re.compile(r"[!-9;-~]{1,76}")
_FORBIDDEN = re.compile("[\r\n\0]")
# What may stand in a field as it is: no controls, and nothing that others take for a line end.
_PLAIN = re.compile(r"[\t -~]*+")
_PLAIN_UTF8 = re.compile("[\t -~\u00a0-\u2027\u202a-\ud7ff\ue000-\U0010ffff]*+")
# Octets that cannot be folded, beside the field's name; blanks stay with the word after them.
_TOO_LONG = re.compile(rb"[^ \t]{900}|[ \t]{70}")
_WORD = re.compile(r"[ \t]*[^ \t]+")
_Q_SAFE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/ ")
_NOT_QUOTABLE = re.compile(r"[^ !#-;=?-\[\]-~]")  # Python's reader takes <> for quotes
_MAX_QUOTED = 255  # characters, which no line end can divide
_PERCENT_ENCODED = re.compile("(?:%..|.){1,20}")
_HIGH = bytes(range(128, 256))


class Entity(NamedTuple):
    """A MIME entity (RFC 2045 section 2.4): its Content-… fields and its encoded body."""

    header: bytes
    body: bytes


def check_field(name: str, value: str) -> None:
    """Raise ValueError where ``name`` and ``value`` cannot be a header field's."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"not the name of a header field: {name[:80]!r}")
    if _FORBIDDEN.search(value):
        raise ValueError(f"the value for header field {name} holds CR, LF or NUL: {value[:80]!r}")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"the value for header field {name} is not Unicode: {error}") from None


def field(name: str, value: str, *, utf8: bool = False) -> bytes:
    """The field as it stands in a message, folded, CRLF included.

    What cannot stand there as it is becomes encoded words (RFC 2047); with ``utf8`` that is little
    (RFC 6532). A value that looks like an encoded word is encoded too, so that it is shown as is.
    """
    check_field(name, value)
    return encoded_field(name, value.strip(" \t"), utf8=utf8)


def encoded_field(name: str, value: str, *, utf8: bool = False) -> bytes:
    """The same for a name and value that were checked, without blanks at its ends."""
    if not is_plain(value, utf8=utf8):
        value = encode_words(value, first=WIDTH - len(name) - 2)
    return fold(name, value)


def is_plain(text: str, *, utf8: bool = False) -> bool:
    """True where a field may hold ``text`` as it is."""
    allowed = _PLAIN_UTF8 if utf8 else _PLAIN
    return (
        allowed.fullmatch(text) is not None
        and "=?" not in text
        and (len(text) <= 200 or not _TOO_LONG.search(text.encode()))
    )


def fold(name: str, value: str) -> bytes:
    """``name: value``, folded before white space where it is long (RFC 5322 section 2.2.3)."""
    whole = f"{name}: {value}"
    if len(whole) <= WIDTH:
        return whole.encode() + b"\r\n"
    lines: list[str] = []
    line = start = f"{name}:"
    for word in _WORD.findall(" " + value):
        if len(line) + len(word) > WIDTH and line is not start:
            lines.append(line)
            line = ""
        line += word
    return "\r\n".join((*lines, line, "")).encode()


def encode_words(text: str, *, first: int = WIDTH) -> str:
    """``text`` as encoded words of at most 75 characters, the first of ``first`` (RFC 2047)."""
    q = [_q(character) for character in text]
    use_q = sum(map(len, q)) <= 2 * len(text.encode())  # then most of it can be read
    room = max(first, 36) - 13  # =?utf-8?q??= and a space before it
    words, begin, used = [], 0, 0
    for at, character in enumerate(text):
        cost = len(q[at]) if use_q else len(character.encode())
        if used + cost > (room if use_q else room // 4 * 3):
            words.append((begin, at))
            begin, used, room = at, 0, WIDTH - 14
        used += cost
    words.append((begin, len(text)))
    if use_q:
        return " ".join(f"=?utf-8?q?{''.join(q[start:end])}?=" for start, end in words)
    return " ".join(f"=?utf-8?b?{_b(text[start:end])}?=" for start, end in words)


def _q(character: str) -> str:
    if character in _Q_SAFE:
        return "_" if character == " " else character
    return "".join(f"={octet:02X}" for octet in character.encode())


def _b(text: str) -> str:
    return binascii.b2a_base64(text.encode(), newline=False).decode("ascii")


def text_entity(text: str, content_type: str = "text/plain", fields: bytes = b"") -> Entity:
    """``text`` as an entity of that type; line ends become CRLF, the last line gets one."""
    data = normalise_newlines(text.encode("utf-8", "replace"))
    if data and not data.endswith(b"\r\n"):
        data += b"\r\n"
    if _is_7bit(data):
        encoding = b"7bit"
    elif len(data) - len(data.translate(None, _HIGH)) <= len(data) // 6:
        encoding, data = b"quoted-printable", binascii.b2a_qp(data)
    else:
        encoding, data = b"base64", base64_lines(data)
    kind = fold("Content-Type", f'{content_type}; charset="utf-8"')
    return Entity(b"%bContent-Transfer-Encoding: %b\r\n%b" % (kind, encoding, fields), data)


def data_entity(data: bytes, content_type: str, fields: bytes = b"") -> Entity:
    """``data`` as an entity of that type. A 7-bit report stays as it is (RFC 2046 section 5.2)."""
    if content_type.startswith("message/") and _is_7bit(message := normalise_newlines(data)):
        return plain_entity(message, content_type, fields)
    kind = fold("Content-Type", content_type)
    return Entity(kind + b"Content-Transfer-Encoding: base64\r\n" + fields, base64_lines(data))


def plain_entity(data: bytes, content_type: str, fields: bytes = b"") -> Entity:
    """``data``, whose lines are fit for mail, as an entity that is not encoded: 7bit or 8bit."""
    encoding = b"7bit" if data.isascii() else b"8bit"
    kind = fold("Content-Type", content_type)
    return Entity(b"%bContent-Transfer-Encoding: %b\r\n%b" % (kind, encoding, fields), data)


def multipart(subtype: str, parts: Sequence[Entity], more: str = "") -> Entity:
    """The parts as one entity (RFC 2046 section 5.1); ``more`` are parameters of its type.

    The boundary is a digest of them: the same parts give the same bytes, and no part can be made to
    hold its own boundary.
    """
    digest = hashlib.sha256(b"".join(part.body for part in parts)).hexdigest()
    boundary = f"=_{digest[:40]}"  # "=_" stands in no encoded body: RFC 2045 section 6.7
    delimiter = f"--{boundary}".encode()
    body = b"".join(b"%b\r\n%b\r\n%b\r\n" % (delimiter, part.header, part.body) for part in parts)
    kind = fold("Content-Type", f'multipart/{subtype}{more}; boundary="{boundary}"')
    if not body.isascii():  # RFC 2045 section 6.4
        kind += b"Content-Transfer-Encoding: 8bit\r\n"
    return Entity(kind, b"%b%b--\r\n" % (body, delimiter))


def disposition(kind: str, filename: str) -> bytes:
    """The Content-Disposition field (RFC 2183); ``kind`` is "inline" or "attachment"."""
    return fold("Content-Disposition", kind + parameter("filename", filename))


def parameter(name: str, value: str) -> str:
    """``; name="value"``, for a Content field; RFC 2231 sections 3 and 4 where that must be."""
    if len(value) <= _MAX_QUOTED and not _NOT_QUOTABLE.search(value) and "=?" not in value:
        return f'; {name}="{value}"'
    pieces = _PERCENT_ENCODED.findall(quote(value, safe=""))
    if len(pieces) == 1:
        return f"; {name}*=utf-8''{pieces[0]}"
    pieces[0] = f"utf-8''{pieces[0]}"
    return "".join(f"; {name}*{number}*={piece}" for number, piece in enumerate(pieces))


def _is_7bit(data: bytes) -> bool:
    return (
        data.isascii()
        and b"\0" not in data
        and (len(data) <= MAX_LINE or max(map(len, data.split(b"\r\n"))) <= MAX_LINE)
    )


def base64_lines(data: bytes) -> bytes:
    """``data`` in base64, in lines of 76 characters."""
    size = WIDTH // 4 * 3
    lines = (
        binascii.b2a_base64(data[at : at + size], newline=False) for at in range(0, len(data), size)
    )
    return b"\r\n".join((*lines, b""))


def normalise_newlines(content: bytes) -> bytes:
    """``content`` with each bare CR and bare LF made a CRLF; the same object where all is well.

    For what is sent: a bare CR or LF can be taken for a line end by the next server, and then for
    the end of the message (RFC 5321 section 2.3.8 forbids both).
    """
    pairs = content.count(b"\r\n")
    if pairs == content.count(b"\n") and pairs == content.count(b"\r"):
        return content
    return content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")


def prepend_headers(content: bytes, headers: Sequence[tuple[str, str]]) -> bytes:
    """``content`` untouched, with ``headers`` (name, value) on top, in the message's own line end.

    Characters beyond ASCII are written as UTF-8 (RFC 6532). Raises ValueError where a name or value
    cannot be a field's.
    """
    block = b"".join(field(name, value, utf8=True) for name, value in headers)
    if content.startswith((b" ", b"\t")):  # a body without a header would continue our last field
        block += b"\r\n"
    first_line = content.find(b"\n")
    if first_line >= 0 and content[first_line - 1 : first_line] != b"\r":
        block = block.replace(b"\r\n", b"\n")
    return block + content
