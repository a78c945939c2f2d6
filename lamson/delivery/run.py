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

from lamson import failpoint, log, metrics, telemetry
from lamson.delivery.answer_limit import AnswerLimit
from lamson.delivery.context import TOO_MANY, Delivery, MailLoop
from lamson.delivery.conversations import Conversations
from lamson.delivery.forked import end_if_child
from lamson.delivery.hand import Hand
from lamson.delivery.job import Result
from lamson.delivery.keeping import keep
from lamson.delivery.redeeming import redeem
from lamson.delivery.signing import Desk
from lamson.errors import LamsonError
from lamson.message.witness import is_sender_proven
from lamson.routing.module import START
from lamson.smtp import address
from lamson.smtp.reply import LOCAL_ERROR, OK, UNPROVEN, SMTPError
from lamson.storage import failure, keys
from lamson.storage.failure import PrematureEnd, SharedTransactionError
from lamson.storage.pending import Room
from lamson.storage.state import StateKey

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy.engine import Connection

    from lamson.delivery.job import Job
    from lamson.delivery.spam.box import SpamBox
    from lamson.delivery.thread import Thread
    from lamson.delivery.thread_finder import ThreadFinder
    from lamson.delivery.tracking import Tracking
    from lamson.message.templates import Templates
    from lamson.routing.declaration import SpamFilter
    from lamson.routing.router import Match, Router
    from lamson.smtp.reply import Reply
    from lamson.storage.maildir import Maildir


