"""Runs a batch of deliveries in one transaction: what was seen, states, handlers, outbox rows.

The bookkeeping is a handful of statements for the whole batch; the handlers of each delivery stand
in a savepoint of their own (see lamson/delivery/run.py), so that one that fails disturbs no
neighbour. Nothing is answered here before the commit; a commit whose outcome is unknown raises, and
the dispatcher answers 451.
"""

from __future__ import annotations

import time
from collections import deque
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lamson import failpoint, log, metrics
from lamson.delivery.claims import Claims
from lamson.delivery.job import Result
from lamson.delivery.journaling import outcome_of
from lamson.delivery.keeping import keep
from lamson.delivery.timers import Entry
from lamson.routing.module import ERROR
from lamson.smtp.reply import LOCAL_ERROR, OK, SMTPError
from lamson.storage import failure, keys, pending, redeemed, seen, tasks
from lamson.storage.failure import AlteredConnection, PrematureEnd
from lamson.storage.state import MemoryStateStore, SqlStateStore, StateKey, StateStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sqlalchemy.engine import Connection

    from lamson.delivery.errand import Errand
    from lamson.delivery.job import Job
    from lamson.delivery.journaling import Journaling
    from lamson.delivery.run import Handlers
    from lamson.delivery.timers import Timers
    from lamson.storage.database import Database
    from lamson.storage.maildir import Maildir
    from lamson.storage.outbox import Outbox
    from lamson.storage.outgoing import Outgoing


@dataclass(slots=True)
class _UnderWay:
    """How far a batch has come: the deliveries that were claimed, and those that were handled."""

    begun: list[Result] = field(default_factory=list)
    done: list[Result] = field(default_factory=list)
    conversations: set[str] = field(default_factory=set)
    """In which mail was made that `Transactions.outgoing` has not told of (see Untold)."""
    has_tasks: bool = False


def _keys(results: Sequence[Result]) -> set[StateKey]:
    return {key for result in results for key in result.keys if key is not None}


def _resumed(result: Result, states: Mapping[StateKey, str]) -> Mapping[StateKey, str]:
    """``states``, with that in which a person wants the handler to be run again."""
    key = result.job.resumes
    return {**states, key: result.job.resume_in} if key in result.keys and key else states


