"""A post on its way to many members, while workers are killed.

Each member must have it once. Every copy has an envelope sender of its own, so one that was made
twice is told from one that was submitted twice: a worker that dies after Postfix has taken a mail,
and before that is noted, submits the same copy again (see docs/delivery.md).
"""

from __future__ import annotations

import os
import shutil
import smtplib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import insert, text

from lamson.storage import lists, migrate, tables
from lamson.storage.database import Database
from tests.faults.running import Running
from tests.postfix.sink import Sink
from tests.service import LamsonService
from tests.waiting import wait_for

if TYPE_CHECKING:
    from tests.postgres import PostgresInstance

PROJECT = Path(__file__).parent / "lists_project"
ADDRESS = "list@count.test"
POST = (
    b"From: ann@world.test\r\nTo: list@count.test\r\nMessage-ID: <one@world.test>\r\n"
    b"Subject: One\r\n\r\n" + b"To everybody.\r\n" * 100
)


@dataclass(frozen=True)
class Count:
    """What one run came to."""

    missed: set[str]
    twice: set[str]
    kills: int

    @property
    def is_clean(self) -> bool:
        return not (self.missed or self.twice)


class ListRig(Running):
    """Use as a context manager. ``server`` is the PostgreSQL to use, None for SQLite."""

    def __init__(
        self,
        directory: Path,
        server: PostgresInstance | None,
        *,
        members: int,
        piece: int,
        failpoint: str,
        weakness: str = "",
    ) -> None:
        super().__init__()
        self.members = [f"m{number}@world.test" for number in range(members)]
        self.kills = 0
        self._piece = piece
        self._directory = directory
        self._server = server
        self._tokens = directory / "tokens"
        self._tokens.mkdir()
        self._environment = {
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "FAULTS_PIECE": str(piece),
            "FAULTS_SABOTAGE": weakness,
            "FAULTS_FAILPOINT": failpoint,
            "FAULTS_FAILPOINT_DIR": str(self._tokens),
        }

    def _start(self) -> None:
        enter = self._running.enter_context
        self.sink = enter(Sink())
        project = self._directory / "project"
        shutil.copytree(PROJECT, project)
        (project / "run").mkdir()
        url = f"sqlite:///{project}/run/lamson.db"
        if self._server is not None:
            name = self._server.create_database()
            self._running.callback(self._server.drop_database, name)
            url = self._server.url(name)
        self.database = Database(url)
        self._running.callback(self.database.close)
        migrate.upgrade_ours(self.database)
        with self.database.begin() as connection:
            lists.put(connection, ADDRESS, "first@elsewhere.test", status="asking")
            row = connection.execute(tables.list_members.select()).mappings().one()
            like = {name: value for name, value in row.items() if name != "id"}
            everybody = [
                like | {"key": one, "address": one, "status": lists.ACTIVE} for one in self.members
            ]
            connection.execute(insert(tables.list_members), everybody)
        self.lamson = LamsonService(
            project,
            **self._environment,
            LAMSON_DATABASE=url,
            LAMSON_SUBMISSION__SERVER=f"127.0.0.1:{self.sink.port}",
        )
        enter(self.lamson)

    def post(self) -> None:
        """As Postfix does: again, until it is taken."""

        def is_taken() -> bool:
            try:
                with smtplib.LMTP("127.0.0.1", self.lamson.port, timeout=60) as client:
                    return not client.sendmail("ann@world.test", [ADDRESS], POST)
            except (OSError, smtplib.SMTPException):
                return False

        wait_for(is_taken, "the post to be taken", timeout=60)

    def arm(self) -> None:
        """Have the first death wait for the post: a small one is through in no time."""
        (self._tokens / "one").touch()

    def kill(self, times: int) -> None:
        """Let a worker die, so often, each time after another part of the post has gone out."""
        token = self._tokens / "one"
        for number in range(times):
            if number:  # the first is there since before the post
                self._wait_for_copies(number * len(self.members) // (times + 1))
                token.touch()
            try:
                # A sabotaged worker takes a task from the table before it dies: an empty table does
                # not say that all is done.
                wait_for(lambda: not token.exists() or self._are_copied(), "a death", timeout=60)
            finally:
                self.kills += not token.exists()
                token.unlink(missing_ok=True)

    def _wait_for_copies(self, number: int) -> None:
        wait_for(lambda: self._rows("lamson_tracked") >= number, "more of it", timeout=120)

    def _are_copied(self) -> bool:
        """Each member has a copy, in the outbox or out of it."""
        return self._rows("lamson_tracked") >= len(self.members)

    def settle(self, timeout: float = 120.0) -> None:
        """Wait until everything has gone out."""
        wait_for(
            lambda: not self._is_waiting() and not self._rows("lamson_outbox"),
            lambda: f"everything to go out: {os.linesep.join(self.lamson.log_lines()[-20:])}",
            timeout=timeout,
        )

    def count(self) -> Count:
        """Stop the service, and see what it came to."""
        self.lamson.stop()
        made: dict[str, set[str]] = {one: set() for one in self.members}
        for mail in list(self.sink.messages):
            for recipient in mail.recipients:
                made.setdefault(recipient, set()).add(mail.sender)
        number = Counter({one: len(senders) for one, senders in made.items()})
        return Count(
            missed={one for one, many in number.items() if not many},
            twice={one for one, many in number.items() if many > 1},
            kills=self.kills,
        )

    def _is_waiting(self) -> bool:
        return bool(self._rows("lamson_tasks"))

    def _rows(self, table: str) -> int:
        with self.database.read() as connection:
            return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


def run(rig: ListRig, kills: int) -> Count:
    """Post, kill, and count."""
    with rig:
        rig.arm()
        rig.post()
        rig.kill(kills)
        rig.settle()
        return rig.count()
