"""The installation whose time faults strike: Lamson as a service, a database, and the world.

Once it has started, timers and work after a commit wait in the database, due within some seconds;
a schedule has a slot each second. Afterwards each timer must have been done once, with its state,
its row and its mail; each piece of work at least once; no slot twice, and slots go on.
"""

from __future__ import annotations

import os
import runpy
import shutil
import signal
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, text

from lamson.delivery import later, timers
from lamson.storage import migrate, tables, tasks
from lamson.storage.database import Database
from lamson.storage.state import StateKey
from lamson.storage.tasks import Task
from tests.faults.running import Running
from tests.postfix.sink import Sink
from tests.service import LamsonService
from tests.waiting import wait_for

if TYPE_CHECKING:
    from tests.postgres import PostgresInstance

PROJECT = Path(__file__).parent / "time_project"
HANDLERS = "app.handlers.ticking"
RATE = 20.0  # timers that become due in a second
_ALEMBIC = threading.Lock()

# Python reads this before anything else in each process: so its clock can be moved.
_CLOCK = """
import os, time
_real, _real_ns = time.time, time.time_ns

def _ahead():
    try:
        with open(os.environ["FAULTS_CLOCK"]) as file:
            return float(file.read() or 0)
    except (KeyError, OSError):
        return 0.0

time.time = lambda: _real() + _ahead()
time.time_ns = lambda: _real_ns() + int(_ahead() * 1e9)
"""


@dataclass
class Count:
    """What one run came to."""

    lost: set[str]
    twice: set[str]
    astray: set[str]  # whose state is not that which their timer moved them to
    untold: set[str]  # whose mail did not come out once
    slots_twice: set[str]
    undone: set[str]  # work after a commit that was never done
    is_standing: bool  # no slot was run after the fault

    @property
    def is_clean(self) -> bool:
        return not any(vars(self).values())


