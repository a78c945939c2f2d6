"""lamson.testing.application: its time, and what is due by it; tests/intro has the rest."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from lamson.errors import LamsonError
from lamson.testing import Conversation, Mailroom, Refused, Sent
from tests.unit.support import make_mailroom

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

SOURCE = """
import time

from lamson import Attempt, Delivery, Expired, Key, Mailer, MailRequest, Outcome, Signed
from lamson import background, every, outcome, route, stateless, timeout

CALLS = []
FAILS = []


@route("(user)@test.com", user="later|other|cancel")
@stateless
def plan(message: MailRequest, delivery: Delivery, user: str):
    if user == "cancel":
        assert delivery.cancel("later")
    else:
        delivery.reply(subject="Later", body="!", at=time.time() + 7200, key=user)


@route("(user)@test.com", user="list")
def START(message: MailRequest, delivery: Delivery, user: str):
    delivery.reply(subject="Hello", body="?")
    delivery.later(tell, user)
    return WAITING


@route("(user)@test.com", user="list")
def WAITING(message: MailRequest, user: str):
    return START


@timeout(WAITING, days=3)
def remind(expired: Expired, mailer: Mailer, user: str):
    mailer.send(
        mailer.compose(to=expired.author, sender=f"{user}@test.com", subject="Still?", body="?"),
        track=True,
    )


@outcome
def told(outcome: Outcome):
    CALLS.append((outcome.mail.subject, outcome.kind, outcome.state))


@route("(user)@test.com", user="daily")
@stateless
def once(message: MailRequest, delivery: Delivery, user: str):
    delivery.reply(subject="Once", body="?", key=Key("once", days=1))
    CALLS.append(delivery.sign("try", days=2))


@route("try-(token)@test.com", token=Signed("try"))
@stateless
def given(message: MailRequest, token: str):
    CALLS.append("came")


@every("1 day", at="06:00")
def digest(mailer: Mailer):
    mailer.send(
        mailer.compose(to="ann@example.com", sender="a@test.com", subject="Day", body="!"),
        track=True,
    )


@route("ask@test.com")
@route("yes-(token)@test.com", token=Signed("yes", days=3))
@stateless
def ask(message: MailRequest, delivery: Delivery, token: str = ""):
    delivery.reply(
        sender=f"yes-{delivery.sign('yes', 'zed')}@test.com",
        subject="Sure?",
        body="?",
        key=Key("asked", days=1),
        track=True,
    )


@background
def tell(user: str, attempt: Attempt):
    CALLS.append((user, attempt.number))
    if FAILS:
        raise ValueError(FAILS.pop())
