"""A stage for stories: the project in ``project/``, run by the real service behind Postfix."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.postfix.sender import Sent, send
from tests.service import LamsonService
from tests.waiting import wait_for

if TYPE_CHECKING:
    from tests.postfix.instance import PostfixInstance
    from tests.postfix.sink import Sink

PROJECT = Path(__file__).parent / "project"
DOMAINS = ("lists.test", "app.test")


def make_project(directory: Path) -> Path:
    """Generate a project, put the stories' own files over it, create its tables; gives its path.

    Goes the way of a programmer: `lamson gen`, new models, a migration from them, `lamson syncdb`.
    """
    project = directory / "stories"
    LamsonService(directory).command("gen", "-project", project.name)
    for sample in ("app/handlers/sample.py", "migrations/versions/0001_guest_book.py"):
        (project / sample).unlink()
    shutil.copytree(PROJECT, project, dirs_exist_ok=True)
    command = LamsonService(project).command
    command("syncdb", "-revise", "the stories")
    command("syncdb")
    return project


@dataclass
class Stage:
    """Postfix in front, Lamson behind it, the sink for the world that both send to."""

    postfix: PostfixInstance
    lamson: LamsonService
    sink: Sink

    def write(
        self,
        sender: str,
        *recipients: str,
        content: bytes | None = None,
        subject: str = "Hello",
        options: str = "",
    ) -> Sent:
        """Have somebody out in the world send a message to the application, which Postfix takes."""
        port = self.postfix.smtp_port
        sent = send(port, sender, *recipients, content=content, subject=subject, options=options)
        assert sent.data[0] == 250, sent
        return sent

    def settle(self) -> None:
        """Wait until Postfix's queue and Lamson's outbox are empty."""
        wait_for(
            lambda: (
                not self.postfix.queue()
                and self.query("select count(*) from lamson_outbox") == [(0,)]
                and not self.postfix.queue()
            ),
            lambda: (
                f"queue and outbox to be empty: {self.postfix.queue()}\n"
                + "\n".join(self.lamson.log_lines())
            ),
        )

    def query(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        """What the application's database answers."""
        with closing(
            sqlite3.connect(self.lamson.project / "run/lamson.db", timeout=30)
        ) as database:
            rows = database.execute(statement, values).fetchall()
            database.commit()
        return rows
