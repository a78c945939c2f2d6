"""lamson.delivery.run, in batches on both databases."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from lamson.delivery.answer_limit import AnswerLimit
from lamson.errors import UnavailableError
from lamson.message.notes import Notary
from lamson.smtp.reply import SMTPError
from lamson.storage.database import Database
from lamson.storage.maildir import Maildir
from lamson.storage.outbox import Outbox
from lamson.storage.tables import outbox as outbox_table
from lamson.storage.tables import seen
from tests.unit.delivery.jobs import LIST, NOTE, Run, codes, note, rows, states, words
from tests.unit.support import make_key, make_message


def test_a_failing_neighbour_disturbs_nobody(
    make_run: Callable[..., Run], database: Database
) -> None:
    jobs = make_run(NOTE)(
        note("a"), note("b", "refuse"), note("c", "break"), note("d", "exit"), note("e"),
        keys=[b"a", b"b", b"c", b"d", b"e"],
    )  # fmt: skip
    assert codes(jobs) == [250, 550, 451, 451, 250]
    assert words(database) == ["a", "e"]
    assert len(rows(database, outbox_table)) == 2
    assert {row.key for row in rows(database, seen)} == {
        make_key(one).entry for one in (b"a", b"e")
    }


def test_a_violated_constraint_is_one_deliverys_failure(
    make_run: Callable[..., Run], database: Database
) -> None:
    jobs = make_run(NOTE)(note("same"), note("same"), note("other"))
    assert codes(jobs) == [250, 451, 250]
    assert words(database) == ["other", "same"]


def test_what_a_handler_commits_itself_is_undone_when_it_fails(
    make_run: Callable[..., Run], database: Database
) -> None:
    run = make_run(
        """
        @route("(user)@(host)")
        @stateless
        def note(message, session: Session, user, host):
            write = text("INSERT INTO note VALUES (:word)")
            with session.begin():
                session.execute(write, {"word": message.subject})
            session.execute(write, {"word": f"{message.subject} 2"})
            session.commit()
            session.execute(write, {"word": f"{message.subject} 3"})
            if message.body.startswith("refuse"):
                raise SMTPError(450, "4.2.0", "later")
            if message.body.startswith("undo"):
                session.rollback()
        """
    )
    jobs = run(note("one"), note("two", "refuse"), note("three", "undo"))
    assert codes(jobs) == [250, 450, 250]
    assert words(database) == ["one", "one 2", "one 3", "three", "three 2"]


OUTAGES = """
    from sqlalchemy.exc import OperationalError, PendingRollbackError

    class Conflict(Exception):
        sqlstate = "40P01"

    def fail(what):
        if what == "outage":
            raise OperationalError("SELECT 1", {}, Exception("disk full"))
        if what == "conflict":
            raise OperationalError("SELECT 1", {}, Conflict("deadlock detected"))
        raise RuntimeError("broken")

    @route("(user)@(host)")
    def START(message, session: Session, user, host):
        session.execute(text("INSERT INTO note VALUES ('half')"))
        what, _, is_wrapped = message.subject.partition(" ")
        try:
            fail(what)
        except OperationalError as error:
            if is_wrapped:
                raise ValueError("it did not work") from error
            raise

    def ERROR(message, user=None, host=None):
        return None
