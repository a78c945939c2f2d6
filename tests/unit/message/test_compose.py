"""The bytes of what is sent: fields, entities, line ends."""

from __future__ import annotations

import email
from email import policy

import pytest

from lamson.message import compose
from lamson.message.compose import normalise_newlines, prepend_headers
from lamson.message.defects import Defects
from lamson.message.header import Header


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("Subject", "hello", b"Subject: hello\r\n"),
        ("Subject", "", b"Subject: \r\n"),
        ("Subject", "Grüße an alle", b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe_an_alle?=\r\n"),
        ("Subject", "日本", b"Subject: =?utf-8?b?5pel5pys?=\r\n"),
        ("Subject", "=?utf-8?q?x?=", b"Subject: =?utf-8?q?=3D=3Futf-8=3Fq=3Fx=3F=3D?=\r\n"),
        ("Subject", "a\x0bb", b"Subject: =?utf-8?q?a=0Bb?=\r\n"),
        ("X", "word " * 20 + "end", b"X:" + b" word" * 14 + b"\r\n" + b" word" * 6 + b" end\r\n"),
        ("X", "a" * 100 + " b", b"X: " + b"a" * 100 + b"\r\n b\r\n"),
    ],
)
def test_fields(name: str, value: str, line: bytes) -> None:
    assert compose.field(name, value) == line


def test_fields_in_utf8() -> None:
    assert compose.field("Subject", "Grüße", utf8=True) == "Subject: Grüße\r\n".encode()
    assert compose.field("Subject", "a\u2028b", utf8=True).startswith(b"Subject: =?utf-8?")


def test_a_long_message_id_stays_as_it_is() -> None:
    message_id = f"<{'x' * 200}@example.com>"
    assert compose.field("In-Reply-To", message_id) == f"In-Reply-To: {message_id}\r\n".encode()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X", "a\r\nBcc: b"),
        ("X", "a\rb"),
        ("X", "a\nb"),
        ("X", "a\0b"),
        ("X", "a\ud800b"),
        ("X: y\r\nBcc", "b"),
        ("", "a"),
        ("X Y", "a"),
        ("X:", "a"),
        ("Ü", "a"),
        ("X" * 77, "a"),
    ],
)
def test_what_cannot_be_a_field(name: str, value: str) -> None:
    with pytest.raises(ValueError, match="header field"):
        compose.field(name, value)


@pytest.mark.parametrize("text", ["ü" * 500, "日本語" * 200, "x" * 5000, "a ü 文" * 100])
@pytest.mark.parametrize("name", ["Subject", "X-" + "Long" * 18])
def test_lines_of_encoded_words_are_short(text: str, name: str) -> None:
    field = compose.field(name, text)
    assert max(map(len, field.split(b"\r\n"))) <= max(78, len(name) + 40)
    words = field.split()[1:]
    assert max(map(len, words)) <= 75
    parsed = email.message_from_bytes(field + b"\r\n", policy=policy.default)
    assert parsed[name] == text


@pytest.mark.parametrize(
    ("text", "encoding", "body"),
    [
        ("", b"7bit", b""),
        ("a\nb\r\nc\rd", b"7bit", b"a\r\nb\r\nc\r\nd\r\n"),
        ("x" * 998, b"7bit", b"x" * 998 + b"\r\n"),
        ("naïve text\n", b"quoted-printable", b"na=C3=AFve text\r\n"),
        ("a =\t\n", b"7bit", b"a =\t\r\n"),
        ("ünïcödé", b"base64", b"w7xuw69jw7Zkw6kNCg==\r\n"),
        ("a\0b" + " " * 20, b"quoted-printable", b"a=00b" + b" " * 19 + b"=20\r\n"),
    ],
)
def test_texts(text: str, encoding: bytes, body: bytes) -> None:
    entity = compose.text_entity(text)
    assert entity.header == (
        b'Content-Type: text/plain; charset="utf-8"\r\nContent-Transfer-Encoding: %b\r\n' % encoding
    )
    assert entity.body == body


def test_long_lines_are_encoded() -> None:
    entity = compose.text_entity("x" * 999)
    assert b"quoted-printable" in entity.header
    assert max(map(len, entity.body.split(b"\r\n"))) <= 76


