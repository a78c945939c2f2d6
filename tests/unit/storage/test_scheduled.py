"""lamson.storage.scheduled: mail waits for its time, and takes its place in the outbox then."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from lamson.storage import keys, scheduled, suppressed, tasks
from lamson.storage.keys import Key
from lamson.storage.outbox import Outbox
from lamson.storage.outgoing import Outgoing
from lamson.storage.room import AT_ONCE
from lamson.storage.suppressed import Suppressed
from tests.unit.support import others_wait
from tests.waiting import wait_for

if TYPE_CHECKING:
    from lamson.storage.database import Database

HOUR = 3600.0
BODY = b"Subject: x\r\n\r\n" + b"0123456789abcdef\r\n" * 40


class Clock:
    """The wall clock, which a test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead = 0.0
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + self.ahead)
        monkeypatch.setattr(time, "time_ns", lambda: int((real() + self.ahead) * 1e9))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def row(name: str, seconds: float = 0.0, **values: object) -> Outgoing:
    due_at = time.time() + seconds if seconds else 0.0
    to = values.pop("to", ("zed@example.com",))
    return Outgoing("4Qz", name, "l@test.com", to, BODY, due_at=due_at, **values)  # type: ignore[arg-type]


def commit(outbox: Outbox, database: Database, *rows: Outgoing) -> list[str]:
    """Gives what may leave at once."""
    with database.begin() as connection:
        return [one.message_id for one in outbox.insert(connection, outbox.split(rows))]


def leave(outbox: Outbox) -> list[str]:
    """What is due leaves; gives it, in order."""
    left: list[str] = []
    while rows := (outbox.call(), outbox.claim(500))[1]:
        left += [one.message_id for one in rows]
        assert all(one.content == BODY for one in rows)
        outbox.held.end_claim()
        outbox.delete([one.id for one in rows])
    return left


def test_a_row_waits_for_its_time_and_holds_nobody_up(database: Database, clock: Clock) -> None:
    outbox = Outbox(database, "test")
    assert commit(outbox, database, row("later", HOUR)) == []
    assert commit(outbox, database, row("now")) == ["now"]
    assert outbox.count() == 1
    [waiting] = outbox.scheduled()
    assert (waiting.message_id, waiting.content) == ("later", b"")
    due_at = outbox.call()
    assert due_at == waiting.due_at
    outbox.delete([one.id for one in outbox.all()])
    clock.ahead = HOUR - 1
    assert leave(outbox) == []
    clock.ahead = HOUR + 1
    assert outbox.call() is None
    [came] = outbox.all()
    assert (came.message_id, came.created_at, came.lease_until) == ("later", due_at, 0)
    assert outbox.scheduled() == []
    assert leave(outbox) == ["later"]


def test_it_keeps_the_place_that_it_gets_when_it_is_due(database: Database, clock: Clock) -> None:
    outbox = Outbox(database, "test")
    commit(outbox, database, row("third", 3 * HOUR), row("second", 2 * HOUR), row("first", HOUR))
    clock.ahead = HOUR + 1
    outbox.call()
    outbox.held.end_claim()
    assert commit(outbox, database, row("behind")) == []  # the first one is not under way yet
    clock.ahead = 4 * HOUR
    assert leave(outbox) == ["first", "behind", "second", "third"]


def test_a_clock_that_jumps_loses_and_doubles_nothing(database: Database, clock: Clock) -> None:
    outbox = Outbox(database, "test")
    commit(outbox, database, row("in an hour", HOUR), row("in two days", 48 * HOUR))
    clock.ahead = -24 * HOUR
    assert leave(outbox) == []
    clock.ahead = 24 * HOUR
    assert leave(outbox) == ["in an hour"]
    clock.ahead = 0
    assert leave(outbox) == []
    commit(outbox, database, row("in ten hours", 10 * HOUR))
    assert leave(outbox) == []
    clock.ahead = 9 * HOUR
    assert leave(outbox) == []
    clock.ahead = 50 * HOUR
    assert leave(outbox) == ["in ten hours", "in two days"]
    assert leave(outbox) == []


def test_mail_to_many_is_stored_once_until_it_leaves(database: Database, clock: Clock) -> None:
    outbox = Outbox(database, "test", max_recipients=1)
    to = tuple(f"{name}@example.com" for name in "abc")
    commit(outbox, database, row("many", HOUR, to=to))
    outbox.purge()
    assert len({one.shared for one in outbox.scheduled()} - {0}) == 1
    clock.ahead = HOUR + 1
    outbox.call()
    outbox.purge()
    assert leave(outbox) == ["many"] * 3


def test_who_is_suppressed_meanwhile_gets_nothing(database: Database, clock: Clock) -> None:
    outbox = Outbox(database, "test")
    both = ("ann@example.com", "zed@example.com")
    commit(
        outbox,
        database,
        row("to both", HOUR, to=both),
        row("of the list", HOUR, to=both, scope="users"),
        row("to one", HOUR, to=("ann@example.com",)),
        row("tracked", HOUR, to=("ann@example.com",), envid="abc"),
    )
    with database.begin() as connection:
        suppressed.add(connection, Suppressed("ann@example.com", "", "by hand"))
        suppressed.add(connection, Suppressed("zed@example.com", "users", "complaint"))
    clock.ahead = HOUR + 1
    assert outbox.call() is None
    assert [(one.message_id, one.recipients) for one in outbox.all()] == [
        ("to both", ("zed@example.com",))
    ]
    assert outbox.scheduled() == []
    with database.read() as connection:
        [told] = tasks.waiting(connection)
    assert (told.payload["id"], told.payload["kind"]) == ("abc", "suppressed")


