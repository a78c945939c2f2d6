"""MailResponse: a message to be sent, that nothing can break out of."""

from __future__ import annotations

import email
from email import policy
from typing import TYPE_CHECKING, Any

import pytest

from lamson.errors import AddressError
from lamson.message.attachment import Attachment
from lamson.message.mailboxes import Mailbox
from lamson.message.response import MailResponse

if TYPE_CHECKING:
    from email.message import EmailMessage


def response(**given: Any) -> MailResponse:
    usual = {"to": "zed@example.com", "sender": "list@test.com", "subject": "Hello", "body": "Hi\n"}
    return MailResponse(**{**usual, **given})


def parsed(message: MailResponse) -> EmailMessage:
    return email.message_from_bytes(message.to_bytes(), policy=policy.default)


def test_a_plain_message() -> None:
    message = response()
    message["Date"] = "Sun, 22 Nov 2026 19:20:01 +0000"
    message["Message-ID"] = "<1@test.com>"
    assert message.to_bytes() == (
        b"From: list@test.com\r\nTo: zed@example.com\r\nSubject: Hello\r\n"
        b"Date: Sun, 22 Nov 2026 19:20:01 +0000\r\nMessage-ID: <1@test.com>\r\n"
        b'MIME-Version: 1.0\r\nContent-Type: text/plain; charset="utf-8"\r\n'
        b"Content-Transfer-Encoding: 7bit\r\n\r\nHi\r\n"
    )
    assert repr(message) == "<MailResponse to zed@example.com: 'Hello'>"


def test_the_same_message_has_the_same_bytes() -> None:
    def attached() -> bytes:
        message = response(html="<p>Hi")
        message.attach(b"\0", filename="x")
        return message.to_bytes()

    assert attached() == attached()


def test_fields() -> None:
    message = response(headers={"X-One": "1"})
    message["x-one"] = " 2 "
    message.add_header("X-One", "3")
    assert message["X-ONE"] == "2"
    assert message.get_all("x-one") == ["2", "3"]
    assert "X-One" in message
    del message["X-one"]
    assert message["X-One"] is None
    assert "X-One" not in message
    assert "X-One" not in [name for name, _ in message.items()]
    del message["X-one"]


def test_some_fields_stand_only_once() -> None:
    message = response()
    with pytest.raises(ValueError, match="header field Subject already"):
        message.add_header("Subject", "another")
    message["Subject"] = "another"
    assert message.get_all("Subject") == ["another"]


@pytest.mark.parametrize("name", ["MIME-Version", "content-type", "Content-Transfer-Encoding"])
def test_fields_of_the_content_are_not_for_setting(name: str) -> None:
    with pytest.raises(ValueError, match="follows from body, html and attachments"):
        response()[name] = "x"


@pytest.mark.parametrize("bad", ["x\r\nBcc: y@example.com", "x\ry", "x\ny", "x\0y"])
def test_a_line_break_is_refused_wherever_it_is_given(bad: str) -> None:
    message = response()
    for name in ("Subject", "X-Any", "To", "From", "Cc", "References"):
        with pytest.raises(ValueError, match=f"header field {name} "):
            message[name] = bad
        with pytest.raises(ValueError, match=f"header field {name} "):
            message.add_header(name, bad)
    with pytest.raises(ValueError, match="not the name of a header field"):
        message[f"X-{bad}"] = "x"
    for given in ({"to": bad}, {"sender": bad}, {"subject": bad}, {"headers": {"X": bad}}):
        with pytest.raises(ValueError, match="holds CR, LF or NUL"):
            response(**given)
    with pytest.raises(ValueError, match="holds CR, LF or NUL"):
        response(to=["a@example.com", bad])
    with pytest.raises(ValueError, match="not a file name"):
        message.attach(b"", filename=bad)
    with pytest.raises(ValueError, match="not a content type"):
        message.attach(b"", filename="x", content_type=f"text/plain{bad}")
    with pytest.raises(AddressError):
        message.envelope_sender = f"{bad}@example.com"
    assert message["Subject"] == "Hello"


@pytest.mark.parametrize("to", ["", [], "nobody", ["a@example.com", ""], "a@example.com,"])
def test_addresses_that_are_none(to: Any) -> None:
    with pytest.raises(AddressError):
        response(to=to)


