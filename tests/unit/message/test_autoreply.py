"""What must not be answered by a program: RFC 3834 section 2."""

from __future__ import annotations

import pytest

from lamson.message.autoreply import automatic, is_daemon
from lamson.message.defects import Defects
from lamson.message.header import Header


def reason(fields: bytes = b"", sender: str = "zed@example.com", author: str = "") -> str | None:
    header = Header(fields + b"\r\n\r\n", Defects())
    found = automatic(header, sender, author or sender, "list@test.com")
    return found.reason if found else None


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
        b"X-Autoreply: no",
        b"X-Auto-Response-Suppress: RN, NRN",
        b"X-Loop: somebody@example.com",
        b"X-MS-Exchange-Inbox-Rules-Loop: zed@example.com",  # a person's mail, sent on by a rule
        b"Subject: Re: Automatic reply: hello",
        b"Subject: Out of office",
        b"Precedence: special-delivery",
        b"X-Amazon-Auto-Reply: false",
        b"X-Auto-Response-Suppress-Note: none",
        b"X-Automobile-Reply: yes",
        b"Return-Path: <zed@example.com>",
        b"Subject: Report domain: do we have one?",
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
        (b"From: Mail Delivery Subsystem <MAILER-DAEMON>", "it comes from a program (a mail sys"),
        (b"From: mailer-daemon", "it comes from a program (a mail system)"),
        (b"List-Post: NO", "it came from a mailing list (List-Post)"),  # RFC 2369 section 3.4
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
        (b"Precedence: bulk (sent by a program)", "Precedence: bulk"),
        (b"X-Amazon-Auto-Reply: true", "a program wrote it (x-amazon-auto-reply)"),
        (b"Return-Path:\r\n <>", "the envelope sender was null (Return-Path)"),
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


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        (b"Content-Type: multipart/report", "report"),
        (b"X-Failed-Recipients: a@example.com", "report"),
        # A bounce of Exim, which has both.
        (b"X-Failed-Recipients: a@example.com\r\nAuto-Submitted: auto-replied", "report"),
        (b"TLS-Report-Domain: test.com", "report"),
        (b"Subject: Report Domain: test.com; Submitter: mail.example; Report-ID: 1", "report"),
        (b"Subject: Report domain: test.com Submitter: google.com Report-ID: 1", "report"),
        (b'Auto-Submitted: "auto-replied"', "reply"),
        (b"Preference: auto_reply", "reply"),
        (b"X-AutoReply-Domain: example.com", "reply"),
        (b"X-Autoreply: no\r\nX-Server-AutoResponse-By: example.com", "reply"),
        (b"Subject: [Auto-Reply] hello", "reply"),
        (b"Subject: AUTO: Zed is out of the office (returning 01/05/2026)", "reply"),
        (b"Auto-Submitted: auto-replied (vacation)\r\nPrecedence: bulk", "reply"),
        (b"Auto-Submitted: auto-generated\r\nSubject: Automatic reply: hello", "reply"),
        (b"Auto-Submitted: auto-generated", "generated"),
        (b"Auto-Submitted: auto-notified", "generated"),
        (b"X-Mail-Autoreply: yes\r\nList-Id: <x.example.com>", "reply"),
        (b"X-Precedence: auto-reply", "reply"),
        (b"Delivered-To: Autoresponder", "reply"),
        (b"X-POST-MessageClass: 9; Autoresponder", "reply"),
        (b"Subject: Automatische Antwort: hello", "reply"),
        (b"X-Auto-Response-Suppress: All\r\nSubject: Automatic reply: hello", "reply"),
        (b"X-FC-MachineGenerated: true", "generated"),
        (b"X-MS-Exchange-Generated-Message-Source: Antispam", "generated"),
        (b"List-Id: <x.example.com>\r\nList-Unsubscribe: <mailto:x@example.com>", "list"),
        (b"X-BeenThere: list@example.com", "list"),
        (b"Precedence: list", "list"),
        (b"List-Unsubscribe: <mailto:x@example.com>", "bulk"),
        (b"Feedback-ID: 1:2:3:esp", "bulk"),
        (b"Precedence: junk", "bulk"),
        (b"X-Loop: LIST@test.com", "loop"),
        (b"X-Auto-Response-Suppress: OOF, AutoReply", "suppressed"),
    ],
)
def test_kinds(fields: bytes, kind: str) -> None:
    header = Header(fields + b"\r\n\r\n", Defects())
    found = automatic(header, "zed@example.com", "zed@example.com", "list@test.com")
    assert found is not None
    assert found.kind == kind
    # A sender of no help changes nothing.
    nobodys = automatic(header, "", "zed@example.com", "list@test.com")
    assert nobodys == found


@pytest.mark.parametrize(
    "local",
    [
        *("postmaster", "double-bounce", "noreply", "no-reply", "No.Reply", "do_not_reply"),
        *("noreply+tag", "comments-noreply", "noreply-orders", "list-owner", "list-bounces"),
        *("listserv", "ne-pas-repondre", "list-bounces+zed=example.com", "autoresponder"),
        *("bitte-nicht-antworten", "no-rispondere", "nie-odpowiadaj", "never-reply"),
        *("sympa", "MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e"),
    ],
)
def test_names_of_programs(local: str) -> None:
    assert (reason(sender=f"{local}@example.com") or "").startswith("it comes from a program")


@pytest.mark.parametrize(
    "local",
    [
        *("zed", "owner", "bounces", "replyto", "reply", "no", "mailer", "zed.owner", "requests"),
        "bounces+SRS=KgMfJ=QF=example.org=zed",  # Microsoft's way to send on mail of people
        *("SRS0=HHH=TT=example.org=zed", "prvs=4567abcdef=zed"),
    ],
)
def test_names_of_people(local: str) -> None:
    assert reason(sender=f"{local}@example.com") is None


def test_programs_behind_who_sent_on() -> None:
    assert reason(sender="SRS0=HHH=TT=example.org=noreply@example.com") is not None


def test_mail_systems() -> None:
    assert is_daemon("MAILER-DAEMON@example.com")
    assert is_daemon("MAILER-DAEMON")
    assert is_daemon("MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@example.com")
    assert not is_daemon("zed@example.com")
