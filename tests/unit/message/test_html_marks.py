"""What the markup of mail programs tells about the text that it becomes."""

from __future__ import annotations

import pytest

from lamson.message import html_marks, html_text
from lamson.message.parsed import ParsedMessage
from tests.unit.message.test_fragments import request

HTML = b"Subject: Re: x\r\nContent-Type: text/html\r\n\r\n"


def marks(markup: bytes) -> dict[int, str]:
    return dict(html_marks.of(ParsedMessage(HTML + markup)))


def test_signatures_end() -> None:
    markup = b"<p>one</p><div class='x gmail_signature'>Joe<br>+1 555</div><p>two</p>"
    body = ParsedMessage(HTML + markup).body.split("\n")
    found = marks(markup)
    assert {body[line]: kind for line, kind in found.items()} == {"Joe": "signature", "two": "new"}


@pytest.mark.parametrize(
    "element",
    [
        *(b"<div class=gmail_signature>", b"<div class='front-signature'>"),
        b'<div name="messageSignatureSection">',  # Spark
        *(b'<div id="edo-signature">', b"<table class=email-signature><td>"),
    ],
)
def test_signatures(element: bytes) -> None:
    found = request(HTML + b"<p>yes</p>" + element + b"Ann<br>Director</div></table>").fragments
    assert [one.kind for one in found] == ["new", "signature"]


@pytest.mark.parametrize(
    "element",
    [
        b'<div id="divRplyFwdMsg" dir="ltr">',
        b'<div id="x_divRplyFwdMsg">',
        b'<div id="appendonsend"></div><div>',
        b'<div id="yahoo_quoted_1" class="yahoo_quoted">',
    ],
)
def test_old_mail(element: bytes) -> None:
    found = request(HTML + b"<p>yes</p>" + element + b"Ann<br>hello</div>").fragments
    assert [one.kind for one in found] == ["new", "quote"]


def test_a_text_in_the_place_of_the_signature_is_new() -> None:
    found = request(HTML + b"<div class=gmail_signature>My answer is yes.</div>").fragments
    assert [one.kind for one in found] == ["new"]


@pytest.mark.parametrize(
    "markup",
    [
        b"<p>design of a signature</p>",
        b"<p class='designature'>x</p>",
        b"<div class=gmail_signature>x\xf3\xb5\x8c\x81</div>",  # has a character of ours
        b"<div class=gmail_signature>",
        b"",
    ],
)
def test_none(markup: bytes) -> None:
    assert marks(markup) == {}


def test_a_text_that_was_not_made_from_it() -> None:
    raw = (
        b"Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\nJoe\r\n"
        b"--b\r\nContent-Type: text/html\r\n\r\n<div class=gmail_signature>Joe B</div>\r\n--b--\r\n"
    )
    assert html_marks.of(ParsedMessage(raw)) == {}


@pytest.mark.parametrize("markup", [b"<div class=", b"<div class=gmail_signature>", b"<div id=a "])
@pytest.mark.timeout(30)
def test_hostile_markup(markup: bytes) -> None:
    marks(markup * 20_000)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("piece", [b"id= ", b"id= ydp-", b"id=x_x_x_", b"id='"])
def test_hostile_attributes_take_linear_time(piece: bytes) -> None:
    element = b"<div " + piece * (980 // len(piece)) + b">"
    assert marks(element * 10_000) == {}


def test_the_page_is_made_into_text_once_more_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    content = ParsedMessage(HTML + b"<p>Hi<div class=gmail_signature>Zed</div>")
    assert content.body
    seen: list[str] = []
    text_of = html_text.text_of

    def counted(html: str) -> str:
        seen.append(html)
        return text_of(html)

    monkeypatch.setattr(html_text, "text_of", counted)
    assert set(html_marks.of(content).values()) == {"signature"}
    assert len(seen) == 1
