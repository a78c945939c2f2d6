"""lamson.storage.housekeeping: what is done from time to time, whatever becomes of one turn."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Connection, event, select

from lamson.storage import forgetting, pending, redeemed, seen, tables
from lamson.storage.database import Database
from lamson.storage.housekeeping import BELIEVED_AFTER, DAY, Housekeeping
from lamson.storage.journal_purge import JournalPurge
from lamson.storage.lease_owner import LeaseOwners
from lamson.storage.outbox import Outbox
from lamson.storage.service_clock import ServiceClock
from tests.unit.support import make_key

if TYPE_CHECKING:
    from collections.abc import Callable


class Surprising(LeaseOwners):
    """Owners whose every look at them is a surprise."""

    def __init__(self) -> None:
        super().__init__(Path("/project"), Path("/project/run"))
        self.turns: list[dict[str, Any]] = []

    def release_dead(self, *arguments: object, **options: Any) -> None:
        self.turns.append(options)
        raise RuntimeError("a bug")


@pytest.fixture
def clock(database: Database) -> ServiceClock:
    clock = ServiceClock()
    with database.read() as connection:
        clock.read(connection)
    return clock


def keep_house(
    database: Database, clock: ServiceClock, owners: LeaseOwners, until: Callable[[], bool]
) -> None:
    """Keep house on a loop of its own until ``until`` is true."""

    async def story() -> None:
        housekeeping = Housekeeping(
            database, clock, Outbox(database, "test"), owners, believed_after=0.0
        )
        housekeeping.start()
        async with asyncio.timeout(10):
            while not until():
                await asyncio.sleep(0.005)
        await housekeeping.stop()

    asyncio.run(story())


def test_it_outlives_a_surprise(
    database: Database,
    clock: ServiceClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("lamson.storage.housekeeping.LOOK_FOR_DEAD", 0.01)
    owners = Surprising()
    keep_house(database, clock, owners, lambda: len(owners.turns) >= 2)
    assert owners.turns[0] == {"is_running": True}
    assert "housekeeping failed: a bug\nTraceback" in caplog.text


def test_the_end_saves_the_clock_and_forgets_what_was_handled_long_ago(
    database: Database, tmp_path: Path
) -> None:
    with database.begin() as connection:
        seen.claim(connection, [make_key(b"long ago")], 0.0)
        seen.claim(connection, [make_key(b"now")], seen.KEEP)
        for key, handled_at in ((b"long ago", 0.0), (b"now", seen.KEEP)):
            connection.execute(tables.seen_before.insert().values(key=key, handled_at=handled_at))
        connection.execute(tables.clock.insert().values(id=1, seconds=seen.KEEP + 1))
    clock = ServiceClock(lambda: 5.0)
    with database.read() as connection:
        clock.read(connection)
    keep_house(database, clock, LeaseOwners(tmp_path, tmp_path), lambda: True)
    with database.read() as connection:
        left = connection.execute(select(tables.seen.c.key)).scalars()
        assert list(left) == [make_key(b"now").entry]
        assert list(connection.execute(select(tables.seen_before.c.key)).scalars()) == [b"now"]


def test_the_end_forgets_tokens_and_what_waited_for_them(
    database: Database, tmp_path: Path
) -> None:
    now = time.time()
    with database.begin() as connection:
        redeemed.claim(connection, {b"1" * 16: now - 2 * redeemed.SLACK, b"2" * 16: now})
        for name, until in ((b"1", now - 1), (b"2", now + 60)):
            message = pending.Pending(name * 16, until, "id", "", "x@test.com", False, b"x")
            pending.keep(connection, [message])
    clock = ServiceClock(lambda: 5.0)
    with database.read() as connection:
        clock.read(connection)
    keep_house(database, clock, LeaseOwners(tmp_path, tmp_path), lambda: True)
    with database.read() as connection:
        for table in (tables.redeemed, tables.pending):
            assert list(connection.execute(select(table.c.digest)).scalars()) == [b"2" * 16]


def test_a_clock_that_was_set_ahead_ends_nothing_before_it_is_believed(
    database: Database, clock: ServiceClock, tmp_path: Path
) -> None:
    now = time.time()
    wall, steady = [now], [1000.0]
    keep_what_ends(database, now + 20 * DAY)
    housekeeping = Housekeeping(
        database,
        clock,
        Outbox(database, "test"),
        LeaseOwners(tmp_path, tmp_path),
        wall=lambda: wall[0],
        steady=lambda: steady[0],
    )

    def after(seconds: float, leap: float = 0.0) -> bool:
        steady[0] += seconds
        wall[0] += seconds + leap
        housekeeping._tidy()
        return is_there(database)

    assert after(BELIEVED_AFTER)
    assert after(600.0, leap=40 * DAY)
    assert after(600.0, leap=-40 * DAY)
    assert after(2 * BELIEVED_AFTER, leap=0.0)
    assert after(600.0, leap=40 * DAY)
    assert after(BELIEVED_AFTER), "within the hour after the last leap"
    assert after(600.0) is not database.is_sqlite, "a server's own clock was right all the time"


def test_nor_does_one_that_was_ahead_at_the_start(
    database: Database, clock: ServiceClock, tmp_path: Path
) -> None:
    now = time.time()
    steady = [1000.0]
    keep_what_ends(database, now + 20 * DAY)
    housekeeping = Housekeeping(
        database,
        clock,
        Outbox(database, "test"),
        LeaseOwners(tmp_path, tmp_path),
        wall=lambda: now + 40 * DAY + steady[0],
        steady=lambda: steady[0],
    )
    housekeeping._tidy()
    assert is_there(database)
    steady[0] += BELIEVED_AFTER
    housekeeping._tidy()
    assert is_there(database) is not database.is_sqlite


def keep_what_ends(database: Database, until: float) -> None:
    """Mail that waits for a token, and a token that was used."""
    with database.begin() as connection:
        redeemed.claim(connection, {b"1" * 16: until})
        waits = pending.Pending(b"2" * 16, until, "id", "", "x@test.com", False, b"x")
        pending.keep(connection, [waits])


def is_there(database: Database) -> bool:
    with database.read() as connection:
        left = {
            len(connection.execute(select(table.c.digest)).all())
            for table in (tables.redeemed, tables.pending)
        }
    assert len(left) == 1, "both, or neither"
    return left == {1}


def test_a_clock_that_was_never_read_is_not_saved(database: Database, tmp_path: Path) -> None:
    keep_house(database, ServiceClock(), LeaseOwners(tmp_path, tmp_path), lambda: True)
    with database.read() as connection:
        assert connection.execute(select(tables.clock)).first() is None


def test_threads_are_forgotten(database: Database, clock: ServiceClock) -> None:
    with database.begin() as connection:
        for name, used_at in (("old", clock() - 400 * DAY), ("new", clock())):
            row = {"id": name, "modules": "m", "subject": "", "used_at": used_at}
            connection.execute(tables.threads.insert().values(row))
    keep_house(database, clock, Surprising(), lambda: True)
    with database.read() as connection:
        assert connection.execute(select(tables.threads.c.id)).scalars().all() == ["new"]


def test_nothing_of_it_keeps_others_from_writing_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much there is, and is over: counted in steps of SQLite's machine, not in time."""
    database = Database(f"sqlite:///{tmp_path}/test.db")
    counted: list[int] = []
    monkeypatch.setattr(forgetting, "PAUSE", 0)

    def count(connection: Any) -> None:
        if connection.in_transaction:  # so only the writer's
            counted[-1] += 1000

    def watch(connection: Any, _: object) -> None:
        connection.set_progress_handler(lambda: count(connection), 1000)

    def begin(connection: Connection) -> None:
        counted.append(0)

    database.create_all()
    with database.begin() as connection:
        for name, values in _MUCH.items():
            connection.exec_driver_sql(f"INSERT INTO lamson_{name} SELECT {values} FROM {_NUMBERS}")
        connection.execute(tables.clock.insert().values(id=1, seconds=2 * seen.KEEP))
    database.close()
    event.listen(database.engine, "connect", watch)
    event.listen(database.engine, "begin", begin)
    outbox, owners = Outbox(database, "test"), LeaseOwners(tmp_path, tmp_path)
    clock = ServiceClock(lambda: 5.0)
    with database.read() as connection:
        clock.read(connection)
    journal = JournalPurge(3650.0, _OVER // 2 * 100)
    housekeeping = Housekeeping(
        database, clock, outbox, owners, journal=journal, believed_after=0.0
    )
    outbox.release_owner("dead")
    housekeeping._tidy()
    with database.read() as connection:
        for name in (into.split()[0] for into in _MUCH):
            left = connection.exec_driver_sql(f"SELECT count(*) FROM lamson_{name}").scalar()
            assert left == _LEFT.get(name, 0), name
    assert outbox.owners() == []
    assert max(counted) < 2 * _OVER
    database.close()


_OVER = 10_000  # rows in each table
_NUMBERS = (
    f"(WITH RECURSIVE m (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM m WHERE i < {_OVER})"
    " SELECT i FROM m)"
)
_MUCH = {
    "seen (key, content, handled_at)": "randomblob(24), randomblob(16), 1.0",
    "redeemed (digest, until)": "randomblob(16), 1.0",
    "pace (name, next_at)": "randomblob(16), 1.0",
    "keys (name, message_id, until)": "randomblob(16), '', 1.0",
    "journal (id, at, done_at, size, kept, direction, source, message_id, correspondent, ours,"
    " recipients, subject, handler, state, next_state, outcome, reply, envid, about, sent,"
    " words)": ("4000000000000000000 + i, 1.0, 1.0, 1, 100, 'in'" + ", ''" * 15),
    "outbox (id, source, message_id, sender, recipients, conversation, smtputf8, content,"
    " created_at, attempts, due_at, lease_owner, lease_until, last_error)": (
        "i, '', '', '', '[]', i, false, '', 1.0, 0, 1.0, 'dead', 1.0, ''"
    ),
}
_LEFT = {"journal": _OVER // 2, "outbox": _OVER}
