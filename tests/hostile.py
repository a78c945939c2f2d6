"""Mail that makes a careless reader need many times its size in memory, or time.

`KINDS` makes a message of about so many octets for each; `read_all` asks all that can be asked.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from lamson.results import authentication, spam

if TYPE_CHECKING:
    from collections.abc import Callable

    from lamson.message.request import MailRequest


def body(fields: bytes, start: bytes, repeated: bytes) -> Callable[[int], bytes]:
    """A message of these fields whose body repeats itself."""

    def make(size: int) -> bytes:
        head = b"From: a@b.c\r\n%b\r\n\r\n%b" % (fields, start)
        return head + repeated * ((size - len(head)) // len(repeated))

    return make


def text(charset: str, start: bytes, repeated: bytes) -> Callable[[int], bytes]:
    return body(b"Content-Type: text/plain; charset=" + charset.encode(), start, repeated)


def encoded(encoding: str, start: bytes, repeated: bytes) -> Callable[[int], bytes]:
    return body(b"Content-Transfer-Encoding: " + encoding.encode(), start, repeated)


def header(start: bytes, repeated: bytes) -> Callable[[int], bytes]:
    """A message of a header that repeats itself, and hardly a body."""
    return lambda size: start + repeated * (size // len(repeated)) + b"\r\n\r\nx"


def in_base64(size: int) -> bytes:
    """A message in a message in a message, each in base64."""
    made = b"Subject: x\r\n\r\n" + b"x" * int(size * 0.73**6)
    for _ in range(6):
        made = (
            b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n"
            + base64.encodebytes(made)
        )
    return made


def nested(size: int) -> bytes:
    """50 multiparts in each other, all of them around one large text."""
    head = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(49)
    )
    return head + b"\r\n" + b"-" * (size - len(head))


HTML = b"Content-Type: text/html"
MIXED = b"Content-Type: multipart/mixed; boundary=b"

KINDS: dict[str, Callable[[int], bytes]] = {
    "base64, one letter and junk": encoded("base64", b"A", b"!"),
    "base64, letters and padding": encoded("base64", b"", b"A="),
    "base64, letters and junk": encoded("base64", b"", b"A!"),
    "base64, too short": encoded("base64", b"A", b"AAAA"),
    "base64, short lines": encoded("base64", b"A", b"A\r\n"),
    "base64, padding alone": encoded("base64", b"A", b"="),
    "quoted-printable": encoded("quoted-printable", b"", b"=3D"),
    "quoted-printable, nothing": encoded("quoted-printable", b"", b"="),
    "quoted-printable, soft line ends": encoded("quoted-printable", b"", b"=\r\n"),
    "quoted-printable, line ends": encoded("quoted-printable", b"", b"=0D=0A"),
    "quoted-printable, bare CR": encoded("quoted-printable", b"", b"=\r"),
    "uuencode": encoded("x-uuencode", b"begin 644 x\r\n", b'"AB\r\n'),
    "binary": encoded("binary", b"", bytes(range(256))),
    "NUL": body(b"X: y", b"", b"\0"),
    "short lines": body(b"X: y", b"", b"ab\r\n"),
    "empty lines": body(b"X: y", b"", b"\r\n"),
    "bare CR": body(b"X: y", b"", b"ab\r"),
    "one astral letter": text("utf-8", b"\xf0\x9f\x98\x80", b"ab\r\n"),
    "one Greek letter": text("utf-8", b"\xce\xb1", b"ab\r\n"),
    "Latin-1 said to be UTF-8": text("utf-8", b"", b"\xe9"),
    "neither UTF-8 nor windows-1252": text("utf-8", b"", b"\x81"),
    "utf-7": text("utf-7", b"", b"+2AA-ab"),
    "utf-7, odd": text("utf-7", b"", b"+\xff"),
    "utf-16": text("utf-16-le", b"", b"a\0\r\0\n\0"),
    "utf-16, odd": text("utf-16-le", b"", b"\x00\xd8"),
    "utf-32": text("utf-32-le", b"", b"a\0\0\0"),
    "iso-2022-jp": text("iso-2022-jp", b"\x1b$B", b"FK\x1b(B\x1b$B"),
    "iso-2022-jp, odd": text("iso-2022-jp", b"\x1b$B", b"\xff"),
    "hz": text("hz", b"", b"~{VPND~}"),
    "gb18030": text("gb18030", b"", b"\x90\x30\x81\x30"),
    "gb18030, odd": text("gb18030", b"", b"\x90\x30"),
    "koi8-r": text("koi8-r", b"", b"\xc1\r\n"),
    "html, tags": body(HTML, b"", b"<b>"),
    "html, tags without an end": body(HTML, b"", b"<b"),
    "html, comments": body(HTML, b"", b"<!--"),
    "html, styles": body(HTML, b"", b"<style"),
    "html, references": body(HTML, b"", b"&#65;"),
    "html, one endless reference": body(HTML, b"&#", b"9"),
    "html, blanks": body(HTML, b"", b" a"),
    "parts": body(MIXED, b"", b"--b\r\n\r\nx\r\n"),
    "parts that are all header": body(MIXED, b"", b"--b\r\nX-Y: " + b"z" * 9000 + b"\r\n\r\n"),
    "digest": body(
        b"Content-Type: multipart/digest; boundary=b", b"", b"--b\r\n\r\nX: y\r\n\r\nx\r\n"
    ),
    "lines like boundary lines": body(MIXED, b"--b\r\n\r\n", b"--bb\r\n"),
    "nested": nested,
    "messages in base64 in base64": in_base64,
    "header, short fields": header(b"", b"a:b\r\n"),
    "header, one field": header(b"From: ", b"ab "),
    "header, one field of CR": header(b"Subject: ", b"ab\r"),
    "header, one field, no ASCII": header(b"To: \xff", b"ab\r"),
    "header, folds": header(b"Subject: x", b"\r\n x"),
    "header, encoded words": header(b"Subject: ", b"=?utf-8?q?=C3=BC?= "),
    "header, parameters": header(b"Content-Type: text/plain", b";name*1=x"),
    "header, quotes": header(b'Content-Type: text/plain; name="', b'";"'),
    "header, addresses": header(b"From: ", b'"a" <a@b.c>, '),
    "header, comments": header(b"From: ", b"("),
    "header, results": header(b"", b"Authentication-Results: us; dkim=pass header.d=b.c;\r\n"),
    "header, one long result": header(b"Authentication-Results: us", b"; dkim=pass"),
}


def questions(message: MailRequest) -> dict[str, Callable[[], object]]:
    """All that a handler or filter can ask of a message."""

    def of_parts() -> None:
        for part in message.parts:
            _ = part.filenames, part.is_attachment, repr(part), part.content_id, part.is_shown

    return {
        "body": lambda: message.body,
        "fragments": lambda: message.fragments,
        "html": lambda: message.html,
        "str": lambda: str(message),
        "subject": lambda: message.subject,
        "author": lambda: message.author,
        "automatic_reason": lambda: message.automatic_reason,
        "automatic_kind": lambda: message.automatic_kind,
        "is_bounce": lambda: message.is_bounce,
        "author_source": lambda: message.author_source,
        "from_": lambda: message.from_,
        "reply_to": lambda: message.reply_to,
        "to": lambda: message.to,
        "cc": lambda: message.cc,
        "date": lambda: message.date,
        "report": lambda: [
            (one, one.reason) for one in (message.report.recipients if message.report else [])
        ],
        "message_id": lambda: message.message_id,
        "references": lambda: message.references,
        "in_reply_to": lambda: message.in_reply_to,
        "get_all": lambda: [message.get_all(name) for name in ("Subject", "From", "To", "a")],
        "keys": message.keys,
        "items": message.items,
        "notes": lambda: message.notes,
        "authentication": lambda: authentication(message, "us"),
        "spam": lambda: spam(message),
        "parts": of_parts,
        "content": lambda: [part.content for part in message.parts],
        "text": lambda: [part.text for part in message.parts],
        "attachments": lambda: message.attachments,
        "messages": lambda: [part.message for part in message.attachments],
        "defects": lambda: message.defects.could_hide,
    }


def read_all(message: MailRequest) -> None:
    """Ask it all."""
    for ask in questions(message).values():
        ask()
