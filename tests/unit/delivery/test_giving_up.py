"""lamson.delivery.transaction: a message that is kept is kept once, however often Postfix asks
meanwhile.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from lamson.delivery.job import Job
from lamson.delivery.run import Handlers
from lamson.delivery.transaction import Transactions
from lamson.storage.maildir import Maildir
from tests.unit.support import make_key, make_message, make_router

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection

    from lamson.routing.router import Router
    from lamson.storage.database import Database

FAILING = """
@route("(user)@(host)")
def START(message, user, host):
    raise RuntimeError("broken")

def ERROR(message, user=None, host=None):
    pass
"""


@pytest.fixture
def undeliverable(tmp_path: Path) -> Maildir:
    return Maildir(tmp_path / "undeliverable")


@pytest.fixture
def router(tmp_path: Path) -> Router:
    return make_router(tmp_path, FAILING)


@pytest.fixture
def transactions(router: Router, database: Database, undeliverable: Maildir) -> Transactions:
    handlers = Handlers(router, hostname="mx", undeliverable=undeliverable)
    return Transactions(handlers, database=database, undeliverable=undeliverable)


def make_job(router: Router) -> Job:
    return Job(make_message(), router.match("list@test.com"), make_key(b"k"), deaths=5)


def break_after(count: int, database: Database, patch: pytest.MonkeyPatch) -> None:
    """From now on ``count`` transactions are begun; then the database is down."""
    really_begin, left = database.begin, [None] * count

    @contextmanager
    def begin() -> Iterator[Connection]:
        if not left:
            raise OperationalError("BEGIN", {}, Exception("it is down"))
        left.pop()
        with really_begin() as connection:
            yield connection

    patch.setattr(database, "begin", begin)


def test_a_message_that_kills_workers_is_kept_once(
    router: Router,
    transactions: Transactions,
    database: Database,
    undeliverable: Maildir,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        break_after(0, database, patch)
        for _ in range(3):
            with pytest.raises(OperationalError):
                transactions.give_up(make_job(router))
    for _ in range(2):  # the second is asked for though the first was answered: nobody heard it
        job = make_job(router)
        transactions.give_up(job)
        assert job.reply is not None
        assert job.reply.code == 250
    assert undeliverable.count() == 1


def test_a_message_that_puts_its_author_in_error_is_kept_once(
    router: Router,
    transactions: Transactions,
    database: Database,
    undeliverable: Maildir,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run() -> Any:
        job = make_job(router)
        transactions.run([job], lambda job, seconds: None)
        return job.reply and job.reply.code

    with monkeypatch.context() as patch:
        break_after(1, database, patch)
        assert run() == 451
    assert undeliverable.count() == 0
    assert (run(), run()) == (250, 250)
    assert undeliverable.count() == 1


def test_a_message_that_was_kept_before_its_commit_failed_is_kept_once(
    router: Router,
    transactions: Transactions,
    database: Database,
    undeliverable: Maildir,
) -> None:
    def fail(connection: Connection) -> None:
        raise OperationalError("COMMIT", {}, Exception("it is down"))

    event.listen(database.engine, "commit", fail)
    for _ in range(2):
        with pytest.raises(OperationalError):
            transactions.give_up(make_job(router))
    event.remove(database.engine, "commit", fail)
    (key,) = undeliverable.keys()
    transactions.give_up(make_job(router))
    assert undeliverable.keys() == [key]
    unknown = [make_job(router), make_job(router)]
    for job in unknown:
        job.key = None  # nothing says that they are the same
        transactions.give_up(job)
    assert undeliverable.count() == 3
