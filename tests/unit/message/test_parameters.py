"""Content fields: one text of a parameter, and all that others may read there."""

from __future__ import annotations

import pytest

from lamson.message.defects import Defects
from lamson.message.header import Header
from lamson.message.parameters import MAX_FIELD, MAX_IN_ALL, MAX_PARAMETERS, ContentField
from lamson.message.parsed import ParsedMessage


def field(value: bytes) -> tuple[ContentField, Defects]:
    defects = Defects()
    header = Header(b"Content-Type: " + value + b"\r\n\r\n", defects)
    return ContentField(header, "Content-Type", defects), defects


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (b"text/plain", "text/plain", None),
        (b"Text/Plain; a=b; X=y", "text/plain", "y"),
        (b'text/plain;\r\n\tx = "a \\"b\\"; c"', "text/plain", 'a "b"; c'),
        (b"(a;(b)) text/plain (c) ; (d) x (=) = (e) y (f)", "text/plain", "y"),
        (b"a/b; x*=utf-8'en'%C3%BC; x=u", "a/b", "ü"),
        (b"a/b; x*0*=utf-8''%C3; x*1*=%BC; x*2=%41", "a/b", "ü%41"),
        (b"a/b; x*1=b; x*0=a", "a/b", "ab"),
        (b"a/b; x*=y", "a/b", "y"),
        ("a/b; x=ü".encode(), "a/b", "ü"),
        (b"a/b; x=", "a/b", ""),
        (b"; x=y", "", "y"),
        (b";;=;x;x=y", "", "y"),
    ],
)
def test_what_is_read(value: bytes, kind: str, text: str | None) -> None:
    found, defects = field(value)
    assert (found.value, found.text("x"), found.is_there) == (kind, text, True)
    assert not defects


@pytest.mark.parametrize(
    ("value", "readings"),
    [
        (b'a; name="x.exe"', ["x.exe"]),
        (b"a; name=x(1).exe", ["x(1).exe", "x.exe", "x"]),
        (b"a; name=x y", ["x y", "x"]),
        (b'a; name="C:\\d\\x"', ["C:\\d\\x", "C:dx"]),
        (b'a; name="x"y', ["x", '"x"y']),
        (b"a; name=x; name*=''y; name*0=z", ["y", "z", "x"]),
        (b'a; name="=?utf-8?q?x?="', ["x"]),
    ],
)
def test_what_may_be_read(value: bytes, readings: list[str]) -> None:
    assert field(value)[0].readings("name") == readings


@pytest.mark.parametrize(
    ("value", "text", "defect"),
    [
        (b'a; x="y; z=1', "y; z=1", "a quote or comment without an end"),
        (b"a; x=y; (z", "y", "a quote or comment without an end"),
        (b"a; x=y; x=z", "y", "parameter x stands there twice"),
        (b"a" + b"; y=z" * MAX_PARAMETERS + b"; x=y", None, "longer than anybody needs"),
        (b"a; y=" + b"z" * MAX_FIELD + b"; x=y", None, "longer than anybody needs"),
        (b"a; x*=''y; x*0=z", "y", "a parameter in one piece and in several"),
    ],
)
def test_what_could_hide_something_is_said(value: bytes, text: str | None, defect: str) -> None:
    found, defects = field(value)
    assert found.text("x") == text
    assert defects.could_hide
    assert defect in defects[0]


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "piece", [b"(", b'"', b"\\", b";", b"=", b"=?", b"x*0=", b";x*9=%", b"()", b'""']
)
def test_any_octets_without_measure(piece: bytes) -> None:
    found, _ = field(b"a; name=" + piece * 100_000)
    assert len(found.readings("name")) < 30
    assert found.text("name") is not None


def test_no_field_is_none() -> None:
    defects = Defects()
    found = ContentField(Header(b"Subject: x\r\n\r\n", defects), "Content-Type", defects)
    assert (found.value, found.text("x"), found.is_there) == ("", None, False)


def test_the_fields_of_a_message_share_what_is_kept() -> None:
    values = b";".join(b"a%d=1" % number for number in range(MAX_PARAMETERS))
    part = b"--x\r\nContent-Type: a/b;%b\r\n\r\n" % values
    most = MAX_IN_ALL // MAX_PARAMETERS
    head = b"Content-Type: multipart/mixed; boundary=x\r\n\r\n"
    few = ParsedMessage(head + part * (most - 1) + b"--x--\r\n")
    assert not few.defects.could_hide
    many = ParsedMessage(head + part * (most + 1) + b"--x--\r\n")
    assert many.defects.could_hide
    assert sum(len(one._type._parameters) for one in many.parts) <= MAX_IN_ALL
