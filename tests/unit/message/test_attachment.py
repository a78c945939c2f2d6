"""What is attached: files, pictures, invitations, and what came with another message."""

from __future__ import annotations

import email
import io
from email import policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from lamson.message import attachment
from lamson.message.attachment import Attachment
from lamson.message.response import MailResponse
from tests.unit.support import make_message


def response(**given: Any) -> MailResponse:
    usual = {"to": "zed@example.com", "sender": "list@test.com", "subject": "x", "body": "Hi\n"}
    return MailResponse(**{**usual, **given})


def parsed(message: MailResponse) -> EmailMessage:
    found = email.message_from_bytes(message.to_bytes(), policy=policy.default)
    assert isinstance(found, EmailMessage)
    return found


def test_pictures_are_named_by_their_own_ids() -> None:
    logo = Attachment(b"1", "logo.png", "image/png", inline=True, content_id="<img1@local>")
    message = response(html='<img src="cid:img1@local">', attachments=[logo])
    message.attach(b"2", filename="logo.png", content_type="image/png", inline=True)
    related = parsed(message).get_body(("related",))
    assert related is not None
    assert related.get_param("type") == "text/html", "RFC 2387 section 3.1"
    ids = [part["Content-ID"] for part in related.iter_parts()]
    assert ids == [None, "<img1@local>", "<logo.png>"]
    message.attach(b"3", filename="logo.png", content_type="image/png", inline=True)
    assert b"\r\nContent-ID: <logo.png.2>\r\n" in message.to_bytes()
    with pytest.raises(ValueError, match="the content id img1@local already"):
        message.attach(b"4", filename="x", content_id="img1@local")
    for wrong in ("", "a b", "a>b", "ü", "x" * 201):
        with pytest.raises(ValueError, match="not a content id"):
            message.attach(b"", filename="x", content_id=wrong)


@pytest.mark.parametrize("data", ["BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nSUMMARY:Grüße\r\n", b""])
def test_an_invitation_is_an_alternative(data: str | bytes) -> None:
    kind = "text/calendar; method=REQUEST" if not data else "text/calendar"
    message = response(html="<p>Hi")
    message.attach(data, filename="invite.ics", content_type=kind)
    message.attach(b"x", filename="x.bin")
    read = parsed(message)
    (alternative, attached) = read.iter_parts()
    assert alternative.get_content_type() == "multipart/alternative"
    assert [one.get_content_type() for one in alternative.iter_parts()] == [
        *("text/plain", "text/html", "text/calendar")
    ]
    calendar = list(alternative.iter_parts())[2]
    assert calendar.get_param("method") == "REQUEST"
    assert calendar.get_filename() == "invite.ics"
    assert attached.get_filename() == "x.bin"


def test_a_calendar_without_a_method_is_a_file() -> None:
    message = response()
    message.attach("BEGIN:VCALENDAR\r\n", filename="x.ics", content_type="text/calendar")
    (attached,) = parsed(message).iter_attachments()
    assert attached.get_content_type() == "text/calendar"


CAME = (
    b'From: a@b.c\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n\r\ntext\r\n'
    b'--b\r\nContent-Type: image/png; name="a.png"\r\nContent-ID: <one@local>\r\n\r\n1\r\n'
    b'--b\r\nContent-Type: image/png; name="a.png"\r\nContent-ID: <one@local>\r\n\r\n2\r\n'
    b"--b\r\nContent-Type: text/x; charset=iso-8859-1; name*=utf-8''%C3%BC.txt\r\n\r\n\xfc\r\n"
    b"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\nx\r\n"
    b'--b\r\nContent-Type: strange/type; name="' + b"x" * 300 + b'.pdf"\r\n\r\n3\r\n--b--\r\n'
)


def test_parts_of_what_came_can_be_attached_and_a_whole_message() -> None:
    came = make_message(CAME)
    message = response(html="<p>", attachments=[*came.attachments, came])
    read = parsed(message)
    files = [part for part in read.walk() if part.get_filename()]
    names = [part.get_filename() or "" for part in files]
    assert names[:3] == ["a.png", "a.png", "ü.txt"]
    assert names[3] == "attachment.eml"
    assert names[4].endswith("x.pdf")
    assert names[5] == "message.eml"
    assert files[2].get_content().strip() == "ü"
    assert files[5].get_content()["From"] == "a@b.c"
    ids = [part["Content-ID"] for part in files]
    assert ids[:2] == ["<one@local>", None], "a stranger's two with one id are no error of ours"


@pytest.mark.parametrize(
    "kind", ["text/plain; charset=iso-8859-1", 'TEXT/plain; charset="utf-16"; x=y', "text/plain"]
)
def test_a_text_is_utf_8_whatever_is_said(kind: str) -> None:
    message = response(attachments=[Attachment("Grüße\n", "a.txt", kind)])
    (part,) = parsed(message).iter_attachments()
    assert part.get_content() == "Grüße\r\n"
    assert part.get_content_charset() == "utf-8"
    assert part.get_param("x") == ("y" if "x=y" in kind else None)


def test_octets_of_any_kind_are_octets() -> None:
    assert Attachment(bytearray(b"x"), "a").data == b"x"  # type: ignore[arg-type]
    assert Attachment(memoryview(b"x"), "a").data == b"x"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((io.BytesIO(b"x"), "a"), "bytes or a text, not BytesIO"),
        ((None, "a"), "bytes or a text, not NoneType"),
        ((b"x", Path("a")), "texts, not "),
        ((b"x", "a", None), "texts, not NoneType"),
    ],
)
def test_what_is_of_another_type_is_named(given: Any, said: str) -> None:
    with pytest.raises(TypeError, match=said):
        Attachment(*given)


def test_a_multipart_is_no_file() -> None:
    with pytest.raises(ValueError, match="not a content type"):
        Attachment(b"--b\r\n", "a", "multipart/mixed; boundary=b")


def test_nothing_else_can_be() -> None:
    with pytest.raises(TypeError, match="str cannot be attached: give an Attachment"):
        attachment.of("x.png")  # type: ignore[arg-type]
