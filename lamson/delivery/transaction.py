"""Runs a batch of deliveries in one transaction: what was seen, states, handlers, outbox rows.

The bookkeeping is a handful of statements for the whole batch. Each handler's own work stands in a
savepoint, opened when it first touches its session, so that one that fails disturbs no neighbour:
what it wrote is rolled back and its message is answered 4xx or 5xx, the others commit. Nothing is
answered here before the commit; a commit whose outcome is unknown raises, and the dispatcher
answers 451.
"""

from __future__ import annotations

import time
from collections import deque
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lamson import failpoint, log
from lamson.delivery.context import AnswerLimit, Delivery
from lamson.errors import LamsonError, UnavailableError
from lamson.message.request import MailRequest
from lamson.routing.module import ERROR
from lamson.smtp.envelope import Recipient
from lamson.smtp.reply import LOCAL_ERROR, OK, Reply, SMTPError
from lamson.storage import failure, seen
from lamson.storage.failure import PrematureEnd
from lamson.storage.state import MemoryStateStore, SqlStateStore, StateKey, StateStore
from lamson.storage.undeliverable import Kept, keep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sqlalchemy.engine import Connection

    from lamson.message.templates import Templates
    from lamson.routing.decorators import Match, Router
    from lamson.storage.database import Database
    from lamson.storage.maildir import Maildir
    from lamson.storage.outbox import Outbox, Outgoing


@dataclass(slots=True, eq=False)
class Job:
    """One recipient of one message. ``key`` is its digest, None where nothing identifies it."""

    message: MailRequest
    matches: Sequence[Match]
    key: bytes | None
    done: Callable[[int, Reply], None] = lambda index, reply: None
    indexes: list[int] = field(default_factory=list)  # among the recipients of the message
    started: float = 0.0
    crash_key: bytes = b""  # what a crash is counted against; `key` where there is one
    is_again: bool = False  # asked for by a person: an author's state does not change on failure
    deaths: int = 0  # of workers that had this delivery under way
    answered: Sequence[str] = ()  # whom its automatic answers go to
    reply: Reply | None = None


@dataclass(slots=True)
class _Result:
    """What handling one job came to, before it is committed."""

    job: Job
    reply: Reply = OK
    outgoing: Sequence[Outgoing] = ()
    moves: tuple[tuple[StateKey, str], ...] = ()  # where to put the author; one at most
    handled: tuple[str, ...] = ()
    state: str = ""  # in which the author's state function ran
    seconds: float = 0.0
    failed: bool = False
    error_state: StateKey | None = None  # where to put the author, if the module has ERROR
    retry: bool = False


class _Work:
    """What one delivery's handlers do with their session, in a savepoint of its own.

    The session has a second one within, so that what a handler commits itself (``db.commit()``) is
    undone with the rest when it fails later.
    """

    __slots__ = ("_savepoint", "session")

    def __init__(self, connection: Connection | None) -> None:
        if connection is None:
            raise LamsonError("a Session needs a database: set `database` in the settings")
        from sqlalchemy.orm import Session  # 6 MiB, which an application without one can do without

        self._savepoint = connection.begin_nested()
        self.session = Session(connection, join_transaction_mode="create_savepoint")

    def commit(self) -> None:
        self.session.commit()
        self._savepoint.commit()

    def rollback(self) -> None:
        self.session.rollback()
        self._savepoint.rollback()


