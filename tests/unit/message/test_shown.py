"""What of a message a person sees, whatever its parts are."""

from __future__ import annotations

import pytest

from lamson.message.parsed import ParsedMessage

PICTURE = b"Content-Type: image/png\n\npixels"


def of(kind: bytes, *parts: bytes) -> bytes:
    """A multipart, with a boundary of its own."""
    boundary = b"b%d" % len(b"".join(parts))
    lines = b"".join(b"--%b\n%b\n" % (boundary, one) for one in parts)
    return b"Content-Type: multipart/%b; boundary=%b\n\n%b--%b--" % (
        kind,
        boundary,
        lines,
        boundary,
    )


def text(content: bytes, *fields: bytes) -> bytes:
    return b"".join(b"%b\n" % field for field in fields) + b"\n" + content


def html(content: bytes, *fields: bytes) -> bytes:
    return text(content, b"Content-Type: text/html", *fields)


TYPED = b"Content-Type: text/plain; name=mail.txt"


@pytest.mark.parametrize(
    ("message", "body"),
    [
        (text(b"a"), "a"),
        (html(b"<p>a"), "a\n"),
        (of(b"mixed", text(b"a"), PICTURE, text(b"b")), "a\nb\n"),
        (of(b"mixed", html(b"<p>a"), text(b"_____\nfooter")), "a\n_____\nfooter\n"),
        (of(b"x-new", html(b"a"), PICTURE, html(b"b")), "a\nb\n"),
        (of(b"*", text(b"a")), "a\n"),
        (of(b"alternative", text(b"a"), html(b"b")), "a\n"),
        (of(b"alternative", html(b"b"), text(b"a")), "a\n"),
        (of(b"alternative", text(b""), html(b"b")), "b\n"),
        (of(b"alternative", text(b""), html(b"")), ""),
        (of(b"alternative", text(b" \n\n"), of(b"related", html(b"b"), PICTURE)), "b\n"),
        (of(b"alternative", text(b"a"), of(b"mixed", html(b"b"), PICTURE, html(b"c"))), "a\n"),
        (of(b"mixed", of(b"alternative", text(b"a"), html(b"b")), text(b"c")), "a\nc\n"),
        # A text that only says that there is HTML says nothing...
        (of(b"alternative", text(b"Your mail program cannot show HTML."), html(b"b")), "b\n"),
        (of(b"alternative", text(b"Get HTML."), of(b"related", html(b"b"), PICTURE)), "b\n"),
        (of(b"alternative", text(b"Get HTML."), html(b"<img>")), "Get HTML.\n"),
        # ...and one that speaks of HTML, as the HTML does, is read.
        (of(b"alternative", text(b"is it\nHTML?"), html(b"<p>is it HTML?")), "is it\nHTML?\n"),
        (of(b"alternative", text(b"HTML " * 100), html(b"b")), "HTML " * 100 + "\n"),
        (of(b"mixed", text(b"\n"), PICTURE, html(b"b")), "b\n"),
        (of(b"alternative", text("\u200b\u200c\xa0\n".encode()), html(b"b")), "b\n"),
        (of(b"mixed", text("\u2060\n".encode()), PICTURE, html(b"b")), "b\n"),
        (of(b"related", html(b"a"), html(b"b", b"Content-ID: <frame>")), "a\n"),
        (of(b"related", text(b"a"), PICTURE, text(b"b")), "a\nb\n"),
        (of(b"signed", text(b"a"), text(b"x", b"Content-Type: application/pgp-signature")), "a\n"),
        # A file name hides nothing, a declaration does.
        (text(b"a", TYPED), "a"),
        (text(b"a", b"Content-Disposition: inline; filename=a.txt"), "a"),
        (of(b"mixed", text(b"a", TYPED), PICTURE), "a\n"),
        (of(b"mixed", text(b"a"), text(b"b", b"Content-Disposition: attachment")), "a\n"),
        (text(b"a", b"Content-Disposition: attachment"), "a"),
        # What is empty hides nothing.
        (of(b"mixed", of(b"alternative"), text(b"a")), "a\n"),
        (of(b"mixed", b"Content-Type: multipart/alternative; boundary=c\n\n", text(b"a")), "a\n"),
        (of(b"mixed", text(b"a")).replace(b"--b2\n", b"--b2\n--b2\n", 1), "a\n"),
        (b"Content-Type: multipart/mixed; boundary=b\n\n--b\n--b--", ""),
        # Of other texts only where there are none of these.
        (text(b"a", b"Content-Type: text/x-patch"), "a"),
        (text(b"<bold>a<<b</bold>\nc\n\nd", b"Content-Type: text/enriched"), "a<b c\nd"),
        (of(b"mixed", text(b"a", b"Content-Type: text/markdown"), PICTURE), "a\n"),
        # What is no type is what is meant by it.
        (text(b"a", b"Content-Type: plain/text; charset=utf-8"), "a"),
        (text(b"<p>a", b"Content-Type: html"), "a\n"),
        (of(b"mixed", html(b"a")).replace(b"multipart/mixed", b"multipart"), "a\n"),
        (of(b"mixed", text(b"x", b"Content-Type: text/calendar"), PICTURE), ""),
        (PICTURE, ""),
        # Of an attached message nothing.
        (of(b"mixed", text(b"a"), b"Content-Type: message/rfc822\n\n\nno"), "a\n"),
    ],
)
def test_body(message: bytes, body: str) -> None:
    for content in (message, message.replace(b"\n", b"\r\n")):
        assert ParsedMessage(content).body == body


