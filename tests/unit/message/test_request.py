"""MailRequest: one message as one recipient got it."""

from __future__ import annotations

import pytest

from lamson.message.parsed import ParsedMessage
from lamson.message.request import MailRequest
from lamson.smtp.envelope import Envelope, Peer, QueueId, Recipient

CONTENT = (
    b"Received: by mx.example\r\nReceived: by other.example\r\n"
    b"From: Zed Shaw <Zed@Example.com>\r\nTo: list@test.com\r\n"
    b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n again\r\nMessage-ID: <1@example.com>\r\n\r\n"
    b"Hello\r\nthere\r\n"
)
BOTH = ("list@test.com", "other@test.com")


def request(
    content: bytes = CONTENT, sender: str = "bounces@example.com", to: str = "list@test.com"
) -> MailRequest:
    peer = Peer(name="mail.example", addr="192.0.2.1", ident=QueueId("4QxBcdfghjz1x"))
    return MailRequest(content, Envelope(sender, BOTH, peer), Recipient(to, {"host": "test.com"}))


def test_the_envelope() -> None:
    message = request()
    assert message.sender == "bounces@example.com"
    assert message.recipient.address == "list@test.com"
    assert message.recipient.captures["host"] == "test.com"
    assert message.peer.name == "mail.example"
    assert message.queue_id.is_long
    assert message.raw is CONTENT


def test_recipients_share_the_content() -> None:
    message = request()
    other = MailRequest(message.content, message.envelope, Recipient("other@test.com"))
    assert other.recipient.address == "other@test.com"
    assert other.envelope is message.envelope
    assert other.content is message.content
    again = MailRequest(ParsedMessage(CONTENT), message.envelope, message.recipient)
    assert again.subject == message.subject


def test_header_fields() -> None:
    message = request()
    assert message["SUBJECT"] == message.subject == "Grüße again"
    assert message["X-None"] is None
    assert message.get("X-None", "nothing") == "nothing"
    assert message.get("to") == "list@test.com"
    assert message.get_all("received") == ["by mx.example", "by other.example"]
    assert message.get_all("X-None") == []
    assert message.raw_header("subject") == b"=?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n again"
    assert message.raw_header("X-None") is None
    assert "to" in message
    assert "X-None" not in message
    assert 1 not in message
    assert list(message) == message.keys() == [name for name, _ in message.items()]
    assert message.keys()[:3] == ["Received", "Received", "From"]
    assert message.items()[-1] == ("Message-ID", "<1@example.com>")


def test_a_message_without_fields() -> None:
    message = request(b"\r\nbody")
    assert (message.subject, message.message_id, message.body) == ("", None, "body")
    assert message.author == "bounces@example.com"


@pytest.mark.parametrize(
    ("fields", "source"),
    [
        (b"From: a@b.example", "From"),
        (b"From: a@b.example, c@d.example", "envelope"),
        (b"From: a@b.example\r\nFrom: a@b.example", "envelope"),
        (b"From: nobody", "envelope"),
        (b"Subject: x", "envelope"),
    ],
)
def test_where_the_author_was_taken_from(fields: bytes, source: str) -> None:
    assert request(fields + b"\r\n\r\n").author_source == source


def test_the_author_is_the_from_address_else_the_envelope_sender() -> None:
    assert request().author == "zed@example.com"
    assert request(b"From: a@b.example, c@d.example\r\n\r\n", "X@Y.example").author == "x@y.example"


@pytest.mark.parametrize(
    ("field", "message_id"),
    [
        (b"<1@example.com>", "<1@example.com>"),
        (b"(comment) <1@example.com> x", "<1@example.com>"),
        (b"1@example.com", None),
        (b"<1 @example.com>", None),
        (b"<" + b"x" * 1000 + b">", None),
        (b"<" * 100_000, None),
    ],
)
def test_message_id(field: bytes, message_id: str | None) -> None:
    assert request(b"Message-Id: " + field + b"\r\n\r\n").message_id == message_id


def test_the_body_and_the_attachments() -> None:
    message = request(
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nHello\r\n"
        b"--b\r\nContent-Type: image/png; name=x.png\r\n\r\npixels\r\n"
        b"--b\r\nContent-Type: text/html\r\n\r\n<p>Hello\r\n--b--\r\n"
    )
    assert (message.body, message.html) == ("Hello\nHello\n", "<p>Hello")
    assert len(message.parts) == 3
    assert [part.filename for part in message.attachments] == ["x.png"]
    assert message.defects == []


def test_text_for_people() -> None:
    assert str(request()) == (
        "From: Zed Shaw <Zed@Example.com>\nTo: list@test.com\nSubject: Grüße again\n\n"
        "Hello\nthere\n"
    )
    assert repr(request(b"", sender="")) == "<MailRequest from <> to list@test.com, 0 octets>"


@pytest.mark.parametrize(
    ("fields", "sender", "is_bounce"),
    [
        (b"Subject: x", "", True),
        (b"Content-Type: multipart/report; report-type=delivery-status; boundary=b", "a@b", True),
        (b"Content-Type: multipart/report; report-type=feedback-report; boundary=b", "a@b", False),
        (b"Subject: x", "a@b", False),
    ],
)
def test_bounces(fields: bytes, sender: str, is_bounce: bool) -> None:
    assert request(fields + b"\r\n\r\n", sender).is_bounce is is_bounce


def test_automatic_mail() -> None:
    assert request().automatic_reason is None
    assert not request().is_automatic
    assert request(sender="").automatic_reason == "the envelope sender is null"
    assert request(to="zed@example.com").is_automatic
