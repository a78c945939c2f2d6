"""Runs the handlers of one delivery, for the transaction that it is a part of.

What they do with their session stands in a savepoint, opened when the first of them needs it. So
one that fails disturbs no neighbour: what it wrote is rolled back, what it sent and where it moved
its author is not taken, and the result says 4xx or 5xx. Only where the transaction itself is gone,
because the connection broke or a handler ended it, this raises: then it is gone for all. The
handler that ended it has its reply by then; the others may be run again.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from sqlalchemy.exc import SAWarning, SQLAlchemyError

from lamson import failpoint, log
from lamson.delivery.answer_limit import AnswerLimit
from lamson.delivery.context import TOO_MANY, Delivery, MailLoop
from lamson.delivery.forked import end_if_child
from lamson.delivery.job import Result
from lamson.delivery.keeping import keep
from lamson.errors import LamsonError
from lamson.smtp import address
from lamson.smtp.reply import LOCAL_ERROR, OK, SMTPError
from lamson.storage import failure, guard, keys
from lamson.storage.failure import PrematureEnd, SharedTransactionError
from lamson.storage.state import StateKey

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy.engine import Connection

    from lamson.delivery.job import Job
    from lamson.delivery.session import HandlerSession
    from lamson.message.request import MailRequest
    from lamson.message.templates import Templates
    from lamson.routing.router import Match, Router
    from lamson.smtp.reply import Reply
    from lamson.storage.maildir import Maildir


class Handlers:
    """Knows how to run the handlers of a delivery; holds none itself. For all threads at once."""

    def __init__(
        self,
        router: Router,
        *,
        hostname: str,
        templates: Templates | None = None,
        undeliverable: Maildir | None = None,
        answers: AnswerLimit | None = None,
        is_ours: Callable[[str], bool] | None = None,
        proves: Callable[[MailRequest, str], bool] | None = None,
        mark: Callable[[str], str] | None = None,
        raise_errors: bool = False,
    ) -> None:
        """``is_ours`` tells whether a domain is one of ours, None allows any envelope sender.

        ``proves`` tells whether a message is proven to be from a domain, None where nothing is;
        ``mark`` makes the mark of what is forwarded from an address. With ``raise_errors`` a
        handler's exception is raised: for tests.
        """
        self._router = router
        self._hostname = hostname
        self._templates = templates
        self._undeliverable = undeliverable
        self._answers = answers or AnswerLimit()
        self._is_ours = is_ours
        self._proves = proves
        self._mark = mark
        self._raise_errors = raise_errors

    def begin(self, job: Job) -> Result:
        """A result with the keys of the states that the handlers of ``job`` depend on."""
        result = Result(job)
        process = os.getpid()
        try:
            result.keys = [self._state_key(match, job) for match in job.matches]
            end_if_child(process, str(job))
        except Exception as error:  # noqa: BLE001 - a user's function may raise anything
            end_if_child(process, str(job), error)
            self._fail(result, error)
        return result

    def run(
        self, result: Result, states: Mapping[StateKey, str], connection: Connection | None
    ) -> None:
        """Run them, and complete the ``result``. ``states`` has the states of all its keys.

        Raises PrematureEnd where the transaction is not ours any more.
        """
        run = _Run(result, connection)
        process = os.getpid()
        began = time.perf_counter()
        try:
            self._run_all(run, states)
            end_if_child(process, run.handler)
            if run.delivery is not None and run.delivery.outgoing and connection is None:
                raise LamsonError("sending mail needs a database: set `database` in the settings")
            if run.savepoint is not None:
                run.savepoint.commit()
            if run.delivery is not None:
                run.delivery.settle()
            if not result.handled:
                self._refuse_unhandled(result, states)
            if run.delivery is not None:
                run.delivery.end()
                result.outgoing = run.delivery.outgoing
        except BaseException as error:  # noqa: BLE001 - also SystemExit: the worker stays
            end_if_child(process, run.handler, error)
            self._undo(run, error)
            self._fail(result, error, run)
        finally:
            if result.failed:
                self.take_back(result.job)
            run.end()
            result.seconds = time.perf_counter() - began
        if failpoint.ACTIVE:
            failpoint.reach(failpoint.AFTER_HANDLER)

    def _undo(self, run: _Run, error: BaseException) -> None:
        """Roll back what the handlers did; raises where that is not possible, or not enough."""
        try:
            run.undo(error)
        except PrematureEnd as end:
            if self._raise_errors:
                raise SharedTransactionError from (end.__cause__ or error)
            job = run.result.job
            job.reply = LOCAL_ERROR  # its neighbours are not to pay for it
            log.logger.error(
                "%s: answered 451: %s ended the transaction that it shares",
                job,
                run.handler,
                exc_info=error,
            )
            raise

    def take_back(self, job: Job) -> None:
        """The limit of answers counts what was committed."""
        for answer in job.answered:
            self._answers.add(answer.caps, -1)
        job.answered = ()

    def count_answers(self, connection: Connection, results: Sequence[Result]) -> None:
        """Count the answers for all processes; those that were too many are not sent."""
        given = [answer for result in results for answer in result.job.answered]
        if not given:
            return
        excess = {id(row) for row in self._answers.settle(connection, given)}
        for result in results if excess else ():
            kept = [row for row in result.outgoing if id(row) not in excess]
            for row in result.outgoing:
                if row.key and id(row) in excess:  # it was not sent: another time it may be
                    keys.free(connection, row.key)
            for _ in range(len(result.outgoing) - len(kept)):
                log.event(
                    "unanswered",
                    result.job.message.envelope.id,
                    recipient=result.job.message.recipient,
                    reason=TOO_MANY,
                )
            result.outgoing = kept

    def _state_key(self, match: Match, job: Job) -> StateKey | None:
        if match.handler.is_stateless:
            return None
        message = job.message_for(match)
        return StateKey.make(self._router.state_key(match, message), message.author)

    def _run_all(self, run: _Run, states: Mapping[StateKey, str]) -> None:
        """Every handler without states, and of the others the first one that is in state."""
        result = run.result
        is_moved = False
        for match, key in zip(result.job.matches, result.keys, strict=True):
            if key is None:
                run.match, run.key = match, None
                self._call(run, match)
            elif not is_moved and states[key] == match.handler.name:
                run.match, run.key = match, key
                result.state = states[key]
                returned = self._call(run, match)
                is_moved = True
                moved = self._router.next_state(match.handler, returned)
                if moved is None and key == result.job.resumes:
                    moved = states[key]  # where the handler stays is where it was put for this run
                if moved is not None:
                    result.moves = ((key, moved),)

    def _call(self, run: _Run, match: Match) -> object:
        """Call one handler with what it asks for; gives what it returned."""
        handler, job = match.handler, run.result.job
        run.result.handled += (handler.full_name,)
        session = run.session() if handler.needs_session else None
        message = job.message_for(match)
        captures = message.recipient.captures
        delivery: Delivery | None = None
        if handler.needs_delivery:
            delivery = run.delivery = run.delivery or self._delivery(job, run)
            delivery.message, delivery.captures = message, captures
        return handler.call(message, captures, delivery, session)

    def _delivery(self, job: Job, run: _Run) -> Delivery:
        delivery = Delivery(
            job.message,
            digest=job.key.name if job.key is not None else None,
            hostname=self._hostname,
            templates=self._templates,
            answers=self._answers,
            is_ours=self._is_ours,
            proves=self._proves,
            mark=self._mark,
            connect=run.connect if run.has_database else None,
        )
        job.answered = delivery.answered
        return delivery

    def _refuse_unhandled(self, result: Result, states: Mapping[StateKey, str]) -> None:
        """No handler wants the message: keep it, or refuse it when it was kept before."""
        job = result.job
        known = ", ".join(sorted({states[key] for key in result.keys if key is not None}))
        reason = f"no handler takes it while {job.message.author} is in state {known}"
        if job.is_again:
            raise SMTPError(550, "5.7.0", reason)
        keep(self._undeliverable, job, reason)

    def _fail(self, result: Result, error: BaseException, run: _Run | None = None) -> None:
        """Say in ``result`` what an exception means: the reply, another attempt, state ERROR."""
        if isinstance(error, SMTPError) and run is not None:
            result.failed, result.reply = True, error.reply
            if isinstance(error, MailLoop) and not self._bounces_to_us(result.job):
                result.reply = self._keep_loop(result.job, error.reply.text)
            return
        if self._raise_errors:
            raise error
        result.failed = True
        result.reply = LOCAL_ERROR
        if failure.is_conflict(error):
            result.retry = True
        elif failure.is_outage(error):  # the handler did nothing wrong: Postfix asks again
            log.logger.error("%s: answered 451: %s", result.job, failure.brief(error))
        else:
            log.logger.error("%s: handler failed: %s", result.job, log.named(error), exc_info=error)
            if run is not None and self._has_error_state(run.match):
                result.error_state = run.key

    def _keep_loop(self, job: Job, reason: str) -> Reply:
        """Keep it; gives the reply, which is for now where that is not possible."""
        try:
            keep(self._undeliverable, job, reason)
        except SMTPError as error:
            return error.reply
        except LamsonError as error:
            log.logger.error("%s: answered 451: %s", job, error)
            return LOCAL_ERROR
        return OK

    def _bounces_to_us(self, job: Job) -> bool:
        """Whether a refusal comes back to the application, and to nobody else.

        Who was sent a marked message can send it here again, in the name of his victim. What has
        the null sender Postfix would throw away: it may be the bounce of a loop, with the only
        copy of a mail in it. What a person has run again is kept already, and bounces to nobody.
        """
        sender = job.message.sender
        if job.is_again:
            return True
        if sender == address.NULL_PATH:
            return False
        return self._is_ours is not None and self._is_ours(address.split(sender)[1])

    def _has_error_state(self, match: Match | None) -> bool:
        return match is not None and self._router.error_state(match.handler.module) is not None


class _Run:
    """What the handlers of one delivery have in hand while they run."""

    __slots__ = ("_connection", "delivery", "key", "match", "result", "savepoint")

    def __init__(self, result: Result, connection: Connection | None) -> None:
        self.result = result
        self.match: Match | None = None  # the one that runs: what it raises is its module's affair
        self.key: StateKey | None = None
        self.delivery: Delivery | None = None
        self.savepoint: _Savepoint | None = None
        self._connection = connection

    @property
    def handler(self) -> str:
        """The one that runs, or ran last, and where it stands: for the log."""
        if self.match is None:
            return str(self.result.job)
        handler = self.match.handler
        return f"{handler.full_name} ({handler.file}:{handler.line})"

    @property
    def has_database(self) -> bool:
        return self._connection is not None

    def connect(self) -> Connection:
        """The connection, for what is to be undone together with the handlers' own work."""
        self.session()
        assert self._connection is not None
        return self._connection

    def session(self) -> HandlerSession:
        """The session that all of them share."""
        if self.savepoint is None:
            self.savepoint = _Savepoint(self._connection)
        return self.savepoint.session

    def undo(self, error: BaseException) -> None:
        """Roll back to the savepoint. Raises where that is not possible, or not enough."""
        if self.savepoint is not None:
            self.savepoint.rollback(error)
        elif self._connection is not None and self._connection.invalidated:
            raise error  # the whole transaction is gone

    def end(self) -> None:
        """Whoever kept what it was given can do nothing with it from now on."""
        if self.delivery is not None:
            self.delivery.end()
        if self.savepoint is not None:
            self.savepoint.session.end()


