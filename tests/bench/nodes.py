"""One, two and four services on one PostgreSQL: what another one brings, and what it waits for.

Each group of services has a database of its own on one server, and the same load: `SESSIONS` in
all, split over the services as Postfix splits its connections. The groups are measured by turns.
What sessions of PostgreSQL wait for is sampled; a mail's share of it follows from how many waited
at a time and how many mails came meanwhile (Little's law). The log is measured without the images
of pages that follow a checkpoint, which are shared by all mail between two of those.
"""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench import process
from tests.bench.lamsons import LamsonPostgres
from tests.bench.load import Load
from tests.bench.peer import scratch
from tests.bench.report import Section
from tests.postgres.instance import PostgresInstance
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.comparison import Effort

SIZES = (1, 2, 4)  # services
SESSIONS = 40
_APART = 25_000  # the authors of one sender from those of the next
_WARM_UP = 200  # messages
_PAUSE = 0.02  # seconds between two looks at what sessions wait for
_WRITTEN = "SELECT pg_current_wal_lsn() - '0/0'::pg_lsn"
_WAITING = (
    "SELECT coalesce(wait_event_type, 'CPU'), coalesce(wait_event, ''), count(*)"
    " FROM pg_stat_activity WHERE datname = '{}' AND state = 'active' GROUP BY 1, 2"
)
_LOCKS = "Lock", "LWLock"  # of rows and transactions; PostgreSQL's own, the log's among them


class Node(LamsonPostgres):
    """One of several services, each of which has a host name of its own."""

    def __init__(self, directory: Path, url: str) -> None:
        self._hostname = f"{directory.name}.bench.test"
        super().__init__(directory, url, workers=1)

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "LAMSON_HOSTNAME": self._hostname}

    def sink_cpu(self) -> float:
        """CPU seconds of the server that takes its replies."""
        return self._submission.cpu()


@dataclass
class Group:
    """Services on one database, and what a mail cost in each round: microseconds, octets."""

    database: str
    nodes: list[Node]
    mails: int = 0
    rates: list[float] = field(default_factory=list)
    service: list[float] = field(default_factory=list)
    postgres: list[float] = field(default_factory=list)
    around: list[float] = field(default_factory=list)
    log: list[float] = field(default_factory=list)
    waits: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def name(self) -> str:
        return "1 service" if len(self.nodes) == 1 else f"{len(self.nodes)} services"

    def run(self, postgres: PostgresInstance, messages: int) -> float:
        """Send, note what it cost, and give the mails per second, their replies included."""
        each = messages // len(self.nodes)
        mails = each * len(self.nodes)
        share = SESSIONS // len(self.nodes)
        loads = [Load("split", sessions=share, first=_APART * n) for n in range(len(self.nodes))]
        taken, replied = self._counted()

        def is_done() -> bool:
            now = self._counted()
            return now[0] >= taken + mails and now[1] >= replied + mails

        log, before = _written(postgres), self._spent(postgres)
        with Waits(postgres, self.database) as waits, ThreadPoolExecutor() as pool:
            began = time.monotonic()
            sent = [
                pool.submit(load.run, node.port, each)
                for load, node in zip(loads, self.nodes, strict=True)
            ]
            for one in sent:
                one.result()
            wait_for(
                is_done, lambda: f"{self.name}: {mails} replies, {self._counted()}", timeout=120
            )
            took = time.monotonic() - began
        spent = [
            (now - then) / mails * 1e6
            for now, then in zip(self._spent(postgres), before, strict=True)
        ]
        self.rates.append(mails / took)
        for values, value in zip((self.service, self.postgres, self.around), spent, strict=True):
            values.append(value)
        self.log.append((_written(postgres) - log) / mails)
        self.waits.update(waits.seconds(took))
        self.mails += mails
        return self.rates[-1]

    def _counted(self) -> tuple[int, int]:
        """Mails handled and replies that have arrived, of all: one takes over another's."""
        return (
            sum(node.count() for node in self.nodes),
            sum(node.replies() for node in self.nodes),
        )

    def _spent(self, postgres: PostgresInstance) -> tuple[float, float, float]:
        """CPU seconds of the services, of PostgreSQL, and of who sends and who takes replies."""
        ended = os.times()
        senders = ended.children_user + ended.children_system
        return (
            sum(node.cpu() for node in self.nodes),
            process.cpu_seconds(postgres.pid),
            senders + sum(node.sink_cpu() for node in self.nodes),
        )

    def forget(self) -> None:
        """Drop what was noted so far, but for the number of mails."""
        for values in (self.rates, self.service, self.postgres, self.around, self.log):
            values.clear()
        self.waits.clear()


