"""Where features of an application meet: threads and time, tracked mail and time."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from lamson.testing import Conversation, Mailroom
from tests.unit.support import make_mailroom

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SOURCE = """
from lamson import Delivery, Expired, Mailer, MailRequest, Outcome, Signed, Thread
from lamson import every, outcome, per_thread, route, route_like, state_key_generator, timeout

TOLD = []
state_key = state_key_generator(per_thread)


@route("desk@(host)", host="test.com")
@route(r"desk\\+(thread)@(host)", host="test.com", thread=Signed("thread"))
def START(message: MailRequest, delivery: Delivery, thread: Thread, host: str):
    TOLD.append(("wrote", thread.id))
    delivery.reply(body="We have it.", track=True)
    return OPEN


@route_like(START)
def OPEN(message: MailRequest, thread: Thread, host: str):
    TOLD.append(("wrote", thread.id))


@route_like(START)
def GONE(message: MailRequest, thread: Thread, host: str): ...


@timeout(OPEN, days=2)
def remind(expired: Expired, mailer: Mailer, host: str):
    TOLD.append(("expired", expired.thread_id))
    sender = f"desk+{mailer.sign('thread', expired.thread_id)}@{host}"
    mailer.send(
        mailer.compose(to="zed@example.com", sender=sender, subject="Still there?", body="?"),
        track=True,
    )


@every("1 day", at="06:00")
def digest(mailer: Mailer):
    mail = mailer.compose(to="ann@example.com", sender="desk@test.com", subject="Day", body="!")
    mailer.send(mail, track=True)


@outcome
def became(outcome: Outcome):
    TOLD.append((outcome.mail.subject, outcome.thread_id, outcome.state))
    if outcome.is_hard:
        return GONE
"""


@pytest.fixture
def mailroom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailroom]:
    made = make_mailroom(tmp_path, monkeypatch, SOURCE, domains=["test.com"])
    yield made
    made.close()


def told(mailroom: Mailroom) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = sys.modules[mailroom.application.router.modules[0]].TOLD
    return found


def test_who_is_reminded_answers_in_the_thread(mailroom: Mailroom) -> None:
    zed = Conversation(mailroom, "zed@example.com")
    zed.say("desk@test.com", "Printer", "It burns.")
    mailroom.wait(days=2)
    reminder = zed.inbox[-1]
    assert reminder["Subject"] == "Still there?"
    zed.reply(reminder, "Yes.")
    id = told(mailroom)[0][1]
    assert told(mailroom) == [("wrote", id), ("expired", id), ("wrote", id)]


def test_what_became_of_a_reminder_is_told_in_its_conversation(mailroom: Mailroom) -> None:
    zed = Conversation(mailroom, "zed@example.com")
    answer = zed.say("desk@test.com", "Printer", "It burns.")
    assert answer is not None
    id = told(mailroom)[0][1]
    mailroom.report(answer, action="delayed", status="4.2.2")
    assert told(mailroom)[1:] == [("Re: Printer", id, "OPEN")]
    mailroom.wait(days=2)
    mailroom.report(zed.inbox[-1])
    assert told(mailroom)[3:] == [("Still there?", id, "OPEN")]
    mailroom.report(answer)
    assert told(mailroom)[4:] == [("Re: Printer", id, "GONE")]


def test_what_became_of_a_digest_is_told_in_no_conversation(mailroom: Mailroom) -> None:
    [digest] = mailroom.wait(days=1)
    mailroom.report(digest, action="delayed", status="4.2.2")
    assert told(mailroom) == [("Day", "", "")]
