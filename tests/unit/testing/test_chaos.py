"""lamson.testing.chaos: a delivery that fails after its work, and one that comes twice."""

from __future__ import annotations

import sys
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from lamson import failpoint
from lamson.testing import Conversation, Refused
from lamson.testing.chaos import Chaos
from tests.unit.support import make_mailroom

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lamson.testing import Mailroom

SOURCE = """
from sqlalchemy.orm import Session

from lamson import Delivery, MailRequest, SMTPError, background, route, stateless

CALLS = []


@route("list@test.com")
def START(message: MailRequest, delivery: Delivery):
    CALLS.append(message.subject)
    delivery.reply(subject="Hello", body="?")
    delivery.later(tell)
    return WAITING


@route("list@test.com")
def WAITING(message: MailRequest):
    return START


@route("no@test.com")
@stateless
def no(message: MailRequest):
    raise SMTPError(550, "5.7.1", "No")


@route("commit@test.com")
@stateless
def commits(message: MailRequest, delivery: Delivery, session: Session):
    delivery.reply(subject="Hello", body="?")
    session.commit()


@route("bug@test.com")
@stateless
def bug(message: MailRequest):
    CALLS[99]


@background
def tell():
    pass
"""


@pytest.fixture
def mailroom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailroom]:
    made = make_mailroom(tmp_path, monkeypatch, SOURCE, chaos=True)
    yield made
    made.close()


@pytest.fixture
def handlers(mailroom: Mailroom) -> Any:
    return sys.modules[mailroom.application.router.modules[0]]


def test_what_is_in_the_transaction_happens_once(mailroom: Mailroom, handlers: Any) -> None:
    zed = Conversation(mailroom, "zed@example.com")
    assert zed.say("list@test.com", "Hi") is not None
    assert len(mailroom.sent) == 1
    assert handlers.CALLS == ["Hi", "Hi"]  # the first one was undone
    assert not failpoint.ACTIVE
    assert mailroom.wait() == []
    assert zed.say("list@test.com", "Again") is None  # it was in WAITING, and is in START now
    assert zed.say("list@test.com", "Once more") is not None
    with pytest.raises(Refused):
        zed.say("no@test.com")


def test_what_is_done_twice_fails_the_test(
    mailroom: Mailroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where nothing knew what was handled already."""
    claims = mailroom.application.transactions._claims
    monkeypatch.setattr(type(claims), "of", lambda self, connection, jobs: list(jobs))
    with pytest.raises(AssertionError, match=r"a delivery that came again changed .*lamson_state"):
        Conversation(mailroom, "zed@example.com").say("list@test.com")
    assert not failpoint.ACTIVE


def test_what_stays_of_a_failure_fails_the_test(
    mailroom: Mailroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = count()
    monkeypatch.setattr(Chaos, "_rows", lambda self: {"posts": [next(counted)]})
    with pytest.raises(AssertionError, match="a handler that failed after its work changed posts"):
        Conversation(mailroom, "zed@example.com").say("list@test.com")


def test_what_committed_by_itself_is_not_made_to_fail(mailroom: Mailroom) -> None:
    zed = Conversation(mailroom, "zed@example.com")
    assert zed.say("commit@test.com") is not None
    assert len(mailroom.sent) == 1


def test_what_a_handler_raises_reaches_the_test(mailroom: Mailroom) -> None:
    with pytest.raises(IndexError):
        Conversation(mailroom, "zed@example.com").say("bug@test.com")
    assert not failpoint.ACTIVE
