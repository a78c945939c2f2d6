"""What one durable mail costs where little is in the database, and where much is.

`python -m tests.bench --only scale`. Batches of ten are run as a worker runs them, without sockets:
each is routed, moves a state and sends a reply, and what Postfix took of the last one is deleted.
What is there besides: see `tests.bench.scale_fill`. One database has much, one has little, and in
one nothing waits, as where Postfix takes all at once. They take turns, batch by batch, so that what
else the machine does falls on all alike. The octets are those of the log that a commit writes:
frames of SQLite's write-ahead log, PostgreSQL's WAL, that without the images of whole pages, which
depend on how much mail comes between two checkpoints, and once more with them.
"""

from __future__ import annotations

import itertools
import secrets
import statistics
import sys
import tempfile
import time
import types
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lamson.delivery.job import Job
from lamson.delivery.run import Handlers
from lamson.delivery.transaction import Transactions
from lamson.routing.module import HandlerModule
from lamson.routing.router import Router
from lamson.storage import tasks
from lamson.storage.database import Database
from lamson.storage.outbox import Outbox
from lamson.storage.seen_key import Source
from tests.bench.report import Goal, Section
from tests.bench.scale_fill import MODULE, Size, fill
from tests.bench.scale_log import PostgresServer, SqliteLog, write_page_images
from tests.postgres.instance import PostgresInstance, why_not
from tests.unit.support import make_message

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lamson.message.request import MailRequest
    from tests.bench.scale_log import Log

BATCH = 10
WARM = 100  # batches before it counts: the states of FEW have moved by then
LEAST = 100  # batches of each
LOOKS = 20
ALLOWED = 1.2  # times as much as where little is there
BEYOND = 2048.0  # octets of log for a mail, beside those of the mail that is kept
_ROUTE = '@route("(user)-{}@(host)")\n'
_HANDLERS = """
from lamson import *

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

@stateless
{}def others(message, user, host):
    pass
"""
_DEFAULTS = {"host": r"test\.com", "user": "[a-z0-9.]+"}
_BODY = b"x" * 70 + b"\r\n"

IDLE = Size(keys=10_000, states=1_000, waiting=0, timers=0, routes=10)
FEW = Size(keys=10_000, states=1_000, waiting=1_000, timers=1_000, routes=10)
SOME = Size(keys=200_000, states=50_000, waiting=20_000, timers=50_000, routes=10_000)
MANY = Size(keys=10_000_000, states=1_000_000, waiting=1_000_000, timers=1_000_000, routes=10_000)


@dataclass
class Costs:
    """Of each batch that counted; ``looks`` are for mail and timers that are due."""

    cpu: list[float] = field(default_factory=list)  # seconds, the server's with it
    log: list[int] = field(default_factory=list)  # octets
    kept: list[int] = field(default_factory=list)  # octets of the replies
    took: list[float] = field(default_factory=list)  # seconds
    looks: list[float] = field(default_factory=list)

    @property
    def mail_cpu(self) -> float:
        """Microseconds for a mail."""
        return statistics.fmean(self.cpu) * 1e6 / BATCH

    @property
    def mail_log(self) -> float:
        return statistics.fmean(self.log) / BATCH

    @property
    def mail_kept(self) -> float:
        return statistics.fmean(self.kept) / BATCH

    @property
    def p99(self) -> float:
        """Milliseconds, of a batch: so long each of its mails waits."""
        return statistics.quantiles(self.took, n=100)[98] * 1e3

    @property
    def look(self) -> float:
        """Microseconds; what other processes take is none of it."""
        return min(self.looks) * 1e6


def measure(seconds: float, few: Size = FEW, many: Size = MANY) -> Iterator[Section]:
    """Both databases, each with nothing that waits, with little and with much in it."""
    sizes = {"nothing waits": IDLE, "little": few, "much": many}
    with tempfile.TemporaryDirectory(prefix="lamson-scale-") as name, ExitStack() as stack:
        services = {}
        for number, (title, size) in enumerate(sizes.items()):
            path = Path(name) / f"{number}.db"
            database = Database(f"sqlite:///{path}")
            services[title] = _service(stack, database, size, SqliteLog(path))
        yield _section("SQLite", many, _by_turns(services, seconds))
    if reason := why_not():
        yield Section("Scale, PostgreSQL", remarks=[f"left out: {reason}"])
        return
    postgres = PostgresInstance(shared_buffers="128MB", max_wal_size="8GB")
    with postgres, ExitStack() as stack:
        services = {}
        for title, size in sizes.items():
            database = Database(postgres.url(postgres.create_database()))
            log = PostgresServer(postgres, database)
            services[title] = _service(stack, database, size, log)
        write_page_images(postgres, is_on=False)
        section = _section("PostgreSQL", many, _by_turns(services, seconds))
        write_page_images(postgres, is_on=True)
        for title, cost in _by_turns(services, seconds / 5).items():
            section.remarks.append(
                f"{title}: {cost.mail_log:.0f} octets of log right after a checkpoint, with images"
                " of the pages that a mail is the first to change since"
            )
        yield section


