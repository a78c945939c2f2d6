"""lamson.delivery.posting: what is sent later, what is sent once, and what is taken back."""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from lamson.delivery.answer_limit import AnswerLimit
from lamson.delivery.job import Job
from lamson.delivery.posting import Posting
from lamson.delivery.run import Handlers
from lamson.delivery.transaction import Transactions
from lamson.errors import LamsonError
from lamson.smtp.reply import LOCAL_ERROR, OK
from lamson.storage import keys
from lamson.storage.keys import Key
from lamson.storage.outbox import Outbox
from tests.unit.support import make_key, make_message, make_router

if TYPE_CHECKING:
    from pathlib import Path

    from lamson.storage.database import Database

HOUR = 3600.0


def test_a_key_needs_a_database() -> None:
    posting = Posting(id="x", hostname="mx.test.com")
    mail = posting.compose(to="zed@example.com", sender="a@test.com", subject="x", body="y")
    with pytest.raises(LamsonError, match="key= needs a database"):
        posting.send(mail, key="a")
    with pytest.raises(LamsonError, match="cancel needs a database"):
        posting.cancel("a")
    assert posting.outgoing == []
    posting.end()
    with pytest.raises(LamsonError, match="a Posting must not be kept for later"):
        posting.cancel("a")


HANDLERS = """
    import time

    given = []

    @route("(name)@test.com", name="[a-z]+")
    @stateless
    def START(message, delivery: Delivery, db: Session, name):
        number = len(given)
        if name == "answer":
            given.append(delivery.reply(body=f"{number}"))
        elif name == "reply":
            given.append(delivery.reply(body=f"{number}", key="one"))
        elif name == "failing":
            given.append(_send(delivery, key="one"))
            raise SMTPError(550, "5.7.1", "no")
        elif name == "rolling":
            db.execute(text("SELECT 1"))
            given.append(_send(delivery, key="one"))
            db.rollback()
        elif name == "cancelling":
            given.append(delivery.cancel("one"))
        elif name == "undecided":
            _send(delivery, key="one", at=time.time() + 3600)
            given.append(delivery.cancel("one"))
        elif name == "later":
            given.append(_send(delivery, key="one", at=time.time() + 3600))
        elif name == "undone":
            delivery.reply(body="x", key="one", at=time.time() + 3600)
            delivery.cancel("one")
        elif name == "ending":
            _send(delivery, key="one")
            driver = db.connection().connection.driver_connection
            if hasattr(driver, "pgconn"):  # so that nothing can refuse it
                driver.pgconn.exec_(b"COMMIT")
            else:
                driver.set_authorizer(None)
                driver.execute("COMMIT")
        elif name == "between":
            _send(delivery, key="one", at=time.time() + 3600)
            given.append(_send(delivery))
            delivery.cancel("one")
            given.append(_send(delivery))
        elif name == "forward":
            delivery.forward("ann@example.com", at=time.time() + 3600, key="one")
        else:
            given.append(_send(delivery, key="one"))

    def _send(delivery, **options):
        mail = delivery.compose(to="zed@example.com", sender="a@test.com", subject="x", body="y")
        return delivery.send(mail, **options)
"""


class Bench:
    def __init__(
        self, database: Database, directory: Path, answers: AnswerLimit | None = None
    ) -> None:
        self.router = make_router(directory, HANDLERS)
        self.outbox = Outbox(database, "test")
        handlers = Handlers(self.router, hostname="mx.test.com", answers=answers)
        self.transactions = Transactions(handlers, database=database, outbox=self.outbox)

    @property
    def given(self) -> list[Any]:
        [match] = self.router.match("x@test.com")
        given: list[Any] = match.handler.function.__globals__["given"]
        return given

    def write_to(self, *names: str) -> list[Any]:
        """Deliver to each, in one transaction; gives what is in the outbox."""
        jobs = []
        for name in names:
            message = make_message(recipient=f"{name}@test.com")
            key = make_key(secrets.token_bytes(16))
            jobs.append(Job(message, self.router.match(f"{name}@test.com"), key))
        self.transactions.run(jobs, lambda job, seconds: None)
        self.replies = [job.reply for job in jobs]
        return [row.message_id for row in self.outbox.all()]


