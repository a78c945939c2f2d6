"""Errands: does tasks, each in the transaction that takes it from the table.

For the runner, which finds tasks that are due, and for commands and tests that have one done. Two
who try the same task do it once: one of them finds it gone. A task that fails is rolled back, and
waits again: five seconds, then twice as long each time, up to an hour. One that killed five workers
is put aside, with the reason, for a person to look at. Several tasks may share a transaction (see
lamson/delivery/errand_batch.py): none of them is a neighbour's worry.

What makes calls to the world is done outside of a transaction: it is leased meanwhile, done at
least once, and put aside when it has failed too often.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from lamson import failpoint, log
from lamson.delivery import spans
from lamson.delivery.errand import Errand
from lamson.delivery.errand_batch import ErrandBatch
from lamson.delivery.forked import end_if_child
from lamson.delivery.gone import NoSuchFunction
from lamson.delivery.task_leases import TaskLeases
from lamson.storage import failure, tasks
from lamson.storage.failure import AlteredConnection, PrematureEnd
from lamson.storage.suspects import TOO_OFTEN

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from sqlalchemy.engine import Connection

    from lamson.delivery.errand import MakeMailer
    from lamson.delivery.transaction import Transactions
    from lamson.storage.database import Database
    from lamson.storage.outgoing import Outgoing
    from lamson.storage.state import StateKey, StateStore
    from lamson.storage.tasks import Task

FIRST_PAUSE, LONGEST_PAUSE = 5.0, 3600.0  # seconds between two attempts
CONFLICTS = 3  # attempts at once, where others' transactions were in the way
UNKNOWN = 5  # attempts at a task whose function is not there, before it is dropped
ENOUGH = 20  # attempts outside of a transaction: some twelve hours
LEASE_MARGIN = 10.0  # seconds beyond the deadline of a handler


class Fate(Enum):
    """What became of a task that was looked at."""

    DONE = "done"
    GONE = "somebody does it, or did"
    PUT_OFF = "it failed, and waits"
    DUE = "it is due still: nothing could be written"


@dataclass(frozen=True, slots=True)
class Failed:
    """How an attempt failed: at what task, why, when, after how long, and when the next is due."""

    task: Task
    error: str
    now: float
    seconds: float
    due_at: float


def _put_off(connection: Connection, failed: Failed) -> None:
    tasks.put_off(connection, failed.task, failed.due_at, failed.error)


@dataclass(frozen=True, slots=True)
class Kind:
    """Who does a kind of tasks. What is ``outside`` gets no errand, and no transaction."""

    perform: Callable[[Task, Errand], None] | None = None
    outside: Callable[[Task], None] | None = None
    locks: Callable[[Task], Collection[StateKey]] = lambda task: ()
    failed: Callable[[Connection, Failed], None] = _put_off
    shares: bool = False  # whether several are done in one transaction


class Errands:
    """Knows how to do tasks; holds none itself. Used by all threads of the dispatcher at once."""

    def __init__(
        self,
        database: Database,
        transactions: Transactions,
        make_mailer: MakeMailer,
        *,
        clock: Callable[[], float] = time.time,
        deadline: float = 300.0,
        on_failure: Callable[[BaseException], None] = lambda error: None,
    ) -> None:
        """``make_mailer`` makes what an errand sends with. ``deadline``: seconds after which what
        is done has failed. ``on_failure`` is told, too, why a task failed.
        """
        self._database = database
        self._transactions = transactions
        self._make_mailer = make_mailer
        self._clock = clock
        self._leases = TaskLeases(database, clock, deadline + LEASE_MARGIN)
        self._on_failure = on_failure
        self._kinds: dict[str, Kind] = {}

    def register(
        self,
        kind: str,
        perform: Callable[[Task, Errand], None],
        *,
        locks: Callable[[Task], Collection[StateKey]] = lambda task: (),
        failed: Callable[[Connection, Failed], None] = _put_off,
        shares: bool = False,
    ) -> None:
        """Have tasks of ``kind`` done by ``perform``, in the transaction that takes them.

        ``locks`` names states to lock before a task is taken: who puts or cancels tasks while it
        holds a state needs that, so that the two lock in one order. ``failed`` is called, in a
        transaction of its own, instead of having the task wait until `Failed.due_at`. Where it
        ``shares``, several of them may be done in one transaction: ``perform`` writes by the
        errand's session and mailer alone then, and ``failed`` is none.
        """
        self._kinds[kind] = Kind(perform, locks=locks, failed=failed, shares=shares)

    def register_outside(self, kind: str, perform: Callable[[Task], None]) -> None:
        """Have tasks of ``kind`` done by ``perform`` outside of a transaction, at least once."""
        self._kinds[kind] = Kind(outside=perform)

    @property
    def kinds_outside(self) -> list[str]:
        """The kinds that are done outside of a transaction."""
        return [name for name, kind in self._kinds.items() if kind.outside is not None]

    def renew_leases(self) -> None:
        """Lease anew what is under way outside of a transaction: the clock leapt."""
        self._leases.renew()

    def is_outside(self, task: Task) -> bool:
        """Whether it is done outside of a transaction."""
        return task.kind in self._kinds and self._kinds[task.kind].outside is not None

    def shares(self, task: Task) -> bool:
        """Whether it may be done together with others of its kind."""
        return task.kind in self._kinds and self._kinds[task.kind].shares

    def run_together(self, batch: Sequence[Task]) -> list[Fate]:
        """Do tasks that share a transaction; gives what became of each. Raises nothing.

        One that fails is undone alone, and put off. Where that is not possible, since the
        transaction failed or one of them ended it, what is left is done one by one.
        """
        try:
            together = ErrandBatch(
                batch,
                self._transactions,
                {key for task in batch for key in self._kinds[task.kind].locks(task)},
                now=self._clock(),
                carry_out=self._carry_out,
                put_off=self._put_off_taken,
            )
            try:
                together.run()
            except PrematureEnd as end:
                if not together.made:
                    raise
                together.complete(end)
        except BaseException as error:  # noqa: BLE001 - also SystemExit: the worker stays
            text = _brief(error)
            log.logger.warning("%d tasks are done again one by one: %s", len(batch), text)
            return self._one_by_one(batch)
        self._tell(together.made)
        done = {errand.task.id for errand in together.made}
        for task in together.taken.values():
            if task.id in together.failed:
                self._explain(task, together.failed[task.id])
        fates = dict.fromkeys((task.id for task in batch), Fate.GONE)
        fates |= dict.fromkeys(done, Fate.DONE)
        fates |= dict.fromkeys(together.failed, Fate.PUT_OFF)
        fates |= dict.fromkeys(together.left, Fate.DUE)
        return list(fates.values())

    def _one_by_one(self, batch: Sequence[Task]) -> list[Fate]:
        """As far as the database answers."""
        fates: list[Fate] = []
        for task in batch:
            fates.append(Fate.DUE if fates[-1:] == [Fate.DUE] else self.run(task))
        return fates

    def _put_off_taken(self, connection: Connection, task: Task, error: BaseException) -> None:
        """Of those that share a transaction: have one wait again that it has taken."""
        if failure.is_conflict(error):
            tasks.put_back(connection, task)
        elif not self._is_to_be_dropped(task, error):
            tasks.restore(connection, task, self._pause(task), _brief(error))

    @staticmethod
    def _is_to_be_dropped(task: Task, error: BaseException) -> bool:
        return isinstance(error, NoSuchFunction) and task.attempts + 1 >= UNKNOWN

    def run(self, task: Task, deaths: int = 0) -> Fate:
        """Do ``task``, unless somebody does or did; gives what became of it. Raises nothing.

        ``deaths`` is how many workers died over it. Nothing is done where the database does not
        answer: the task is there still.
        """
        try:
            if deaths >= TOO_OFTEN:
                self._give_up(task, f"it ended {deaths} worker processes")
                return Fate.PUT_OFF
            kind = self._kinds.get(task.kind)
            if kind is None:
                raise NoSuchFunction(f"nothing here does tasks of the kind {task.kind}")
            if kind.outside is not None:
                return self._outside(task, kind.outside)
            return self._in_transaction(task)
        except Exception as error:  # noqa: BLE001 - the thread goes on
            return self._fail(task, error, 0.0)

    def _in_transaction(self, task: Task) -> Fate:
        attempt = 1
        while True:
            began = time.perf_counter()
            try:
                return self._once(task)
            except BaseException as error:  # noqa: BLE001 - also SystemExit: the worker stays
                if not failure.is_conflict(error) or attempt == CONFLICTS:
                    return self._fail(task, error, time.perf_counter() - began)
            attempt += 1

    def _once(self, task: Task) -> Fate:
        """One attempt. Raises what it failed with; the task is there then, or is put off."""
        made: list[Errand] = []

        def work(connection: Connection, store: StateStore) -> Sequence[Outgoing]:
            now = self._clock()
            if locked := self._kinds[task.kind].locks(task):
                store.load(locked)
            taken = tasks.take(connection, task.id, now, made_at=task.made_at)
            if taken is None:
                store.save({})
                return ()
            errand = self._carry_out(taken, connection, store, made)
            self._transactions.settle(connection, store, [errand])
            return errand.sent

        try:
            self._transactions.run_errand(work)
        except AlteredConnection as altered:
            raise altered.__cause__ or altered from altered
        except PrematureEnd as end:
            self._complete(made[0], end)
        self._tell(made)
        return Fate.DONE if made else Fate.GONE

    def _carry_out(
        self, task: Task, connection: Connection, store: StateStore, made: list[Errand]
    ) -> Errand:
        """Do a task that was taken in the caller's transaction; ``made`` is given its errand.

        Raises what it failed with, when what it did is undone.
        """
        if failpoint.ACTIVE:
            failpoint.reach(failpoint.AFTER_TAKE)
        now = self._clock()
        errand = Errand(task, connection, store, make_mailer=self._make_mailer, now=now)
        made.append(errand)
        try:
            self._perform(self._kinds[task.kind], errand)
            errand.finish()
        except BaseException as error:
            errand.undo(error)
            raise
        finally:
            errand.end()
        return errand

    @staticmethod
    def _tell(made: Sequence[Errand]) -> None:
        """The log, after the commit."""
        for errand in made:
            for event, fields in errand.notes:
                log.event(event, errand.id, **fields)

    def _perform(self, kind: Kind, errand: Errand) -> None:
        assert kind.perform is not None
        process = os.getpid()
        try:
            with spans.attempt(errand.task):
                kind.perform(errand.task, errand)
            end_if_child(process, _named(errand.task))
            errand.is_performed = True
        except BaseException as error:
            end_if_child(process, _named(errand.task), error)
            raise

    def _complete(self, errand: Errand, end: PrematureEnd) -> None:
        """After its function ended the transaction: write what is missing, where that committed.

        Else, or where the function failed as well, raises ``end``; the task waits then.
        """
        task = errand.task
        is_done = errand.is_performed

        def work(connection: Connection, store: StateStore) -> Sequence[Outgoing]:
            there = tasks.get(connection, task.id)
            if there is not None and there.made_at == task.made_at:  # else its id was used again
                raise end  # it was rolled back: the task is there
            if not is_done:
                errand.free_keys(connection)
                tasks.restore(connection, task, self._pause(task), failure.brief(end))
                return ()
            store.load({entry.key for entry in errand.entries})
            self._transactions.settle(connection, store, [errand])
            return errand.sent

        self._transactions.run_errand(work)
        if not is_done:
            raise end

    def _outside(self, task: Task, perform: Callable[[Task], None]) -> Fate:
        lease = self._leases.take(task)
        if lease is None:
            return Fate.GONE
        process = os.getpid()
        began = time.perf_counter()
        try:
            with spans.attempt(task):
                perform(lease.task)
            end_if_child(process, _named(task))
        except BaseException as error:  # noqa: BLE001 - also SystemExit: the worker stays
            end_if_child(process, _named(task), error)
            self._leases.let_go(lease)
            return self._fail(lease.task, error, time.perf_counter() - began)
        if failpoint.ACTIVE:
            failpoint.reach(failpoint.AFTER_TAKE)
        self._leases.finish(lease)
        return Fate.DONE

    def _explain(self, task: Task, error: BaseException) -> None:
        """Log why it failed, and tell who wants to know."""
        self._on_failure(error)
        is_plain = isinstance(error, NoSuchFunction) or failure.is_outage(error)
        text = _brief(error)
        log.logger.error("%s failed: %s", _named(task), text, exc_info=None if is_plain else error)
        if self._is_to_be_dropped(task, error) and task.kind in self._kinds:
            log.logger.error("%s is dropped: %s", _named(task), text)

    def _fail(self, task: Task, error: BaseException, seconds: float) -> Fate:
        """Log it, and have the task wait again."""
        self._explain(task, error)
        text = _brief(error)
        is_gone = isinstance(error, NoSuchFunction)
        try:
            kind = self._kinds.get(task.kind)
            if kind is not None and self._is_to_be_dropped(task, error):
                with self._database.begin() as connection:
                    tasks.drop(connection, task.id)
                return Fate.DONE
            if self.is_outside(task) and task.attempts + 1 >= ENOUGH:
                self._give_up(task, f"failed {ENOUGH} times: {text}")
                return Fate.PUT_OFF
            failed = Failed(task, text, self._clock(), seconds, self._pause(task))
            with self._database.begin() as connection:
                (_put_off if kind is None or is_gone else kind.failed)(connection, failed)
        except Exception as problem:  # noqa: BLE001 - it is due still, and tried again
            if not (failure.is_outage(error) and failure.is_outage(problem)):
                why = failure.brief(problem)
                log.logger.error("%s cannot be put off: %s", _named(task), why)
            return Fate.DUE
        return Fate.PUT_OFF

    def _give_up(self, task: Task, reason: str) -> None:
        with self._database.begin() as connection:
            is_there = tasks.put_aside(connection, task, reason)
        if is_there:
            log.logger.error("%s is put aside: %s", _named(task), reason)

    def _pause(self, task: Task) -> float:
        """When the next attempt is due."""
        return self._clock() + min(FIRST_PAUSE * 2.0 ** min(task.attempts, 20), LONGEST_PAUSE)


def _brief(error: BaseException) -> str:
    return failure.brief(error) if isinstance(error, Exception) else repr(error)


def _named(task: Task) -> str:
    return f"task {task.id} ({task.kind} {task.name})"
