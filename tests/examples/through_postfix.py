"""The fixture ``mailroom`` with a real Postfix, and the running service, behind it.

For the tests of an example, which run with it unchanged: `test_through_postfix.py` starts them,
with a conftest.py that names it. What they say is handed to Postfix, and what arrives in the world
behind it is what was sent. One service serves all tests, so its tables are emptied after each. The
ports are in the environment, since the Postfix is another's.
"""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from sqlalchemy import MetaData, text

from lamson import Mailer
from lamson.delivery import schedules
from lamson.settings import loading
from lamson.smtp.reply import Reply
from lamson.storage.database import Database
from lamson.storage.outgoing import Outgoing
from lamson.testing import Clock, Mailroom, Refused, Sent
from lamson.testing.messages import sent_of
from tests.postfix.sender import send
from tests.postfix.sink import Sink
from tests.service import LamsonService
from tests.waiting import listening, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamson.app import Application

PORTS = "EXAMPLE_PORTS"
# What is no mail and no row of the application's.
_KEPT = {"lamson_version", "alembic_version", "lamson_clock", "lamson_schedules"}
_FOR_NOW = "due_at < 1e11 AND due_at > :now"


class World:
    """The service of the project in which pytest runs, and all that it needs around it."""

    def __init__(self, project: Path, sink: Sink, ports: dict[str, int], maillog: Path) -> None:
        self.project, self.sink = project, sink
        self.smtp_port, self.maillog = ports["smtp"], maillog
        self.service = LamsonService(
            project,
            LAMSON_SOCKETMAP__LISTEN=f"127.0.0.1:{ports['socketmap']}",
            LAMSON_SUBMISSION__SERVER=f"127.0.0.1:{ports['submission']}",
        )
        self.service.port = ports["lmtp"]
        self.service.environment["LAMSON_LMTP__LISTEN"] = f"127.0.0.1:{ports['lmtp']}"
        self.settings = loading.load(project, is_trusted=True)
        assert self.settings.database is not None
        self.database = Database(self.settings.database)

    def log_lines(self, *parts: str) -> list[str]:
        lines = self.maillog.read_text(errors="replace").splitlines()
        return [line for line in lines if all(part in line for part in parts)]

    def count(self, statement: str, now: float) -> int:
        with self.database.read() as connection:
            values = {"now": now} if ":now" in statement else {}
            return int(connection.execute(text(statement), values).scalar_one())

    def is_settled(self) -> bool:
        """Whether nothing is on its way: in Postfix, in the outbox, or to be done now.

        The queue is looked at twice: what came in may have left something in the outbox, which is
        in the queue again when it has gone from there.
        """
        return not (self._is_queued() or self._is_busy() or self._is_queued())

    def _is_busy(self) -> bool:
        now = time.time()
        return any(
            self.count(f"SELECT count(*) FROM {what}", now)
            for what in (
                "lamson_outbox",
                "lamson_tasks WHERE due_at <= :now",
                "lamson_scheduled WHERE due_at <= :now",
            )
        )

    def _is_queued(self) -> bool:
        """Whether a message is in Postfix's queue: a file, which moves on in this order."""
        queue = self.maillog.parent / "queue"
        return any(
            files
            for name in ("maildrop", "incoming", "active", "deferred", "hold")
            for _, _, files in os.walk(queue / name)
        )

    def settle(self) -> None:
        wait_for(
            self.is_settled,
            lambda: "\n".join([*self.service.log_lines(), *self.log_lines("")]),
        )

    def empty(self) -> None:
        """Forget all mail and all rows, as if the service had just been set up."""
        self.settle()
        tables = MetaData()
        with self.database.begin() as connection:
            tables.reflect(connection)
            for table in reversed(tables.sorted_tables):
                if table.name == "lamson_tasks":
                    connection.execute(table.delete().where(table.c.kind != schedules.KIND))
                elif table.name not in _KEPT:
                    connection.execute(table.delete())
        self.sink.messages.clear()


class PostfixMailroom(Mailroom):
    """A `Mailroom` whose mail goes through Postfix both ways."""

    def __init__(self, world: World) -> None:
        self.clock = Clock()
        self.sent: list[Sent] = []
        self.sessions = []
        self.database = world.database
        self.application = cast("Application", world)  # of which tests ask the settings
        self._world = world
        self._mailer = Mailer.of(world.project)

    @property
    def mailer(self) -> Mailer:
        return self._mailer

    def deliver(
        self,
        sender: str,
        recipient: str,
        content: bytes,
        *,
        queue_id: str = "",
        spam: bool | None = None,
    ) -> list[Sent]:
        said = send(self._world.smtp_port, sender, recipient, content=content)
        code, words = said.recipients[recipient]
        if code == 250:
            code, words = said.data
        if code != 250:
            raise Refused(_reply(code, words))
        self._world.settle()
        sent = self._collect()
        wait_for(lambda: self._world.log_lines(f"{said.queue_id}: removed"), "Postfix's log")
        for line in self._world.log_lines(f"{said.queue_id}: to=", "status=bounced"):
            if found := re.search(r"said: (\d\d\d) (.*) \(in reply", line):
                raise Refused(_reply(int(found[1]), found[2]))
        return sent

    def wait(
        self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0
    ) -> list[Sent]:
        """Time passes by what waits in the database being due so much sooner."""
        sent = self._settled()
        passing = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
        if passing:
            self.clock.go_to(self.clock() + passing)
            with self._world.database.begin() as connection:
                for table in ("lamson_tasks", "lamson_scheduled"):
                    connection.execute(
                        text(f"UPDATE {table} SET due_at = due_at - :by WHERE {_FOR_NOW}"),
                        {"by": passing, "now": time.time()},
                    )
        return sent + self._settled()

    def _settled(self) -> list[Sent]:
        self._world.settle()
        return self._collect()

    def _collect(self) -> list[Sent]:
        new = self._world.sink.messages[len(self.sent) :]
        rows = [Outgoing("", "", one.sender, tuple(one.recipients), one.content) for one in new]
        sent = [sent_of(row, self.clock()) for row in rows]
        self.sent += sent
        for session in self.sessions:
            session.expire_all()
        return sent

    def close(self) -> None:
        self._mailer.close()
        self._world.empty()


def _reply(code: int, words: str) -> Reply:
    enhanced, _, rest = words.partition(" ")
    return Reply(code, enhanced.strip("<>"), rest or words)


@pytest.fixture(scope="session")
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    ports = json.loads(os.environ[PORTS])
    maillog = Path(ports.pop("maillog"))
    with Sink(port=ports["sink"]) as sink:
        world = World(request.config.rootpath, sink, ports, maillog)
        with world.service:
            wait_for(lambda: listening(ports["socketmap"]), "the socketmap")
            yield world
        world.database.close()


@pytest.fixture
def mailroom(world: World) -> Iterator[Mailroom]:
    """In the place of that of `lamson.testing`."""
    made = PostfixMailroom(world)
    yield made
    made.close()
