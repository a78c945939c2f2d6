"""lamson.storage.glance: it tells what the whole reading tells."""

from __future__ import annotations

import pytest

from lamson.message.message import Message
from lamson.storage.glance import glance

PLAIN = b"From: Zed <zed@e.example>\r\nSubject: Hi there\r\nMessage-ID: <1@x>\r\n"


@pytest.mark.parametrize(
    "header",
    [
        PLAIN,
        b"Message-Id: <2@x>\r\nsubject: \r\nfrom: zed@e.example\r\nTo: y\r\n",
        PLAIN + b"Subject: another\r\n",
        PLAIN + b" folded\r\n",
        PLAIN.replace(b"Hi there", b"=?utf-8?q?gr=C3=BC=C3=9Fe?="),
        PLAIN.replace(b"Hi there", "grüße".encode()),
        PLAIN.replace(b"Hi there", b"a\r\n b"),
        PLAIN.replace(b"Hi there", b"a\0b\x1b"),
        PLAIN.replace(b"zed@e.example", b"zed@e.example, ann@e.example"),
        PLAIN.replace(b"Zed <", b'"x@y.example" <'),
        PLAIN.replace(b"Message-ID", b"Message-ID "),
        PLAIN.replace(b"<1@x>", b"1@x"),
        PLAIN.replace(b"\r\n", b"\n"),
        b"Subject: alone\r\n",
        b"",
        b"X: " + b"y" * 20_000 + b"\r\n" + PLAIN,
    ],
)
def test_it_tells_what_the_whole_reading_tells(header: bytes) -> None:
    content = header + b"\r\nSubject: in the body\r\n\r\n"
    seen, message = glance(content), Message(content)
    assert seen.subject == message.subject
    assert seen.author == message.content.from_address
    assert seen.message_id == (message.message_id or "")
    assert seen.end == message.content.header.body