def test_an_attached_message_stays_readable() -> None:
    entity = compose.data_entity(b"Subject: x\n\nhello\n", "message/rfc822")
    assert entity.body == b"Subject: x\r\n\r\nhello\r\n"
    assert b"base64" in compose.data_entity(b"Subject: \xff\n\n", "message/rfc822").header


def test_the_same_parts_have_the_same_boundary_and_others_another() -> None:
    one, two = compose.text_entity("one"), compose.text_entity("two")
    assert compose.multipart("mixed", [one, two]) == compose.multipart("mixed", [one, two])
    boundary = compose.multipart("mixed", [one]).body.split(b"\r\n")[0]
    quoting = compose.text_entity(boundary.decode())
    assert compose.multipart("mixed", [quoting]).body.split(b"\r\n")[0] != boundary


@pytest.mark.parametrize(
    ("filename", "parameter"),
    [
        ("a b.txt", b'filename="a b.txt"'),
        ("ü.txt", b"filename*=utf-8''%C3%BC.txt"),
        ('a"b\\', b"filename*=utf-8''a%22b%5C"),
        (
            "ü" * 21,
            b"filename*0*=utf-8''"
            + b"%C3%BC" * 10
            + b"; filename*1*="
            + b"%C3%BC" * 10
            + b"; filename*2*=%C3%BC",
        ),
        ("a/b'*%", b'filename="a/b\'*%"'),
    ],
)
def test_file_names(filename: str, parameter: bytes) -> None:
    line = compose.disposition("attachment", filename)
    assert max(map(len, line.split(b"\r\n"))) <= 100
    assert line.replace(b"\r\n", b"") == b"Content-Disposition: attachment; " + parameter


@pytest.mark.parametrize(
    ("content", "normal"),
    [
        (b"a\nb", b"a\r\nb"),
        (b"a\rb", b"a\r\nb"),
        (b"a\r\r\nb", b"a\r\n\r\nb"),
        (b"a\n\r", b"a\r\n\r\n"),
        (b"a\r\n.\nb\n.\r\n", b"a\r\n.\r\nb\r\n.\r\n"),
        (b"\n\r\n\r", b"\r\n\r\n\r\n"),
    ],
)
def test_bare_line_ends_become_crlf(content: bytes, normal: bytes) -> None:
    assert normalise_newlines(content) == normal


def test_clean_content_is_not_copied() -> None:
    content = b"a\r\nb\r\n" * 100
    assert normalise_newlines(content) is content


@pytest.mark.parametrize(
    ("content", "result"),
    [
        (b"A: b\r\n\r\nx\n", b"D: zed@example.com\r\nE: f\r\nA: b\r\n\r\nx\n"),
        (b"A: b\n\nx\r\n", b"D: zed@example.com\nE: f\nA: b\n\nx\r\n"),
        (b"\nx", b"D: zed@example.com\nE: f\n\nx"),
        (b"", b"D: zed@example.com\r\nE: f\r\n"),
        (b" x\n", b"D: zed@example.com\nE: f\n\n x\n"),
    ],
)
def test_fields_on_top_of_a_message(content: bytes, result: bytes) -> None:
    assert prepend_headers(content, [("D", "zed@example.com"), ("E", "f")]) == result


def test_an_address_on_top_is_not_made_an_encoded_word() -> None:
    assert prepend_headers(b"", [("Delivered-To", "zoë@example.com")]) == (
        "Delivered-To: zoë@example.com\r\n".encode()
    )
    with pytest.raises(ValueError, match="Delivered-To holds CR, LF or NUL"):
        prepend_headers(b"", [("Delivered-To", "a@b\r\nBcc: c@d")])


@pytest.mark.parametrize("utf8", [False, True])
@pytest.mark.parametrize(
    "value",
    [
        "x" + " " * 2000 + "y",
        "x" + "\t" * 2000 + "y",
        "x" + (" " * 69 + "y" * 899) * 5,
        "y" * 899 + " " * 69 + "y" * 899,
        "ü" + " " * 2000 + "y",
        "\U0001f600" * 200 + " " * 60 + "\U0001f600" * 200,
    ],
)
@pytest.mark.parametrize("name", ["Subject", "X" * 76])
def test_no_value_makes_a_line_too_long(name: str, value: str, utf8: bool) -> None:
    written = compose.field(name, value, utf8=utf8)
    assert max(map(len, written.split(b"\r\n"))) <= compose.MAX_LINE
    defects = Defects()
    assert Header(written + b"\r\n", defects).get(name) == value
    assert not defects
