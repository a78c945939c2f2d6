"""Mail that brings a program past a filter, if the filter reads it otherwise than who opens it.

Each trick is mail that some program opens, or that the RFCs allow. `FOUND` are those whose program
is found among the parts, `HIDING` those of which `Defects.could_hide` warns.
"""

from __future__ import annotations

import base64
import email
import quopri
from typing import TYPE_CHECKING

from lamson.message.parsed import ParsedMessage

if TYPE_CHECKING:
    from email import policy
    from email.message import Message

EXE = b"MZ\x90\0\x03this is a program"
B64 = base64.encodebytes(EXE).replace(b"\n", b"\r\n")
NAMED = b'Content-Disposition: attachment; filename="x.exe"'


def part(*fields: bytes, body: bytes = B64, encoding: bytes = b"base64") -> bytes:
    lines = (*fields, b"Content-Transfer-Encoding: " + encoding) if encoding else fields
    return b"\r\n".join((*lines, b"", body))


BARE = part(b"Content-Type: application/octet-stream")  # found by its first octets alone
PROGRAM = part(b"Content-Type: application/octet-stream", NAMED)


def mixed(
    *parts: bytes, kind: bytes = b"multipart/mixed; boundary=b", line: bytes = b"--b"
) -> bytes:
    """A multipart; ``line`` is its boundary line."""
    body = b"".join(b"%b\r\n%b\r\n" % (line, one) for one in parts)
    return b"Content-Type: %b\r\n\r\npreamble\r\n%b%b--\r\n" % (kind, body, line)


def attached(message: bytes, *fields: bytes) -> bytes:
    return b"\r\n".join((b"Content-Type: message/rfc822", *fields, b"", message))


TEXT = b"Content-Type: text/plain\r\n\r\nhello"
INNER = mixed(TEXT, PROGRAM, kind=b"multipart/mixed; boundary=c", line=b"--c")
MANY = b";".join(b" p%d=v" % number for number in range(100))
LONG = b" long=" + b"v" * 3000
NEST = b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n"
UUENCODED = b"begin 644 x.exe\r\n#0V%T\r\n`\r\nend\r\n"

