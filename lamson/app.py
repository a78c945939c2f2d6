"""The application: all parts of one project, built from its settings, for one process.

Used by the service's workers, by commands that need the parts, and by tests. Building it checks
what can be checked: handlers, routes, templates' directories, the database's schema; whatever is
wrong raises a LamsonError of one clear line. Nothing runs before `start`.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
from contextlib import suppress
from functools import cache, cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from lamson import log
from lamson.delivery.dispatcher import Dispatcher
from lamson.delivery.transaction import Batcher
from lamson.errors import LamsonError, SettingsError, UnavailableError
from lamson.message.notes import Notary
from lamson.message.templates import Templates
from lamson.relay.relay import Relay
from lamson.relay.submission import Endpoint, Submitter
from lamson.routing.decorators import Router
from lamson.routing.domains import Domains
from lamson.settings import loading
from lamson.settings.model import TEMPLATES
from lamson.storage import failure, revisions, seen
from lamson.storage.database import Database
from lamson.storage.maildir import Maildir
from lamson.storage.outbox import Outbox
from lamson.storage.service_clock import ServiceClock

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from lamson.settings.model import Settings

LOOK_FOR_DEAD = 10.0  # seconds between looks for rows that a dead process leased
TURNS = 60  # of those, between two savings of the service clock
BATCH_LIMIT = 256  # deliveries that share a commit on SQLite, at most
BATCH_LIMIT_SERVER = 16  # and on a database server, where other connections commit beside
_MOST_PLACES = 20  # that are remembered
_IDENTITIES = (Path("/proc/sys/kernel/random/boot_id"), Path("/etc/machine-id"))


class Application:
    """The parts of one project. Make it with `load`."""

    def __init__(self, project: Path, settings: Settings, *, raise_errors: bool = False) -> None:
        """``raise_errors``: a handler's exception reaches the caller (see lamson/testing.py)."""
        self.project = project
        self.settings = settings
        self.hostname = settings.lmtp.hostname or socket.getfqdn()
        self.router = Router.collect(settings.handlers, settings.route_defaults)
        self.domains = Domains(self.router.routes, settings.domains)
        for directory in settings.templates:
            if not directory.is_dir() and project / directory != project / TEMPLATES:
                problem = f"there is no directory {directory}"
                raise SettingsError(problem, setting="templates")
        self.templates = Templates(settings.templates)
        self.undeliverable = Maildir(settings.run_dir / "undeliverable")
        self.database: Database | None = None
        self.outbox: Outbox | None = None
        self.relay: Relay | None = None
        self.clock: ServiceClock | None = None
        self._housekeeper: asyncio.Task[None] | None = None
        self._lost: set[str] = set()  # processes that are known to be dead
        self._former: set[str] = set()  # places where all are dead
        if settings.database is not None:
            self.database = Database(settings.database, connections=settings.threads + 4)
            self.outbox = Outbox(self.database, self.owner(os.getpid()))
            submission = settings.submission
            self.relay = Relay(
                self.outbox,
                self.undeliverable,
                lambda: Submitter(self._endpoint()),
                connections=submission.connections,
                max_age=submission.max_age,
                is_busy=lambda seconds: self.dispatcher.is_busy(seconds),
            )
        is_sqlite = self.database is not None and self.database.is_sqlite
        self.batcher = Batcher(
            self.router,
            hostname=self.hostname,
            database=self.database,
            outbox=self.outbox,
            templates=self.templates,
            undeliverable=self.undeliverable,
            suppress_seen=not os.environ.get("LAMSON_SKIP_SEEN_CHECK"),
            raise_errors=raise_errors,
            is_ours=None if settings.submission.any_sender else self.domains.holds,
        )
        self.dispatcher = Dispatcher(
            self.router,
            self.batcher,
            threads=1 if is_sqlite else settings.threads,
            batch_limit=BATCH_LIMIT if is_sqlite else BATCH_LIMIT_SERVER,
            deadline=settings.handler_deadline,
            run_dir=settings.run_dir,
            is_inline=self.database is None,
        )
        if settings.has_milter:
            self.dispatcher.notary = self.notary
        if self.relay is not None:
            self.dispatcher.on_outgoing = self.relay.submit
            self.dispatcher.on_doubtful = self.relay.give_back

    @classmethod
    def load(cls, project: Path, *, is_patient: bool = False) -> Application:
        """Build the application of the project in ``project`` and check its database.

        Where ``is_patient``, a database that does not answer is checked before the first
        transaction instead: what comes until that succeeds is answered 451. Raises SettingsError,
        RouteError, DatabaseError or, unless ``is_patient``, UnavailableError.
        """
        with loading.placing(project):
            application = cls(project, loading.load(project))
        if (database := application.database) is not None:
            open_it = partial(application._open, database)
            try:
                open_it()
            except UnavailableError as error:
                if not is_patient:
                    raise
                why = failure.brief(error)
                log.logger.error("%s; mail is answered 451 until it can", why)
                database.before_writing = open_it
        return application

    def _open(self, database: Database) -> None:
        database.check()
        try:
            with database.read() as connection:
                revisions.check(connection, self.project / "migrations", str(database))
                self.batcher.clock = self.clock = ServiceClock(connection)
        except SQLAlchemyError as error:
            raise database.unavailable(error) from error

    @cached_property
    def notary(self) -> Notary:
        """Who signs the filters' notes, and verifies them. Raises OSError, SettingsError."""
        return Notary.of(self.settings.run_dir, self.settings.milter.signing_secret())

    def owner(self, pid: int | str) -> str:
        """Who holds a lease in the outbox: this machine, this project, that process."""
        return f"{socket.gethostname()}:{self.project}:{_place()}.{pid}"[-160:]

    def release_dead(self, lost_pids: Collection[int] = (), *, is_running: bool = False) -> None:
        """Give back what processes of this machine and project leased and left behind.

        ``lost_pids`` are known to be dead: somebody else may have such a number again.
        Unless we are running already, a lease of a process with our pid is that of one that had it
        before us, as in a container that was killed. A database that fails is logged, since a
        worker has to come up all the same, to answer 451; the leases run out then.
        """
        assert self.outbox is not None
        self._lost.update(map(str, lost_pids))
        if not is_running:
            with suppress(OSError):
                self._former = _former_places(self.settings.run_dir)
        ours = self.owner(os.getpid())
        try:
            for owner in self.outbox.owners():
                where, _, process = owner.rpartition(":")
                place, _, pid = process.partition(".")
                if where != ours.rpartition(":")[0]:
                    continue
                if pid == str(os.getpid()):
                    is_dead = not is_running
                elif place == _place():
                    is_dead = pid in self._lost or not _lives(pid)
                else:
                    is_dead = place in self._former
                if is_dead:
                    self.outbox.release_owner(owner)
            self._lost.clear()
        except (SQLAlchemyError, OSError, LamsonError) as error:
            log.logger.error("outbox: mail of dead processes has to wait: %s", failure.brief(error))

    async def start(self) -> None:
        """Start dispatcher and relay on the running loop."""
        self.dispatcher.start(asyncio.get_running_loop())
        if self.relay is not None:
            await self.relay.start()
        if self.database is not None:
            self._housekeeper = asyncio.create_task(self._keep_house())

    async def stop(self, timeout: float) -> None:
        """Stop both; mail committed already is submitted for ``timeout`` seconds at most."""
        self.dispatcher.stop()
        if self._housekeeper is not None:
            self._housekeeper.cancel()
        if self.relay is not None:
            await self.relay.drain(timeout)
        await self._quietly(self._tidy)
        if self.database is not None:
            self.database.close()

    async def _keep_house(self) -> None:
        """From time to time: save the service clock, and forget what was handled long ago."""
        for turn in itertools.count(1):
            await asyncio.sleep(LOOK_FOR_DEAD)
            # Not at the start alone: a killed process may be dying still when another starts.
            await self._quietly(partial(self.release_dead, is_running=True))
            if turn % TURNS == 0:
                await self._quietly(self._tidy)

    @staticmethod
    async def _quietly(work: Callable[[], None]) -> None:
        try:
            await asyncio.to_thread(work)
        except Exception as error:  # noqa: BLE001 - the next turn comes all the same
            is_known = failure.is_known(error)
            text = failure.brief(error)
            log.logger.error("housekeeping failed: %s", text, exc_info=None if is_known else error)

    def _tidy(self) -> None:
        if self.database is not None and self.clock is not None:
            with self.database.begin() as connection:
                self.clock.save(connection)
                seen.purge(connection, self.clock())

    def _endpoint(self) -> Endpoint:
        submission = self.settings.submission
        return Endpoint(
            host=submission.host,
            port=submission.port,
            security=submission.security,
            user=submission.user,
            secret=submission.password(),
            ca_file=submission.ca_file,
            tls_name=submission.tls_name,
            timeout=submission.timeout,
            hostname=self.hostname,
        )


