"""The parts of a message, cut and decoded, whatever the message is."""

from __future__ import annotations

from email.message import EmailMessage
from typing import TYPE_CHECKING

import pytest

from lamson.message.defects import Defects
from lamson.message.header import Header
from lamson.message.mime import MAX_DEPTH, MAX_PARTS, cut

if TYPE_CHECKING:
    from lamson.message.part import Part


def parts_of(content: bytes) -> tuple[list[Part], Defects]:
    defects = Defects()
    return cut(content, Header(content, defects), defects), defects


def one(fields: bytes, body: bytes = b"") -> tuple[Part, Defects]:
    parts, defects = parts_of(fields + b"\r\n\r\n" + body)
    assert len(parts) == 1
    return parts[0], defects


MULTIPART = (
    b'Content-Type: multipart/mixed; boundary="a b"\r\n\r\npreamble\r\n'
    b"--a b\r\n\r\none\r\n\r\n"
    b"--a b \t\r\nContent-Type: multipart/alternative; boundary=inner\r\n\r\n"
    b"--inner\r\nContent-Type: text/plain\r\n\r\ntwo\r\n"
    b"--inner\r\nContent-Type: text/html\r\n\r\n<p>three\r\n--inner--\r\nepilogue\r\n"
    b"--a bc\r\n"
    b"--a b--\r\nepilogue\r\n"
)


@pytest.mark.parametrize("content", [MULTIPART, MULTIPART.replace(b"\r\n", b"\n")])
def test_nested_multiparts(content: bytes) -> None:
    parts, defects = parts_of(content)
    assert [(part.content_type, part.content) for part in parts] == [
        ("text/plain", b"one\r\n" if b"\r\n" in content else b"one\n"),
        ("text/plain", b"two"),
        ("text/html", b"<p>three"),
    ]
    # To others that may be a boundary line, too: RFC 2046 section 5.1.1.
    assert defects == ["a line that begins like a boundary line"]
    assert defects.could_hide


def test_a_message_without_mime_is_one_text() -> None:
    part, defects = one(b"Subject: x", b"text\r\n")
    assert (part.content_type, part.text, part.filename) == ("text/plain", "text\n", None)
    assert not part.is_attachment
    assert not defects


@pytest.mark.parametrize(
    ("encoding", "body", "content", "defect"),
    [
        (b"base64", b"dGV4\r\ndA==\r\n", b"text", None),
        (b"BASE64 ", b"dGV4dA", b"text", "bad base64"),
        (b"base64", b"dGV4d", b"tex", "bad base64"),
        (b"base64", b"!!!", b"", None),
        (b"quoted-printable", b"a=3Db=\r\nc =XX", b"a=bc =XX", None),
        (b"7bit", b"a=3D", b"a=3D", None),
        (b"x-what", b"a=3D", b"a=3D", "unknown transfer encoding 'x-what'"),
    ],
)
def test_transfer_encodings(
    encoding: bytes, body: bytes, content: bytes, defect: str | None
) -> None:
    part, defects = one(b"Content-Transfer-Encoding: " + encoding, body)
    assert part.content == content
    assert list(defects) == ([f"part text/plain: {defect}"] if defect else [])


@pytest.mark.parametrize(
    ("kind", "body", "text"),
    [
        (b"text/plain; charset=iso-8859-15", b"\xa4", "€"),
        (b"text/plain; charset*=us-ascii'en'utf-8", "ü".encode(), "ü"),
        (b"text/plain", b"a\r\nb\rc\nd", "a\nb\nc\nd"),
        (b"text/plain; charset=unheard-of", "ü".encode(), "ü"),
        (b'text/plain; charset="', b"x", "x"),
    ],
)
def test_texts(kind: bytes, body: bytes, text: str) -> None:
    part, _ = one(b"Content-Type: " + kind, body)
    assert part.text == text


