"""lamson.delivery.transaction, on both databases; what only several connections show is in
tests/postgres.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from lamson.delivery.job import Job
from lamson.delivery.run import Handlers
from lamson.delivery.transaction import Transactions
from lamson.storage import untold
from lamson.storage.database import Database
from lamson.storage.maildir import Maildir
from lamson.storage.outbox import Outbox
from lamson.storage.tables import outbox as outbox_table
from lamson.storage.tables import seen, seen_before
from tests.unit.delivery.jobs import NOTE, SENDING, Run, codes, note, rows, words
from tests.unit.support import make_key, make_message, make_router


def test_all_of_a_delivery_is_committed_together(
    make_run: Callable[..., Run], database: Database
) -> None:
    jobs = make_run(NOTE)(note("one"), keys=[b"1" * 32])
    assert codes(jobs) == [250]
    assert words(database) == ["one"]
    assert len(rows(database, outbox_table)) == 1
    assert [row.key for row in rows(database, seen)] == [make_key(b"1" * 32).entry]


def test_what_was_handled_is_not_handled_again(
    make_run: Callable[..., Run], database: Database
) -> None:
    run = make_run(NOTE)
    run(note("one"), keys=[b"k"])
    assert codes(run(note("two"), keys=[b"k"])) == [250]
    assert words(database) == ["one"]


def test_another_content_under_the_same_queue_id_is_handled_too_and_told(
    make_run: Callable[..., Run], database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    run = make_run(NOTE)
    run(note("forged"), keys=[make_key(b"k", b"forged")])
    assert not caplog.records
    for _ in range(2):
        assert codes(run(note("real", "break"), keys=[make_key(b"k", b"real")])) == [451]
    for _ in range(2):
        assert codes(run(note("real"), keys=[make_key(b"k", b"real")])) == [250]
    assert codes(run(note("again"), keys=[make_key(b"k", b"forged")])) == [250]
    assert words(database) == ["forged", "real"]
    told = [one for one in caplog.messages if "with another content" in one]
    assert len(told) == 3, "one for each time that it was run"
    assert told[0].startswith("id=local recipient=list@test.com: ")
    outgoing = {row.message_id for row in rows(database, outbox_table)}
    assert len(outgoing) == 2, "an answer to one does not pass for a repetition of the other's"


def test_what_an_earlier_version_handled_is_not_handled_again(
    make_run: Callable[..., Run], database: Database
) -> None:
    key = make_key(b"k", b"real")
    with database.begin() as connection:
        connection.execute(seen_before.insert().values(key=key.without_time, handled_at=0.0))
    assert codes(make_run(NOTE)(note("one"), keys=[key])) == [250]
    assert words(database) == []


def test_what_failed_is_handled_again(make_run: Callable[..., Run], database: Database) -> None:
    run = make_run(NOTE)
    assert codes(run(note("one", "break"), keys=[b"k"])) == [451]
    assert codes(run(note("one"), keys=[b"k"])) == [250]
    assert words(database) == ["one"]


def test_without_the_seen_check_it_would_be(
    make_run: Callable[..., Run], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "lamson.storage.seen.claim", lambda connection, keys, now: {key: key.entry for key in keys}
    )
    run = make_run(NOTE)
    run(note("one"), keys=[b"k"])
    run(note("two"), keys=[b"k"])
    assert words(database) == ["one", "two"]


def test_a_failed_commit_raises_and_answers_nobody(
    make_run: Callable[..., Run], database: Database
) -> None:
    run = make_run(NOTE)
    with database.begin() as connection:
        connection.execute(text("DROP TABLE lamson_outbox"))
    with pytest.raises(Exception, match="lamson_outbox"):
        run(note("one"))
    assert words(database) == []


def test_what_may_have_been_committed_is_remembered(
    tmp_path: Path, database: Database, undeliverable: Maildir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection breaks after COMMIT: the row is there, and nobody has it in memory."""
    router = make_router(tmp_path, SENDING)
    box = Outbox(database, "test")
    transactions = Transactions(Handlers(router, hostname="mx"), database=database, outbox=box)
    really_begin = database.begin

    @contextmanager
    def begin() -> Iterator[Connection]:
        with really_begin() as connection:
            yield connection
        raise OperationalError("COMMIT", {}, Exception("server closed the connection"))

    monkeypatch.setattr(database, "begin", begin)
    message = make_message()
    job = Job(message, router.match("list@test.com"), None)
    with pytest.raises(OperationalError):
        transactions.run([job], lambda job, seconds: None)
    assert [row.id for row in transactions.doubtful] == [row.id for row in box.all()] != []


def test_who_commits_first_is_told_of_first(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where the thread that made the first mail goes on long after its commit."""
    router = make_router(tmp_path, SENDING)
    box = Outbox(database, "test")
    transactions = Transactions(Handlers(router, hostname="mx"), database=database, outbox=box)
    really_begin, is_committed, may_go_on = database.begin, threading.Event(), threading.Event()

    @contextmanager
    def begin() -> Iterator[Connection]:
        with really_begin() as connection:
            yield connection
        if not is_committed.is_set():
            is_committed.set()
            may_go_on.wait(timeout=60)

    def run() -> None:
        job = Job(make_message(), router.match("list@test.com"), None)
        transactions.run([job], lambda job, seconds: None)

    monkeypatch.setattr(database, "begin", begin)
    monkeypatch.setattr(untold, "PATIENCE", 60.0)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(run)
        is_committed.wait(timeout=60)
        second = pool.submit(run)
        with pytest.raises(TimeoutError):
            second.result(timeout=0.3)
        may_go_on.set()
        first.result(timeout=60)
        second.result(timeout=60)
    made = [row.id for row in transactions.outgoing]
    assert made == sorted(made)
    assert len(made) == 2


def test_who_does_not_wait_for_long_leaves_his_mail_to_the_table(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    router = make_router(tmp_path, SENDING)
    box = Outbox(database, "test")
    transactions = Transactions(Handlers(router, hostname="mx"), database=database, outbox=box)
    job = Job(make_message(), router.match("list@test.com"), None)
    transactions.run([job], lambda job, seconds: None)
    (first,) = transactions.outgoing
    monkeypatch.setattr(untold, "PATIENCE", 0.01)
    box.untold.begin([first.conversation])
    job = Job(make_message(), router.match("list@test.com"), None)
    transactions.run([job], lambda job, seconds: None)
    assert [*transactions.outgoing] == [first]
    assert [row.lease_until > 0 for row in box.all()] == [True, False]
    assert box.untold.begin([first.conversation]) == set(), "what another has stays his"


def test_what_postfix_took_is_deleted_in_the_transaction_of_the_next_batch(
    make_run: Callable[..., Run], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = Outbox(database, "test")
    run = make_run(SENDING, outbox=outbox)
    run(make_message(sender="one@example.com"))
    (first,) = outbox.all()
    outbox.held.hold([first])
    outbox.held.begin()
    outbox.held.take(first)
    really_delete = outbox.delete_rows

    def delete_and_fail(connection: Connection, ids: list[int], gone: set[int]) -> None:
        really_delete(connection, ids, gone)
        raise OperationalError("COMMIT", {}, Exception("it is down"))

    with monkeypatch.context() as patch:
        patch.setattr(outbox, "delete_rows", delete_and_fail)
        with pytest.raises(OperationalError):
            run(make_message(sender="two@example.com"))
    assert (outbox.count(), outbox.held.known()) == (1, {first.id})
    run(make_message(sender="three@example.com"))
    (left,) = outbox.all()
    assert (left.id != first.id, outbox.held.known()) == (True, set())