"""


@pytest.mark.parametrize("subject", ["outage", "outage wrapped"])
def test_an_outage_is_not_the_handlers_mistake(
    make_run: Callable[..., Run],
    database: Database,
    undeliverable: Maildir,
    caplog: pytest.LogCaptureFixture,
    subject: str,
) -> None:
    run = make_run(OUTAGES)
    assert codes(run(note(subject), keys=[b"k"])) == [451]
    assert states(database) == {}
    assert words(database) == []
    assert rows(database, seen) == []
    assert undeliverable.count() == 0
    assert [record.exc_info for record in caplog.records] == [None]
    assert codes(run(note("mistake"), keys=[b"k"])) == [250]
    assert undeliverable.count() == 1


@pytest.mark.parametrize("subject", ["conflict", "conflict wrapped"])
def test_a_conflict_leaves_the_delivery_to_be_run_again(
    make_run: Callable[..., Run], database: Database, subject: str
) -> None:
    (job,) = make_run(OUTAGES)(note(subject), keys=[b"k"])
    assert job.reply is None
    assert rows(database, seen) == []
    assert words(database) == []


def test_a_message_that_cannot_be_kept_is_asked_for_again(
    make_run: Callable[..., Run],
    database: Database,
    undeliverable: Maildir,
    caplog: pytest.LogCaptureFixture,
) -> None:
    mistaken, silent = make_run(OUTAGES), make_run(LIST)
    silent(note("1"), note("2"))  # and now nobody handles his third
    gone = undeliverable.path.with_name("gone")
    undeliverable.path.rename(gone)
    assert codes(mistaken(note("mistake"), keys=[b"k"])) == [451]
    assert codes(silent(note("3"), keys=[b"l"])) == [451]
    messages = [record.message for record in caplog.records]
    assert sum("undeliverable cannot be written: No such file" in one for one in messages) == 2
    assert rows(database, seen) == []
    gone.rename(undeliverable.path)
    assert codes(mistaken(note("mistake"), keys=[b"k"])) == [250]
    assert codes(silent(note("3"), keys=[b"l"])) == [250]
    assert undeliverable.count() == 2


def test_sending_without_a_database_is_refused(make_run: Callable[..., Run]) -> None:
    run = make_run(
        """
        @route("(user)@(host)")
        def START(message, delivery: Delivery, user, host):
            delivery.forward()
        """,
        database=None,
        outbox=None,
    )
    assert codes(run(note("1"))) == [451]


ANSWERING = """
@route("(user)@(host)")
@stateless
def ANSWER(message, delivery: Delivery, user, host):
    delivery.reply(body="thanks")
    if message.body.startswith("refuse"):
        raise SMTPError(450, "4.7.1", "later")
    if message.body.startswith("break"):
        raise RuntimeError("broken")
"""


@pytest.mark.parametrize("trouble", ["refuse", "break", "commit"])
def test_answers_that_were_rolled_back_do_not_count_against_the_limit(
    make_run: Callable[..., Run],
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    trouble: str,
) -> None:
    """Postfix retries: the correspondent would be at the limit before an answer went out."""
    outbox = Outbox(database, "test")
    run = make_run(ANSWERING, outbox=outbox, answers=AnswerLimit(2))

    def fail(connection: Connection, rows: Any, apart: Any) -> Any:
        raise OperationalError("COMMIT", {}, Exception("it is down"))

    for _ in range(3):
        if trouble == "commit":
            with monkeypatch.context() as patch:
                patch.setattr(outbox, "insert", fail)
                with pytest.raises(OperationalError):
                    run(note("x"))
        else:
            run(note("x", trouble))
    run(note("x", trouble), note("y"), note("z"), note("over the limit"))
    assert len(outbox.all()) == 2


def test_tests_may_see_the_exception(make_run: Callable[..., Run]) -> None:
    with pytest.raises(RuntimeError, match="broken"):
        make_run(NOTE, raise_errors=True)(note("one", "break"))


FORWARDING = """
@route("list@(host)")
@stateless
def FORWARD(message, delivery: Delivery, host):
    delivery.forward("c@d.example")
"""


@pytest.mark.parametrize(
    ("sender", "code"), [("", 250), ("list@test.com", 554), ("victim@bank.example", 250)]
)
def test_a_loop_makes_no_bounce_to_others_and_is_not_lost(
    make_run: Callable[..., Run], undeliverable: Maildir, sender: str, code: int
) -> None:
    """Who was sent what we forwarded can send it again, mark and all, in anybody's name.

    And what has no sender, a bounce with the only copy of a mail, Postfix would throw away.
    """
    run = make_run(FORWARDING, is_ours="test.com".__eq__, mark=Notary(b"secret").mark)
    marked = f"X-Lamson-Forwarded: {Notary(b'secret').mark('list@test.com')}\r\n\r\nspam\r\n"
    [job] = run(make_message(marked.encode(), sender=sender))
    assert job.reply is not None
    assert job.reply.code == code
    assert len(undeliverable.keys()) == (code == 250)


@pytest.mark.parametrize(
    ("error", "code"),
    [(SMTPError(451, "4.3.1", "full"), "451 4.3.1"), (UnavailableError("no disk"), "451 4.3.0")],
)
def test_a_loop_that_cannot_be_kept_waits_and_disturbs_nobody(
    make_run: Callable[..., Run],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    code: str,
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("lamson.delivery.run.keep", fail)
    run = make_run(FORWARDING, is_ours="test.com".__eq__, mark=Notary(b"secret").mark)
    marked = f"X-Lamson-Forwarded: {Notary(b'secret').mark('list@test.com')}\r\n\r\nspam\r\n"
    looping, other = run(
        make_message(marked.encode(), sender="victim@bank.example"), make_message(b"\r\nhi\r\n")
    )
    assert str(looping.reply).startswith(code)
    assert str(other.reply).startswith("250")