@pytest.mark.parametrize("name", ["To", "Cc", "Bcc", "Reply-To", "Mail-Followup-To"])
def test_addresses_may_come_one_at_a_time(name: str) -> None:
    """As they do from a generator, or of a query."""
    message = response()
    message[name] = (f"{who}@example.com" for who in ("amy", "joe"))
    assert message[name] == "amy@example.com, joe@example.com"
    with pytest.raises(AddressError):
        message[name] = iter(())
    with pytest.raises(ValueError, match="holds CR, LF"):
        message[name] = (f"amy@example.com\r\nBcc: {who}@example.com" for who in ("joe",))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"body": b"Hi"}, "body takes a text, not bytes"),
        ({"html": 5}, "html takes a text, not int"),
        ({"subject": 5}, "header field Subject takes a text, not int"),
        ({"headers": {"X-Priority": 1}}, "header field X-Priority takes a text, not int"),
        ({"headers": {"X-Tags": (tag for tag in "ab")}}, "X-Tags takes a text, not tuple"),
        ({"to": [object()]}, "not a mail address, but object"),
        ({"cc": 5}, "not a mail address, but int"),
        ({"attachments": Attachment(b"", "a.txt")}, "attachments takes a list, not Attachment"),
    ],
)
def test_what_is_of_another_type_is_named(given: dict[str, Any], said: str) -> None:
    with pytest.raises(TypeError, match=said):
        response(**given)
    message = response()
    for name in ("body", "html"):
        with pytest.raises(TypeError, match=f"{name} takes a text, not bytes"):
            setattr(message, name, b"Hi")


@pytest.mark.parametrize("sender", ["a@example.com, b@example.com", "", "undisclosed:;"])
def test_there_is_one_from_address(sender: str) -> None:
    with pytest.raises(AddressError):
        response(sender=sender)


def test_addresses() -> None:
    message = response(
        to=["Zed <zed@example.com>", "joe@example.com"], sender='"The, list" <list@test.com>'
    )
    message["Cc"] = "amy@example.com, zed@example.com"
    message["Bcc"] = "secret@example.com"
    assert message.to == ["zed@example.com", "joe@example.com"]
    assert message.sender == '"The, list" <list@test.com>'
    assert message.recipients == [
        "zed@example.com",
        "joe@example.com",
        "amy@example.com",
        "secret@example.com",
    ]
    assert b"secret" not in message.to_bytes()
    assert parsed(message)["To"] == "Zed <zed@example.com>, joe@example.com"


def test_undisclosed_recipients() -> None:
    message = response(to="undisclosed-recipients:;")
    assert message.to == []
    assert b"To: undisclosed-recipients:;\r\n" in message.to_bytes()


def test_the_envelope_sender() -> None:
    message = response(sender="The list <list@test.com>")
    assert message.envelope_sender == "list@test.com"
    message.envelope_sender = "bounce+x@TEST.com"
    assert message.envelope_sender == "bounce+x@test.com"
    message.envelope_sender = ""
    assert message.envelope_sender == ""
    message.envelope_sender = None
    assert message.envelope_sender == "list@test.com"


def test_unicode_in_ascii() -> None:
    message = response(
        to="Zoë, the <zed@example.com>".replace(",", ""), subject="Grüße " * 20, body="ünï\n"
    )
    assert message.to_bytes().isascii()
    assert not message.needs_smtputf8
    read = parsed(message)
    assert read["To"].addresses[0].display_name == "Zoë the"
    assert read["Subject"] == ("Grüße " * 20).strip()
    assert read.get_content() == "ünï\r\n"


def test_unicode_addresses_need_smtputf8() -> None:
    message = response(to="Zoë <zoë@example.com>", subject="Grüße")
    assert message.needs_smtputf8
    content = message.to_bytes()
    assert 'To: "Zoë" <zoë@example.com>\r\nSubject: Grüße\r\n'.encode() in content
    plain = response()
    plain.envelope_sender = "zoë@example.com"
    assert plain.needs_smtputf8


def test_text_and_html() -> None:
    read = parsed(response(html="<p>Hi"))
    assert read.get_content_type() == "multipart/alternative"
    assert [part.get_content() for part in read.iter_parts()] == ["Hi\r\n", "<p>Hi\r\n"]
    alone = parsed(response(body=None, html="<p>Hi"))
    assert [part.get_content() for part in alone.iter_parts()] == ["Hi\r\n", "<p>Hi\r\n"]
    assert parsed(response(body=None)).get_content() == ""