@pytest.fixture
def bench(database: Database, tmp_path: Path) -> Bench:
    return Bench(database, tmp_path)


def test_a_key_makes_it_once(bench: Bench) -> None:
    [first] = bench.write_to("x", "x")
    assert bench.write_to("x", "reply") == [first]
    assert bench.given == [first, first, first, None]
    assert bench.replies == [OK, OK]


def test_what_failed_used_no_key(bench: Bench) -> None:
    failing, sending = (bench.write_to("failing"), bench.write_to("failing", "x"))
    assert failing == []
    assert sending == [bench.given[-1]]


def test_who_ended_the_transaction_used_no_key(bench: Bench) -> None:
    """Else the next attempt would find it used, and send nothing."""
    assert bench.write_to("ending") == []
    assert bench.replies == [LOCAL_ERROR]
    assert bench.write_to("x") == bench.given


def test_a_key_stays_used_where_the_handler_rolls_back(bench: Bench) -> None:
    [first] = bench.write_to("rolling")
    assert bench.write_to("x") == [first]


def test_what_is_to_leave_later_can_be_taken_back(bench: Bench) -> None:
    assert bench.write_to("later", "x") == []
    [waiting] = bench.outbox.scheduled()
    assert waiting.due_at > time.time() + HOUR - 60
    assert bench.given == [waiting.message_id, waiting.message_id]
    assert bench.write_to("cancelling", "cancelling") == []
    assert bench.given[2:] == [True, False]
    assert bench.outbox.scheduled() == []
    assert bench.write_to("undecided") == []
    assert bench.given[4:] == [True]
    assert bench.write_to("x") == bench.given[5:]


def test_what_is_taken_back_leaves_its_message_id_to_nobody(bench: Bench) -> None:
    sent = bench.write_to("between")
    assert len(set(sent)) == 2
    assert sent == bench.given


def test_a_key_ends_by_the_clock_that_it_was_claimed_by(database: Database) -> None:
    now = time.time()
    sent = []
    for ahead in (0.0, 2 * HOUR):
        with database.begin() as connection:
            posting = Posting(
                id="x",
                hostname="mx.test.com",
                connect=lambda: connection,
                clock=lambda: now + ahead,  # noqa: B023
            )
            mail = posting.compose(to="a@example.com", sender="a@test.com", subject="x", body="y")
            posting.send(mail, key=Key("one", hours=1))
            sent += posting.outgoing
    assert len(sent) == 2


def test_a_message_can_be_forwarded_later(bench: Bench) -> None:
    assert bench.write_to("forward", "forward") == []
    assert [row.recipients for row in bench.outbox.scheduled()] == [("ann@example.com",)]


def test_an_answer_that_turns_out_to_be_too_many_used_no_key(
    database: Database, tmp_path: Path
) -> None:
    here, there = (Bench(database, tmp_path, AnswerLimit(1, 1000)) for _ in range(2))
    first = here.write_to("answer")
    assert len(first) == 1
    assert there.write_to("reply") == first  # that process has not heard of the first one
    with database.begin() as connection:
        assert keys.claim(connection, Key("one"), "<x@test>", time.time()) is None


def test_an_answer_that_was_taken_back_counts_for_nothing(
    database: Database, tmp_path: Path
) -> None:
    here, there = (Bench(database, tmp_path, AnswerLimit(1, 1000)) for _ in range(2))
    assert here.write_to("undone") == []
    assert there.write_to("undone") == []
    assert len(here.write_to("answer")) == 1


def test_a_time_that_has_passed_is_now(database: Database, tmp_path: Path) -> None:
    outbox = Outbox(database, "test")
    posting = Posting(id="x", hostname="mx.test.com")
    mail = posting.compose(to="zed@example.com", sender="a@test.com", subject="x", body="y")
    posting.send(mail, at=datetime.now(UTC) - timedelta(days=1))
    with database.begin() as connection:
        assert outbox.insert(connection, posting.outgoing) == posting.outgoing