class TimeRig(Running):
    """Use as a context manager. ``server`` is the PostgreSQL to use, None for SQLite."""

    def __init__(
        self,
        directory: Path,
        server: PostgresInstance | None,
        *,
        timers: int = 60,
        nodes: int = 1,
        weakness: str = "",
        failpoint: str = "",
    ) -> None:
        super().__init__()
        self._directory = directory
        self._server = server
        self.names = {f"m{number}@world.test" for number in range(timers)}
        self._outside = directory / "outside"
        self._clock = directory / "clock"
        self.tokens = directory / "tokens"
        self.tokens.mkdir()
        site = directory / "site"
        site.mkdir()
        (site / "sitecustomize.py").write_text(_CLOCK)
        path = os.pathsep.join([str(site), str(Path(__file__).parents[2])])
        environment = {
            "PYTHONPATH": path,
            "FAULTS_CLOCK": str(self._clock),
            "FAULTS_OUTSIDE": str(self._outside),
            "FAULTS_SABOTAGE": weakness,
            "LAMSON_HANDLER_DEADLINE": "1",  # and so the lease of work outside is short, too
        }
        if failpoint:
            environment |= {
                "FAULTS_FAILPOINT": failpoint,
                "FAULTS_FAILPOINT_PASSES": "3",
                "FAULTS_FAILPOINT_DIR": str(self.tokens),
            }
        if server is not None:
            environment["LAMSON_WORKERS"] = "2"
        self._environment = environment
        self._nodes = nodes if server is not None else 1

    def _start(self) -> None:
        enter = self._running.enter_context
        self.sink = enter(Sink())
        projects = [self._directory / str(number) for number in range(self._nodes)]
        for project in projects:
            shutil.copytree(PROJECT, project)
            (project / "run").mkdir()
        if self._server is None:
            url = f"sqlite:///{projects[0]}/run/lamson.db?timeout=2"
        else:
            name = self._server.create_database()
            self._running.callback(self._server.drop_database, name)
            url = self._server.url(name)
            self.database_name = name
        self.database = Database(url)
        self._running.callback(self.database.close)
        with _ALEMBIC:
            migrate.upgrade_ours(self.database)
        model = runpy.run_path(str(projects[0] / "app" / "model.py"))
        model["Base"].metadata.create_all(self.database.engine)
        self.nodes = [
            LamsonService(
                project,
                **self._environment,
                LAMSON_DATABASE=url,
                LAMSON_SUBMISSION__SERVER=f"127.0.0.1:{self.sink.port}",
            )
            for project in projects
        ]
        for node in self.nodes:
            enter(node)
        self._fill()  # not before: what is due is to be under way when the fault strikes

    def _fill(self) -> None:
        """As deliveries would, which entered a state just now, and asked for work."""
        now = time.time()
        wanted, states = [], []
        for number, name in enumerate(sorted(self.names)):
            due_at = now + 1 + number / RATE
            key = StateKey(HANDLERS, name)
            payload = {
                "machine": HANDLERS,
                "author": name,
                "module": HANDLERS,
                "state": "WAITING",
                "since": now,
                "captures": {},
                "function": "expire",
            }
            wanted.append(Task(timers.KIND, timers.name_of(key), payload, due_at))
            work = {"function": f"{HANDLERS}.tell", "arguments": {"name": name}, "key": name}
            wanted.append(Task(later.KIND, f"tell {name}", work, due_at))
            states.append({"module": HANDLERS, "author": name, "state": "WAITING"})
        with self.database.begin() as connection:
            connection.execute(insert(tables.state), states)
            tasks.add(connection, wanted)

    def jump(self, seconds: float) -> None:
        """Have all clocks of the service ahead by so much."""
        new = self._clock.with_suffix(".new")
        new.write_text(str(seconds))
        new.rename(self._clock)

    def kill_at_failpoint(self) -> None:
        """Let a worker die at the failpoint that was installed."""
        token = self.tokens / "one"
        token.touch()
        wait_for(lambda: not token.exists(), "a worker to die", timeout=60)

    def kill_all(self) -> None:
        """kill -9 of the first node's supervisor and workers, and a new start."""
        node = self.nodes[0]
        children = Path(f"/proc/{node.pid}/task/{node.pid}/children").read_text().split()
        node.kill()
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)

        def starts() -> bool:
            try:
                node.start()
            except AssertionError:
                return False  # the port is not free yet
            return True

        wait_for(starts, "lamson to start again", timeout=60)

    def lose_database(self, seconds: float = 3.0) -> None:
        """On PostgreSQL end each session, again and again; on SQLite let nobody else write."""
        until = time.monotonic() + seconds
        if self._server is None:
            with self.database.begin():
                time.sleep(seconds + 2)
            return
        while time.monotonic() < until:
            self._server.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                f" WHERE datname = '{self.database_name}' AND pid <> pg_backend_pid()"
            )
            time.sleep(0.1)

    def wait_for_some(self) -> None:
        """Until a few timers are done, and not all of them."""
        wait_for(lambda: len(self._rows("timer")) >= 5, "some timers to be done", timeout=60)

    def wait_for_a_slot(self) -> None:
        """Wait until the schedule has run once more."""
        before = len(self._rows("every"))
        wait_for(lambda: len(self._rows("every")) > before, "another slot")

    def wait_until_idle(self) -> None:
        """Until two looks a second apart find as much done: nothing that waits is due."""
        seen: list[int] = []

        def is_idle() -> bool:
            seen.append(len(self._rows("timer")))
            time.sleep(1.0)
            return len(self._rows("timer")) == seen[-1]

        wait_for(is_idle, "timers to wait", timeout=60)

    def settle(self, timeout: float = 60.0) -> None:
        """Wait until nothing waits but the next slot, and a slot has been run since."""
        timeout += len(self.names) / RATE
        before = len(self._rows("every"))
        wait_for(
            lambda: (
                self._waiting() == 0
                and len(self._rows("every")) > before
                and len(self.sink.messages) >= len(self.names)
            ),
            lambda: f"everything to be done: {self._waiting()} tasks wait",
            timeout=timeout,
        )

    def count(self) -> Count:
        """Stop the service, and see what it came to."""
        before = len(self._rows("every"))
        is_standing = True
        with suppress(AssertionError):
            wait_for(lambda: len(self._rows("every")) > before, "another slot", timeout=5)
            is_standing = False
        for node in self.nodes:
            node.stop()
        done = Counter(self._rows("timer"))
        with self._read() as connection:
            rows = connection.execute(text("SELECT author, state FROM lamson_state"))
            states = {row.author: row.state for row in rows}
        told: dict[str, set[str]] = {name: set() for name in self.names}
        for mail in self.sink.messages:
            told[str(mail.message["Subject"])].add(str(mail.message["Message-ID"]))
        work = set(self._outside.read_text().split()) if self._outside.exists() else set()
        slots = Counter(self._rows("every"))
        return Count(
            lost=self.names - done.keys(),
            twice={name for name, number in done.items() if number > 1},
            astray={name for name in self.names if states.get(name) != "DONE"},
            untold={name for name, ids in told.items() if len(ids) != 1},
            slots_twice={slot for slot, number in slots.items() if number > 1},
            undone=self.names - work,
            is_standing=is_standing,
        )

    def log(self) -> str:
        return "\n".join(line for node in self.nodes for line in node.log_lines()[-100:])

    def _rows(self, kind: str) -> list[str]:
        query = text("SELECT name FROM happened WHERE kind = :kind")
        with self._read() as connection:
            return list(connection.execute(query, {"kind": kind}).scalars())

    def _waiting(self) -> int:
        query = text(
            "SELECT (SELECT count(*) FROM lamson_tasks WHERE kind <> 'every')"
            " + (SELECT count(*) FROM lamson_outbox)"
        )
        with self._read() as connection:
            return int(connection.execute(query).scalar_one())

    def _read(self) -> Any:
        return self.database.read()
