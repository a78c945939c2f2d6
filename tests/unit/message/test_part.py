"""A part: its names, what it is, and what within."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lamson.message.message import Message
from lamson.message.parsed import ParsedMessage

if TYPE_CHECKING:
    from lamson.message.part import Part


def part(fields: bytes, body: bytes = b"x") -> Part:
    (found,) = ParsedMessage(fields + b"\r\n\r\n" + body).parts
    return found


def test_all_names_can_be_seen() -> None:
    found = part(
        b'Content-Type: application/pdf; name="a/b.exe"\r\n'
        b"Content-Disposition: attachment; filename=c.pdf; filename*=utf-8''%C3%BC.txt"
    )
    assert found.filename == "ü.txt"
    assert found.filenames == ["ü.txt", "c.pdf", "b.exe"]
    assert part(b"Content-Type: text/plain").filenames == []


@pytest.mark.parametrize(
    ("name", "filename"),
    [
        (b"x.exe/", "x.exe"),
        (b"a/x.exe/./..", "x.exe"),
        (b"x.exe . .", "x.exe"),
        (b"/", None),
        (b"...", None),
        ("x\u202e.txt".encode(), "x.txt"),
        ("\u0644\u200c\u0627".encode(), "\u0644\u200c\u0627"),  # a letter of its own in Persian
    ],
)
def test_a_name_is_a_name(name: bytes, filename: str | None) -> None:
    found = part(b'Content-Disposition: attachment; filename="%b"' % name)
    assert found.filename == filename


def test_a_disposition_with_a_comment_is_one() -> None:
    assert part(b"Content-Disposition: (c) Attachment (c)").is_attachment
    assert not part(b"Content-Disposition: inline").is_attachment


@pytest.mark.parametrize("value", [b'attachment filename="x.exe"', b"Attachment, filename=x.exe"])
def test_a_name_with_no_semicolon_before_it_is_one(value: bytes) -> None:
    found = part(b"Content-Type: text/plain\r\nContent-Disposition: " + value)
    assert found.filenames == ["x.exe"]
    assert found.is_declared_attachment


@pytest.mark.parametrize("charset", [b"utf-8", b"us-ascii", b"iso-8859-1", b"utf-16", b"big5"])
@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_a_text_of_utf_16_with_its_mark_is_read_whatever_is_declared(
    charset: bytes, codec: str
) -> None:
    text = part(b"Content-Type: text/plain; charset=" + charset, "\ufeffhé\r\nx".encode(codec)).text
    assert text == "hé\nx"


def test_content_that_is_not_encoded_is_not_kept_twice() -> None:
    found = part(b"Content-Transfer-Encoding: 8bit")
    assert found.content == found.content == b"x"
    encoded = part(b"Content-Transfer-Encoding: base64", b"dGV4dA==")
    assert encoded.content is encoded.content


@pytest.mark.parametrize("kind", [b"text/x-amp-html", b"text/watch-html", b"text/enriched"])
def test_other_forms_of_the_text_are_no_attachments(kind: bytes) -> None:
    other = b"--b\nContent-Type: %b%b\n\n<b>hello</b>\n"
    head = b"Content-Type: multipart/%b; boundary=b\n\n--b\n\nhello\n"
    alternative = head % b"alternative" + other % (kind, b"") + b"--b--\n"
    message = Message(alternative)
    assert message.attachments == []
    assert (len(message.parts), message.body) == (2, "hello\n")
    assert Message(b"Content-Type: %b\n\nhello" % kind).attachments == []
    named = head % b"alternative" + other % (kind, b"; name=a.txt") + b"--b--\n"
    assert [part.filename for part in Message(named).attachments] == ["a.txt"]
    assert len(Message(head % b"mixed" + other % (kind, b"") + b"--b--\n").attachments) == 1
    invited = head % b"alternative" + other % (b"text/calendar", b"; method=REQUEST") + b"--b--\n"
    assert len(Message(invited).attachments) == 1


def test_an_attached_message_is_one_attachment() -> None:
    message = ParsedMessage(
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
        b"--b\r\nContent-Type: message/rfc822\r\n\r\n"
        b"Content-Disposition: attachment\r\n\r\ninner\r\n"
        b"--b\r\n\r\nouter\r\n--b--\r\n"
    )
    outside, inside, text = message.parts
    assert inside.within is outside
    assert text.within is None
    assert message.body == "outer\n"


@pytest.mark.parametrize(
    "value",
    [
        b"attachment filename=x.exe",
        b"attachment, filename=x.exe",
        b"attachment:filename=x.exe",
        b'attachment; "filename"=x.exe',
    ],
)
def test_what_is_no_disposition_could_hide_a_name(value: bytes) -> None:
    found = ParsedMessage(b"Content-Disposition: " + value + b"\r\n\r\nx")
    assert found.defects.could_hide


@pytest.mark.parametrize(
    "field", [b"Content-Disposition: attachment; name=x.exe", b"Content-Type: a/b; filename=x.exe"]
)
def test_a_name_under_the_other_name_is_one(field: bytes) -> None:
    assert part(field).filenames == ["x.exe"]