def test_attachments() -> None:
    message = response(html="<img src='cid:a%20b.png'>")
    message.attach(b"\x89PNG", filename="a b.png", content_type="image/png", inline=True)
    message.attach("täxt\n", filename="ü.txt", content_type="text/plain")
    message.attach("{}", filename="x.json", content_type="application/json")
    message.attach(b"Subject: x\r\n\r\nhello\r\n", filename="m", content_type="message/rfc822")
    read = parsed(message)
    assert [part.get_content_type() for part in read.walk()] == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "multipart/related",
        "text/html",
        "image/png",
        "text/plain",
        "application/json",
        "message/rfc822",
        "text/plain",
    ]
    body = read.get_body(("html",))
    assert body is not None
    assert body["Content-ID"] is None
    image, text, json, enclosed = [p for p in read.walk() if p.get_content_disposition()]
    assert (image["Content-ID"], image.get_content()) == ("<a%20b.png>", b"\x89PNG")
    assert image.get_content_disposition() == "inline"
    assert (text.get_filename(), text.get_content()) == ("ü.txt", "täxt\r\n")
    assert json.get_content() == b"{}"
    assert enclosed.get_content()["Subject"] == "x"


def test_inline_without_html_is_an_attachment_to_the_text() -> None:
    message = response()
    message.attach(b"x", filename="x.png", content_type="image/png", inline=True)
    assert parsed(message).get_content_type() == "multipart/mixed"


@pytest.mark.parametrize("content_type", ["", "text", "text/", "a b/c", "text/plain; x", "é/x"])
def test_wrong_content_types(content_type: str) -> None:
    with pytest.raises(ValueError, match="not a content type"):
        response().attach(b"", filename="x", content_type=content_type)


@pytest.mark.parametrize("filename", ["", " ", "x" * 256, "ü" * 128, "a\x7f", "\ud800"])
def test_wrong_file_names(filename: str) -> None:
    with pytest.raises(ValueError, match="not a file name"):
        response().attach(b"", filename=filename)


def test_no_line_is_too_long() -> None:
    message = response(
        to=[f"Somebody Number {n} <somebody{n}@example.com>" for n in range(500)],
        subject="x" * 5000,
        body="y" * 5000 + "ü",
        html="z" * 5000,
    )
    message["References"] = " ".join(f"<{n}@{'x' * 100}>" for n in range(50))
    message.attach(b"\0" * 10_000, filename="ü" * 127)
    assert max(map(len, message.to_bytes().split(b"\r\n"))) <= 998


def test_names_and_addresses_apart() -> None:
    bob = Mailbox("evil@x.example, Bob", "real@y.example")
    response = MailResponse(to=bob, sender=Mailbox("Liste, die", "list@test.com"), subject="x")
    response["Cc"] = [bob, "zed@example.com"]
    response["Reply-To"] = bob
    assert response.recipients == ["real@y.example", "zed@example.com"]
    assert response.envelope_sender == "list@test.com"
    assert response["To"] == '"evil@x.example, Bob" <real@y.example>'
    response.envelope_sender = bob
    assert response.envelope_sender == "real@y.example"
    with pytest.raises(AddressError, match="From takes one address, not 2"):
        response["From"] = [bob, bob]
    with pytest.raises(AddressError):
        MailResponse(to=[], sender="list@test.com", subject="x")
    with pytest.raises(TypeError, match="header field X-Name takes a text, not Mailbox"):
        response["X-Name"] = bob
    with pytest.raises(ValueError, match="holds CR, LF or NUL"):
        response["To"] = ["a@b.c\r\nBcc: d@e.f"]


@pytest.mark.parametrize("name", ["Errors-To", "Resent-From", "Disposition-Notification-To"])
def test_no_address_becomes_an_encoded_word(name: str) -> None:
    message = response()
    message[name] = "J\u00fcrgen <zed@example.com>"
    assert message[name] == '"J\u00fcrgen" <zed@example.com>'
    assert f"\r\n{name}: =?utf-8?q?J=C3=BCrgen?= <zed@example.com>\r\n".encode() in (
        message.to_bytes()
    )
    message[name] = Mailbox("a, b", "zed@example.com")
    assert f'\r\n{name}: "a, b" <zed@example.com>\r\n'.encode() in message.to_bytes()
    message[name] = "anything@all, in ASCII: is left"
    assert message[name] == "anything@all, in ASCII: is left"
    with pytest.raises(AddressError):
        message[name] = "J\u00fcrgen"


def test_html_that_is_too_long_for_a_text_is_told(caplog: pytest.LogCaptureFixture) -> None:
    made = MailResponse(to="a@b.example", sender="c@d.example", subject="x", html="<p>word " * 150)
    made.to_bytes()
    assert caplog.text == ""
    long = "<p>word</p>" * 100_000
    made = MailResponse(to="a@b.example", sender="c@d.example", subject="x", html=long)
    made.to_bytes()
    assert "its text/plain ends early" in caplog.text