class Waits:
    """Looks, while it is entered, at what the sessions on a database are doing."""

    def __init__(self, postgres: PostgresInstance, database: str) -> None:
        self._postgres, self._query = postgres, _WAITING.format(database)
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._looks = 0
        self._found: Counter[tuple[str, str]] = Counter()

    def __enter__(self) -> Waits:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _look(self) -> None:
        with self._postgres.connect() as connection:
            while not self._is_over.wait(_PAUSE):
                self._looks += 1
                for kind, name, number in connection.execute(self._query).fetchall():
                    self._found[kind, name] += number

    def seconds(self, took: float) -> dict[tuple[str, str], float]:
        """How long sessions waited for what, all of them together, in so many seconds."""
        return {what: number / self._looks * took for what, number in self._found.items()}


def measure(effort: Effort) -> Iterator[Section]:
    """The groups by turns."""
    with (
        scratch() as base,
        PostgresInstance(checkpoint_timeout="1d", max_wal_size="8GB") as postgres,
    ):
        with ExitStack() as running:
            groups = [_group(running, base, postgres, number) for number in SIZES]
            rate = statistics.fmean([group.run(postgres, _WARM_UP) for group in groups])
            messages = max(_WARM_UP, int(rate * effort.seconds * 2))
            for group in groups:
                group.forget()
            for turn in range(effort.rounds):
                shift = turn % len(groups)
                for group in groups[shift:] + groups[:shift]:
                    group.run(postgres, messages)
        # Sessions tell how many commits they made when they end.
        commits = [_commits(postgres, group) for group in groups]
    section = Section(
        f"Several services on one PostgreSQL, {SESSIONS} sessions split over them,"
        f" {messages:,} mails of 4 KiB with a reply each"
    )
    for group, number in zip(groups, commits, strict=True):
        section.remarks += _told(group, groups[0], number, effort.rounds * messages)
    yield section


def _group(running: ExitStack, base: Path, postgres: PostgresInstance, number: int) -> Group:
    database = postgres.create_database()
    nodes = []
    for each in range(1, number + 1):
        node = Node(base / f"node{each}-of-{number}", postgres.url(database))
        running.callback(node.stop)
        node.start()
        _place(node.pid(), each)
        nodes.append(node)
    return Group(database, nodes)


def _place(pid: int, number: int) -> None:
    """Have the worker of a service keep to a processor that as few others as can be have.

    It keeps to one by itself, which depends on process ids: several could meet there.
    """
    processors = sorted(os.sched_getaffinity(0))
    for child in process.children(pid):
        if len(os.sched_getaffinity(child)) == 1:
            for thread in Path(f"/proc/{child}/task").iterdir():
                os.sched_setaffinity(int(thread.name), {processors[number % len(processors)]})


def _told(group: Group, one: Group, commits: float, mails: int) -> list[str]:
    ratios = [mine / base for mine, base in zip(group.rates, one.rates, strict=True)]
    parts = [statistics.median(part) for part in (group.service, group.postgres, group.around)]
    busy = statistics.median(group.rates) * sum(parts) / 1e6
    waits = Counter({what: took / mails * 1e3 for what, took in group.waits.items()})
    locks = sum(took for (kind, _), took in waits.items() if kind in _LOCKS)
    longest = ", ".join(
        f"{took:.2f} {':'.join(filter(None, what))}" for what, took in waits.most_common(5)
    )
    return [
        f"{group.name}: {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
        f" of the rate of one; µs of CPU for a mail: {parts[0]:,.0f} services,"
        f" {parts[1]:,.0f} PostgreSQL, {parts[2]:,.0f} who sends and who takes replies:"
        f" {busy:.1f} of {os.cpu_count()} processors",
        f"    for a mail {commits:.2f} commits, {statistics.median(group.log):,.0f} octets of log,"
        f" {locks:.2f} ms of waiting for locks; sessions at work, ms for a mail: {longest}",
    ]


def _commits(postgres: PostgresInstance, group: Group) -> float:
    """For each mail that it has handled."""
    query = f"SELECT xact_commit FROM pg_stat_database WHERE datname = '{group.database}'"
    ((number,),) = postgres.execute(query)
    return int(number) / group.mails


def _written(postgres: PostgresInstance) -> int:
    ((octets,),) = postgres.execute(_WRITTEN)
    return int(octets)
