"""What a message says, whether it came or is attached to one that did."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from lamson.message.mailboxes import Mailbox
from lamson.message.message import Message

OUTER = Message(
    b"From: Zed <zed@example.com>\r\nTo: a@x.test, Joe <joe@x.test>\r\nCc: g: c@x.test;\r\n"
    b"Reply-To: list@x.test\r\nDate: 21 Nov 1997 09:55:06 GMT\r\nMessage-ID: <1@x.test>\r\n"
    b"In-Reply-To: Your mail of yesterday <0@x.test>\r\nReferences: <a@x>\r\n"
    b" <=?b?=@x>\r\n\t<a@x>\r\n"
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    b"--b\r\n\r\nouter\r\n"
    b"--b\r\nContent-Type: image/png; name=x.png\r\nContent-ID: <pic@x.test>\r\n\r\npixels\r\n"
    b"--b\r\nContent-Type: message/rfc822\r\n\r\n"
    b"Subject: inner\r\nFrom: joe@x.test\r\n\r\ninner\r\n--b--\r\n"
)


def test_addresses_are_values() -> None:
    assert OUTER.from_ == [Mailbox("Zed", "zed@example.com")]
    assert OUTER.reply_to == [Mailbox("", "list@x.test")]
    assert OUTER.to == [Mailbox("", "a@x.test"), Mailbox("Joe", "joe@x.test")]
    assert OUTER.cc == [Mailbox("", "c@x.test")]
    assert Message(b"").to == []


def test_date_and_ids_are_values() -> None:
    assert OUTER.date == datetime(1997, 11, 21, 9, 55, 6, tzinfo=UTC)
    assert OUTER.message_id == "<1@x.test>"
    assert OUTER.in_reply_to == ["<0@x.test>"]
    assert OUTER.references == ["<a@x>", "<=?b?=@x>"]
    assert (Message(b"").date, Message(b"").references, Message(b"").message_id) == (None, [], None)


def test_ids_without_brackets() -> None:
    assert Message(b"References: a@x b@y\r\n\r\n").references == ["<a@x>", "<b@y>"]
    assert Message(b"Message-ID: a@x\r\n\r\n").message_id is None


def test_an_attached_message_is_a_message() -> None:
    picture, attached = OUTER.attachments
    assert (picture.content_id, picture.message, picture.content) == ("pic@x.test", None, b"pixels")
    assert attached.message is not None
    assert (attached.message.subject, attached.message.body) == ("inner", "inner")
    assert attached.message.from_ == [Mailbox("", "joe@x.test")]
    assert OUTER.body == "outer\n"
    assert repr(attached.message) == "<Message of 41 octets>"


@pytest.mark.parametrize("encoding", [b"base64", b"quoted-printable"])
def test_an_attached_message_that_came_encoded(encoding: bytes) -> None:
    body = b"U3ViamVjdDogaW5uZXIKCng=" if encoding == b"base64" else b"Subject: inn=65r\n\nx"
    fields = b"Content-Type: message/rfc822\nContent-Transfer-Encoding: %b\n\n" % encoding
    (attached,) = Message(fields + body).attachments
    assert attached.message is not None
    assert (attached.message.subject, attached.message.body) == ("inner", "x")
