"""A forbidden file cannot get past a filter: it is found, or the message says it could hide one."""

from __future__ import annotations

from email import policy
from typing import TYPE_CHECKING

import pytest

from lamson.message.defects import Defects
from lamson.message.header import Header
from lamson.message.parsed import ParsedMessage
from tests.tricks import FOUND, HIDING, TEXT, attached, finds, mixed, the_email_package_finds

if TYPE_CHECKING:
    from email.message import Message


@pytest.mark.parametrize("trick", FOUND)
def test_it_is_found(trick: str) -> None:
    assert finds(FOUND[trick])


@pytest.mark.parametrize("trick", HIDING)
def test_the_message_says_that_it_could_hide_something(trick: str) -> None:
    defects = ParsedMessage(HIDING[trick]).defects
    assert defects.could_hide
    assert any(defect.hides for defect in defects)


@pytest.mark.parametrize("how", [policy.compat32, policy.default], ids=["compat32", "default"])
def test_the_tricks_are_tricks(how: policy.Policy[Message]) -> None:
    """The email package finds most of them: with it these programs would be refused."""
    found = [
        trick
        for trick, content in (FOUND | HIDING).items()
        if "60" not in trick and the_email_package_finds(content, how)
    ]
    assert len(found) > 40


def test_what_is_well_formed_hides_nothing() -> None:
    for content in (
        FOUND["plain"],
        FOUND["attached message"],
        FOUND["digest"],
        FOUND["LF alone"],
        FOUND["name in pieces"],
        FOUND["another name in RFC 2231"],
        FOUND["boundary in pieces"],
        b"Content-Type: text/plain; charset=nonsense\r\n\r\n\xff",
        b"Subject: =?utf-8?q?x\r\n\r\nhello",
        b"Content-Type: text\r\n\r\nhello",
    ):
        assert not ParsedMessage(content).defects.could_hide


def test_a_boundary_that_begins_like_another_hides_nothing() -> None:
    inner = mixed(TEXT, TEXT, kind=b"multipart/alternative; boundary=b_1", line=b"--b_1")
    defects = ParsedMessage(mixed(inner, TEXT)).defects
    assert defects == []


def test_a_field_that_stands_there_twice_alike_hides_nothing() -> None:
    defects = ParsedMessage(b"Content-Type: text/html\r\n" * 2 + b"\r\nx").defects
    assert defects == ["Content-Type stands there more than once"]
    assert not defects.could_hide


def test_the_header_of_an_attached_message_is_examined() -> None:
    defects = Defects()
    Header(b"Subject: x\rBcc: y\r\n\r\n", defects).examine()
    assert defects == ["a bare CR or a NUL in a header"]
    assert ParsedMessage(attached(b"X: a\0\r\n\r\nx")).defects.could_hide
