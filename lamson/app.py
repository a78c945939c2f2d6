"""The application: all parts of one project, built from its settings, for one process.

Used by the service's workers, by commands that need the parts, and by tests. Building it checks
what can be checked: handlers, routes, templates' directories, the database's schema; whatever is
wrong raises a LamsonError of one clear line. Nothing runs before `start`.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from lamson import log, results
from lamson.delivery import later
from lamson.delivery import schedules as scheduling
from lamson.delivery import timers as timing
from lamson.delivery.answer_limit import AnswerLimit
from lamson.delivery.dispatcher import Dispatcher
from lamson.delivery.errands import Errands
from lamson.delivery.judging import Judging
from lamson.delivery.later import Background
from lamson.delivery.outcomes import Outcomes
from lamson.delivery.posting import Posting
from lamson.delivery.probe import Probe
from lamson.delivery.reports import Reports
from lamson.delivery.run import Handlers
from lamson.delivery.runner import Runner
from lamson.delivery.schedules import Schedules
from lamson.delivery.spam.box import SpamBox
from lamson.delivery.spam.panel import Panel, judge_of
from lamson.delivery.thread_finder import ThreadFinder
from lamson.delivery.timers import Timers
from lamson.delivery.tracking import Tracking
from lamson.delivery.traffic import Traffic
from lamson.delivery.transaction import Transactions
from lamson.errors import SettingsError, UnavailableError
from lamson.message.notes import Notary
from lamson.message.templates import Templates
from lamson.relay.bell import Bell
from lamson.relay.relay import Relay
from lamson.relay.submission import Endpoint, Submitter
from lamson.routing.bounces import PREFIX as BOUNCES
from lamson.routing.bounces import BounceAddresses
from lamson.routing.domains import Domains
from lamson.routing.reserved import PREFIX as PROBES
from lamson.settings import loading
from lamson.settings.keys import signer_of
from lamson.settings.model import TEMPLATES
from lamson.settings.reserved import reserved_of
from lamson.settings.routes import collect_routes, unproven_action
from lamson.storage import failure, revisions, suppressed
from lamson.storage.database import Database
from lamson.storage.held import HeldRows
from lamson.storage.housekeeping import DAY, Housekeeping
from lamson.storage.lease_owner import LeaseOwners
from lamson.storage.maildir import Maildir
from lamson.storage.outbox import Outbox
from lamson.storage.pace import Pace
from lamson.storage.pending import Room
from lamson.storage.room import Budget
from lamson.storage.service_clock import ServiceClock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy.engine import Connection

    from lamson.message.request import MailRequest
    from lamson.settings.model import Settings
    from lamson.settings.submission import Submission

BATCH_LIMIT = 256  # deliveries that share a commit on SQLite, at most
BATCH_LIMIT_SERVER = 16  # and on a database server, where other connections commit beside


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
        """``raise_errors``: a handler's exception reaches the caller (see lamson/testing.py).

        With ``check_database`` nothing is written to a database whose tables are not as they
        should be. ``on_stuck`` is called when a handler passed its deadline. ``time`` is what
        timers, schedules, tokens and dates go by, ``clock`` what the limits of answers do.
        """
        self._time = time
        self.project = project
        self.settings = settings
        self.hostname = settings.lmtp.hostname or socket.getfqdn()
        self.router = collect_routes(settings, clock=time)
        for route in self.router.unproven_actions:
            log.logger.warning("%s:%s: %s", route.file, route.line, unproven_action(route))
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
        self.outcomes: Outcomes | None = None
        self.tracking: Tracking | None = None
        if settings.database is not None:
            self.tracking = self._track(settings.submission, time)
        self.database: Database | None = None
        self.outbox: Outbox | None = None
        self.relay: Relay | None = None
        self.clock = clock or ServiceClock()
        self.lease_owners = LeaseOwners(project, settings.run_dir)
        self._housekeeping: Housekeeping | None = None
        self.errands: Errands | None = None
        self.task_errors: list[BaseException] = []
        """With ``raise_errors``: why tasks failed."""
        self.runner: Runner | None = None
        timers = Timers(self.router)
        self.schedules = Schedules(self.router)
        background = Background(self.router)
        if settings.database is None and (timers or self.schedules or background):
            raise SettingsError(
                "@timeout, @every and @background need a database to wait in", setting="database"
            )
        self._bell: Bell | None = None
        traffic = Traffic()
        if settings.database is not None:
            self.database = Database(
                settings.database,
                connections=settings.threads + 4,
                before_writing=self._check if check_database else None,
            )
            submission = settings.submission
            held = HeldRows(budget=Budget(submission.max_buffered))
            self.outbox = Outbox(
                self.database,
                self.lease_owners.name(os.getpid()),
                held,
                max_recipients=submission.max_recipients,
            )
            self.relay = Relay(
                self.outbox,
                self.undeliverable,
                lambda: Submitter(self._endpoint()),
                connections=submission.connections,
                max_age=submission.max_age,
                is_busy=traffic.is_busy,
                pace=Pace(self.database, submission.pace) if submission.pace else None,
            )
            self._bell = Bell(self.database, settings.run_dir, self.relay.wake)
            self._housekeeping = Housekeeping(
                self.database,
                self.clock,
                self.outbox,
                self.lease_owners,
                keep_threads=settings.mail_threads.keep_days * DAY,
            )
        is_sqlite = self.database is not None and self.database.is_sqlite
        self.spam: SpamBox | None = None
        self.panel: Panel | None = None
        if self.router.has_spam_filters:
            wanted = settings.spam
            queue = Maildir(settings.run_dir / "spam", quota=wanted.max_kept)
            self.spam = SpamBox(queue, days=wanted.days)
            judges = [judge_of(one, max_size=wanted.max_size) for one in wanted.judges]
            self.panel = Panel(judges, timeout=wanted.timeout)
        handlers = Handlers(
            self.router,
            hostname=self.hostname,
            templates=self.templates,
            undeliverable=self.undeliverable,
            answers=AnswerLimit(
                settings.answers.per_mailbox, settings.answers.per_domain, clock=self.clock
            ),
            is_ours=None if settings.submission.any_sender else self.domains.holds,
            proves=self._proves if self.witness is not None else None,
            mark=lambda recipient: self.notary.mark(recipient),
            room=Room(settings.signing.max_pending),
            finder=ThreadFinder(
                self.router,
                clock=self.clock,
                proves=self._proves if settings.authserv_id else None,
                keep_days=settings.mail_threads.keep_days,
            ),
            tracking=self.tracking,
            time=time,
            spam=self.spam,
            raise_errors=raise_errors,
        )
        self.transactions = Transactions(
            handlers,
            database=self.database,
            outbox=self.outbox,
            undeliverable=self.undeliverable,
            clock=self.clock,
            timers=timers or None,
            time=time,
            on_tasks=lambda: self.runner.poke() if self.runner is not None else None,
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
            self.errands = Errands(
                self.database,
                self.transactions,
                self._make_mailer,
                clock=time,
                deadline=settings.handler_deadline,
                on_failure=self.task_errors.append if raise_errors else lambda error: None,
            )
            self.errands.register(timing.KIND, timers.perform, locks=timers.locks)
            self.errands.register(
                scheduling.KIND, self.schedules.perform, failed=self.schedules.failed
            )
            self.errands.register_outside(later.KIND, background.perform)
            assert self.outcomes is not None
            self.errands.register(suppressed.TASK, self.outcomes.perform)
            self.runner = Runner(
                self.database,
                self.errands,
                self.dispatcher,
                limit=1 if is_sqlite else max(1, settings.threads // 2),
                clock=time,
                prepare=lambda connection: self.schedules.take_up(connection, time()),
                mend=self.schedules.mend,
            )

    def _track(self, submission: Submission, time: Callable[[], float]) -> Tracking:
        """Take what comes to bounce addresses; gives what makes them."""
        addresses = BounceAddresses(signer_of(self.settings, clock=time), clock=time)
        self.outcomes = outcomes = Outcomes(
            self.router,
            suppresses=submission.suppress == "hard",
            soft_limit=submission.soft_limit,
            soft_days=submission.soft_days,
            clock=time,
        )
        reports = Reports(addresses, outcomes, self.undeliverable, clock=time)
        self.router.reserve(BOUNCES, addresses.takes, reports.take)
        return Tracking(
            addresses,
            is_ours=self.domains.holds,
            domains=self.domains.listed,
            is_default=submission.track,
            notify=submission.notify,
            clock=time,
        )

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

    def _proves(self, message: MailRequest, domain: str) -> bool:
        assert self.settings.authserv_id is not None
        return results.proof(message, self.settings.authserv_id, domain) is not None

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
        if self._bell is not None:
            self._bell.start()
        if self._housekeeping is not None:
            self._housekeeping.start()

    async def stop(self, timeout: float) -> None:
        """Stop both; mail committed already is submitted for ``timeout`` seconds at most."""
        if self.runner is not None:
            self.runner.stop()
        self.dispatcher.stop()
        if self._housekeeping is not None:
            self._housekeeping.cancel()
        if self._bell is not None:
            await self._bell.stop()
        try:
            if self.relay is not None:
                await self.relay.drain(timeout)
        finally:
            if self._housekeeping is not None:
                await self._housekeeping.stop()
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
            tracking=self.tracking,
            purposes=self.router.purposes,
            clock=self._time,
        )

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
