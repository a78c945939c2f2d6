"""One application: its parts, made from the settings of its project, and told of each other."""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from lamson import log, results, telemetry
from lamson.app.clockwork import Clockwork
from lamson.app.judges import panel_of, spam_box_of
from lamson.app.postroom import Postroom
from lamson.app.reporting import Reporting
from lamson.delivery.answer_limit import AnswerLimit
from lamson.delivery.dispatcher import Dispatcher
from lamson.delivery.journaling import Journaling
from lamson.delivery.judging import Judging
from lamson.delivery.posting import Posting
from lamson.delivery.probe import Probe
from lamson.delivery.run import Handlers
from lamson.delivery.runner import TOGETHER
from lamson.delivery.thread_finder import ThreadFinder
from lamson.delivery.traffic import Traffic
from lamson.delivery.transaction import Transactions
from lamson.errors import SettingsError, UnavailableError
from lamson.message.notes import Notary
from lamson.message.templates import Templates
from lamson.routing.domains import Domains
from lamson.routing.reserved import PREFIX as PROBES
from lamson.settings import loading
from lamson.settings.model import TEMPLATES
from lamson.settings.reserved import reserved_of
from lamson.settings.routes import collect_routes, doubts, unproven_action
from lamson.storage import failure, revisions
from lamson.storage.database import Database
from lamson.storage.lease_owner import LeaseOwners
from lamson.storage.maildir import Maildir
from lamson.storage.pending import Room
from lamson.storage.service_clock import ServiceClock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy.engine import Connection

    from lamson.delivery.errands import Errands
    from lamson.delivery.runner import Runner
    from lamson.delivery.spam.box import SpamBox
    from lamson.delivery.spam.panel import Panel
    from lamson.delivery.tracking import Tracking
    from lamson.relay.relay import Relay
    from lamson.settings.model import Settings
    from lamson.storage.outbox import Outbox

BATCH_LIMIT = 256  # deliveries that share a commit on SQLite, at most
BATCH_LIMIT_SERVER = 16  # and on a database server, where other connections commit beside
TOGETHER_SERVER = 0.25  # seconds that timers share a transaction there: mail has other threads


