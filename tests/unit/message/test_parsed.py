"""One message's content, read once, when asked."""

from __future__ import annotations

import pytest

from lamson.message import fragments
from lamson.message.message import Message
from lamson.message.parsed import ParsedMessage

ALTERNATIVE = (
    b"From: Zed <Zed@Example.com>\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n"
    b"--b\r\nContent-Type: text/html\r\n\r\n<p>page\r\n"
    b"--b\r\nContent-Type: text/plain\r\n\r\ntext\r\n--b--\r\n"
)


def test_the_text_and_the_page() -> None:
    content = ParsedMessage(ALTERNATIVE)
    assert (content.body, content.html) == ("text\n", "<p>page")


def test_a_page_alone_gives_the_text() -> None:
    content = ParsedMessage(b"Content-Type: text/html\r\n\r\n<p>a &amp; b<br>c")
    assert (content.body, content.html) == ("a & b\nc\n", "<p>a &amp; b<br>c")


def test_an_attached_text_is_not_the_body() -> None:
    content = ParsedMessage(
        b"Content-Type: multipart/mixed; boundary=b\n\n"
        b"--b\nContent-Disposition: attachment\n\nattached\n--b\n\ntext\n--b--\n"
    )
    assert (content.body, content.html) == ("text\n", None)


def test_no_text_at_all() -> None:
    assert ParsedMessage(b"Content-Type: image/png\r\n\r\nx").body == ""


def test_it_is_read_once() -> None:
    content = ParsedMessage(ALTERNATIVE)
    assert content.header is content.header
    assert content.parts is content.parts
    assert content.body is content.body


@pytest.mark.parametrize(
    ("fields", "author"),
    [
        (b"From: Zed <Zed@Example.com>", "Zed@example.com"),
        (b"From: =?utf-8?q?evil=40example=2Ecom=2C?= <a@example.com>", "a@example.com"),
        (b"From: a@example.com\r\nFrom: b@example.com", ""),
        (b"From: a@example.com, b@example.com", ""),
        (b"From: nobody", ""),
        (b"From: zed\r\n @example.com", "zed@example.com"),
        (b"From: " + b"," * 100_000, ""),
        ("From: zoë@example.com".encode(), "zoë@example.com"),
        (b"From: zo\xeb@example.com", ""),
        (b"Subject: x", ""),
    ],
)
def test_author(fields: bytes, author: str) -> None:
    assert ParsedMessage(fields + b"\r\n\r\n").from_address == author


def test_defects_are_those_of_the_whole_message() -> None:
    content = ParsedMessage(
        b"Subject: =?x-no?q?a?=\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
        b"--b\r\nContent-Type: text/plain; charset=x-no\r\n\r\ntext\r\n"
        b"--b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\nabcde\r\n"
    )
    assert sorted(content.defects) == [
        "a multipart without its closing boundary line",
        "header field subject: unknown charset 'x-no'",
        "part image/png: bad base64",
        "part text/plain: unknown charset 'x-no'",
    ]
    assert ParsedMessage(ALTERNATIVE).defects == []


def test_fragments_are_found_once(monkeypatch: pytest.MonkeyPatch) -> None:
    content = ParsedMessage(b"Subject: x\r\n\r\nYes.\r\n> No?\r\n")
    first = content.fragments
    monkeypatch.delattr(fragments, "split")
    assert content.fragments is first
    message = Message(content)
    message.fragments.clear()  # a copy: the other recipients have it too
    assert (message.new_text, [kind for kind, _ in message.fragments]) == (
        "Yes.\n",
        ["new", "quote"],
    )
