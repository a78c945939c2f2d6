"""What must not be answered by a program: RFC 3834 section 2."""

from __future__ import annotations

import pytest

from lamson.message.autoreply import automatic_reason
from lamson.message.defects import Defects
from lamson.message.header import Header


def reason(fields: bytes = b"", sender: str = "zed@example.com", author: str = "") -> str | None:
    header = Header(fields + b"\r\n\r\n", Defects())
    return automatic_reason(header, sender, author or sender, "list@test.com")


@pytest.mark.parametrize(
    "fields",
    [
        b"Subject: hello",
        b"Auto-Submitted: no",
        b"Auto-Submitted: NO; x=y",
        b"Auto-Submitted: no (really)",
        b"Precedence: first-class",
        b"X-Auto-Response-Suppress: DR",
        b"Content-Type: multipart/mixed; x=report",
    ],
)
def test_mail_of_people(fields: bytes) -> None:
    assert reason(fields) is None


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        (b"Auto-Submitted: auto-replied", "Auto-Submitted: auto-replied"),
        (b"Auto-Submitted: no\r\nAuto-Submitted: auto-generated; x", "Auto-Submitted: auto-gen"),
        (b"Auto-Submitted:", "Auto-Submitted: "),
        (b"Precedence: Bulk", "Precedence: bulk"),
        (b"Precedence: list", "Precedence: list"),
        (b"Precedence: junk", "Precedence: junk"),
        (b"Precedence: auto_reply", "Precedence: auto_reply"),
        (b"X-Autoreply: yes", "a program wrote it (X-Autoreply)"),
        (b"X-Auto-Response-Suppress: DR, OOF", "X-Auto-Response-Suppress: DR, OOF"),
        (b'Content-Type: Multipart/Report (x); report-type="x"', "it is a report (multipart/rep"),
        (b"Content-Type: message/feedback-report", "it is a report (message/feedback-report)"),
        (b"Content-Type: message/global-delivery-status", "it is a report (message/global-"),
        (b"List-Id: <x.example.com>", "it came from a mailing list (List-Id)"),
        (b"List-Unsubscribe: <mailto:x@example.com>", "it came from a mailing list (List-Uns"),
    ],
)
def test_mail_of_programs(fields: bytes, why: str) -> None:
    assert (reason(fields) or "").startswith(why)


@pytest.mark.parametrize(
    ("sender", "author", "why"),
    [
        ("", "zed@example.com", "the envelope sender is null"),
        ("LIST@test.com", "", "it comes from the address that it was sent to"),
        ("zed@example.com", "list@TEST.com", "it comes from the address that it was sent to"),
        ("MAILER-DAEMON@example.com", "", "it comes from a program (mailer-daemon)"),
        ("Majordomo@example.com", "", "it comes from a program (majordomo)"),
        ("owner-list@example.com", "", "it comes from a program (owner-list)"),
        ("zed@example.com", "list-request@example.com", "it comes from a program (list-request)"),
    ],
)
def test_addresses_of_programs(sender: str, author: str, why: str) -> None:
    assert reason(b"", sender, author) == why
