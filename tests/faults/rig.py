"""The installation that faults strike: a real Postfix, Lamson as a service, a database, the world.

Everything is private, on loopback, and gone afterwards.
"""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lamson.storage import migrate
from lamson.storage.database import Database
from tests.faults.load import DOMAIN, Load
from tests.faults.policy import Policy
from tests.faults.proxy import Proxy, Rule
from tests.faults.running import Running
from tests.faults.stores import PostgresStore, SqliteStore
from tests.postfix.instance import PostfixInstance
from tests.postfix.sink import Sink
from tests.service import LamsonService
from tests.waiting import wait_for

if TYPE_CHECKING:
    from tests.faults.fault import Fault
    from tests.faults.tally import Effect
    from tests.postgres import PostgresInstance

PROJECT = Path(__file__).parent / "project"

WORKERS = "2"  # of a service on PostgreSQL
_OTHER = "nodes"  # the directory, beside the project, of the other nodes' projects

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


def _transport(ports: list[int]) -> str:
    """Postfix tries the first; where that cannot be reached, the next. "inet:" stands once."""
    return "lmtp:inet:" + ", ".join(f"[127.0.0.1]:{port}" for port in ports)


class Rig(Running):
    """Use as a context manager. A fault's ``prepare`` may change the attributes before the start.

    ``server`` is the PostgreSQL to use, None for SQLite. ``weakness`` makes Lamson wrong.
    """

    def __init__(
        self, fault: Fault, directory: Path, server: PostgresInstance | None, weakness: str = ""
    ) -> None:
        super().__init__()
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
        self.is_tracked = False  # each reply is, and what became of it is to be told
        self.forged: list[Effect] = []  # that somebody else than Postfix brought
        self.held_back = 0  # messages of this round that are not sent yet
        self.policy = Policy()
        self._server = server
        if server is not None:  # where several can write at a time
            self.environment["LAMSON_WORKERS"] = WORKERS
        if weakness:
            self.environment["FAULTS_SABOTAGE"] = weakness
        fault.prepare(self)

    def _start(self) -> None:
        enter = self._running.enter_context
        self.sink = enter(Sink())
        enter(self.policy)
        if self.disk_size:
            self._mount()
        self._lay_out(self.project)
        self._make_database()
        self.lamson = LamsonService(self.project, **self.environment)
        self.nodes = [self.lamson]
        if self._server is not None:
            self.nodes += [self._make_node(number) for number in range(1, self.fault.nodes)]
        ports = [node.port for node in self.nodes]
        if rule := self.lmtp_rule:
            self.lmtp_proxies = [enter(Proxy(port, rule)) for port in ports]
            ports = [proxy.port for proxy in self.lmtp_proxies]
        self.postfix = PostfixInstance(
            sink_port=self.sink.port,
            routes={DOMAIN: _transport(ports)},
            main=self.main,
            submission=self.submission_main,
        )
        self._running.callback(self.postfix.close)
        if len(ports) > 1:
            self._spread(ports)
        submission_port = self.postfix.submission_port
        if self.submission_rule is not None:
            self.submission_proxy = enter(Proxy(submission_port, self.submission_rule))
            submission_port = self.submission_proxy.port
        self.postfix.start()
        for node in self.nodes:
            node.environment["LAMSON_SUBMISSION__SERVER"] = f"127.0.0.1:{submission_port}"
            enter(node)
        self.load = enter(Load(self.postfix.smtp_port))

    @staticmethod
    def _lay_out(project: Path) -> None:
        shutil.copytree(PROJECT, project, dirs_exist_ok=True)
        (project / "run").mkdir()

    def _make_node(self, number: int) -> LamsonService:
        """Another service on the same database, with its own run directory."""
        project = self.project.parent / _OTHER / str(number)
        self._lay_out(project)
        return LamsonService(project, **self.environment)

    def _spread(self, ports: list[int]) -> None:
        """Messages with an even number go to one node first, those with an odd one to the other."""
        table = self.postfix.base / "etc" / "spread"
        table.write_text(
            f"/[02468]@{DOMAIN}$/ {_transport(ports)}\n/@{DOMAIN}$/ {_transport(ports[::-1])}\n"
        )
        self.postfix.main["transport_maps"] = f"regexp:{table}"
        self.postfix.write_config()

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

    @property
    def turn(self) -> LamsonService:
        """The node that is to be struck now: each in its turn."""
        return self.nodes[self.injected % len(self.nodes)]

    def log_lines(self, *parts: str) -> list[str]:
        """The lines of all nodes' logs that contain every one of ``parts``."""
        return [line for node in self.nodes for line in node.log_lines(*parts)]

    def workers(self, node: LamsonService | None = None) -> list[int]:
        """The process ids of the workers of a node there are at this moment."""
        pid = (node or self.lamson).pid
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
        failed = len(self.log_lines(_FAILED))

        def is_refused() -> bool:
            if self.deferrals() > before:
                return True
            if not self.weakness:
                return False
            if self.disk_size:
                return not self.postfix.queue()
            return len(self.log_lines(_FAILED)) > failed

        wait_for(is_refused, "Postfix to be told 451", timeout=self.patience)

    def undeliverable(self) -> int:
        """Messages that Lamson kept."""
        places = [
            node.project / "run" / "undeliverable" / name
            for node in self.nodes
            for name in ("new", "cur")
        ]
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
