"""lamson.message.bounce_text; what a report makes of it is tested with the reports."""

from __future__ import annotations

import pytest

from lamson.message import bounce_text

COPY = """\
Received: from a.example by b.example
From: list@test.com
To: zed@example.com
Subject: Hello

Hello Zed.
"""
NOBODY: frozenset[str] = frozenset()


def test_recipients_what_is_said_about_them_and_the_copy() -> None:
    said = """\
Hi. This is the qmail-send program at b.example.
I'm afraid I wasn't able to deliver your message to the following addresses.

<zed@example.com>:
550 5.1.1 no such user

<joe@example.com>:
mailbox full

"""
    told = bounce_text.read(
        f"{said}--- Below this line is a copy of the message.\n\n{COPY}", NOBODY
    )
    assert [address for address, _ in told.recipients] == ["zed@example.com", "joe@example.com"]
    assert "5.1.1 no such user" in told.recipients[0][1]
    assert "mailbox full" in told.recipients[1][1]
    assert told.copy.startswith("Received: from a.example")
    assert "Hello Zed" not in told.said


def test_our_own_addresses_are_no_recipients() -> None:
    text = "<list@test.com>: 550 no such user\n"
    assert bounce_text.read(text, NOBODY).recipients != []
    assert bounce_text.read(text, frozenset({"list@test.com"})).recipients == []


@pytest.mark.parametrize(
    ("copy", "address"),
    [
        (COPY, "zed@example.com"),
        ("To: a@x.test, b@x.test\n\n", ""),
        ("From: a@x.test\n\nTo: b@x.test", ""),
        ("", ""),
    ],
)
def test_whom_the_copy_was_for(copy: str, address: str) -> None:
    assert bounce_text.mailed_to(copy) == address


def test_delays_and_failures() -> None:
    assert bounce_text.is_about_failure("Undelivered Mail Returned to Sender")
    assert not bounce_text.is_about_failure("Minutes of our meeting")
    assert bounce_text.is_delayed("Your message was not delivered yet. We will keep trying.")
    assert not bounce_text.is_delayed("I've given up. Sorry it didn't work out.")


def test_nothing_is_told_by_nothing() -> None:
    assert bounce_text.read("", NOBODY) == ([], "", "")
