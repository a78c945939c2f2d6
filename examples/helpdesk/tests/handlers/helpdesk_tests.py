"""The helpdesk, as customers and agents see it."""

from collections.abc import Callable

import pytest
from lamson import Attachment, MailResponse
from lamson.testing import Conversation, Mailroom, Refused, Sent
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.model import Ticket

Correspondent = Callable[[str], Conversation]


@pytest.fixture
def zed(conversation: Correspondent) -> Conversation:
    """A customer."""
    return conversation("zed@example.com")


def test_a_question_is_a_ticket(zed: Conversation) -> None:
    received = zed.say("support@test.com", "Printer", "It burns.")
    assert received is not None
    assert received["Subject"] == "[#1] Printer"
    other = zed.say("support@test.com", "Printer", "It burns again.")
    assert other is not None
    assert other["Subject"] == "[#2] Printer"


@pytest.fixture
def ann(conversation: Correspondent) -> Conversation:
    """An agent."""
    return conversation("ann@example.org")


@pytest.fixture
def bob(conversation: Correspondent) -> Conversation:
    """Another one."""
    return conversation("bob@example.org")


def said(sent: Sent) -> str:
    return sent.message.new_text.strip()


def test_a_question_is_answered(zed: Conversation, ann: Conversation, bob: Conversation) -> None:
    zed.say("support@test.com", "Printer", "It burns.")
    ann.reply(ann.inbox[-1], "Which one?")
    answer = zed.inbox[-1]
    assert said(answer) == "Which one?"
    assert "> It burns." in answer.body
    zed.reply(answer, "The big one.")
    assert [said(one.inbox[-1]) for one in (ann, bob)] == ["The big one."] * 2


def test_two_questions_are_two_tickets(zed: Conversation, bob: Conversation) -> None:
    zed.say("support@test.com", "Printer", "It burns.")
    zed.say("support@test.com", "Printer", "Where is the toner?")
    fire, toner = bob.inbox
    bob.reply(fire, "We are on our way.")
    bob.reply(toner, "In the cellar.")
    assert said(zed.inbox[-1]) == "In the cellar."
    assert "burns" not in zed.inbox[-1].body


def test_a_colleague_takes_over(
    conversation: Correspondent, zed: Conversation, ann: Conversation
) -> None:
    zed.say("support@test.com", "Printer", "It burns.")
    ann.reply(ann.inbox[-1], "Which one?")
    conversation("yan@example.com").reply(zed.inbox[-1], "The big one.")
    assert "> Which one?" in ann.inbox[-1].body
    ann.reply(ann.inbox[-1], "Thank you both.")
    assert {one.address for one in zed.inbox[-1].message.to} == {
        "zed@example.com",
        "yan@example.com",
    }


def test_a_stranger_who_knows_a_message_id_is_told_nothing(
    conversation: Correspondent, zed: Conversation, ann: Conversation
) -> None:
    zed.say("support@test.com", "Printer", "It burns.")
    ann.reply(ann.inbox[-1], "The code of the door is 1234.")
    known = zed.inbox[-1]["Message-ID"] or ""
    eve = conversation("eve@evil.example")
    eve.say("support@test.com", "Re: [#1] Printer", "Well?", headers={"In-Reply-To": known})
    assert "1234" not in "".join(one.body for one in eve.inbox)
    assert "1234" not in ann.inbox[-1].body


def test_attachments_go_along(zed: Conversation, ann: Conversation) -> None:
    photo = Attachment(b"\x89PNG", "fire.png", "image/png")
    mail = MailResponse(
        to="support@test.com",
        sender=zed.author,
        subject="Printer",
        body="Look.",
        attachments=[photo],
    )
    zed.deliver("support@test.com", mail.to_bytes())
    [got] = ann.inbox[-1].message.attachments
    assert (got.filename, got.content) == ("fire.png", b"\x89PNG")


def test_commands_are_for_agents(
    zed: Conversation, ann: Conversation, bob: Conversation, db: Session
) -> None:
    zed.say("support@test.com", "Printer", "It burns.")
    theirs, ours = zed.inbox[-1], ann.inbox[-1]
    zed.reply(theirs, "close", headers={"From": "ann@example.org"})
    assert db.scalars(select(Ticket.is_open)).all() == [True]
    assert said(ann.inbox[-1]) == "close", "it is what a customer says"
    ann.reply(ours, "assign bob@example.org")
    heard = len(ann.inbox)
    zed.reply(theirs, "Help!")
    assert (said(bob.inbox[-1]), len(ann.inbox)) == ("Help!", heard)
    bob.reply(bob.inbox[-1], "Close")
    assert "is answered, we think" in zed.inbox[-1].body
    db.expire_all()
    assert db.scalars(select(Ticket.is_open)).all() == [False]
    zed.reply(zed.inbox[-1], "It burns again.")
    db.expire_all()
    assert db.scalars(select(Ticket.is_open)).all() == [True]


def test_a_customer_cannot_make_an_agents_address(zed: Conversation, sent: list[Sent]) -> None:
    received = zed.say("support@test.com", "Printer", "It burns.")
    assert received is not None
    with pytest.raises(Refused):
        zed.say(str(received["From"]).replace("support+", "desk+"), "Re: Printer", "close")
    assert len(sent) == 2


def test_no_program_makes_a_ticket(
    conversation: Correspondent, zed: Conversation, ann: Conversation, sent: list[Sent], db: Session
) -> None:
    zed.say("support@test.com", "Away", "Until Monday.", headers={"Auto-Submitted": "auto-replied"})
    zed.say("support@test.com", "Undelivered Mail", "I could not.", sender="")
    assert sent == []
    assert db.scalars(select(Ticket)).all() == []
    zed.say("support@test.com", "Printer", "It burns.")
    heard = len(ann.inbox)
    zed.reply(zed.inbox[-1], "Until Monday.", headers={"Auto-Submitted": "auto-replied"})
    assert len(ann.inbox) == heard


def test_agents_are_told_what_did_not_arrive(
    zed: Conversation, ann: Conversation, mailroom: Mailroom
) -> None:
    zed.say("support@test.com", "Printer", "It burns.")
    ann.reply(ann.inbox[-1], "Which one?")
    mailroom.report(zed.inbox[-1])
    assert "did not reach zed@example.com: unknown-user (5.1.1)" in ann.inbox[-1].body


def test_agents_are_reminded(zed: Conversation, ann: Conversation, mailroom: Mailroom) -> None:
    zed.say("support@test.com", "Printer", "It burns.")
    mailroom.wait(days=2)
    assert "for two days" in ann.inbox[-1].body
    ann.reply(ann.inbox[-1], "We are on our way.")
    assert said(zed.inbox[-1]) == "We are on our way."