FOUND = {
    "plain": mixed(TEXT, PROGRAM),
    "alone": PROGRAM,
    "in a comment's company": mixed(
        TEXT, PROGRAM, kind=b"multipart/mixed (comment); boundary=b (c)"
    ),
    "comments everywhere": mixed(
        TEXT, PROGRAM, kind=b'(a(b)"c) multipart (x;y) / mixed (\\)) ; (;) boundary (=) = (c) "b"'
    ),
    "boundary in quoted pairs": mixed(TEXT, PROGRAM, kind=b'multipart/mixed; boundary="\\b"'),
    "boundary with its backslash": mixed(
        TEXT, PROGRAM, kind=b'multipart/mixed; boundary="\\b"', line=b"--\\b"
    ),
    "boundary with a blank at its end": mixed(
        TEXT, PROGRAM, kind=b'multipart/mixed; boundary="b "'
    ),
    "boundary in pieces": mixed(
        TEXT, PROGRAM, kind=b"multipart/mixed; boundary*1=c; boundary*0=b", line=b"--bc"
    ),
    "boundary with a charset": mixed(
        TEXT, PROGRAM, kind=b"multipart/mixed; boundary*=us-ascii''%62"
    ),
    "boundary in Latin-1": mixed(
        TEXT, PROGRAM, kind=b"multipart/mixed; boundary=\xe9", line=b"--\xe9"
    ),
    "boundary after 100 parameters": mixed(
        TEXT, PROGRAM, kind=b"multipart/mixed;" + MANY + b"; boundary=b"
    ),
    "boundary after 3,000 octets": mixed(
        TEXT, PROGRAM, kind=b"multipart/mixed;" + LONG + b"; boundary=b"
    ),
    "boundary in capitals": mixed(TEXT, PROGRAM, kind=b"MULTIPART/Mixed; BOUNDARY=b"),
    "blank before the equals sign": mixed(TEXT, PROGRAM, kind=b"multipart/mixed; boundary =b"),
    "blanks after boundary lines": mixed(TEXT, PROGRAM, line=b"--b").replace(
        b"--b\r\n", b"--b \t\r\n"
    ),
    "no closing boundary line": mixed(TEXT, PROGRAM).rpartition(b"--b--")[0],
    "boundary line twice": mixed(TEXT, PROGRAM).replace(b"--b\r\n", b"--b\r\n--b\r\n"),
    "an unknown kind of multipart": mixed(TEXT, PROGRAM, kind=b"multipart/x-new; boundary=b"),
    "LF alone": mixed(TEXT, PROGRAM).replace(b"\r\n", b"\n"),
    "type after a fold": mixed(TEXT, PROGRAM, kind=b"\r\n multipart/mixed;\r\n\tboundary=b"),
    "attached message": mixed(TEXT, attached(INNER)),
    "message in a message in a message": attached(attached(attached(PROGRAM))),
    "attached message of another kind": attached(PROGRAM).replace(b"/rfc822", b"/global"),
    "attached news": attached(PROGRAM).replace(b"/rfc822", b"/news"),
    "digest": mixed(b"\r\n" + PROGRAM, kind=b"multipart/digest; boundary=b"),
    "attached message in base64": mixed(
        TEXT,
        attached(base64.encodebytes(INNER), b"Content-Transfer-Encoding: base64"),
    ),
    "attached message in quoted-printable": attached(
        quopri.encodestring(mixed(TEXT, PROGRAM)), b"Content-Transfer-Encoding: quoted-printable"
    ),
    "multipart in base64": b"Content-Type: multipart/mixed; boundary=b\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\n"
    + base64.encodebytes(b"--b\r\n" + PROGRAM + b"\r\n--b--\r\n"),
    "multipart said to be in base64": mixed(TEXT, PROGRAM).replace(
        b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: base64\r\n\r\n", 1
    ),
    "transfer encoding with a comment": part(NAMED, encoding=b"base64 (really)"),
    "transfer encoding in quotes": part(encoding=b'"base64"'),
    "transfer encoding with a semicolon": part(encoding=b"base64; x=y"),
    "transfer encoding in capitals": part(encoding=b"BASE64"),
    "base64 with junk": part(body=b"T!V?q\xffQ\x00AA-N_0aGlzIGlz\r\n"),
    "base64 without its padding": part(body=B64.rstrip(b"=\r\n")),
    "base64 after four octets of junk": part(body=b"====" + B64),
    "quoted-printable": part(encoding=b"quoted-printable", body=b"=4d=\r\nZ=90=00"),
    "a program that is said to be text": part(b"Content-Type: text/plain"),
    "an empty type": part(b"Content-Type:", NAMED),
    "no type": part(NAMED),
    "a type that is none": part(b"Content-Type: program", NAMED),
    "blank before the colon": part(b"Content-Disposition : attachment; filename=x.exe"),
    "name of a path": part(b'Content-Disposition: attachment; filename="x.exe/"', body=b""),
    "name of a path, backslash": part(
        b'Content-Disposition: attachment; filename="x.exe\\\\"', body=b""
    ),
    "name with what Windows drops": part(
        b'Content-Disposition: attachment; filename="x.exe. . "', body=b""
    ),
    "name in the type alone": part(b"Content-Type: application/pdf; name=x.exe", body=b""),
    "another name in the type": part(
        b"Content-Type: application/pdf; name=x.exe",
        b"Content-Disposition: attachment; filename=x.pdf",
        body=b"",
    ),
    "another name in RFC 2231": part(
        b"Content-Disposition: attachment; filename=x.pdf; filename*=utf-8''x%2eexe", body=b""
    ),
    "name in pieces": part(
        b"Content-Disposition: attachment; filename*1*=%2e; filename*0=x; filename*2=exe",
        body=b"",
    ),
    "name after 100 parameters": part(
        b"Content-Disposition: attachment;" + MANY + b"; filename=x.exe", body=b""
    ),
    "name after 3,000 octets": part(
        b"Content-Disposition: attachment;" + LONG + b"; filename=x.exe", body=b""
    ),
    "name with a comment": part(
        b"Content-Disposition: attachment; filename=x.exe (x.pdf)", body=b""
    ),
    "name with a blank": part(b"Content-Disposition: attachment; filename=x.exe x.pdf", body=b""),
    "name that goes on after its quotes": part(
        b'Content-Disposition: attachment; filename="x.exe"x.pdf', body=b""
    ),
    "name in quotes without an end": part(
        b'Content-Disposition: attachment; filename="x.exe; a=b', body=b""
    ),
    "name with quoted pairs": part(
        b'Content-Disposition: attachment; filename="x.e\\xe"', body=b""
    ),
    "name in encoded words": part(
        b'Content-Disposition: attachment; filename="=?utf-8?b?eC5leGU=?="', body=b""
    ),
    "name in encoded words without quotes": part(
        b"Content-Disposition: attachment; filename==?utf-8?q?x=2Eexe?=", body=b""
    ),
    "name in encoded words, some of it": part(
        b'Content-Disposition: attachment; filename="x.=?utf-8?q?e?= =?utf-8?q?xe?="', body=b""
    ),
    "name with marks that change its direction": part(
        'Content-Disposition: attachment; filename="x.\u202eexe\u202c"'.encode(), body=b""
    ),
    "name with a NUL": part(b'Content-Disposition: attachment; filename="x.e\0xe"', body=b""),
    "name twice": part(
        b"Content-Disposition: attachment; filename=x.pdf; filename=x.exe", body=b""
    ),
    "disposition without a type": part(b"Content-Disposition: ; filename=x.exe", body=b""),
    "no first parameter": part(b"Content-Disposition: attachment;; ;filename=x.exe", body=b""),
}

