"""Attached messages: as they are where mail can carry them, and never in base64."""

from __future__ import annotations

import email
from email import policy
from email.message import EmailMessage

import pytest

from lamson.message.compose import MAX_LINE
from lamson.message.enclosed import as_lines
from lamson.message.response import MailResponse

LONG = "word " * 400
HEAD = b"From: a@b.example\r\nSubject: inner\r\n"


def read(content: bytes) -> EmailMessage:
    found = email.message_from_bytes(content, policy=policy.default)
    assert isinstance(found, EmailMessage)
    return found


def attached(message: bytes) -> tuple[EmailMessage, bytes]:
    """The attached message as it is read, and the whole as it is written."""
    outer = MailResponse(to="a@b.c", sender="d@e.f", subject="x", body="see below")
    outer.attach(message, filename="m.eml", content_type="message/rfc822")
    content = outer.to_bytes()
    (part,) = read(content).iter_attachments()
    inner = part.get_content()
    assert part.get_filename() == "m.eml"
    return inner, content


@pytest.mark.parametrize(
    ("message", "encoding"),
    [
        (HEAD + b"\r\nhello\r\n", b"7bit"),
        (
            HEAD + b"Content-Type: text/plain; charset=utf-8\r\n"
            b"Content-Transfer-Encoding: 8bit\r\n\r\n" + "grüße\r\n".encode(),
            b"8bit",
        ),
    ],
)
def test_it_stays_as_it_is(message: bytes, encoding: bytes) -> None:
    inner, content = attached(message)
    assert message in content
    assert b"Content-Transfer-Encoding: %b\r\nContent-Disposition: attach" % encoding in content
    outer_type = content.partition(b"\r\n\r\n")[0]
    assert (b"Content-Transfer-Encoding: 8bit" in outer_type) is (encoding == b"8bit")
    assert inner["Subject"] == "inner"


@pytest.mark.parametrize(
    "message",
    [
        HEAD + b"\r\n" + LONG.encode(),
        HEAD + b"Content-Type: text/plain; charset=utf-8\r\n"
        b"Content-Transfer-Encoding: 8bit\r\n\r\n" + (LONG + "ü").encode(),
        HEAD + b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n' + b"x" * 2000 + b"\r\n--b\r\n"
        b"Content-Type: text/html\r\n\r\n" + LONG.encode() + b"\r\n--b\r\n\r\nshort\r\n--b--\r\n",
        HEAD + b"Content-Type: message/rfc822\r\n\r\nSubject: y\r\n\r\n" + LONG.encode(),
    ],
)
def test_what_mail_cannot_carry_is_encoded_within(message: bytes) -> None:
    inner, content = attached(message)
    assert max(map(len, content.split(b"\r\n"))) <= 998
    assert b"Content-Transfer-Encoding: base64" not in content
    texts = [part for part in inner.walk() if part.get_content_maintype() == "text"]
    assert texts[0].get_content().rstrip("\r\n").startswith(LONG)
    if len(texts) > 1:
        assert texts[1].get_content().strip() == "short"


@pytest.mark.parametrize(
    "message",
    [
        HEAD + b"Content-Transfer-Encoding: base64\r\n\r\n" + b"QUJD" * 500,
        HEAD + b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + b"ABC" * 500,
        b"Subject: " + b"x" * 3000 + b"\r\nX: " + b"y z" * 900 + b"\r\n\r\nbody\r\n",
        HEAD + b"Content-Type: application/x\r\n\r\n\0" + b"\xff" * 2000,
        b"x" * 5000,
        b"\r\n" + b"x" * 5000,
        b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n' + b"x" * 2000,
        (b"Content-Type: message/rfc822\r\n\r\n" * 60) + b"x" * 2000,
    ],
)
def test_no_line_is_too_long_whatever_it_is(message: bytes) -> None:
    written = as_lines(message)
    assert max(map(len, written.split(b"\r\n"))) <= 998
    assert b"\0" not in written
    before, after = read(message).get_payload(decode=True), read(written).get_payload(decode=True)
    if b"base64" in message or b"quoted" in message:
        assert after == before


@pytest.mark.timeout(15)
def test_a_line_of_megabytes_before_the_parts_is_cut_in_linear_time() -> None:
    came = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n%b\r\n--b\r\n\r\nx\r\n--b--\r\n"
    made = as_lines(came % (b"x" * (16 << 20)))
    assert max(map(len, made.split(b"\r\n"))) <= MAX_LINE
    assert made.replace(b"\r\n ", b"").count(b"x") == (16 << 20) + 2
