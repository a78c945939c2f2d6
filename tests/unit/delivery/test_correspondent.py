"""lamson.delivery.correspondent: to whom an answer goes."""

from __future__ import annotations

import pytest

from lamson.delivery.correspondent import correspondent_of, writer_of
from tests.unit.support import make_message

EVIL = "spammer@evil.example"
VICTIM = "victim@bank.example"


def whom(fields: str, sender: str, proven: str = "") -> tuple[str, bool]:
    message = make_message(f"{fields}\r\n\r\n".encode(), sender=sender, proven=proven)
    return tuple(correspondent_of(message))  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("fields", "sender", "expected"),
    [
        ("From: Zed@example.com", "zed@example.com", "Zed@example.com"),
        ("From: zed@example.com", "bounces+1=x@mail.example.com", "zed@example.com"),
        ("From: a@b.co.uk\r\nReply-To: Desk <Desk@b.co.uk>", "a@mx.b.co.uk", "Desk@b.co.uk"),
        (f"From: {VICTIM}", EVIL, EVIL),
        (f"From: {EVIL}\r\nReply-To: {VICTIM}", EVIL, EVIL),
        (f"From: {VICTIM}\r\nReply-To: {VICTIM}", EVIL, EVIL),
        (f"From: {VICTIM}\r\nReply-To: other@evil.example", EVIL, "other@evil.example"),
        (f"From: {EVIL}\r\nReply-To: {EVIL}, {VICTIM}", EVIL, EVIL),
        (f"From: {EVIL}, {VICTIM}", EVIL, EVIL),
        (f"From: {EVIL}\r\nFrom: {VICTIM}", EVIL, EVIL),
        ("From: a@victim.co.uk", "b@evil.co.uk", "b@evil.co.uk"),
        ("Subject: x", "Zed@example.com", "Zed@example.com"),
        ("From: zed@bücher.example", "zed@xn--bcher-kva.example", "zed@bücher.example"),
    ],
)
def test_where_nothing_is_proven(fields: str, sender: str, expected: str) -> None:
    assert whom(fields, sender) == (expected, False)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("From: zed@example.com", ("zed@example.com", True)),
        ("From: zed@example.com\r\nReply-To: a@x.example.com", ("a@x.example.com", True)),
        (f"From: zed@example.com\r\nReply-To: {VICTIM}", ("zed@example.com", True)),
        (f"From: {VICTIM}", ("b@mailer.example", False)),
    ],
)
def test_a_proven_from_address_is_answered(fields: str, expected: tuple[str, bool]) -> None:
    assert whom(fields, "b@mailer.example", proven="example.com") == expected


def test_an_envelope_sender_of_a_proven_domain_is_proven() -> None:
    assert whom("From: zed@example.com", "zed@example.com", "example.com")[1]
    assert whom(
        "From: zed@example.com\r\nReply-To: x@y.example", "b@x.example.com", "example.com"
    ) == (
        "zed@example.com",
        True,
    )


def test_without_anybody_to_prove_it() -> None:
    message = make_message(f"From: {VICTIM}\r\n\r\n".encode(), sender=EVIL)
    assert correspondent_of(message) == (EVIL, False)


@pytest.mark.parametrize(
    ("fields", "sender", "expected"),
    [
        ("From: Zed@Example.com", "zed@example.com", "zed@example.com"),
        ("From: zed@example.com\r\nReply-To: x@example.com", "b@m.example.com", "zed@example.com"),
        (f"From: {VICTIM}", EVIL, EVIL),
        (f"From: {VICTIM}", "", ""),
        ("From: zed@proven.example", EVIL, "zed@proven.example"),
        (f"From: {EVIL}, {VICTIM}", "Zed@example.com", "zed@example.com"),
        ("Subject: x", "", ""),
    ],
)
def test_who_wrote_is_whom_an_answer_would_go_to(fields: str, sender: str, expected: str) -> None:
    content = f"{fields}\r\n\r\n".encode()
    assert writer_of(make_message(content, sender=sender, proven="proven.example")) == expected
    assert writer_of(make_message(content, sender=sender)) in (expected, EVIL)
