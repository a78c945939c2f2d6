"""lamson.storage.outbox and lamson.seen: several processes that want the same rows."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event, exc

from lamson.storage import seen
from lamson.storage.database import Database
from lamson.storage.outbox import Outbox
from lamson.storage.outgoing import Outgoing
from tests.unit.support import make_key
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamson.storage.seen_key import Key

pytestmark = pytest.mark.postgres

KEY = make_key(b"k")


@pytest.fixture
def databases(url: str) -> Iterator[list[Database]]:
    """The same database as several processes have it; no lock is waited for."""
    made = [Database(f"{url}?options=-c lock_timeout=200ms") for _ in range(4)]
    yield made
    for database in made:
        database.close()


def fill(database: Database, count: int) -> set[int]:
    """Rows of a process that died."""
    with database.begin() as connection:
        rows = [Outgoing("s", f"<{n}>", "l@x.com", (f"u{n}@x.com",), b"x") for n in range(count)]
        Outbox(database, "dead", lease=0.0).insert(connection, rows)
    return {row.id for row in rows}


@contextmanager
def paused_before_commit(database: Database) -> Iterator[threading.Event]:
    """Transactions of this process wait before their commit; the event says that one does."""
    reached, go = threading.Event(), threading.Event()

    def pause(connection: object) -> None:
        reached.set()
        assert go.wait(30)

    event.listen(database.engine, "commit", pause)
    try:
        yield reached
    finally:
        go.set()


def test_two_claimers_at_once_take_different_rows_and_neither_waits(
    databases: list[Database],
) -> None:
    slow, quick = databases[:2]
    ids = fill(quick, 10)
    with ThreadPoolExecutor(1) as pool:
        with paused_before_commit(slow) as reached:
            first = pool.submit(Outbox(slow, "slow").claim, 4)
            assert reached.wait(10)
            second = Outbox(quick, "quick").claim(100)
            assert Outbox(quick, "quick").claim(100) == []
        taken = [row.id for row in (*first.result(10), *second)]
    assert len(taken) == 10
    assert set(taken) == ids
    assert len(second) == 6


def test_many_claimers_take_each_row_once(databases: list[Database]) -> None:
    ids = fill(databases[0], 300)
    together = threading.Barrier(4)

    def take(database: Database) -> list[int]:
        outbox, mine = Outbox(database, "x"), []
        together.wait(10)
        while rows := outbox.claim(7):
            mine += [row.id for row in rows]
        return mine

    with ThreadPoolExecutor(4) as pool:
        taken = [id for mine in pool.map(take, databases) for id in mine]
    assert sorted(taken) == sorted(ids)


def test_one_key_is_claimed_by_one(databases: list[Database]) -> None:
    together = threading.Barrier(4)

    def claim(database: Database) -> int:
        together.wait(10)
        with database.begin() as connection:
            return len(seen.claim(connection, [KEY], 0.0))

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(claim, databases)) == [0, 0, 0, 1]


def test_who_waits_for_a_key_gets_it_when_the_other_gives_up(url: str) -> None:
    one, other = Database(url), Database(url)
    with ThreadPoolExecutor(1) as pool:

        def claim() -> dict[Key, bytes]:
            with other.begin() as connection:
                return seen.claim(connection, [KEY], 0.0)

        with one.begin() as connection:
            assert set(seen.claim(connection, [KEY], 0.0)) == {KEY}
            waiting = pool.submit(claim)
            wait_until_somebody_waits(one)
            connection.rollback()
        assert set(waiting.result(10)) == {KEY}
    one.close()
    other.close()


def test_nobody_waits_for_a_key_for_ever(databases: list[Database]) -> None:
    one, other = databases[:2]
    with one.begin() as connection:
        assert set(seen.claim(connection, [KEY], 0.0)) == {KEY}
        with pytest.raises(exc.OperationalError, match="lock timeout"), other.begin() as second:
            seen.claim(second, [KEY], 0.0)


def wait_until_somebody_waits(database: Database) -> None:
    with database.read() as connection:
        wait_for(
            lambda: connection.exec_driver_sql(
                "SELECT 1 FROM pg_stat_activity WHERE datname = current_database()"
                " AND wait_event_type = 'Lock'"
            ).first(),
            "a transaction that waits for another",
        )
