"""Content transfer encodings, undone whatever the octets are."""

from __future__ import annotations

import base64

import pytest

from lamson.message.defects import Defects
from lamson.message.transfer import undo


def undone(data: bytes, encoding: str) -> tuple[bytes, Defects]:
    defects = Defects()
    return undo(memoryview(data), encoding, defects, "here"), defects


@pytest.mark.parametrize(
    ("encoding", "data", "content"),
    [
        ("", b"a=3D", b"a=3D"),
        ("8bit", b"\xff", b"\xff"),
        ("quoted-printable", b"a=3d=\r\nb", b"a=b"),
        ("base64", b"dGV4\r\ndA==\r\n", b"text"),
        ("base64", b"d-G!V\xff4dA==", b"text"),
    ],
)
def test_what_is_right(encoding: str, data: bytes, content: bytes) -> None:
    assert undone(data, encoding) == (content, [])


@pytest.mark.parametrize(
    ("encoding", "data", "content", "defect", "hides"),
    [
        ("base64", b"dGV4d!A", b"text", "bad base64", False),
        ("base64", b"dGV4d", b"tex", "bad base64", False),
        ("base64", b"dGV4dA==\r\nfooter", b"text", "base64 goes on after its padding", True),
        ("x-uuencode", b"begin", b"begin", "unknown transfer encoding 'x-uuencode'", True),
        ("quoted-printable", b"a=\rb\nc", b"ac", "a bare CR ends a line of quoted-printable", True),
    ],
)
def test_what_is_wrong(
    encoding: str, data: bytes, content: bytes, defect: str, hides: bool
) -> None:
    found, defects = undone(data, encoding)
    assert (found, defects, defects.could_hide) == (content, [f"here: {defect}"], hides)


@pytest.mark.parametrize(
    ("encoding", "data", "content"),
    [
        ("base64", b"SGVsbG8=IHdvcmxk", b"Hello world"),
        ("base64", b"SGVsbG8=\r\nIHdvcmxkCg==\r\n", b"Hello world\n"),
        ("base64", b"SGVsbG8=\r\n____\r\nOur list, come in", b"Hello"),
        ("x-base64", b"SGk=", b"Hi"),
        ("quoted-printable", b"a=  \r\nb \t\r\nc ", b"ab\r\nc"),
        ("quoted-printable", b"a \nb=3D" * 30_000, b"a\nb=" * 30_000),
        ("8-bit", b"\xff", b"\xff"),
        ("x-uuencode", b"text\r\nbegin 644 a.txt\r\n%:&5L;&\\\r\n`\r\nend\r\n", b"hello"),
        ("uuencode", b"begin 644 a.txt\n%:&5L;&\\   junk\n`\nend\nmore", b"hello"),
        ("x-uue", b"begin-base64 644 a.txt\naGVsbG8=\n====\n", b"hello"),
    ],
)
def test_what_real_programs_send(encoding: str, data: bytes, content: bytes) -> None:
    assert undone(data, encoding)[0] == content


def test_bad_base64_is_decoded_across_pieces() -> None:
    data = bytes(range(256)) * 1000
    letters = base64.b64encode(data).rstrip(b"=")
    for junk in (b"!", b"!!!", b"\r\n" * 7):
        found, _ = undone(
            junk.join(letters[at : at + 61] for at in range(0, len(letters), 61)), "base64"
        )
        assert found == data