class Transactions:
    """Knows how to run jobs; holds no job itself. Used by all threads of the dispatcher at once."""

    def __init__(
        self,
        handlers: Handlers,
        *,
        database: Database | None = None,
        outbox: Outbox | None = None,
        undeliverable: Maildir | None = None,
        clock: Callable[[], float] = time.monotonic,
        timers: Timers | None = None,
        time: Callable[[], float] = time.time,
        on_tasks: Callable[[], None] = lambda: None,
        journal: Journaling | None = None,
    ) -> None:
        """``clock`` is the service clock. Where there is a database and handlers send, an outbox
        has to be there too. ``timers`` are those of the states, None where no state has any;
        ``time`` is what they are counted by, in seconds since the epoch. ``on_tasks`` is called
        when work was committed that can be done now. ``journal`` writes what came, where that is
        kept; it needs an outbox too.
        """
        self._handlers = handlers
        self._database = database
        self._outbox = outbox
        self._undeliverable = undeliverable
        self._timers = timers
        self._time = time
        self._on_tasks = on_tasks
        self._journal = journal
        self.outgoing: deque[Outgoing] = deque()
        """Mail that was committed; the relay takes it over, in this order."""
        self.doubtful: deque[Outgoing] = deque()
        """Rows of the outbox whose transaction failed, perhaps after it was committed."""
        self._claims = Claims(clock)
        self._memory = MemoryStateStore()
        self._in_nothing = nullcontext((None, self._memory))
        self._nothing_to_delete = nullcontext(lambda connection: None)

    def run(self, jobs: Sequence[Job], record: Callable[[Job, float], None]) -> None:
        """Handle ``jobs``: commit, tell of the mail that may now be submitted, set each reply.

        ``record`` is told how long the handlers of each job took, in seconds. A job left without a
        reply was undone, by a conflict or by a neighbour that ended the transaction, and may be run
        again, alone. Raises SQLAlchemy's exceptions when the database failed; then nothing was
        committed, or it is not known.
        """
        under_way = _UnderWay()
        if self._database is not None:
            metrics.count("batches")
        try:
            results = self._commit(jobs, under_way)
        finally:
            self._tell(under_way)
        if failpoint.ACTIVE:
            failpoint.reach(failpoint.AFTER_COMMIT)
        for result in results:
            record(result.job, result.seconds)
            try:
                self._settle(result)
            except SMTPError as error:  # what it is to be kept in is full, and has told so
                result.job.reply = error.reply
            except Exception as error:  # noqa: BLE001 - Postfix asks again
                log.logger.error(
                    "%s: answered 451: %s",
                    result.job,
                    failure.brief(error),
                    exc_info=None if failure.is_outage(error) else error,
                )
                result.job.reply = LOCAL_ERROR

    def _commit(self, jobs: Sequence[Job], under_way: _UnderWay) -> list[Result]:
        """Run ``jobs`` up to the commit, and put what they send where the relay hears of it."""
        outgoing: list[Outgoing] = []
        results: list[Result] = []
        try:
            with self._deleting() as delete, self._transaction(jobs) as (connection, store):
                if failpoint.ACTIVE:
                    failpoint.reach(failpoint.AFTER_BEGIN)
                fresh = self._handlers.redeem(connection, self._claims.of(connection, jobs))
                results = self._handle_all(fresh, connection, store, under_way)
                if connection is not None:  # first: what is written may take its place
                    delete(connection)
                outgoing = self._write(results, connection, store, under_way)
                if failpoint.ACTIVE:
                    failpoint.reach(failpoint.BEFORE_COMMIT)
        except AlteredConnection as altered:
            self._undone(jobs, outgoing)
            if len(jobs) == 1 and altered.__cause__ is not None:
                raise altered.__cause__ from altered
            return []
        except PrematureEnd:
            self._tell(under_way)
            results, outgoing = self._complete(under_way)
        except Exception:
            self._undone(jobs, outgoing)
            raise
        self.outgoing.extend(outgoing)
        if under_way.has_tasks:
            self._on_tasks()
        return results

    def _tell(self, under_way: _UnderWay) -> None:
        """What was made is in `outgoing`, or in doubt, or not there: others may go on."""
        if under_way.conversations and self._outbox is not None:
            self._outbox.untold.end(under_way.conversations)
            under_way.conversations = set()

    def _undone(self, jobs: Sequence[Job], outgoing: Sequence[Outgoing]) -> None:
        self.doubtful.extend(outgoing)
        for job in jobs:
            self._handlers.take_back(job)

    def _complete(self, under_way: _UnderWay) -> tuple[list[Result], list[Outgoing]]:
        """After a handler ended the transaction: complete what it committed, if it did.

        Then all claims were committed with it, so one of them tells, and the effects of all that
        are done: these are given their states and mail now, and the claims of the others are taken
        back. Else nothing is there, and nothing is done.
        """
        done: list[Result] = []
        outgoing: list[Outgoing] = []
        jobs = [result.job for result in under_way.begun]
        known = [job.key for job in jobs if job.key is not None]
        try:
            with self._transaction(jobs) as (connection, store):
                if connection is not None and known and seen.is_claimed(connection, known[0]):
                    done = under_way.done
                    store.load(_keys(under_way.begun))
                    finished = {result.job for result in done}
                    others = [job for job in jobs if job not in finished]
                    seen.forget(connection, [entry for job in others for entry in job.entries])
                    redeemed.forget(connection, [one for job in others for one in job.redeems])
                    for claimed in [one for result in under_way.begun for one in result.claimed]:
                        keys.free(connection, claimed)
                    outgoing = self._write(done, connection, store, under_way)
        except Exception:
            self._undone(jobs, outgoing)
            raise
        completed = {result.job for result in done}
        self._undone([job for job in jobs if job not in completed], ())
        return done, outgoing

    def run_errand(self, work: Callable[[Connection, StateStore], Sequence[Outgoing]]) -> None:
        """Run ``work`` in a transaction of its own: commit, and tell of the mail that it gives.

        For what no message asked for. ``work`` saves the states itself (see `settle`). Raises what
        it raises, and SQLAlchemy's exceptions; nothing was committed then, or it is not known.
        """
        assert self._database is not None
        under_way = _UnderWay()
        outgoing: list[Outgoing] = []
        try:
            with (
                self._deleting() as delete,
                self._in_database(self._database) as (connection, store),
            ):
                made = list(work(connection, store))
                delete(connection)
                outgoing = self._insert(connection, made, under_way)
                if failpoint.ACTIVE:
                    failpoint.reach(failpoint.BEFORE_COMMIT)
            self.outgoing.extend(outgoing)
        except BaseException:
            self.doubtful.extend(outgoing)
            raise
        finally:
            self._tell(under_way)
        if failpoint.ACTIVE:
            failpoint.reach(failpoint.AFTER_COMMIT)

    def settle(self, connection: Connection, store: StateStore, errands: Sequence[Errand]) -> None:
        """Save the states that were entered, with their timers, and what is to be done later."""
        entries = [entry for errand in errands for entry in errand.entries]
        store.save({entry.key: entry.state for entry in entries})
        if self._timers is not None and entries:
            self._timers.note(connection, entries, errands[-1].now)
        tasks.put(connection, [task for errand in errands for task in errand.again])
        tasks.add(connection, [task for errand in errands for task in errand.todo])

    def give_up(self, job: Job) -> None:
        """Keep a message whose handling kills workers, and answer 250, without running it."""
        reason = f"its handling ended {job.deaths} worker processes"
        log.logger.error("%s: not handled, kept: %s", job, reason)
        try:
            with self._transaction([job]) as (connection, _):
                if self._claims.of(connection, [job]):
                    # Here, so that without a database it is not kept once for each attempt.
                    keep(self._undeliverable, job, reason)
                    self._note_kept(connection, Result(job), reason)
            job.reply = OK
        except SMTPError as error:
            job.reply = error.reply

    def _deleting(self) -> AbstractContextManager[Callable[[Connection], None]]:
        """What Postfix took is deleted along with other work."""
        return self._nothing_to_delete if self._outbox is None else self._outbox.deleting()

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
    def _in_database(database: Database) -> Iterator[tuple[Connection, StateStore]]:
        with database.begin_shared() as connection:
            yield connection, SqlStateStore(connection)

    @contextmanager
    def _in_memory(self) -> Iterator[tuple[Connection | None, StateStore]]:
        with self._memory.lock:
            yield None, self._memory

    def _handle_all(
        self,
        jobs: Sequence[Job],
        connection: Connection | None,
        store: StateStore,
        under_way: _UnderWay,
    ) -> list[Result]:
        """Run the handlers of ``jobs``. ``under_way`` knows how far that came, if it raises."""
        self._handlers.find_threads(connection, jobs)
        results = under_way.begun = [self._handlers.begin(job) for job in jobs]
        wanted = _keys(results)
        states = store.load(wanted) if wanted else {}

        def load(key: StateKey) -> str:
            """That of a conversation of another than the author."""
            return states[key] if key in states else store.load([key])[key]

        for result in results:
            if not result.failed:
                self._handlers.run(result, _resumed(result, states), connection, load)
                if result.moves and not result.failed:
                    states.update(result.moves)
            under_way.done.append(result)
        return results

    def _write(
        self,
        results: Sequence[Result],
        connection: Connection | None,
        store: StateStore,
        under_way: _UnderWay,
    ) -> list[Outgoing]:
        if connection is not None:
            self._handlers.count_answers(connection, results)
        self._handlers.write_threads(connection, results)
        states: dict[StateKey, str] = {}
        outgoing: list[Outgoing] = []
        failed: list[bytes] = []
        unused: list[bytes] = []
        for result in results:
            if result.failed:
                failed += result.job.entries
                unused += result.job.redeems
                continue
            if result.job.redeems:
                unused += set(result.job.redeems).difference(result.spent)
            if result.moves:
                states.update(result.moves)
            if result.outgoing:
                outgoing += result.outgoing
        store.save(states)
        if connection is None:
            return []
        seen.forget(connection, failed)
        redeemed.forget(connection, unused)
        done = [result for result in results if not result.failed]
        pending.keep(connection, [one for result in done for one in result.kept])
        pending.forget(connection, [one for result in done for one in result.spent])
        if self._timers is not None and states:
            self._timers.note(connection, _entries(results), self._time())
        todo = [task for result in done for task in result.todo]
        tasks.add(connection, todo)
        under_way.has_tasks = bool(todo)
        if self._journal is None or self._outbox is None:
            return self._insert(connection, outgoing, under_way)
        first_id = self._outbox.new_ids(len(results))  # before those of what came of it
        mine = self._insert(connection, outgoing, under_way)
        self._journal.write(connection, results, first_id)
        return mine

    def _insert(
        self, connection: Connection, outgoing: list[Outgoing], under_way: _UnderWay
    ) -> list[Outgoing]:
        """Put mail into the outbox; gives what the relay may take as soon as it is committed."""
        if not outgoing:
            return []
        assert self._outbox is not None
        outgoing = self._outbox.split(outgoing)
        names = {row.conversation for row in outgoing}
        under_way.conversations = self._outbox.untold.begin(names)
        return self._outbox.insert(connection, outgoing, names - under_way.conversations)

    def _settle(self, result: Result) -> None:
        """After the commit: log, and set the reply."""
        job, message = result.job, result.job.message
        if result.retry:
            return
        if result.error_state is not None and not job.is_again:
            self._enter_error_state(job, result)
            result.reply = OK
        job.reply = result.reply
        log.event(
            outcome_of(result),
            message.envelope.id,
            recipient=message.recipient.address,
            handler=",".join(result.handled) if result.handled else None,
            state=result.state or None,
            next=result.moves[0][1] if result.moves else None,
            sent=len(result.outgoing) or None,
            ms=f"{result.seconds * 1000:.1f}",
        )

    def _note_kept(self, connection: Connection | None, result: Result, reason: str) -> None:
        if self._journal is not None and self._outbox is not None and connection is not None:
            self._journal.kept(connection, result, self._outbox.new_ids(1), reason)

    def _enter_error_state(self, job: Job, result: Result) -> None:
        """Keep the message, and move its author to ERROR in a fresh transaction."""
        reason = "its handler raised an exception; see the log"
        key, match = result.error_state, result.moved_by
        assert key is not None
        assert match is not None
        with self._transaction([job]) as (connection, store):
            if self._claims.of(connection, [job]):
                keep(self._undeliverable, job, reason, f"{key.module} {result.state}")
                self._note_kept(connection, result, reason)
                if job.is_of_new_thread(key):  # which is not kept: nobody comes back
                    return
                store.save({key: ERROR})
                if self._timers is not None and connection is not None:
                    entry = Entry(key, ERROR, match.handler.module, match.captures)
                    self._timers.note(connection, [entry], self._time())


def _entries(results: Sequence[Result]) -> list[Entry]:
    """Who entered which state, in order."""
    found = []
    for result in results:
        by = result.moved_by
        module = result.moved_in if by is None else by.handler.module
        for key, state in () if result.failed else result.moves:
            found.append(Entry(key, state, module, {} if by is None else by.captures))
    return found
