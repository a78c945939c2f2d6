"""What tests of tasks share: an application of one handler module, on a database of the test's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import select, text

from lamson.delivery import later, schedules, timers
from lamson.delivery.errands import Errands, Fate
from lamson.delivery.job import Job
from lamson.delivery.later import Background
from lamson.delivery.posting import Posting
from lamson.delivery.run import Handlers
from lamson.delivery.schedules import Schedules
from lamson.delivery.timers import Timers
from lamson.delivery.transaction import Transactions
from lamson.storage import tasks
from lamson.storage.outbox import Outbox
from lamson.storage.tables import outbox, state
from tests.unit.support import make_message, make_router

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy.engine import Connection

    from lamson.storage.database import Database
    from lamson.storage.tasks import Task

START = 1_800_000_000.0  # a Friday, 08:00 UTC


def make_mailer(id: str, digest: bytes, connect: Callable[[], Connection]) -> Posting:
    return Posting(id=id, hostname="mx.test.com", digest=digest, connect=connect)


class Timely:
    """Its time is ``now``, which the test sets. One for each process that a test wants."""

    def __init__(self, directory: Path, database: Database, source: str, **options: Any) -> None:
        self.now = START
        self.database = database
        self.router = make_router(directory, source)
        self.name = self.router.modules[0]
        self.told = 0
        self.timers = Timers(self.router)
        self.transactions = Transactions(
            Handlers(self.router, hostname="mx.test.com"),
            database=database,
            outbox=Outbox(database, "test"),
            timers=self.timers or None,
            time=lambda: self.now,
            on_tasks=self._tell,
        )
        self.errands = Errands(
            database, self.transactions, make_mailer, clock=lambda: self.now, **options
        )
        self.schedules = Schedules(self.router)
        self.errands.register(
            timers.KIND, self.timers.perform, locks=self.timers.locks, shares=True
        )
        self.errands.register(schedules.KIND, self.schedules.perform, failed=self.schedules.failed)
        self.errands.register_outside(later.KIND, Background(self.router).perform)

    def _tell(self) -> None:
        self.told += 1

    def take_up(self) -> None:
        with self.database.begin() as connection:
            self.schedules.take_up(connection, self.now)

    def say(self, recipient: str = "list@test.com", author: str = "zed@example.com") -> Job:
        message = make_message(
            f"From: {author}\r\nSubject: hello\r\n\r\nbody\r\n".encode(),
            sender=author,
            recipient=recipient,
        )
        job = Job(message, self.router.match(recipient), None)
        self.transactions.run([job], lambda job, seconds: None)
        return job

    def due(self) -> list[Task]:
        with self.database.read() as connection:
            return tasks.due(connection, self.now, 100)

    def waiting(self) -> list[Task]:
        with self.database.read() as connection:
            return tasks.waiting(connection)

    def run_due(self, deaths: int = 0) -> list[Fate]:
        return [self.errands.run(task, deaths) for task in self.due()]

    def wait(self, seconds: float) -> list[Fate]:
        """Let time pass, and do what is due then."""
        self.now += seconds
        return self.run_due()

    def states(self) -> dict[str, str]:
        with self.database.read() as connection:
            return {row.author: row.state for row in connection.execute(select(state))}

    def sent(self) -> list[str]:
        """The recipients of the mail in the outbox, in order."""
        with self.database.read() as connection:
            query = select(outbox.c.recipients).order_by(outbox.c.id)
            return [str(one) for one in connection.execute(query).scalars()]

    def words(self) -> list[str]:
        with self.database.read() as connection:
            return list(connection.execute(text("SELECT word FROM note ORDER BY word")).scalars())