@pytest.mark.parametrize(
    ("fields", "filename"),
    [
        (b"Content-Disposition: attachment; filename=a.txt", "a.txt"),
        (b'Content-Disposition: attachment; filename="a b.txt"', "a b.txt"),
        (b"Content-Disposition: inline; filename*=utf-8''%C3%BC.txt", "ü.txt"),
        (b"Content-Disposition: x; filename*0=a; filename*1=b", "ab"),
        (b'Content-Type: text/plain; name="=?utf-8?q?=C3=BC?="', "ü"),
        ('Content-Type: text/plain; name="ü"'.encode(), "ü"),
        (b'Content-Type: text/plain; name="\xfc\xc3\xbc"', "\ufffdü"),
        (b"Content-Disposition: attachment; filename*=utf-8''%3D%3Futf-8?q?x?=", "=?utf-8?q?x?="),
        (b'Content-Disposition: attachment; filename="../../etc/passwd"', "passwd"),
        (b'Content-Disposition: attachment; filename="C:\\\\dir\\\\x"', "x"),
        (b'Content-Disposition: attachment; filename=".."', None),
        (b"Content-Disposition: attachment; filename*=utf-8''a%0Ab%00", "ab"),
        (b"Content-Disposition: attachment", None),
    ],
)
def test_file_names_are_safe_to_use(fields: bytes, filename: str | None) -> None:
    part, _ = one(fields)
    assert part.filename == filename
    assert part.is_attachment


def test_part_says_what_it_is() -> None:
    part, _ = one(b"Content-Type: image/png; name=x.png")
    assert repr(part) == "<Part image/png x.png>"
    assert part.headers.get("content-type") == "image/png; name=x.png"


@pytest.mark.parametrize(
    ("content", "types", "defect"),
    [
        (b"Content-Type: nonsense\r\n\r\nx", ["text/plain"], "not a content type: 'nonsense'"),
        (
            b"Content-Type: multipart/mixed\r\n\r\nx",
            ["text/plain"],
            "a multipart without a boundary",
        ),
        (
            b"Content-Type: multipart/mixed; boundary=b\r\n\r\nx",
            ["text/plain"],
            "a multipart without its boundary line",
        ),
        (
            b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx",
            ["text/plain"],
            "a multipart without its closing boundary line",
        ),
    ],
)
def test_broken_multiparts(content: bytes, types: list[str], defect: str) -> None:
    parts, defects = parts_of(content)
    assert [part.content_type for part in parts] == types
    assert parts[0].text == "x"
    assert list(defects) == [defect]


@pytest.mark.parametrize("declared", [b"'b1'", b"B1", b"=_b1", b"b2"])
def test_a_boundary_that_is_another_one_is_guessed(declared: bytes) -> None:
    """As where a gateway rewrote it, and as most programs quote: by what the lines are."""
    parts, defects = parts_of(
        b"Content-Type: multipart/alternative; boundary=%b\n\n"
        b"--b1\n\nhello\n--b1\nContent-Type: text/html\n\n<p>hello\n--b1--\n" % declared
    )
    assert [part.content_type for part in parts] == ["text/plain", "text/html"]
    assert list(defects) == ["a multipart without its boundary line"]
    assert defects.could_hide


def test_what_an_attached_message_holds_comes_after_it() -> None:
    parts, defects = parts_of(
        b"Content-Type: multipart/digest; boundary=b\n\n"
        b"--b\n\nSubject: inner\n\nhello\n"
        b"--b\nContent-Type: message/rfc822\n\nContent-Type: multipart/mixed; boundary=c\n\n"
        b"--c\n\nx\n--c--\n--b--\n"
    )
    assert [(part.content_type, part.within) for part in parts] == [
        ("message/rfc822", None),
        ("text/plain", parts[0]),
        ("message/rfc822", None),
        ("text/plain", parts[2]),
    ]
    assert parts[0].content == b"Subject: inner\n\nhello"
    assert (parts[1].content, parts[1].headers.get("Subject")) == (b"hello", "inner")
    assert parts[3].content == b"x"
    assert not defects


