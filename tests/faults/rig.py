"""The installation that faults strike: a real Postfix, Lamson as a service, a database, the world.

Everything is private, on loopback, and gone afterwards.
"""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lamson.storage import migrate
from lamson.storage.database import Database
from tests.faults.load import DOMAIN, Load
from tests.faults.policy import Policy
from tests.faults.proxy import Proxy, Rule
from tests.faults.stores import PostgresStore, SqliteStore
from tests.postfix.instance import PostfixInstance
from tests.postfix.sink import Sink
from tests.service import LamsonService
from tests.waiting import wait_for

if TYPE_CHECKING:
    from types import TracebackType

    from tests.faults.fault import Fault
    from tests.postgres import PostgresInstance

PROJECT = Path(__file__).parent / "project"

WORKERS = "2"  # of a service on PostgreSQL

_FAILED = "answered 451"  # what Lamson's log says of a delivery that failed

_ALEMBIC = threading.Lock()  # it keeps what it works on in globals, and runs have lanes

# Postfix tries again within a second or two, also after a failure of the whole destination.
_MAIN = {
    "queue_run_delay": "1s",
    "minimal_backoff_time": "1s",
    "maximal_backoff_time": "1s",
    "lmtp_destination_concurrency_failed_cohort_limit": "1000",
    "smtpd_policy_service_default_action": "DUNNO",
}


class Impossible(Exception):
    """This machine does not let a fault be injected."""


def privileged(*command: str) -> None:
    """Run a command that some containers do not allow. Raises Impossible, saying why."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise Impossible(f"{' '.join(command)}: {done.stderr.strip()}")


class Rig:
    """Use as a context manager. A fault's ``prepare`` may change the attributes before the start.

    ``server`` is the PostgreSQL to use, None for SQLite. ``weakness`` makes Lamson wrong.
    """

    def __init__(
        self, fault: Fault, directory: Path, server: PostgresInstance | None, weakness: str = ""
    ) -> None:
        self.fault = fault
        self.weakness = weakness
        self.patience = 15.0 if weakness else 60.0  # seconds that a fault may take to strike
        self.project = directory / "project"
        self.main: dict[str, str] = dict(_MAIN)
        self.submission_main: dict[str, str] = {}
        self.environment: dict[str, str] = {}
        self.lmtp_rule: Rule | None = None
        self.submission_rule: Rule | None = None
        self.database_rule: Rule | None = None
        self.database_options = ""
        self.disk_size = 0  # octets; the project then has a file system of its own
        self.injected = 0
        self.held_back = 0  # messages of this round that are not sent yet
        self.policy = Policy()
        self._running = ExitStack()
        self._server = server
        if server is not None:  # where several can write at a time
            self.environment["LAMSON_WORKERS"] = WORKERS
        if weakness:
            self.environment["FAULTS_SABOTAGE"] = weakness
        fault.prepare(self)

    def __enter__(self) -> Rig:
        try:
            self._start()
        except BaseException:
            self._running.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._running.close()

    def _start(self) -> None:
        enter = self._running.enter_context
        self.sink = enter(Sink())
        enter(self.policy)
        if self.disk_size:
            self._mount()
        shutil.copytree(PROJECT, self.project, dirs_exist_ok=True)
        (self.project / "run").mkdir()
        self._make_database()
        self.lamson = LamsonService(self.project, **self.environment)
        lmtp_port = self.lamson.port
        if self.lmtp_rule is not None:
            lmtp_port = enter(Proxy(lmtp_port, self.lmtp_rule)).port
        self.postfix = PostfixInstance(
            sink_port=self.sink.port,
            routes={DOMAIN: f"lmtp:inet:[127.0.0.1]:{lmtp_port}"},
            main=self.main,
            submission=self.submission_main,
        )
        self._running.callback(self.postfix.close)
        submission_port = self.postfix.submission_port
        if self.submission_rule is not None:
            self.submission_proxy = enter(Proxy(submission_port, self.submission_rule))
            submission_port = self.submission_proxy.port
        self.lamson.environment["LAMSON_SUBMISSION__SERVER"] = f"127.0.0.1:{submission_port}"
        self.postfix.start()
        enter(self.lamson)
        self.load = enter(Load(self.postfix.smtp_port))

    def _mount(self) -> None:
        self.project.mkdir()
        options = f"size={self.disk_size},mode=755"
        privileged("mount", "-t", "tmpfs", "-o", options, "none", str(self.project))
        self._running.callback(privileged, "umount", "--lazy", str(self.project))

    def _make_database(self) -> None:
        if self._server is None:
            self.store: SqliteStore | PostgresStore = SqliteStore(self.project)
        else:
            self.store = PostgresStore(self._server)
        self._running.callback(self.store.close)
        database = Database(self.store.url)
        with _ALEMBIC:
            migrate.upgrade_ours(database)
        model = runpy.run_path(str(self.project / "app" / "model.py"))
        model["Base"].metadata.create_all(database.engine)
        database.close()
        url = self.store.url
        if self.database_rule is not None and self._server is not None:
            proxy = self._running.enter_context(Proxy(self._server.port, self.database_rule))
            url = url.replace(f":{self._server.port}/", f":{proxy.port}/")
        self.environment["LAMSON_DATABASE"] = url + self.database_options

    @property
    def sqlite(self) -> SqliteStore:
        assert isinstance(self.store, SqliteStore)
        return self.store

    @property
    def postgres(self) -> PostgresStore:
        assert isinstance(self.store, PostgresStore)
        return self.store

    def workers(self) -> list[int]:
        """The process ids of the workers there are at this moment."""
        pid = self.lamson.pid
        with suppress(FileNotFoundError):
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
            return [int(child) for child in children.split()]
        return []

    def deferrals(self) -> int:
        """How often Postfix had to put off a recipient, for whatever reason."""
        return len(self.postfix.log_lines("status=deferred"))

    def send_held_back(self) -> None:
        """Send what is left of this round."""
        count, self.held_back = self.held_back, 0
        self.load.begin(count)

    def wait_refused(self, before: int) -> None:
        """Wait until Postfix had to put off more than ``before`` recipients.

        What came before the fault may be done already, so the rest of the round is sent now.

        A Lamson that was made wrong says 250 all the same. Then this waits until its log says that
        a delivery failed or, where there is no room for a log, until Postfix is rid of everything.
        """
        self.send_held_back()
        failed = len(self.lamson.log_lines(_FAILED))

        def is_refused() -> bool:
            if self.deferrals() > before:
                return True
            if not self.weakness:
                return False
            if self.disk_size:
                return not self.postfix.queue()
            return len(self.lamson.log_lines(_FAILED)) > failed

        wait_for(is_refused, "Postfix to be told 451", timeout=self.patience)

    def undeliverable(self) -> int:
        """Messages that Lamson kept."""
        places = (self.project / "run" / "undeliverable" / name for name in ("new", "cur"))
        return sum(len(os.listdir(place)) for place in places if place.exists())

    def settle(self, timeout: float) -> None:
        """Wait until Postfix's queue and Lamson's outbox are empty."""
        self.load.wait()
        wait_for(
            lambda: (
                not self.postfix.queue() and self.store.waiting() == 0 and not self.postfix.queue()
            ),
            lambda: (
                f"queue and outbox to be empty: {len(self.postfix.queue())} messages, "
                f"{self.store.waiting()} rows"
            ),
            timeout=timeout,
        )