def test_format_flowed_is_undone() -> None:
    message = ParsedMessage(b"Content-Type: text/plain; Format=Flowed; DelSp=Yes\n\na \nb\n")
    assert message.body == "ab\n"
    assert ParsedMessage(b"Content-Type: text/plain\n\na \nb\n").body == "a \nb\n"


def test_a_page_may_declare_its_charset() -> None:
    page = "<meta charset=windows-1251>Привет".encode("cp1251")
    assert ParsedMessage(b"Content-Type: text/html\n\n" + page).body == "Привет\n"
    declared = b"Content-Type: text/html; charset=koi8-r\n\n"
    assert ParsedMessage(declared + "<meta charset=utf-8>Ж".encode("koi8-r")).body == "Ж\n"


def test_more_html_than_is_read_is_said() -> None:
    message = ParsedMessage(b"Content-Type: text/html\n\n" + b"<b>" * 30_000)
    assert "longer HTML than is made into text" in message.defects


def test_a_multipart_with_the_boundary_of_the_one_it_stands_in() -> None:
    inner = b"Content-Type: multipart/alternative; boundary=b\n\n\n--b\n\na\n--b\n"
    inner += html(b"<p>a") + b"\n--b--\n"
    message = ParsedMessage(
        b"Content-Type: multipart/mixed; boundary=b\n\n--b\n"
        + inner
        + b"--b\n"
        + PICTURE
        + b"\n--b--"
    )
    assert message.body == "a\n"
    assert [part.content_type for part in message.parts] == ["text/plain", "text/html", "image/png"]


@pytest.mark.parametrize(
    "declared",
    [
        b"multipart/mixed",
        b"multipart/mixed;\nboundary=b1",
        b"multipart/mixed\n\tboundary=b1",
        b'multipart/mixed; x="',
    ],
)
def test_a_boundary_that_is_not_said_right(declared: bytes) -> None:
    message = ParsedMessage(
        b"Content-Type: %b\n\n--b1\n\na\n--b1\n%b\n--b1--\n" % (declared, PICTURE)
    )
    assert [part.content_type for part in message.parts] == ["text/plain", "image/png"]
    assert message.body == "a\n"
    assert message.defects.could_hide


@pytest.mark.parametrize(
    ("line", "close"), [(b"b1 ", b"b1 --"), (b"b1", b"b1--"), (b"b1 ", b"b1--")]
)
def test_a_boundary_that_ends_in_a_blank(line: bytes, close: bytes) -> None:
    message = ParsedMessage(
        b'Content-Type: multipart/mixed; boundary="b1 "\n\n--%b\n\na\n--%b\n%b\n--%b\n'
        % (line, line, PICTURE, close)
    )
    assert message.body == "a\n"
    assert [part.content_type for part in message.parts] == ["text/plain", "image/png"]


def test_lines_that_end_in_a_bare_cr() -> None:
    message = ParsedMessage(b"Subject: x\rContent-Type: text/html\r\r<p>a<p>b\r")
    assert (message.header.get("Subject"), message.body) == ("x", "a\n\nb\n")
    assert message.defects.could_hide
    assert ParsedMessage(b"Subject: x\r\n\r\na\rb\r").body == "a\nb\n"
