"""Timers: how many are done in a second, and how late they are while mail is handled.

The real service, on SQLite and, where it is there, on PostgreSQL. A timer moves a state, writes a
row and sends a mail. First all of them are due at once, and nothing else happens; then as many are
due within ten seconds, at moments spread evenly, beside ten sessions that send mail as fast as it
is taken. Late is from when it was due until its function is called; none may be early.
"""

from __future__ import annotations

import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import insert, text

from lamson.delivery import timers
from lamson.storage import migrate, tables, tasks
from lamson.storage.database import Database
from lamson.storage.state import StateKey
from lamson.storage.tasks import Task
from tests.bench import source
from tests.bench.load import LOADS
from tests.bench.mailer import databases
from tests.bench.report import Goal, Section
from tests.postfix.sink import Sink
from tests.service import LamsonService
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.comparison import Effort

TIMERS = 2000
WITHIN = 10.0  # seconds
LEAD = 3.0  # seconds until the first of them is due
MAILS = 200  # of one run of the sender

_MODULE = "handlers_of_the_bench"
_SETTINGS = """\
from lamson.settings import Settings, Submission

settings = Settings(
    handlers=["handlers_of_the_bench"], domains=["bench.test"], metadata=None,
    submission=Submission("127.0.0.1:{port}"), database={url!r},
)
"""
_HANDLERS = """\
import time

from sqlalchemy import text
from sqlalchemy.orm import Session

from lamson import Expired, Mailer, route, timeout

@route(r".+@bench\\.test")
def START(message):
    pass

@route(r".+@bench\\.test")
def WAITING(message):
    pass

@timeout(WAITING, seconds=1)
def expire(expired: Expired, mailer: Mailer, db: Session):
    late = time.time() - (expired.since + 1)
    db.execute(text("INSERT INTO done (late) VALUES (:late)"), {"late": late})
    mailer.send(mailer.compose(
        to=expired.author, sender="a@bench.test", subject="Still there?", body="Please answer."
    ))
    return START
"""


def unavailable() -> str | None:
    """Why nothing can be measured."""
    return source.unavailable()


def measure(effort: Effort) -> Iterator[Section]:
    """Rates and lateness, on each database."""
    section = Section(f"Timers: {TIMERS:,} due at once, and within {WITHIN:g} s beside mail")
    with databases() as urls:
        for name, url in urls.items():
            with tempfile.TemporaryDirectory(prefix="lamson-bench-") as directory:
                rate, late, mails = _run(Path(directory), url)
            section.goals.append(Goal(f"{name}: timers a second", rate, TIMERS / WITHIN))
            for what, at, most in (("median", 0.5, 1.0), ("p99", 0.99, 1.0), ("most", 1.0, 1.0)):
                value = late[min(int(len(late) * at), len(late) - 1)]
                goal = Goal(f"{name}: {what} lateness, s", value, most, at_least=False)
                section.goals.append(goal)
            section.remarks.append(
                f"{name}: {mails:.0f} mails a second meanwhile; least lateness {late[0]:.4f} s"
            )
    yield section


def _run(directory: Path, url: str) -> tuple[float, list[float], float]:
    """Timers a second, how late they were, in order of size, and mails a second meanwhile."""
    url = url or f"sqlite:///{directory}/bench.db"
    (directory / "config").mkdir()
    (directory / "run").mkdir()
    (directory / f"{_MODULE}.py").write_text(_HANDLERS)
    database = Database(url)
    migrate.upgrade_ours(database)
    with database.begin() as connection:
        connection.execute(text("CREATE TABLE done (late DOUBLE PRECISION)"))
    with Sink() as sink:
        settings = _SETTINGS.format(port=sink.port, url=url)
        (directory / "config" / "settings.py").write_text(settings)
        with LamsonService(directory) as service:
            rate = _rate(database)
            late, mails = _lateness(database, service.port)
    database.close()
    return rate, late, mails


def _rate(database: Database) -> float:
    due_at = time.time() + LEAD
    _fill(database, [due_at] * TIMERS)
    wait_for(lambda: _done(database) == TIMERS, "all timers to be done", timeout=300)
    return TIMERS / (time.time() - due_at)


def _lateness(database: Database, port: int) -> tuple[list[float], float]:
    with database.begin() as connection:
        connection.execute(text("DELETE FROM done"))
    first = time.time() + LEAD
    _fill(database, [first + WITHIN * number / TIMERS for number in range(TIMERS)])
    is_over = threading.Event()
    sent: list[float] = []

    def send() -> None:
        while not is_over.is_set():
            LOADS["10 sessions"].run(port, MAILS)
            sent.append(time.monotonic())

    sender = threading.Thread(target=send)
    began = time.monotonic()
    sender.start()
    try:
        wait_for(lambda: _done(database) == TIMERS, "all timers to be done", timeout=300)
    finally:
        is_over.set()
        sender.join()
    with database.read() as connection:
        late = [*connection.execute(text("SELECT late FROM done ORDER BY late")).scalars()]
    return late, len(sent) * MAILS / (sent[-1] - began)


def _fill(database: Database, due: list[float]) -> None:
    wanted, states = [], []
    for number, due_at in enumerate(due):
        key = StateKey(_MODULE, f"zed{number}@example.com")
        payload = {
            "machine": key.module,
            "author": key.author,
            "module": _MODULE,
            "state": "WAITING",
            "since": due_at - 1,
            "captures": {},
            "function": "expire",
        }
        wanted.append(Task(timers.KIND, timers.name_of(key), payload, due_at))
        states.append({"module": key.module, "author": key.author, "state": "WAITING"})
    with database.begin() as connection:
        connection.execute(text("DELETE FROM lamson_state"))
        connection.execute(insert(tables.state), states)
        tasks.add(connection, wanted)


def _done(database: Database) -> int:
    with database.read() as connection:
        return int(connection.execute(text("SELECT count(*) FROM done")).scalar_one())