@pytest.mark.timeout(20)
def test_nesting_without_measure() -> None:
    head = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(3000)
    )
    parts, defects = parts_of(head + b"\nhello\n")
    assert [part.content_type for part in parts] == ["multipart/mixed"]
    assert parts[0].content.count(b"Content-Type") == 3000 - MAX_DEPTH - 1
    assert "parts nested more than 50 deep: left uncut" in defects


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "piece",
    [
        b"--b\n\nx\n",
        b"--b\nContent-Type: multipart/mixed; boundary=b\n\n",
        b"--b\nContent-Type: multipart/x; boundary=" + b'";a' * 600 + b"\n\nx\n",
    ],
)
def test_parts_without_measure(piece: bytes) -> None:
    parts, defects = parts_of(b"Content-Type: multipart/mixed; boundary=b\n\n" + piece * 10_000)
    assert len(parts) <= MAX_PARTS
    assert "more than 1000 parts: the rest is left uncut" in defects
    assert parts[-1].content.count(b"--b") > 8000


def test_parameters_without_measure() -> None:
    part, defects = one(b"Content-Type: text/plain; charset=utf-8" + b";a=b" * 5000, b"x")
    assert part.text == "x"
    assert list(defects) == ["Content-Type: longer than anybody needs, the rest was not read"]


@pytest.mark.parametrize(
    "parameters",
    [
        "filename*=utf-8''%C3%A9; filename*0=x",
        "filename*0*=utf-8''x; filename*1*=y; filename*=utf-8''%C3%A9",
        "filename=\u00e9; x*=1; x*0=2",
    ],
)
def test_a_parameter_in_one_piece_and_in_several(parameters: str) -> None:
    field = f"Content-Disposition: attachment; {parameters}".encode()
    part, defects = one(b"Content-Type: text/plain\n" + field, b"x")
    assert part.filename == "\u00e9"
    assert "Content-Disposition: a parameter in one piece and in several, which were not read" in (
        defects
    )


def test_cut_agrees_with_the_email_package() -> None:
    message = EmailMessage()
    message.set_content("täxt\n")
    message.add_alternative("<p>täxt <img src='cid:x'>", subtype="html")
    page = message.get_payload(1)
    assert isinstance(page, EmailMessage)
    page.add_related(b"\x89PNG\0\r\n", "image", "png", cid="<x>", filename="ünï.png")
    message.add_attachment(b"\r\n--=\n", "application", "x-thing", filename="a b")
    parts, defects = parts_of(message.as_bytes())
    leaves = [part for part in message.walk() if not part.is_multipart()]
    assert not defects
    assert [part.content_type for part in parts] == [leaf.get_content_type() for leaf in leaves]
    assert [part.content for part in parts] == [leaf.get_payload(decode=True) for leaf in leaves]
    assert [part.filename for part in parts] == [leaf.get_filename() for leaf in leaves]


@pytest.mark.parametrize(
    ("line", "ways"), [(b"--x--", 2), (b"--x", 1), (b"--x----", 1), (b"--x--\n--x", 2)]
)
def test_boundaries_that_are_read_in_several_ways(line: bytes, ways: int) -> None:
    head = b"Content-Type: multipart/mixed; boundary=x; boundary=x--; boundary=xy\n\n"
    _, defects = parts_of(head + line + b"\n\nhi\n")
    assert ("a boundary that can be read in two ways" in defects) == (ways == 2)


@pytest.mark.parametrize(
    "field",
    [
        "X-Note: boundary=b",
        "CContent-Type: multipart/mixed; boundary=b",
        "Content-Type: text/plain; boundary=b",
        "Content-Type: text/plain\r\nContent-Type: multipart/mixed; boundary=b",
        "Content-Type: text/plain;\r\n x=multipart/mixed; boundary=b",
    ],
)
def test_who_names_the_boundary_without_being_a_multipart_hides_no_sibling(field: str) -> None:
    """A part with nothing but a header is no multipart for that."""
    content = (
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
        f"--b\r\n{field}\r\n\r\n"
        '--b\r\nContent-Type: application/octet-stream; name="x.exe"\r\n\r\nMZ\r\n--b--\r\n'
    )
    parts, _ = parts_of(content.encode())
    assert "x.exe" in [name for part in parts for name in part.filenames]