"""


@pytest.fixture
def timely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailroom]:
    made = make_mailroom(tmp_path, monkeypatch, SOURCE)
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


def test_a_mailer_beside_it_is_on_the_same_database(timely: Mailroom) -> None:
    mailer = timely.mailer
    later = timely.clock() + 3600
    with mailer.begin() as db:
        for subject, at in (("Now", None), ("Later", later)):
            mail = mailer.compose(
                to="zed@example.com", sender="web@test.com", subject=subject, body="Hi."
            )
            mailer.send(mail, db, at=at)
    assert timely.sent == []
    assert sorted(filter(None, subjects(timely.wait()))) == ["Later", "Now"]
    assert set(subjects(timely.wait(hours=2))) <= {"Day"}, "six o'clock may lie there"
    assert Conversation(timely, "zed@example.com").say("list@test.com") is not None
    assert len([one for one in timely.sent if one["Subject"] != "Day"]) == 3


@pytest.fixture
def db(timely: Mailroom) -> Iterator[Session]:
    """As the fixture of the plugin makes it."""
    engine = timely.database.engine.execution_options(isolation_level="AUTOCOMMIT")
    with Session(engine) as session:
        timely.sessions.append(session)
        session.connection().exec_driver_sql("CREATE TABLE note (text TEXT)")
        session.commit()
        yield session


@pytest.mark.parametrize("has_read", [True, False])
def test_the_test_may_look_and_write_while_its_transaction_is_open(
    timely: Mailroom, db: Session, *, has_read: bool
) -> None:
    mailer = timely.mailer
    mail = mailer.compose(to="zed@example.com", sender="web@test.com", subject="Now", body="Hi.")
    count = text("SELECT count(*) FROM note")
    if has_read:
        assert db.scalar(count) == 0, "so it has a connection"
    with mailer.begin() as session:
        session.execute(text("INSERT INTO note VALUES ('theirs')"))
        assert db.scalar(count) == 1
        db.execute(text("INSERT INTO note VALUES ('of the test')"))
        mailer.send(mail, session)
    assert subjects(timely.wait()) == ["Now"]
    assert db.scalar(count) == 2


def test_what_the_test_wrote_there_is_undone_with_the_rest(timely: Mailroom, db: Session) -> None:
    count = text("SELECT count(*) FROM note")

    def fail() -> None:
        with timely.mailer.begin() as session:
            session.execute(text("INSERT INTO note VALUES ('theirs')"))
            db.execute(text("INSERT INTO note VALUES ('of the test')"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert db.scalar(count) == 0
    db.execute(text("INSERT INTO note VALUES ('later')"))
    db.rollback()
    assert db.scalar(count) == 1, "what it writes is there at once, again"


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
    zed = Conversation(timely, "zed@example.com")
    zed.say("later@test.com")
    zed.say("other@test.com")
    later = [one for one in timely.sent if one["Subject"] == "Later"]
    assert [round(one.at - timely.clock(), -1) for one in later] == [7200, 7200]
    zed.say("cancel@test.com")
    timely.wait(hours=1)
    assert [one for one in timely.sent if one["Subject"] == "Later"] == later[1:]
    timely.wait(hours=1, seconds=10)
    outbox = timely.application.outbox
    assert outbox is not None
    assert outbox.scheduled() == []
    assert outbox.count() == 0
    assert [one for one in timely.sent if one["Subject"] == "Later"] == later[1:]


def test_who_sent_it_is_told_what_became_of_it_also_without_a_message(timely: Mailroom) -> None:
    Conversation(timely, "zed@example.com").say("list@test.com")
    timely.wait(days=3, hours=1)
    mails = {str(one["Subject"]): one for one in timely.sent}
    for subject in ("Still?", "Day"):
        timely.report(mails[subject])
    calls = handlers(timely).CALLS
    assert calls[-2:] == [("Still?", "failed", "WAITING"), ("Day", "failed", "")]


def test_keys_tokens_and_bounces_end_by_that_time(timely: Mailroom) -> None:
    zed = Conversation(timely, "zed@example.com")
    for hours in (0, 23, 2):
        timely.wait(hours=hours)
        zed.say("daily@test.com")
    assert subjects(zed.inbox) == ["Once", "Once"]
    *_, token = handlers(timely).CALLS
    zed.say(f"try-{token}@test.com")
    timely.wait(days=3)
    with pytest.raises(Refused):
        zed.say(f"try-{token}@test.com")
    [day, *_] = [one for one in timely.sent if one["Subject"] == "Day"]
    timely.wait(days=40)
    with pytest.raises(Refused):
        timely.report(day)


def test_limits_of_answers_go_by_the_same_time(timely: Mailroom) -> None:
    clock = timely.application.clock
    before = clock()
    timely.wait(days=4)
    assert clock() - before >= 4 * 86400


def test_tokens_keys_and_dates_go_by_the_same_time(timely: Mailroom) -> None:
    zed = Conversation(timely, "zed@example.com")
    asked = zed.say("ask@test.com")
    assert asked is not None
    assert asked["From"] is not None
    assert zed.say("ask@test.com") is None, "the key was used"
    timely.wait(days=2)
    again = zed.say(asked["From"])
    assert again is not None, "a day is over, the token counts"
    dates = [asked.message.date, again.message.date]
    assert dates[0] is not None
    assert dates[1] is not None
    assert (dates[1] - dates[0]).days in (1, 2)
    timely.wait(days=2)
    with pytest.raises(Refused):
        zed.say(asked["From"])


def test_nothing_is_reported_of_what_is_not_tracked(timely: Mailroom) -> None:
    answer = Conversation(timely, "zed@example.com").say("list@test.com")
    assert answer is not None
    with pytest.raises(LamsonError, match="send it with track=True"):
        timely.report(answer)


def test_bounce_addresses_go_by_the_same_time(timely: Mailroom) -> None:
    calls = handlers(timely).CALLS
    asked = Conversation(timely, "zed@example.com").say("ask@test.com")
    assert asked is not None
    timely.wait(days=29)
    timely.report(asked, action="delayed", status="4.2.2")
    assert calls == [("Sure?", "delayed", "")]
    timely.wait(days=3)
    with pytest.raises(Refused):
        timely.report(asked)
    later = Conversation(timely, "ann@example.com").say("ask@test.com")
    assert later is not None, "made when the other one had expired"
    timely.report(later, action="delayed", status="4.2.2")
    assert calls[1:] == [("Sure?", "delayed", "")]


def test_a_message_is_bytes(timely: Mailroom) -> None:
    text: Any = "From: zed@example.com\n\nhello\n"
    with pytest.raises(TypeError, match="a message is bytes, not str"):
        timely.deliver("zed@example.com", "list@test.com", text)