class Application:
    """The parts of one project. Make it with `load`."""

    def __init__(
        self,
        project: Path,
        settings: Settings,
        *,
        raise_errors: bool = False,
        check_database: bool = False,
        on_stuck: Callable[[], None] = lambda: None,
        time: Callable[[], float] = time.time,
        clock: ServiceClock | None = None,
    ) -> None:
        """``raise_errors``: a handler's exception reaches the caller (see lamson/testing).

        With ``check_database`` nothing is written to a database whose tables are not as they
        should be. ``on_stuck`` is called when a handler passed its deadline. ``time`` is what
        timers, schedules, keys and tokens go by, ``clock`` what the limits of answers do.
        """
        if settings.tracing:
            telemetry.start()
        self._time = time
        self.project = project
        self.settings = settings
        self.hostname = settings.lmtp.hostname or socket.getfqdn()
        self.router = collect_routes(settings, clock=time)
        for route in self.router.unproven_actions:
            log.logger.warning("%s:%s: %s", route.file, route.line, unproven_action(route))
        for route, doubt in doubts(self.router):
            log.logger.warning("%s:%s: %s", route.file, route.line, doubt)
        self.witness: results.OwnServer | None = None
        if settings.authserv_id is not None:
            self.witness = results.OwnServer(settings.authserv_id)
        if settings.database is not None:
            reserved = reserved_of(settings)
            self.router.reserve(PROBES, reserved.takes, Probe(reserved).answer)
        self.domains = Domains(self.router.routes, settings.domains)
        for directory in settings.templates:
            if not directory.is_dir() and project / directory != project / TEMPLATES:
                problem = f"there is no directory {directory}"
                raise SettingsError(problem, setting="templates")
        self.templates = Templates(settings.templates)
        self.undeliverable = Maildir(
            settings.run_dir / "undeliverable", quota=settings.max_undeliverable
        )
        self.database: Database | None = None
        self.outbox: Outbox | None = None
        self.relay: Relay | None = None
        self.errands: Errands | None = None
        self.runner: Runner | None = None
        self.clock = clock or ServiceClock()
        self.lease_owners = LeaseOwners(project, settings.run_dir)
        self.task_errors: list[BaseException] = []
        """With ``raise_errors``: why tasks failed."""
        clockwork = Clockwork(self.router, clock=time)
        self.schedules = clockwork.schedules
        if settings.database is None and clockwork:
            raise SettingsError(
                "@timeout, @every and @background need a database to wait in", setting="database"
            )
        journal: Journaling | None = None
        if settings.journal.keep != "off":
            if settings.database is None:
                raise SettingsError("a journal needs a database to be in", setting="database")
            is_whole = settings.journal.keep == "whole"
            journal = Journaling(settings.journal.max_message, is_whole=is_whole, clock=time)
        self.postroom: Postroom | None = None
        self._reporting: Reporting | None = None
        traffic = Traffic()
        if settings.database is not None:
            self._reporting = Reporting(
                settings, self.router, self.domains, self.undeliverable, clock=time
            )
            self.database = Database(
                settings.database,
                connections=settings.threads + 4,
                before_writing=self._check if check_database else None,
            )
            self.postroom = Postroom(
                self.database,
                settings,
                self.lease_owners,
                self.undeliverable,
                self.clock,
                hostname=self.hostname,
                is_busy=traffic.is_busy,
            )
            self.outbox, self.relay = self.postroom.outbox, self.postroom.relay
        is_sqlite = self.database is not None and self.database.is_sqlite
        self.spam: SpamBox | None = None
        self.panel: Panel | None = None
        if self.router.has_spam_filters:
            self.spam, self.panel = spam_box_of(settings), panel_of(settings)
        handlers = Handlers(
            self.router,
            hostname=self.hostname,
            templates=self.templates,
            undeliverable=self.undeliverable,
            answers=AnswerLimit(
                settings.answers.per_mailbox, settings.answers.per_domain, clock=self.clock
            ),
            is_ours=None if settings.submission.any_sender else self.domains.holds,
            mark=lambda recipient: self.notary.mark(recipient),
            room=Room(settings.signing.max_pending),
            finder=ThreadFinder(
                self.router,
                clock=self.clock,
                keep_days=settings.mail_threads.keep_days,
            ),
            tracking=self._tracking,
            spam=self.spam,
            raise_errors=raise_errors,
            time=time,
        )
        self.transactions = Transactions(
            handlers,
            database=self.database,
            outbox=self.outbox,
            undeliverable=self.undeliverable,
            clock=self.clock,
            timers=clockwork.timers or None,
            time=time,
            on_tasks=lambda: self.runner.poke() if self.runner is not None else None,
            journal=journal,
        )
        self.dispatcher = Dispatcher(
            self.router,
            self.transactions,
            threads=1 if is_sqlite else settings.threads,
            batch_limit=BATCH_LIMIT if is_sqlite else BATCH_LIMIT_SERVER,
            deadline=settings.handler_deadline,
            run_dir=settings.run_dir,
            is_inline=self.database is None,
            notary=self.notary if settings.has_milter else None,
            witness=self.witness,
            judging=Judging(self.panel, threads=settings.threads) if self.panel else None,
            traffic=traffic,
            outlet=self.relay,
            on_stuck=on_stuck,
        )
        if self.database is not None:
            assert self._reporting is not None
            self.errands = clockwork.errands(
                self.database,
                self.transactions,
                self._make_mailer,
                self._reporting.outcomes,
                deadline=settings.handler_deadline,
                on_failure=self.task_errors.append if raise_errors else lambda error: None,
            )
            self.runner = clockwork.runner(
                self.database,
                self.errands,
                self.dispatcher,
                limit=1 if is_sqlite else max(1, settings.threads // 2),
                together=TOGETHER if is_sqlite else TOGETHER_SERVER,
            )

    @property
    def _tracking(self) -> Tracking | None:
        """What makes tracked mail, where there is a database."""
        return None if self._reporting is None else self._reporting.tracking

    @classmethod
    def load(
        cls,
        project: Path,
        *,
        is_patient: bool = False,
        on_stuck: Callable[[], None] = lambda: None,
    ) -> Application:
        """Build the application of the project in ``project`` and check its database.

        Where ``is_patient``, a database that does not answer is checked before the first
        transaction instead: what comes until that succeeds is answered 451. Raises SettingsError,
        RouteError, DatabaseError or, unless ``is_patient``, UnavailableError.
        """
        with loading.placing(project):
            settings = loading.load(project)
            application = cls(project, settings, check_database=True, on_stuck=on_stuck)
        if application.database is not None:
            try:
                application.database.make_ready()
            except UnavailableError as error:
                if not is_patient:
                    raise
                why = failure.brief(error)
                log.logger.error("%s; mail is answered 451 until it can", why)
        return application

    def _check(self, database: Database) -> None:
        """Check the tables, ours and the project's, and read the service clock."""
        database.check()
        try:
            with database.read() as connection:
                revisions.check(connection, self.project / "migrations", str(database))
                self.clock.read(connection)
        except SQLAlchemyError as error:
            raise database.unavailable(error) from error

    @cached_property
    def notary(self) -> Notary:
        """Who signs the filters' notes, and verifies them. Raises OSError, SettingsError."""
        return Notary.of(self.settings.run_dir, self.settings.milter.signing_secret())

    def make_key(self) -> None:
        """Have the project a key, which all its processes sign addresses with, and know them by.

        Where run/ is not ours to write there may be none: no address is signed, or reserved, then.
        """
        with suppress(OSError):
            Notary.of(self.settings.run_dir, self.settings.milter.signing_secret())

    async def start(self, *, does_tasks: bool = True) -> None:
        """Start dispatcher and relay on the running loop, and do the tasks that are due."""
        self.make_key()
        self.dispatcher.start(asyncio.get_running_loop())
        if self.relay is not None:
            await self.relay.start()
        if self.runner is not None and does_tasks:
            self.runner.start()
        if self.postroom is not None:
            self.postroom.start()

    async def stop(self, timeout: float) -> None:
        """Stop both; mail committed already is submitted for ``timeout`` seconds at most."""
        if self.runner is not None:
            self.runner.stop()
        self.dispatcher.stop()
        try:
            if self.postroom is not None:
                await self.postroom.stop(timeout)
        finally:
            if self.database is not None:
                self.database.close()

    def _make_mailer(self, id: str, digest: bytes, connect: Callable[[], Connection]) -> Posting:
        """What a function sends with that no message called."""
        return Posting(
            id=id,
            digest=digest,
            connect=connect,
            hostname=self.hostname,
            templates=self.templates,
            is_ours=None if self.settings.submission.any_sender else self.domains.holds,
            tracking=self._tracking,
            purposes=self.router.purposes,
            clock=self._time,
        )