class _Savepoint:
    """What one delivery's handlers do with their session, in a savepoint of its own."""

    __slots__ = ("_connection", "_driver", "_savepoint", "session")

    def __init__(self, connection: Connection | None) -> None:
        if connection is None:
            raise LamsonError("a Session needs a database: set `database` in the settings")
        # 6 MiB, which an application without one can do without.
        from lamson.delivery.session import HandlerSession

        self._connection = connection
        self._driver = guard.driver(connection)
        self._savepoint = connection.begin_nested()
        self.session = HandlerSession(connection)

    def commit(self) -> None:
        """Raises PrematureEnd where a handler ended the transaction and said nothing."""
        if not self._connection.invalidated:
            self._check_open()  # before anything else is written to it
        self.session.commit()
        self._savepoint.commit()
        guard.reset_options(self._connection)

    def rollback(self, error: BaseException) -> None:
        """Undo what was done in it, because of ``error``, which is raised where all is gone.

        Raises PrematureEnd where a handler ended the transaction, or the savepoint, and with it
        what could be undone.
        """
        if self._connection.invalidated and not self._driver.was_dropped:
            raise error
        self._check_open()
        try:
            self.session.rollback()
            is_whole = self._savepoint.is_active
            self._savepoint.rollback()
        except (SQLAlchemyError, SAWarning) as broken:
            if self._connection.invalidated:
                raise
            raise PrematureEnd from broken
        if not is_whole:
            raise PrematureEnd

    def _check_open(self) -> None:
        if not guard.is_open(self._connection):
            raise PrematureEnd
