"""lamson.testing; what a project's tests do with it is in tests/intro and in the skeleton."""

from __future__ import annotations

import secrets
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import update

from lamson.routing.signing import Signed, Signer
from lamson.storage import tables
from lamson.storage.outgoing import Outgoing
from lamson.testing import Conversation, Mailroom, Sent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


def test_an_inbox_does_not_mind_capitals() -> None:
    message: Any = None
    answer = Sent("", ("zed@example.com",), message)
    mailroom: Any = SimpleNamespace(
        sent=[answer, Sent("", ("ann@example.com",), message)], deliver=lambda *mail: [answer]
    )
    zed = Conversation(mailroom, "Zed@Example.com")
    assert zed.deliver("list@test.com", b"") is answer
    assert zed.inbox == [answer]


SOURCE = """
from lamson import Attempt, Delivery, Expired, MailRequest, background, every, route, timeout
from lamson.delivery.posting import Posting

CALLS = []
FAILS = []


@route("(user)@test.com", user="[a-z]+")
def START(message: MailRequest, delivery: Delivery, user: str):
    delivery.reply(subject="Hello", body="?")
    delivery.later(tell, user)
    return WAITING


@route("(user)@test.com", user="[a-z]+")
def WAITING(message: MailRequest, user: str):
    return START


@timeout(WAITING, days=3)
def remind(expired: Expired, mailer: Posting, user: str):
    mailer.send(
        mailer.compose(to=expired.author, sender=f"{user}@test.com", subject="Still?", body="?")
    )


@every("1 day", at="06:00")
def digest(mailer: Posting):
    mailer.send(mailer.compose(to="ann@example.com", sender="a@test.com", subject="Day", body="!"))


@background
def tell(user: str, attempt: Attempt):
    CALLS.append((user, attempt.number))
    if FAILS:
        raise ValueError(FAILS.pop())
"""


@pytest.fixture
def timely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailroom]:
    name = f"handlers_{secrets.token_hex(8)}"
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "settings.py").write_text(
        "from lamson.settings import Settings\n"
        f'settings = Settings(handlers=["{name}"], metadata=None)\n'
    )
    (tmp_path / f"{name}.py").write_text(SOURCE)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    made = Mailroom(tmp_path, tmp_path / "run")
    yield made
    made.close()


def handlers(mailroom: Mailroom) -> Any:
    return sys.modules[mailroom.application.router.modules[0]]


def subjects(sent: Sequence[Sent]) -> list[str | None]:
    return [one["Subject"] for one in sent]


def test_time_passes_and_what_is_due_is_done_at_its_time(timely: Mailroom) -> None:
    zed = Conversation(timely, "zed@example.com")
    began = timely.clock()
    zed.say("list@test.com")
    timely.wait(days=2, hours=23)
    assert subjects(zed.inbox) == ["Hello"]
    timely.wait(hours=2)
    assert subjects(zed.inbox) == ["Hello", "Still?"]
    assert began + 3 * 86400 <= zed.inbox[-1].at < began + 3 * 86400 + 60
    days = [one.at for one in timely.sent if one["Subject"] == "Day"]
    assert len(days) in (3, 4)  # as six o'clock lies
    assert all(at % 86400 - 6 * 3600 < 60 for at in days)
    timely.wait(days=10)
    assert len(zed.inbox) == 2


def test_work_after_a_commit_is_done_when_time_passes(timely: Mailroom) -> None:
    zed = Conversation(timely, "zed@example.com")
    calls = handlers(timely).CALLS
    zed.say("list@test.com")
    assert calls == []
    handlers(timely).FAILS.append("no answer")
    with pytest.raises(ValueError, match="no answer"):
        timely.wait()
    timely.wait()
    assert calls == [("list", 1)]
    timely.wait(seconds=5)
    assert calls == [("list", 1), ("list", 2)]


def test_what_is_to_leave_later_is_there_with_its_time(timely: Mailroom) -> None:
    """As mail is planned in the outbox: rows that are due later."""
    outbox = timely.application.outbox
    assert outbox is not None
    at = timely.clock() + 3600
    rows = [
        Outgoing("x", f"<{n}@x>", "a@test.com", (f"{n}@example.com",), b"Subject: later\r\n\r\n")
        for n in range(2)
    ]
    with timely.database.begin() as connection:
        outbox.insert(connection, rows)
        connection.execute(update(tables.outbox).values(due_at=at))
    assert [one.at for one in timely.wait()] == [at, at]
    outbox.delete([rows[0].id])  # cancelled
    timely.wait(minutes=30)
    assert [one.recipients for one in timely.sent] == [("1@example.com",)]
    timely.wait(minutes=31)
    assert outbox.count() == 0
    assert [one.recipients for one in timely.sent if one["Subject"] == "later"] == [
        ("1@example.com",)
    ]


def test_limits_of_answers_and_tokens_go_by_the_same_time(timely: Mailroom) -> None:
    clock = timely.application.clock
    before, keys = clock(), Signer(lambda: [b"secret"], clock=timely.clock)
    signed = Signed("subscribe", days=3)
    token = keys.sign(signed, "zed")
    timely.wait(days=2)
    assert keys.read(signed, token) is not None
    timely.wait(days=2)
    assert keys.read(signed, token) is None
    assert clock() - before >= 4 * 86400
