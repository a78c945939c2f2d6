"""The application as it runs, for tests: `lamson dev`, or a service behind a Postfix.

For `pytest --lamson-through dev` and `postfix`. One service serves all tests of a run, on a
database and in a run directory of their own, and forgets everything after each. What it submits is
caught, and is what was sent. A service that does not start fails the tests with what it said.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lamson.errors import LamsonError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Self

PATIENCE = 60.0  # seconds that mail may be on its way
_LOOK = 0.02
# What is no mail and no row of the application's.
_KEPT = {"lamson_version", "alembic_version", "lamson_clock", "lamson_schedules"}
_BUSY = (
    "lamson_outbox",
    "lamson_tasks WHERE due_at <= :now",
    "lamson_scheduled WHERE due_at <= :now",
)


@dataclass(frozen=True, slots=True)
class PostfixOptions:
    """A Postfix of the user's: ``smtp`` is where it takes mail in, ``sink`` where it sends all that
    the service submits, ``config`` its configuration directory."""

    smtp: int
    sink: int
    config: str

    @classmethod
    def read(cls, text: str) -> PostfixOptions:
        """The value of ``--lamson-postfix``. Raises SettingsError."""
        given = dict(one.partition("=")[::2] for one in text.split(",") if one)
        try:
            return cls(int(given.pop("smtp")), int(given.pop("sink")), given.pop("config"))
        except (KeyError, ValueError):
            raise SettingsError(
                "--lamson-postfix: expected smtp=PORT,sink=PORT,config=DIR"
            ) from None


class Running:
    """The service of a project, from `start` to `close`. ``postfix`` is None for `lamson dev`."""

    def __init__(self, project: Path, place: Path, postfix: PostfixOptions | None = None) -> None:
        from lamson.settings import loading
        from lamson.storage.database import Database

        self.project = project
        self.postfix = postfix
        self.run_dir = place / "run"
        self.caught = self.run_dir / "queue"
        self._place = place
        self._processes: list[subprocess.Popen[bytes]] = []
        self._environment = {
            "LAMSON_DATABASE": f"sqlite:///{place}/mail.db",
            "LAMSON_RUN_DIR": str(self.run_dir),
            "LAMSON_LOG_FILE": str(place / "lamson.log"),
            "LAMSON_JOURNAL__KEEP": "whole",
        }
        if postfix is None:
            self._environment["LAMSON_LMTP__LISTEN"] = f"127.0.0.1:{_free_port()}"
            self._environment["LAMSON_SUBMISSION__SERVER"] = f"127.0.0.1:{_free_port()}"
        self._former = {name: os.environ.get(name) for name in self._environment}
        os.environ.update(self._environment)  # for what tests import, too
        self.settings = loading.load(project, is_trusted=True)
        assert self.settings.database is not None
        self.database = Database(self.settings.database)

    def start(self) -> Self:
        """Start what is needed, and return when it takes mail. Raises LamsonError."""
        if self.postfix is None:
            self._begin("dev", "dev: open", "-port", "0")
            return self
        self._begin("syncdb", None)
        sink = ("-queue", str(self.caught), "-port", str(self.postfix.sink))
        self._begin("log", "listening", "-foreground", "-pid", str(self._place / "log.pid"), *sink)
        self._begin("start", "lamson is listening", "-foreground")
        return self

    def _begin(self, command: str, ready: str | None, *arguments: str) -> None:
        output = self._place / f"{command}.out"
        with output.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "lamson", command, *arguments],
                cwd=self.project,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

        def said() -> str:
            return output.read_text(errors="replace")

        if ready is None:
            is_there = process.wait(PATIENCE) == 0
        else:
            self._processes.append(process)
            wait(lambda: ready in said() or process.poll() is not None, said)
            is_there = process.poll() is None
        if not is_there:
            raise LamsonError(f"lamson {command} ended: {said()}")

    def settle(self) -> None:
        """Wait until nothing is on its way. Raises LamsonError where that takes too long."""
        wait(lambda: not self._under_way(), self.said)

    def _under_way(self) -> str:
        # What came in may have left something in the outbox, which is in the queue again when it
        # has gone from there.
        return self._queued() or self._busy() or self._queued()

    def _busy(self) -> str:
        from sqlalchemy import text

        with self.database.read() as connection:
            for what in _BUSY:
                values = {"now": time.time()} if ":now" in what else {}
                if connection.execute(text(f"SELECT count(*) FROM {what}"), values).scalar_one():
                    return what
        return ""

    def _queued(self) -> str:
        """What `postqueue -j` tells."""
        if self.postfix is None:
            return ""
        command = shutil.which("postqueue") or "/usr/sbin/postqueue"
        return subprocess.run(
            [command, "-j"],
            env={"MAIL_CONFIG": self.postfix.config, "PATH": os.environ.get("PATH", "")},
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    def said(self) -> str:
        """What the processes said, for whoever has to find out why they did not."""
        files = sorted([*self._place.glob("*.out"), *self._place.glob("*.log")])
        return "\n".join(file.read_text(errors="replace")[-20_000:] for file in files)

    def empty(self) -> None:
        """Forget all mail and all rows, as if the service had just been set up."""
        from sqlalchemy import MetaData

        from lamson.delivery import schedules
        from lamson.storage.maildir import Maildir

        self.settle()
        tables = MetaData()
        with self.database.begin() as connection:
            tables.reflect(connection)
            for table in reversed(tables.sorted_tables):
                if table.name == "lamson_tasks":  # the service made those of @every as it began
                    connection.execute(table.delete().where(table.c.kind != schedules.KIND))
                elif table.name not in _KEPT:
                    connection.execute(table.delete())
        for name in ("queue", "undeliverable"):
            Maildir(self.run_dir / name, safe=False).clear()

    def close(self) -> None:
        """End all that was started."""
        for process in reversed(self._processes):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self._processes:
            process.wait(PATIENCE)
        self.database.close()
        for name, value in self._former.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def wait(is_so: Callable[[], object], why: Callable[[], str]) -> None:
    """Wait until it is so. Raises LamsonError with what is known where that takes too long."""
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        if time.monotonic() > deadline:
            raise LamsonError(f"it took more than {PATIENCE:.0f} seconds:\n{why()}")
        time.sleep(_LOOK)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