HIDING = {
    "60 levels": b"".join(NEST % (n, n) for n in range(60)) + PROGRAM,
    "60 messages": b"Content-Type: message/rfc822\r\n\r\n" * 60 + PROGRAM,
    "1,100 parts": mixed(*[TEXT] * 1100, PROGRAM),
    "1,100 messages": mixed(*[attached(TEXT)] * 1100, PROGRAM),
    "boundary after 70,000 octets": mixed(
        TEXT, PROGRAM, kind=b"multipart/mixed; a=" + b"v" * 70_000 + b"; boundary=b"
    ),
    "a boundary of 300 octets": mixed(
        TEXT, PROGRAM, kind=b"multipart/mixed; boundary=" + b"b" * 300, line=b"--" + b"b" * 300
    ),
    "no boundary": mixed(TEXT, PROGRAM, kind=b"multipart/mixed"),
    "an empty boundary": mixed(TEXT, PROGRAM, kind=b'multipart/mixed; boundary=""', line=b"--"),
    "another boundary": mixed(TEXT, PROGRAM, kind=b"multipart/mixed; boundary=c"),
    "two boundaries": mixed(TEXT, kind=b"multipart/mixed; boundary=c; boundary=b", line=b"--c")
    + b"--b\r\n"
    + PROGRAM,
    "boundary without a semicolon": mixed(TEXT, BARE, kind=b"multipart/mixed boundary=b"),
    "multipart without a subtype": mixed(TEXT, BARE, kind=b"multipart; boundary=b"),
    "two types": b"Content-Type: text/plain\r\n" + mixed(TEXT, BARE),
    "two types, one with a blank before its colon": b"Content-Type : text/plain\r\n"
    + mixed(TEXT, BARE),
    "two transfer encodings": part(b"Content-Transfer-Encoding: 7bit"),
    "two dispositions": part(
        b"Content-Disposition: inline; filename=x.pdf", NAMED, body=b"", encoding=b""
    ),
    "parts after the end": mixed(TEXT) + b"--b\r\n" + BARE + b"\r\n--b--\r\n",
    "a boundary line with more on it": mixed(TEXT).replace(
        b"--b--", b"--b;x\r\n" + BARE + b"\r\n--b--"
    ),
    "lines that end in CR": mixed(TEXT, BARE).replace(b"\r\n", b"\r"),
    "a part whose lines end in CR": mixed(TEXT, BARE.replace(b"\r\n", b"\r")),
    "boundary lines after CR": mixed(TEXT, BARE)
    .replace(b"\r\n--b", b"\r--b")
    .replace(b"\r--b", b"\r\n--b", 1),
    "a CR in the header": b"Subject: x\r" + mixed(TEXT, BARE),
    "a NUL in the header": b"Content-Type: text/plain\0" + mixed(TEXT, BARE),
    "a line of blanks in the header": b"Content-Type: text/plain\r\n \t\r\n"
    b" ; x=\r\n\r\n" + UUENCODED,
    "a line that is no field": b"Subject: x\r\nno field\r\n" + mixed(TEXT, BARE),
    "a long header": b"X-Long: x\r\n" * 100_000 + mixed(TEXT, BARE),
    "a quote without an end": mixed(TEXT, BARE, kind=b'multipart/mixed; a="x; boundary=b'),
    "uuencoded in a text": b"Subject: x\r\n\r\nhello\r\n" + UUENCODED,
    "uuencoded": part(encoding=b"x-uuencode", body=UUENCODED),
    "a transfer encoding that nobody knows": part(encoding=b"base85"),
    "base64 behind its padding": part(body=b"aGVsbG8=\r\n" + B64),
    "quoted-printable with a CR": part(
        encoding=b"quoted-printable", body=b"hello=\r" + EXE + b"\n"
    ),
    "winmail.dat": part(b"Content-Type: application/ms-tnef", body=b""),
    "winmail.dat by its name": part(
        b"Content-Type: application/octet-stream; name=WinMail.dat", body=b""
    ),
    "a message in pieces": part(b'Content-Type: message/partial; id="1"; number=1', body=b""),
    "a message elsewhere": part(b"Content-Type: message/external-body; url=x", body=b""),
    "signed in one piece": part(b"Content-Type: application/pkcs7-mime; name=smime.p7m", body=b""),
    "messages in base64 in base64": b"",  # below
}
_LAYERS = PROGRAM
for _ in range(12):
    _LAYERS = attached(base64.encodebytes(_LAYERS), b"Content-Transfer-Encoding: base64")
HIDING["messages in base64 in base64"] = _LAYERS


def finds(content: bytes) -> bool:
    """What a filter does that allows no programs."""
    return any(
        part.content.startswith(b"MZ") or any(name.endswith(".exe") for name in part.filenames)
        for part in ParsedMessage(content).parts
    )


def the_email_package_finds(content: bytes, how: policy.Policy[Message]) -> bool:
    """The same with the standard library, as far as it gets: some mail makes it raise."""
    try:
        return any(
            bytes(part.get_payload(decode=True) or b"").startswith(b"MZ")
            or str(part.get_filename()).endswith(".exe")
            for part in email.message_from_bytes(content, policy=how).walk()
            if not part.is_multipart()
        )
    except (AttributeError, LookupError, TypeError, ValueError):
        return False
