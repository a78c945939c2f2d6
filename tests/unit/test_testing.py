"""lamson.testing; what a project's tests do with it is in tests/intro and in the skeleton."""

from __future__ import annotations

import secrets
import sys
import time
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from lamson.errors import LamsonError
from lamson.testing import Conversation, Mailroom, Refused, Sent, _kept_mailer
from tests.unit.support import make_message

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


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


@pytest.fixture
def mailer_settings(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "hello.txt").write_text("Hello ${name}.\n")
    return {"templates": [tmp_path]}


def test_the_mailer_needs_no_project(mailer: Any) -> None:
    at = datetime(2999, 1, 31, tzinfo=UTC)
    given = {"to": "zed@example.com", "sender": "shop@test.com", "subject": "x"}
    engine = create_engine(mailer.url)
    with Session(engine) as session:
        mailer.send(mailer.compose("hello.txt", name="Zed", **given), session)
        assert mailer.sent == []
        session.rollback()
        mailer.send(mailer.compose("hello.txt", name="Zed", **given), session)
        mailer.send(mailer.compose(body="Later.", **given), session, at=at)
        session.commit()
    engine.dispose()
    [sent] = mailer.sent
    assert (sent.sender, sent.body.strip(), sent["Subject"]) == ("shop@test.com", "Hello Zed.", "x")
    [(when, later)] = mailer.scheduled
    assert (when, later.body.strip()) == (at, "Later.")


def test_the_mailer_tracks_and_signs_with_a_key_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "handlers_of_a_shop.py").write_text(
        "from lamson import Signed, route, stateless\n"
        '@route("ok-(id)@test.com", id=Signed("confirm"))\n'
        "@stateless\ndef confirm(message, id): ...\n"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    values = {"handlers": ["handlers_of_a_shop"], "domains": ["test.com"]}
    mailer = _kept_mailer(tmp_path / "mailer", values)
    sender = f"ok-{mailer.sign('confirm', 'zed')}@test.com"
    mail = mailer.compose(to="zed@example.com", sender=sender, subject="x", body="y")
    mailer.send(mail, track=True)
    [sent] = mailer.sent
    assert sent["From"] == sender
    assert sent.sender.startswith("bounces+")
    mailer.close()


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
        mailer.compose(to=expired.author, sender=f"{user}@test.com", subject="Still?", body="?")
    )


@every("1 day", at="06:00")
def digest(mailer: Mailer):
    mailer.send(mailer.compose(to="ann@example.com", sender="a@test.com", subject="Day", body="!"))


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


@outcome
def became(outcome: Outcome):
    CALLS.append((outcome.recipient, outcome.kind))


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
    assert calls == [("zed@example.com", "delayed")]
    timely.wait(days=3)
    with pytest.raises(Refused):
        timely.report(asked)
    later = Conversation(timely, "ann@example.com").say("ask@test.com")
    assert later is not None, "made when the other one had expired"
    timely.report(later, action="delayed", status="4.2.2")
    assert calls[1:] == [("ann@example.com", "delayed")]