_ROOM = 256 << 20  # octets, where nothing else is said
_NO_DATABASE = "{} needs a database: set `database` in the settings"


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
        mark: Callable[[str], str] | None = None,
        room: Room | None = None,
        tracking: Tracking | None = None,
        finder: ThreadFinder | None = None,
        spam: SpamBox | None = None,
        time: Callable[[], float] = time.time,
        raise_errors: bool = False,
    ) -> None:
        """``is_ours`` tells whether a domain is one of ours, None allows any envelope sender.

        ``mark`` makes the mark of what is forwarded from an address; ``room`` is for messages that
        wait for a token, ``tracking`` makes tracked mail, ``finder`` finds threads for handlers
        that ask, ``spam`` is where spam is kept, in an application that has mail judged. With
        ``raise_errors`` a handler's exception is raised: for tests. ``time`` gives seconds since
        the epoch.
        """
        self._router = router
        self._hostname = hostname
        self._templates = templates
        self._undeliverable = undeliverable
        self._answers = answers or AnswerLimit()
        self._is_ours = is_ours
        self._mark = mark
        self._room = room or Room(_ROOM)
        self._tracking = tracking
        self._finder = finder
        self._spam = spam
        self._time = time
        self._raise_errors = raise_errors

    def find_threads(self, connection: Connection | None, jobs: Sequence[Job]) -> None:
        """Find what `begin` and the handlers of ``jobs`` are asking for, a batch at a time."""
        if self._finder is not None:
            self._finder.find(connection, jobs)

    def write_threads(self, connection: Connection | None, results: Sequence[Result]) -> None:
        """Write what was said in them, in the transaction of ``results``."""
        if self._finder is not None:
            self._finder.write(connection, results)

    def begin(self, job: Job) -> Result:
        """A result with the keys of the states that the handlers of ``job`` depend on."""
        result = Result(job)
        process = os.getpid()
        try:
            result.matches = [match for match in job.matches if _is_proven_enough(job, match)]
            result.keys = keys = self._state_keys(result.matches, job)
            if job.resumes is not None:  # what was kept says for what the state is, not for whom
                same = (key for key in keys if key and key.module == job.resumes.module)
                job.resumes = next(same, job.resumes)
            end_if_child(process, job)
        except Exception as error:  # noqa: BLE001 - a user's function may raise anything
            end_if_child(process, job, error)
            self._fail(result, error)
        return result

    def run(
        self,
        result: Result,
        states: Mapping[StateKey, str],
        connection: Connection | None,
        load: Callable[[StateKey], str] = lambda key: START,
    ) -> None:
        """Run them, and complete the ``result``. ``states`` has the states of all its keys, and
        ``load`` gives that of another one.

        Raises PrematureEnd where the transaction is not ours any more.
        """
        desk = Desk(self._router.purposes, self._room, connection)
        run = Hand(result, connection, desk, load)
        process = os.getpid()
        began = time.perf_counter()
        try:
            self._run_all(run, states)
            end_if_child(process, run)
            if run.delivery is not None and connection is None:
                if run.delivery.outgoing:
                    raise LamsonError(_NO_DATABASE.format("sending mail"))
                if run.delivery.todo:
                    raise LamsonError(_NO_DATABASE.format("work after the commit"))
            run.commit()
            if not result.handled and not result.is_held:
                self._refuse_unhandled(result, states)
            if run.delivery is not None:
                run.delivery.end()
                result.outgoing, result.todo = run.delivery.outgoing, run.delivery.todo
                result.kept = run.desk.kept
            result.threads = list(run.threads.values())
            for thread in result.threads:
                thread.settle(result.outgoing)
        except BaseException as error:  # noqa: BLE001 - also SystemExit: the worker stays
            end_if_child(process, run, error)
            self._undo(run, error)
            self._fail(result, error, run)
        finally:
            if result.failed:
                self.take_back(result.job)
            run.end()
            result.seconds = time.perf_counter() - began
            if result.handled and len(result.matches) == 1:  # else each was timed
                metrics.observe_run(result.handled[0], result.seconds)
        if failpoint.ACTIVE:
            failpoint.reach(failpoint.AFTER_HANDLER)

    def _undo(self, run: Hand, error: BaseException) -> None:
        """Roll back what the handlers did; raises where that is not possible, or not enough."""
        try:
            run.undo(error)
        except PrematureEnd as end:
            if run.delivery is not None:
                run.result.claimed = run.delivery.claimed
            if self._raise_errors:
                raise SharedTransactionError from (end.__cause__ or error)
            job = run.result.job
            job.reply = LOCAL_ERROR  # its neighbours are not to pay for it
            log.logger.error(
                "%s: answered 451: %s ended the transaction that it shares",
                job,
                run,
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
            dropped = [row for row in result.outgoing if id(row) in excess]
            for row in dropped:
                if row.key:  # it was not sent: another time it may be
                    keys.free(connection, row.key)
            for _ in {row.message_id for row in dropped}:  # tracked mail is a row for each
                log.event(
                    "unanswered",
                    result.job.message.envelope.id,
                    recipient=result.job.message.recipient,
                    reason=TOO_MANY,
                )
            result.outgoing = kept

    def _state_keys(self, matches: Sequence[Match], job: Job) -> list[StateKey | None]:
        """One for each handler, None for one without states.

        Unless a module makes its keys of the message, all its states have the same.
        """
        keys: list[StateKey | None] = []
        shared: dict[str, StateKey] = {}
        for match in matches:
            module = match.handler.module
            if match.handler.is_stateless:
                keys.append(None)
            elif self._router.makes_state_keys(match.handler):
                keys.append(self._made_key(match, job))
            else:
                if module not in shared:
                    shared[module] = StateKey.make(module, job.message.author)
                keys.append(shared[module])
        return keys

    def _made_key(self, match: Match, job: Job) -> StateKey:
        message = job.message_for(match)
        if self._router.is_per_thread(match.handler):
            thread = self._thread(match, job)
            return StateKey.make(self._router.state_key(match, message, thread), "")
        return StateKey.make(self._router.state_key(match, message), message.author)

    def _thread(self, match: Match, job: Job) -> Thread | None:
        """The one that the handler of ``match`` is given, None where it does not ask."""
        if match.handler not in self._router.threaded:
            return None
        found = job.threads.get(match.handler.module)
        if found is None:
            raise LamsonError("a Thread needs a database: set `database` in the settings")
        return found

    def _run_all(self, run: Hand, states: Mapping[StateKey, str]) -> None:
        """Every handler without states, and of the others the first one that is in state."""
        result = run.result
        is_moved, held = False, ""
        for match, key in zip(result.matches, result.keys, strict=True):
            if key is None:
                run.match, run.key = match, None
                if self._held_by(result, match) is None:
                    self._call_timed(run, match)
            elif not is_moved and states[key] == match.handler.name:
                run.match, run.key = match, key
                result.state, result.moved_by = states[key], match
                returned: object
                if (filter := self._held_by(result, match)) is not None:
                    held, returned = f"{key.module} {states[key]}", filter.next_state
                else:
                    returned = self._call_timed(run, match)
                is_moved = True
                moved = self._router.next_state(match.handler, returned)
                if moved is None and key == result.job.resumes:
                    moved = states[key]  # where the handler stays is where it was put for this run
                if moved is not None:
                    result.moves = ((key, moved),)
        if result.is_held and self._spam is not None and result.job.opinion is not None:
            self._spam.keep(result.job, f"spam: {result.job.opinion.why}", held)

    @staticmethod
    def _held_by(result: Result, match: Match) -> SpamFilter | None:
        """What keeps spam from this handler; None where it runs."""
        opinion, filter = result.job.opinion, match.handler.spam_filter
        if filter is None or opinion is None or not opinion.is_spam:
            return None
        result.is_held = True
        return filter

    def _call_timed(self, run: Hand, match: Match) -> object:
        """`_call`, and tell how long it took where somebody wants to know.

        Of a handler that is the only one `run` knows it.
        """
        if len(run.result.matches) == 1 or not metrics.is_counting():
            return self._call(run, match)
        began = time.perf_counter()
        try:
            return self._call(run, match)
        finally:
            metrics.observe_run(match.handler.full_name, time.perf_counter() - began)

    def _call(self, run: Hand, match: Match) -> object:
        """Call one handler with what it asks for; gives what it returned."""
        handler, job = match.handler, run.result.job
        run.result.handled += (handler.full_name,)
        if match.redeems:
            run.result.spent += tuple([token.digest for token in match.redeems])
        session = run.session() if handler.needs_session else None
        message = job.message_for(match)
        captures = message.recipient.captures
        delivery: Delivery | None = None
        if handler.needs_conversations:
            run.delivery = run.delivery or self._delivery(job, run)
            conversations = Conversations(run, run.delivery)
            handler.call(message, captures, None, None, None, conversations)
            run.result.moves = tuple(conversations.moves.items())
            run.result.moved_in = conversations.module
            run.result.told = conversations.told
            return None
        thread = self._thread(match, job)
        if thread is not None:
            run.threads[thread.module] = thread
        if handler.needs_delivery:
            delivery = run.delivery = run.delivery or self._delivery(job, run)
            delivery.message, delivery.captures, delivery.thread = message, captures, thread
            run.desk.match = match
            delivery.module, delivery.state_key = handler.module, run.key
        if telemetry.ACTIVE:
            with telemetry.within(job.span, f"handle {handler.full_name}"):
                return handler.call(message, captures, delivery, session, thread=thread)
        return handler.call(message, captures, delivery, session, thread=thread)

    def redeem(self, connection: Connection | None, jobs: Sequence[Job]) -> Sequence[Job]:
        """Claim the tokens of ``jobs`` that count once; gives those that are to be run."""
        return redeem(connection, jobs, self._router, self._undeliverable)

    def _delivery(self, job: Job, run: Hand) -> Delivery:
        delivery = Delivery(
            job.message,
            digest=job.key.name if job.key is not None else None,
            hostname=self._hostname,
            templates=self._templates,
            answers=self._answers,
            is_ours=self._is_ours,
            mark=self._mark,
            desk=run.desk,
            tracking=self._tracking,
            connect=run.connect if run.has_database else None,
            clock=self._time,
        )
        job.answered = delivery.answered
        return delivery

    def _refuse_unhandled(self, result: Result, states: Mapping[StateKey, str]) -> None:
        """No handler wants the message: keep it, or refuse it when it was kept before.

        What is not proven, and has to be, is refused where the bounce goes to him who wrote: his
        envelope sender is proven. Any other bounce would be mail to whom a stranger named.
        """
        job = result.job
        known = ", ".join(sorted({states[key] for key in result.keys if key is not None}))
        reason = f"no handler takes it while {job.message.author} is in state {known}"
        unproven = [match for match in job.matches if match not in result.matches]
        if unproven:
            names = ", ".join(dict.fromkeys(match.handler.full_name for match in unproven))
            reason = f"nothing proves its author, and {names} wants proof"
        if job.is_again:
            raise SMTPError(550, "5.7.0", reason)
        if unproven and is_sender_proven(job.message):
            log.event("unproven", job.message.envelope.id, recipient=job.message.recipient)
            raise SMTPError(UNPROVEN.code, UNPROVEN.enhanced, UNPROVEN.text)
        keep(self._undeliverable, job, reason)

    def _fail(self, result: Result, error: BaseException, run: Hand | None = None) -> None:
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


def _is_proven_enough(job: Job, match: Match) -> bool:
    return not match.route.proven or job.message_for(match).proof is not None