@cache
def _place() -> str:
    """Where pids mean the same processes: this start of this machine, this container."""
    return f"{_boot()[:8]}-{os.stat('/proc/self/ns/pid').st_ino:x}"


def _former_places(run_dir: Path) -> set[str]:
    """Where the service of this run directory ran before; writes down where it runs now.

    Nobody lives there any more, since our supervisor holds the lock of that directory. That tells
    what a killed container or machine left behind, whose process numbers say nothing here.
    """
    file, here = run_dir / "places", _place()
    former = [place for place in file.read_text().split() if place != here] if file.exists() else []
    new = file.with_suffix(f".{os.getpid()}")
    new.write_text("\n".join([*former[-_MOST_PLACES:], here, ""]))
    new.replace(file)
    return set(former)


def _boot() -> str:
    """This start of this machine; the machine alone where systemd hides it (ProcSubset=pid).

    A lease from before a restart then looks alive if its pid is in use again, and runs out.
    """
    for identity in _IDENTITIES:
        with suppress(OSError):
            return identity.read_text().strip()
    return ""


def _lives(pid: str) -> bool:
    """Whether there is such a process. One that ended, and that its parent let lie, is dead."""
    try:
        os.kill(int(pid), 0)
        state = Path(f"/proc/{int(pid)}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    except PermissionError:  # another user's, which /proc may hide from us (ProtectProc=)
        return True
    return state not in "ZX"
