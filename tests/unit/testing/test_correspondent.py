"""lamson.testing.correspondent: who writes to the application. Projects' tests do the rest."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from lamson.errors import AddressError
from lamson.message.mailboxes import Mailbox
from lamson.testing import Conversation, Sent
from tests.unit.support import make_message

EML = b"From: ann@example.com\r\n\r\nhi\r\n"


def test_an_inbox_does_not_mind_capitals() -> None:
    message: Any = None
    answer = Sent("", ("zed@example.com",), message)
    mailroom: Any = SimpleNamespace(
        sent=[answer, Sent("", ("ann@example.com",), message)],
        deliver=lambda *mail, **options: [answer],
    )
    zed = Conversation(mailroom, "Zed@Example.com")
    assert zed.deliver("list@test.com", b"") is answer
    assert zed.inbox == [answer]


@pytest.mark.parametrize(
    "who", ['"Shaw, Zed" <Zed@example.com>', Mailbox("Shaw, Zed", "Zed@example.com")]
)
def test_a_correspondent_may_have_a_name(who: str | Mailbox) -> None:
    written: list[tuple[str, str, bytes]] = []
    answer = Sent("", ("zed@example.com",), make_message())

    def deliver(*mail: Any, **options: Any) -> list[Sent]:
        written.append(mail)
        return [answer]

    mailroom: Any = SimpleNamespace(
        sent=[answer], deliver=deliver, clock=time.time, takes=lambda address: True
    )
    zed = Conversation(mailroom, who)
    assert zed.say("list@test.com") is answer
    assert zed.inbox == [answer]
    [(sender, _, content)] = written
    assert sender == zed.author == "Zed@example.com"
    assert make_message(content).from_ == [Mailbox("Shaw, Zed", "Zed@example.com")]
    with pytest.raises(AddressError):
        Conversation(mailroom, "zed")


def test_an_answer_is_as_mail_programs_write_it() -> None:
    written: list[tuple[str, str, bytes]] = []

    def deliver(*mail: Any, **options: Any) -> list[Sent]:
        written.append(mail)
        return []

    mailroom: Any = SimpleNamespace(sent=[], deliver=deliver, clock=time.time)
    zed = Conversation(mailroom, "zed@example.com")
    fields = (
        "From: Desk <desk@test.com>\r\nReply-To: desk+x@test.com\r\nSubject: Re: Printer\r\n"
        "Date: Sat, 28 Nov 2026 10:00:00 +0000\r\nMessage-ID: <2@test.com>\r\n"
        "References: <1@example.com>\r\n"
    )
    sent = Sent("", ("zed@example.com",), make_message(f"{fields}\r\nWhich?\r\n".encode()))
    assert zed.reply(sent, "The big one.") is None
    assert zed.reply(sent, "Again.", subject="Toner", headers={"References": "<9@x>"}) is None
    one, two = (make_message(content) for _, _, content in written)
    assert [(sender, to) for sender, to, _ in written] == [
        ("zed@example.com", "desk+x@test.com")
    ] * 2
    assert (one.subject, two.subject) == ("Re: Printer", "Toner")
    assert one.in_reply_to == two.in_reply_to == ["<2@test.com>"]
    assert one.references == ["<1@example.com>", "<2@test.com>"]
    assert two.references == ["<9@x>"]
    assert one.new_text.strip() == "The big one."
    assert "> Which?" in one.body
    unsigned = make_message(b"From: a@test.com\r\n\r\nhi\r\n")
    zed.reply(Sent("", ("zed@example.com",), unsigned))
    assert written[-1][1] == "a@test.com"


def test_what_is_said_has_files_html_and_copies() -> None:
    written: list[tuple[str, str, bytes]] = []

    def deliver(*mail: Any, **options: Any) -> list[Sent]:
        written.append(mail)
        return []

    mailroom: Any = SimpleNamespace(
        sent=[], deliver=deliver, clock=time.time, takes=lambda one: one.endswith("@test.com")
    )
    zed = Conversation(mailroom, "zed@example.com")
    zed.say(
        ["list@test.com", "desk@test.com"],
        "Files",
        "See there",
        html="<p>See <b>there</b></p>",
        cc=["ann@example.com", "copy@test.com"],
        attachments={"a.txt": "words", "b": b"\0", "c.PDF": b"%PDF", "d.tar.gz": b"", "e.eml": EML},
    )
    assert [to for _, to, _ in written] == ["list@test.com", "desk@test.com", "copy@test.com"]
    assert len({content for _, _, content in written}) == 1
    message = make_message(written[0][2])
    assert [one.address for one in message.to] == ["list@test.com", "desk@test.com"]
    assert [one.address for one in message.cc] == ["ann@example.com", "copy@test.com"]
    assert (message.html or "").strip() == "<p>See <b>there</b></p>"
    assert [(one.filename, one.content_type, one.content) for one in message.attachments] == [
        ("a.txt", "text/plain", b"words"),
        ("b", "application/octet-stream", b"\0"),
        ("c.PDF", "application/pdf", b"%PDF"),
        ("d.tar.gz", "application/octet-stream", b""),
        ("e.eml", "message/rfc822", EML),
    ]


def test_an_answer_to_all_names_all_others() -> None:
    written: list[tuple[str, str, bytes]] = []

    def deliver(*mail: Any, **options: Any) -> list[Sent]:
        written.append(mail)
        return []

    mailroom: Any = SimpleNamespace(
        sent=[], deliver=deliver, clock=time.time, takes=lambda one: one.endswith("@test.com")
    )
    content = (
        b"From: list@test.com\r\nTo: zed@example.com, ann@example.com\r\nCc: copy@test.com\r\n"
    )
    sent = Sent("", ("zed@example.com",), make_message(content + b"\r\nhi\r\n"))
    Conversation(mailroom, "zed@example.com").reply(sent, "Yes", to_all=True, html="<p>Yes</p>")
    assert [to for _, to, _ in written] == ["list@test.com", "copy@test.com"]
    message = make_message(written[0][2])
    assert [one.address for one in message.cc] == ["ann@example.com", "copy@test.com"]
    assert message.html is not None


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("From: ann@example.com\r\nTo: list@test.com", ["list@test.com"]),
        (
            "From: list@test.com\r\nReply-To: ann@example.com, desk@test.com\r\nTo: list@test.com",
            ["desk@test.com", "list@test.com"],
        ),
        ("From: gone@test.com\r\nTo: list@test.com", ["list@test.com", "gone@test.com"]),
        ("From: ann@example.com\r\nTo: bob@example.com", ["ann@example.com"]),
    ],
)
def test_of_an_answer_to_all_the_application_gets_what_is_for_it(
    header: str, expected: list[str]
) -> None:
    """A post of another member leads to him, with the list in copy; to nobody but people it is
    refused, and so is what is for an address of ours that counts no more."""
    offered: list[str] = []

    def deliver(sender: str, to: str, content: bytes, **options: Any) -> list[Sent]:
        offered.append(to)
        return []

    mailroom: Any = SimpleNamespace(
        sent=[],
        deliver=deliver,
        clock=time.time,
        takes=lambda one: one in ("list@test.com", "desk@test.com"),
    )
    sent = Sent("", ("zed@example.com",), make_message(f"{header}\r\n\r\nhi\r\n".encode()))
    Conversation(mailroom, "zed@example.com").reply(sent, "Yes", to_all=True)
    assert offered == expected