class Batcher:
    """Knows how to run jobs; holds no job itself. Used by all threads of the dispatcher at once."""

    def __init__(
        self,
        router: Router,
        *,
        hostname: str,
        database: Database | None = None,
        outbox: Outbox | None = None,
        templates: Templates | None = None,
        undeliverable: Maildir | None = None,
        suppress_seen: bool = True,
        raise_errors: bool = False,
        is_ours: Callable[[str], bool] | None = None,
    ) -> None:
        """Without ``suppress_seen`` nothing counts as handled before: for proofs that it matters.

        ``is_ours`` tells whether a domain is one of ours, None allows any envelope sender.
        With ``raise_errors`` a handler's exception is raised by `run`: for tests.
        """
        self._router = router
        self._database = database
        self._outbox = outbox
        self._templates = templates
        self._hostname = hostname
        self._undeliverable = undeliverable
        self._suppress_seen = suppress_seen
        self._raise_errors = raise_errors
        self._is_ours = is_ours
        self.clock: Callable[[], float] = time.monotonic  # the service clock, where there is one
        self.doubtful: deque[int] = deque()
        """Rows of the outbox whose transaction failed, perhaps after it was committed."""
        self._answers = AnswerLimit()
        self._memory = MemoryStateStore()
        self._in_nothing = nullcontext((None, self._memory))

    def run(self, jobs: Sequence[Job], record: Callable[[Job, float], None]) -> list[Outgoing]:
        """Handle ``jobs``: commit, set the reply of each, give the mail that may now be submitted.

        ``record`` is told how long the handlers of each job took, in seconds. A job left without a
        reply was undone by a conflict and may be run again, alone. Raises SQLAlchemy's exceptions
        when the database failed; then nothing was committed, or it is not known.
        """
        outgoing: list[Outgoing] = []
        forgotten: list[int] = []
        is_committed = False
        try:
            with self._transaction(jobs) as (connection, store):
                if failpoint.ACTIVE:
                    failpoint.reach(failpoint.AFTER_BEGIN)
                fresh = self._claim(connection, jobs)
                results = self._handle_all(fresh, connection, store)
                outgoing = self._write(results, connection, store)
                if self._outbox is not None and connection is not None:
                    forgotten = self._outbox.take_forgotten()
                    self._outbox.delete_rows(connection, forgotten)
                if failpoint.ACTIVE:
                    failpoint.reach(failpoint.BEFORE_COMMIT)
            is_committed = True
        except Exception:
            self.doubtful.extend(row.id for row in outgoing)
            for job in jobs:
                self._take_back(job)
            raise
        finally:
            if self._outbox is not None:
                self._outbox.deleted(forgotten, is_committed=is_committed)
        if failpoint.ACTIVE:
            failpoint.reach(failpoint.AFTER_COMMIT)
        for result in results:
            record(result.job, result.seconds)
            try:
                self._settle(result)
            except Exception as error:  # noqa: BLE001 - Postfix asks again
                message = result.job.message
                log.logger.error(
                    "id=%s recipient=%s: answered 451: %s",
                    message.envelope.id,
                    message.recipient,
                    failure.brief(error),
                    exc_info=None if failure.is_outage(error) else error,
                )
                result.job.reply = LOCAL_ERROR
        return outgoing

    def give_up(self, job: Job) -> None:
        """Keep a message whose handling kills workers, and answer 250, without running it."""
        reason = f"its handling ended {job.deaths} worker processes"
        message = job.message
        log.logger.error(
            "id=%s recipient=%s: not handled, kept: %s",
            message.envelope.id,
            message.recipient,
            reason,
        )
        with self._transaction([job]) as (connection, _):
            if self._claim(connection, [job]):
                self._keep(message, reason)  # here: not once for each attempt without a database
        job.reply = OK

    def _transaction(
        self, jobs: Sequence[Job]
    ) -> AbstractContextManager[tuple[Connection | None, StateStore]]:
        if self._database is not None:
            return self._in_database(self._database)
        for job in jobs:
            for match in job.matches:
                if not match.handler.is_stateless:
                    return self._in_memory()
        return self._in_nothing

    @staticmethod
    @contextmanager
    def _in_database(database: Database) -> Iterator[tuple[Connection | None, StateStore]]:
        with database.begin() as connection:
            yield connection, SqlStateStore(connection)

    @contextmanager
    def _in_memory(self) -> Iterator[tuple[Connection | None, StateStore]]:
        with self._memory.lock:
            yield None, self._memory

    def _claim(self, connection: Connection | None, jobs: Sequence[Job]) -> Sequence[Job]:
        """The jobs that were not handled before; the others are answered 250."""
        keys = [job.key for job in jobs if job.key is not None] if connection is not None else []
        if connection is None or not keys:
            return jobs
        new = seen.claim(connection, keys, self.clock())
        if failpoint.ACTIVE:
            failpoint.reach(failpoint.AFTER_SEEN)
        fresh = []
        for job in jobs:
            if job.key is None or job.key in new or not self._suppress_seen:
                fresh.append(job)
            else:
                job.reply = OK
                message = job.message
                log.event("duplicate", message.envelope.id, recipient=message.recipient)
        return fresh

    def _handle_all(
        self, jobs: Sequence[Job], connection: Connection | None, store: StateStore
    ) -> list[_Result]:
        results = [_Result(job) for job in jobs]
        keys: list[list[StateKey | None]] = []
        for result in results:
            try:
                keys.append([self._state_key(match, result.job) for match in result.job.matches])
            except Exception as error:  # noqa: BLE001 - a user's function may raise anything
                keys.append([])
                self._fail(result, error)
        wanted = {key for own in keys for key in own if key is not None}
        states = store.load(wanted) if wanted else {}
        for result, own in zip(results, keys, strict=True):
            if not result.failed:
                self._handle(result, own, states, connection)
                if result.moves and not result.failed:
                    states.update(result.moves)
        return results

    def _handle(
        self,
        result: _Result,
        keys: Sequence[StateKey | None],
        states: dict[StateKey, str],
        connection: Connection | None,
    ) -> None:
        job = result.job
        delivery: Delivery | None = None
        work: _Work | None = None
        match: Match | None = None  # the one that runs: what it raises is its module's affair
        key: StateKey | None = None
        began = time.perf_counter()
        try:
            is_moved = False
            for candidate, own in zip(job.matches, keys, strict=True):
                handler = candidate.handler
                if own is not None and (is_moved or states[own] != handler.name):
                    continue
                match, key = candidate, own
                if key is not None:
                    result.state = states[key]
                result.handled += (handler.full_name,)
                if handler.needs_session and work is None:
                    work = _Work(connection)
                message = self._matched(job, match)
                captures = message.recipient.captures
                if handler.needs_delivery:
                    delivery = delivery or self._delivery(job)
                    delivery.message, delivery.captures = message, captures
                session = work.session if work is not None else None
                returned = handler.call(message, captures, delivery, session)
                if key is not None:
                    is_moved = True
                    moved = self._router.next_state(handler, returned)
                    if moved is not None:
                        result.moves = ((key, moved),)
            if delivery is not None and delivery.outgoing and self._outbox is None:
                raise LamsonError("sending mail needs a database: set `database` in the settings")
            if work is not None:
                work.commit()
            if not result.handled:
                self._refuse_unhandled(job, states, keys)
            result.outgoing = delivery.outgoing if delivery is not None else ()
        except BaseException as error:  # also SystemExit: the worker stays
            is_gone = connection is not None and connection.invalidated
            if connection is not None and not is_gone and not connection.in_transaction():
                raise PrematureEnd from error
            if work is not None:
                work.rollback()
            if is_gone:
                raise  # the whole transaction is
            if isinstance(error, SMTPError):
                result.failed, result.reply = True, error.reply
            else:
                self._fail(result, error, key, match)
        finally:
            if result.failed:
                self._take_back(job)
            if work is not None:
                work.session.close()
            result.seconds = time.perf_counter() - began
        if failpoint.ACTIVE:
            failpoint.reach(failpoint.AFTER_HANDLER)

    def _delivery(self, job: Job) -> Delivery:
        delivery = Delivery(
            job.message,
            digest=job.key,
            hostname=self._hostname,
            templates=self._templates,
            answers=self._answers,
            is_ours=self._is_ours,
        )
        job.answered = delivery.answered
        return delivery

    def _take_back(self, job: Job) -> None:
        """The limit of answers counts what was committed."""
        for correspondent in job.answered:
            self._answers.take_back(correspondent)
        job.answered = ()

    def _write(
        self, results: Sequence[_Result], connection: Connection | None, store: StateStore
    ) -> list[Outgoing]:
        states: dict[StateKey, str] = {}
        outgoing: list[Outgoing] = []
        failed: list[bytes] = []
        for result in results:
            if result.failed:
                if result.job.key is not None:
                    failed.append(result.job.key)
                continue
            if result.moves:
                states.update(result.moves)
            if result.outgoing:
                outgoing += result.outgoing
        store.save(states)
        if connection is not None:
            seen.forget(connection, failed)
        if connection is None or self._outbox is None or not outgoing:
            return []
        return self._outbox.insert(connection, outgoing)

    def _settle(self, result: _Result) -> None:
        """After the commit: log, and set the reply."""
        job, message = result.job, result.job.message
        if result.retry:
            return
        if result.error_state is not None and not job.is_again:
            self._enter_error_state(job, result.error_state, result.state)
            result.reply = OK
        job.reply = result.reply
        log.event(
            "handled" if result.handled and not result.failed else "failed",
            message.envelope.id,
            recipient=message.recipient.address,
            handler=",".join(result.handled) if result.handled else None,
            state=result.state or None,
            next=result.moves[0][1] if result.moves else None,
            sent=len(result.outgoing) or None,
            ms=f"{result.seconds * 1000:.1f}",
        )

    def _refuse_unhandled(
        self, job: Job, states: Mapping[StateKey, str], keys: Sequence[StateKey | None]
    ) -> None:
        """No handler wants the message: keep it, or refuse it when it was kept before."""
        known = ", ".join(sorted({states[key] for key in keys if key is not None}))
        reason = f"no handler takes it while {job.message.author} is in state {known}"
        if job.is_again:
            raise SMTPError(550, "5.7.0", reason)
        self._keep(job.message, reason)

    def _enter_error_state(self, job: Job, state_key: StateKey, state: str) -> None:
        """Keep the message, and move its author to ERROR in a fresh transaction."""
        reason = "its handler raised an exception; see the log"
        with self._transaction([job]) as (connection, store):
            if self._claim(connection, [job]):
                self._keep(job.message, reason, f"{state_key.module} {state}")
                store.save({state_key: ERROR})

    def _fail(
        self,
        result: _Result,
        error: BaseException,
        key: StateKey | None = None,
        match: Match | None = None,
    ) -> None:
        if self._raise_errors:
            raise error
        result.failed = True
        result.reply = LOCAL_ERROR
        if failure.is_conflict(error):
            result.retry = True
            return
        message = result.job.message
        name = f"id={message.envelope.id} recipient={message.recipient}"
        if failure.is_outage(error):  # the handler did nothing wrong: Postfix asks again
            log.logger.error("%s: answered 451: %s", name, failure.brief(error))
            return
        log.logger.error("%s: handler failed: %r", name, error, exc_info=error)
        if match is not None and self._router.error_state(match.handler.module) is not None:
            result.error_state = key

    def _keep(self, message: MailRequest, reason: str, state: str = "") -> None:
        if self._undeliverable is None:
            raise LamsonError(f"nowhere to keep a message: {reason}")
        envelope, recipient = message.envelope, message.recipient.address
        entry = Kept(message.raw, reason, envelope.sender, recipient, envelope.id, state)
        try:
            key = keep(self._undeliverable, entry)
        except OSError as error:
            where = self._undeliverable.path
            raise UnavailableError(f"{where} cannot be written: {error.strerror}") from error
        log.event("kept", envelope.id, recipient=recipient, reason=reason, key=key)

    def _state_key(self, match: Match, job: Job) -> StateKey | None:
        if match.handler.is_stateless:
            return None
        message = self._matched(job, match)
        return StateKey.make(self._router.state_key(match, message), message.author)

    @staticmethod
    def _matched(job: Job, match: Match) -> MailRequest:
        """The message as the handler of ``match`` sees it: with that route's captures."""
        message = job.message
        # A copy, as the match stands for every message to this address.
        recipient = Recipient(message.recipient.address, dict(match.captures))
        return MailRequest(message.content, message.envelope, recipient)
