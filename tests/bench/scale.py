"""What one durable mail costs where little is in the database, and where much is.

`python -m tests.bench --only scale`. Batches of ten are run as a worker runs them, without sockets:
each moves a state and sends a reply, and deletes what Postfix took of the last one. What is there
besides: keys of what was handled, states, timers, and mail that waits since submission is down.
The octets are those of the log that a commit writes: SQLite's write-ahead log, PostgreSQL's WAL.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import event, text

from lamson.delivery.job import Job
from lamson.delivery.run import Handlers
from lamson.delivery.transaction import Transactions
from lamson.storage.database import Database
from lamson.storage.outbox import Outbox
from lamson.storage.seen_key import Source
from tests.bench.report import Goal, Section
from tests.postgres.instance import PostgresInstance, why_not
from tests.unit.support import make_message, make_router

if TYPE_CHECKING:
    from collections.abc import Iterator

BATCH = 10
ALLOWED = 1.2  # times as much as where little is there
BEYOND = 2048.0  # octets of log for a mail, beside those of the mail that is kept
_HANDLERS = """
@route("(user)@(host)")
def START(message, delivery: Delivery, user, host):
    answer(message, delivery)
    return SECOND

@route_like(START)
def SECOND(message, delivery: Delivery, user, host):
    answer(message, delivery)
    return START

def answer(message, delivery):
    delivery.send(delivery.compose(
        to=message.author, sender=message.recipient.address, subject="Re: hello",
        body="Thank you, your message has arrived.",
    ))