def _section(name: str, many: Size, costs: Mapping[str, Costs]) -> Section:
    section = Section(
        f"Scale, {name}: {many.keys:,} keys, {many.states:,} states, {many.waiting:,} mails and"
        f" {many.timers:,} timers that wait, {many.routes:,} routes"
    )
    for what in ("mail_cpu", "mail_log", "p99", "look"):
        ratio = getattr(costs["much"], what) / getattr(costs["little"], what)
        title = f"{what.replace('_', ' ')}, much / little"
        section.goals.append(Goal(title, ratio, goal=ALLOWED, at_least=False))
    for title, cost in costs.items():
        beyond = cost.mail_log - cost.mail_kept
        section.goals.append(
            Goal(f"octets of log beyond the reply, {title}", beyond, goal=BEYOND, at_least=False)
        )
        section.remarks.append(
            f"{title}: {cost.mail_cpu:.0f} µs of CPU and {cost.mail_log:.0f} octets of log for a"
            f" mail whose reply has {cost.mail_kept:.0f}; a batch of {BATCH} took"
            f" {statistics.median(cost.took) * 1e3:.1f} ms (median; p99 {cost.p99:.1f}); looking"
            f" for mail and timers that are due {cost.look:.0f} µs"
        )
    return section


def _by_turns(services: Mapping[str, _Service], seconds: float) -> dict[str, Costs]:
    """Batches of each service in turn, for so many seconds altogether."""
    all_of_them = list(services.values())
    for service in all_of_them:
        service.costs = Costs()
    end = time.monotonic() + seconds
    while time.monotonic() < end or len(all_of_them[0].costs.took) < LEAST:
        for service in all_of_them:
            service.batch()
    for service in all_of_them * LOOKS:
        service.look()
    return {title: service.costs for title, service in services.items()}


def _service(stack: ExitStack, database: Database, size: Size, log: Log) -> _Service:
    """One that is warm, and closed with ``stack``."""
    fill(database, size)
    service = _Service(database, size, log)
    stack.callback(service.close)
    for _ in range(WARM):
        service.batch()
    return service


class _Service:
    """A worker's transactions, in one database."""

    def __init__(self, database: Database, size: Size, log: Log) -> None:
        self._database, self._size, self._log = database, size, log
        self._outbox = Outbox(database, "bench")
        self._router = _router(size.routes)
        handlers = Handlers(self._router, hostname="mx.test.com", undeliverable=None)
        self._transactions = Transactions(handlers, database=database, outbox=self._outbox)
        self._numbers = itertools.count(1)
        self.costs = Costs()

    def close(self) -> None:
        self._log.close()
        self._database.close()

    def batch(self) -> None:
        """Ten mails of as many authors, and the end of those that were sent before."""
        mails = [self._mail() for _ in range(BATCH)]
        log, server = self._log.octets(), self._log.cpu()
        began, cpu = time.perf_counter(), time.process_time()
        jobs = [
            Job(message, self._router.match(message.recipient.address), source.key(author, address))
            for message, source, author, address in mails
        ]
        self._transactions.run(jobs, lambda job, seconds: None)
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
        assert all(job.reply and job.reply.code == 250 for job in jobs)
        self.costs.took.append(took)
        self.costs.cpu.append(cpu + self._log.cpu() - server)
        self.costs.log.append(self._log.octets() - log)
        self.costs.kept.append(self._taken())

    def _mail(self) -> tuple[MailRequest, Source, str, str]:
        number = next(self._numbers)
        author = f"user{number * 7919 % self._size.states + 1}@example.com"
        # No two alike: the router has met none, and what waits stands between them in an index.
        address = f"support.{secrets.token_hex(8)}@test.com"
        content = b"From: %b\r\nSubject: hello\r\n\r\n%b" % (author.encode(), _BODY * 56)
        message = make_message(content, sender=author, recipient=address)
        return message, Source(b"%d" % number, time.time_ns() // 1000, b"c" * 16), author, address

    def _taken(self) -> int:
        """Postfix has the replies; gives their octets."""
        octets = 0
        while self._transactions.outgoing:
            row = self._transactions.outgoing.popleft()
            octets += len(row.content)
            self._outbox.held.hold([row])
            self._outbox.held.begin()
            self._outbox.held.take(row)
        return octets

    def look(self) -> None:
        """For what is due; there is none."""
        began = time.perf_counter()
        assert not self._outbox.claim(100)
        with self._database.read() as connection:
            assert not tasks.due(connection, time.time(), 100)
        self.costs.looks.append(time.perf_counter() - began)


def _router(routes: int) -> Router:
    module = types.ModuleType(MODULE)
    sys.modules[MODULE] = module
    others = "".join(_ROUTE.format(f"command{number}") for number in range(routes - 1))
    exec(_HANDLERS.replace("{}", others), vars(module))
    return Router([HandlerModule(module)], _DEFAULTS)