def test_it_can_be_cancelled_until_it_is_due(database: Database, clock: Clock) -> None:
    outbox = Outbox(database, "test")
    key, other = Key("remind-17"), Key("remind-18")
    now = time.time()
    with database.begin() as connection:
        assert keys.claim(connection, key, "<1@test>", now) is None
        outbox.insert(connection, [row("17", HOUR, key=key.digest)])
        outbox.insert(connection, [row("18", HOUR, key=other.digest)])
    with database.begin() as connection:
        assert keys.claim(connection, key, "<2@test>", now) == "<1@test>"
        assert scheduled.cancel(connection, key)
        assert not scheduled.cancel(connection, key)
        assert keys.claim(connection, key, "<2@test>", now) is None
    clock.ahead = HOUR + 1
    outbox.call()
    with database.begin() as connection:
        assert not scheduled.cancel(connection, other)
    assert leave(outbox) == ["18"]


def test_few_rows_move_at_once_where_they_are_large(database: Database, clock: Clock) -> None:
    outbox = Outbox(database, "test")
    large = [replace(row(name, 60.0), content=name.encode() * (AT_ONCE // 2)) for name in "abc"]
    commit(outbox, database, *large)
    clock.ahead = 61.0
    for left in (1, 0):
        outbox.call()
        assert len(outbox.scheduled()) == left
    assert [one.message_id for one in outbox.all()] == ["a", "b", "c"]


def test_one_process_at_a_time_lets_rows_move(database: Database, clock: Clock) -> None:
    if database.is_sqlite:
        pytest.skip("has one writer at a time")
    outbox = Outbox(database, "test")
    commit(outbox, database, row("one", HOUR))
    clock.ahead = HOUR + 1
    with database.begin() as connection:
        assert scheduled.promote(connection, time.time(), 10, lambda number: 1) == 1
        due_at = outbox.call()
        assert due_at is not None
        assert due_at <= time.time()
        connection.rollback()
    assert leave(outbox) == ["one"]


def test_the_key_of_mail_in_parts_is_free_when_the_last_is_dropped(database: Database) -> None:
    """Else it could be sent again to those who get the other parts."""
    outbox, key = Outbox(database, "test"), Key("one")
    with database.begin() as connection:
        assert keys.claim(connection, key, "<1@test>", time.time()) is None
    commit(outbox, database, *(row(name, HOUR, key=key.digest) for name in ("one", "two")))
    first, second = (waiting.id for waiting in outbox.scheduled())
    with database.begin() as connection:
        assert scheduled.drop(connection, first)
        assert keys.claim(connection, key, "<2@test>", time.time()) == "<1@test>"
        assert scheduled.drop(connection, second)
        assert keys.claim(connection, key, "<2@test>", time.time()) is None


@pytest.mark.parametrize("end", ["drop", "cancel"])
def test_the_key_of_mail_of_which_a_part_has_left_stays_used(
    database: Database, clock: Clock, end: str
) -> None:
    """By hand, before the others: else it could be sent again to who has it."""
    outbox, key, other = Outbox(database, "test"), Key("one"), Key("two")
    with database.begin() as connection:
        assert keys.claim(connection, key, "<1@test>", time.time()) is None
        assert keys.claim(connection, other, "<2@test>", time.time()) is None
    parts = [row(name, HOUR, key=key.digest) for name in ("one", "two")]
    commit(outbox, database, *parts, row("other", 2 * HOUR, key=other.digest))
    first, second, third = (waiting.id for waiting in outbox.scheduled())
    assert outbox.retry(first) == 1
    assert leave(outbox) == ["one"]
    with database.begin() as connection:
        if end == "drop":
            assert scheduled.drop(connection, second)
            assert scheduled.drop(connection, third)
        else:
            assert scheduled.cancel(connection, key)
            assert scheduled.cancel(connection, other)
        assert keys.claim(connection, key, "<3@test>", time.time()) == "<1@test>"
        assert keys.claim(connection, other, "<3@test>", time.time()) is None


def test_what_left_before_it_was_dropped_keeps_its_key(database: Database, clock: Clock) -> None:
    """Else it could be sent again under that key."""
    if database.is_sqlite:
        pytest.skip("has one writer at a time")
    outbox, key = Outbox(database, "test"), Key("one")
    with database.begin() as connection:
        assert keys.claim(connection, key, "<1@test>", time.time()) is None
    commit(outbox, database, row("one", HOUR, key=key.digest))
    [waiting] = outbox.scheduled()
    clock.ahead = HOUR + 1
    dropped: list[bool] = []

    def drop() -> None:
        with database.begin() as connection:
            dropped.append(scheduled.drop(connection, waiting.id))

    thread = threading.Thread(target=drop)
    with database.begin() as connection:
        assert scheduled.promote(connection, time.time(), 10, lambda number: 1) == 1
        thread.start()
        wait_for(lambda: dropped or others_wait(connection), "the other")
    thread.join(10)
    assert dropped == [False]
    with database.begin() as connection:
        assert keys.claim(connection, key, "<2@test>", time.time()) == "<1@test>"


def test_what_is_being_cancelled_stays(database: Database, clock: Clock) -> None:
    if database.is_sqlite:
        pytest.skip("has one writer at a time")
    outbox, key = Outbox(database, "test"), Key("one")
    commit(outbox, database, row("one", HOUR, key=key.digest), row("two", HOUR))
    clock.ahead = HOUR + 1
    with database.begin() as connection:
        assert scheduled.cancel(connection, key)
        assert leave(outbox) == ["two"]
    assert leave(outbox) == []