"""
_WRITTEN = text("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn")
_BODY = b"x" * 70 + b"\r\n"


@dataclass(frozen=True)
class Size:
    """How much there is besides."""

    keys: int
    states: int
    waiting: int
    timers: int


FEW = Size(10_000, 1_000, 100, 1_000)
SOME = Size(200_000, 50_000, 20_000, 50_000)
MANY = Size(10_000_000, 1_000_000, 200_000, 1_000_000)


@dataclass(frozen=True)
class Cost:
    """Of one mail, and of one batch."""

    cpu: float  # microseconds
    log: float  # octets
    kept: float  # octets of the reply
    p99: float  # milliseconds, of a batch
    claim: float  # microseconds to look for mail whose time has come


def measure(seconds: float, few: Size = FEW, many: Size = MANY) -> Iterator[Section]:
    """Both databases, each with little and with much in it."""
    with tempfile.TemporaryDirectory(prefix="lamson-scale-") as name:
        directory = Path(name)
        costs = []
        for number, size in enumerate((few, many)):
            (directory / str(number)).mkdir()
            url = f"sqlite:///{directory}/{number}/scale.db"
            costs.append(_measure(directory / str(number), url, size, seconds))
        yield _section("SQLite", many, *costs)
        if reason := why_not():
            yield Section("Scale, PostgreSQL", remarks=[f"left out: {reason}"])
            return
        with PostgresInstance() as postgres:
            costs = []
            for number, size in enumerate((few, many), start=2):
                (directory / str(number)).mkdir()
                url = postgres.url(postgres.create_database())
                costs.append(_measure(directory / str(number), url, size, seconds))
        yield _section("PostgreSQL", many, *costs)


def _section(name: str, many: Size, small: Cost, large: Cost) -> Section:
    section = Section(
        f"Scale, {name}: {many.keys:,} keys, {many.states:,} states, {many.waiting:,} waiting"
    )
    for what in ("cpu", "log", "p99", "claim"):
        ratio = getattr(large, what) / getattr(small, what)
        section.goals.append(Goal(f"{what}, much / little", ratio, goal=ALLOWED, at_least=False))
    for title, cost in (("little", small), ("much", large)):
        beyond = cost.log - cost.kept
        section.goals.append(
            Goal(f"octets of log beyond the reply, {title}", beyond, goal=BEYOND, at_least=False)
        )
        section.remarks.append(
            f"{title}: {cost.cpu:.0f} µs of CPU and {cost.log:.0f} octets of log for a mail whose"
            f" reply has {cost.kept:.0f}; p99 of a batch of {BATCH} {cost.p99:.1f} ms; looking for"
            f" mail that is due {cost.claim:.0f} µs"
        )
    return section


def _measure(directory: Path, url: str, size: Size, seconds: float) -> Cost:
    database = Database(url)
    if database.is_sqlite:
        event.listen(database.engine, "connect", _prepare)
    database.create_all()
    try:
        _fill(database, size)
        return _Service(directory, database, size).run(seconds)
    finally:
        database.close()


def _prepare(connection: Any, _: object) -> None:
    """Checkpoints come when they are asked for: so the size of the log tells what was written."""
    connection.execute("PRAGMA wal_autocheckpoint=0")
    connection.create_function("key_at", 1, lambda at: at.to_bytes(8, "big") + os.urandom(16))


class _Service:
    """A worker's transactions."""

    def __init__(self, directory: Path, database: Database, size: Size) -> None:
        self._directory, self._database, self._size = directory, database, size
        self._outbox = Outbox(database, "bench")
        self._router = make_router(directory, _HANDLERS)
        handlers = Handlers(self._router, hostname="mx.test.com", undeliverable=None)
        self._transactions = Transactions(handlers, database=database, outbox=self._outbox)
        self._number = 0
        self._kept = 0

    def run(self, seconds: float) -> Cost:
        for _ in range(30):
            self._batch()
        self._kept = 0
        before, cpu, number = self._log(), time.process_time(), self._number
        took = []
        end = time.monotonic() + max(seconds, 0.5)
        while time.monotonic() < end:
            began = time.perf_counter()
            self._batch()
            took.append(time.perf_counter() - began)
        mails = self._number - number
        cpu, log = time.process_time() - cpu, self._log() - before
        return Cost(
            cpu * 1e6 / mails,
            log / mails,
            self._kept / mails,
            statistics.quantiles(took, n=100)[98] * 1e3,
            self._claim(),
        )

    def _batch(self) -> None:
        jobs = []
        for _ in range(BATCH):
            self._number += 1
            author = f"user{self._number * 7919 % self._size.states}@example.com"
            content = b"From: %b\r\nSubject: hello\r\n\r\n%b" % (author.encode(), _BODY * 56)
            message = make_message(content, sender=author)
            source = Source(b"%d" % self._number, time.time_ns() // 1000, b"c" * 16)
            key = source.key(author, message.recipient.address)
            jobs.append(Job(message, self._router.match(message.recipient.address), key))
        self._transactions.run(jobs, lambda job, seconds: None)
        assert all(job.reply and job.reply.code == 250 for job in jobs)
        while self._transactions.outgoing:
            row = self._transactions.outgoing.popleft()
            self._kept += len(row.content)
            self._outbox.held.hold([row])
            self._outbox.held.begin()
            self._outbox.held.take(row)

    def _claim(self) -> float:
        took = []
        for _ in range(20):
            began = time.perf_counter()
            assert not self._outbox.claim(100)
            took.append(time.perf_counter() - began)
        return min(took) * 1e6  # what other processes take is none of it

    def _log(self) -> int:
        if self._database.is_sqlite:
            return os.path.getsize(self._directory / "scale.db-wal")
        with self._database.read() as connection:
            octets = connection.execute(
                text("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn")
            ).scalar()
        return int(octets or 0)


def _fill(database: Database, size: Size) -> None:
    now = time.time()
    first = int(now * 1e6) - size.keys * 1000 - 10_000_000  # microseconds
    if database.is_sqlite:
        numbers = (
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {})"
            " SELECT {} FROM n"
        )
        digest, named, content = "randomblob(16)", "hex(randomblob(16))", "randomblob(500)"
        key = f"key_at({first} + i * 1000)"
    else:
        numbers = "SELECT {1} FROM generate_series(1, {0}) AS n (i)"
        digest, named = "decode(md5(i::text), 'hex')", "md5(i::text)"
        content = "decode(repeat(md5(i::text), 16), 'hex')"
        key = f"decode(lpad(to_hex({first} + i * 1000::bigint), 16, '0') || md5(i::text), 'hex')"
    steps = {
        "seen (key, content, handled_at)": (size.keys, f"{key}, {digest}, 1.0"),
        "state (module, author, state)": (
            size.states,
            "'handlers', 'user' || i || '@example.com', 'START'",
        ),
        "tasks (kind, name, payload, made_at, due_at, attempts, last_error)": (
            size.timers,
            f"'timer', {named}, '{{}}', {now}, {now} + 86400 + i, 0, ''",
        ),
        "outbox (id, source, message_id, sender, recipients, conversation, smtputf8, content,"
        " created_at, attempts, due_at, lease_owner, lease_until, last_error)": (
            size.waiting,
            "i, 'x', '<' || i || '@test.com>', 'a@test.com', '[\"b' || i || '@example.com\"]',"
            f" 'a@test.com b' || i || '@example.com', false, {content}, {now}, 3, {now} + 3600,"
            " '', 0, 'it is down'",
        ),
    }
    for into, (number, values) in steps.items():
        with database.begin() as connection:
            connection.exec_driver_sql(
                f"INSERT INTO lamson_{into} {numbers.format(number, values)}"
            )
    with database.read() as connection:
        if database.is_sqlite:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        else:
            connection.exec_driver_sql("ANALYZE")
            connection.exec_driver_sql("CHECKPOINT")
