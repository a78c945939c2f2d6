"""The header of a message: fields found where they stand, in any bytes."""

from __future__ import annotations

import pytest

from lamson.message.defects import Defects
from lamson.message.header import MAX_BLOCK, MAX_FIELDS, Header, called

MESSAGE = (
    b"Received: by mx.example\r\n\twith ESMTP\r\nreceived: by other.example\r\n"
    b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nX-Empty:\r\nTo-Do: nothing\r\n"
    b"To : zed@example.com\r\n"
    b"\r\nSubject: in the body\r\n"
)


def header(content: bytes) -> tuple[Header, Defects]:
    defects = Defects()
    return Header(content, defects), defects


@pytest.mark.parametrize("content", [MESSAGE, MESSAGE.replace(b"\r\n", b"\n")])
def test_fields_are_found_by_name_in_any_case(content: bytes) -> None:
    found, defects = header(content)
    assert found.get("SUBJECT") == "Grüße"
    assert found.get("to") == "zed@example.com"
    assert found.get("X-Empty") == ""
    assert found.get("X-Missing") is None
    assert found.get_all("Received") == ["by mx.example\twith ESMTP", "by other.example"]
    assert content[found.body :].startswith(b"Subject: in the body")
    assert not defects


def test_fields_in_order() -> None:
    found, _ = header(MESSAGE)
    names = ["Received", "received", "Subject", "X-Empty", "To-Do", "To"]
    assert [name for name, _ in found.items()] == names
    assert found.items()[2] == ("Subject", "Grüße")
    assert list(found.raw("received")) == [b"by mx.example\r\n\twith ESMTP", b"by other.example"]


@pytest.mark.parametrize("name", ["", "Sub", "Subject:", "Sübject", "\n", " subject", "a\nb"])
def test_names_that_no_field_has(name: str) -> None:
    assert header(MESSAGE)[0].get(name) is None


@pytest.mark.parametrize(
    ("content", "fields", "body", "complaint"),
    [
        (b"", [], b"", False),
        (b"\r\nbody", [], b"body", False),
        (b"\nbody", [], b"body", False),
        (b"A: b", ["A"], b"", False),
        (b"A: b\r\n", ["A"], b"", False),
        (b"A: b\n\r\nbody", ["A"], b"body", False),
        (b"A: b\r\n\nbody", ["A"], b"body", False),
        (b"A: b\r\n \r\nbody", ["A"], b"body", True),  # a line of white space continues the field
        (b"From zed@example.com Sun\r\nA: b\r\n\r\nbody", ["A"], b"body", False),
        (b"just text\r\n\r\nbody", [], b"just text\r\n\r\nbody", True),
        (b" A: b\r\n\r\nbody", [], b" A: b\r\n\r\nbody", True),
        (b"A: b\r\nno field\r\nC: d\r\n\r\nbody", ["A"], b"no field\r\nC: d\r\n\r\nbody", True),
        (b"A: b\r\n: d\r\n\r\nbody", ["A"], b": d\r\n\r\nbody", True),
        (b"\xff: b\r\n\r\nbody", [], b"\xff: b\r\n\r\nbody", True),
        (b"A: b\rC: d\r\n\r\nbody", ["A"], b"body", False),
        (b"A: \xff\0\r\n\r\nbody", ["A"], b"body", False),
    ],
)
def test_where_the_header_ends(
    content: bytes, fields: list[str], body: bytes, complaint: bool
) -> None:
    found, defects = header(content)
    assert [name for name, _ in found.fields()] == fields
    assert content[found.body :] == body
    assert list(defects) == (
        ["the empty line between header and body is missing"] if complaint else []
    )


def test_a_part_of_the_source() -> None:
    content = b"A: 1\r\n\r\n--x\r\nB: 2\r\n\r\nbody\r\n--x--"
    start, end = content.index(b"B"), content.index(b"\r\n--x--")
    found = Header(content, Defects(), start, end)
    assert found.items() == [("B", "2")]
    assert content[found.body : end] == b"body"


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("line", "count"),
    [(b"X-Name: value\r\n", 200_000), (b" folded\r\n", 300_000), (b"a:\n", 2**21)],
)
def test_a_header_without_measure_is_read_in_part(line: bytes, count: int) -> None:
    found, defects = header(b"First: 1\r\n" + line * count + b"Last: 2\r\n\r\nbody")
    assert len(b"".join(found.raw("First"))) <= MAX_BLOCK
    assert found.get("First") is not None
    assert found.get("Last") is None
    assert "the header is longer than 1048576 octets: not all of it was read" in defects


def test_the_body_begins_after_a_header_without_measure() -> None:
    content = b"A: 1\r\n" + b"X-Name: value\r\n" * 100_000 + b"\r\nbody"
    found, _ = header(content)
    assert content[found.body :] == b"body"


def test_fields_are_listed_up_to_a_number() -> None:
    found, defects = header(b"A: 1\n" * (MAX_FIELDS + 1) + b"B: 2\n\n")
    assert len(found.items()) == MAX_FIELDS
    assert found.get("B") == "2"
    assert list(defects) == ["more than 10000 header fields: the rest is not listed"]


def test_the_first_of_several_names() -> None:
    header = Header(MESSAGE, Defects())
    assert header.first_of(called("X-None", "to", "X-EMPTY")) == "x-empty"
    assert header.first_of(called("To")) == "to", "not To-Do"
    assert header.first_of(called("Reply-To", "X.Empty")) is None
