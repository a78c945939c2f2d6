"""Several tasks in one transaction, none of which is another one's worry.

For errands: on SQLite a commit costs more than what a timer does in it. All of them are taken by
one statement, and their states locked by one before; what each does with its session stands in a
savepoint. One that fails is undone alone, and waits again in the same transaction. What they moved
and sent is written together at the end. Nothing of it counts before the commit.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Protocol

from lamson.storage import tasks
from lamson.storage.failure import PrematureEnd

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from sqlalchemy.engine import Connection

    from lamson.delivery.errand import Errand
    from lamson.delivery.transaction import Transactions
    from lamson.storage.outgoing import Outgoing
    from lamson.storage.state import StateKey, StateStore
    from lamson.storage.tasks import Task


LONGEST = 5.0  # seconds: what was quick before may not be so any more, and others wait for it


class CarryOut(Protocol):
    """Does a task that was taken; the list is given its errand first."""

    def __call__(
        self, task: Task, connection: Connection, store: StateStore, made: list[Errand], /
    ) -> object: ...


class ErrandBatch:
    """One attempt at ``tasks``, and what came of it."""

    def __init__(
        self,
        wanted: Sequence[Task],
        transactions: Transactions,
        locks: Collection[StateKey],
        *,
        now: float,
        carry_out: CarryOut,
        put_off: Callable[[Connection, Task, BaseException], None],
    ) -> None:
        """``locks`` are the states to lock, ``put_off`` has a task wait again that was taken."""
        self.tasks = wanted
        self.taken: dict[int, Task] = {}
        """The others are done by somebody else, or were."""
        self.made: list[Errand] = []
        """Those that were done; after PrematureEnd the last one is that which was under way."""
        self.failed: dict[int, BaseException] = {}
        """Why tasks were undone."""
        self.left: set[int] = set()
        """Those that were not begun, and are due still."""
        self._transactions = transactions
        self._locks = locks
        self._now = now
        self._carry_out = carry_out
        self._put_off = put_off

    def run(self) -> None:
        """Raises what the transaction fails with; PrematureEnd where a function ended it."""
        self._transactions.run_errand(self._work)

    def complete(self, end: PrematureEnd) -> None:
        """After a function, the last one's, ended the transaction: write what is missing, where
        that committed. Else raises ``end``; the tasks are there still.
        """
        self._transactions.run_errand(partial(self._complete, end))

    def _work(self, connection: Connection, store: StateStore) -> Sequence[Outgoing]:
        states = _States(store, self._locks)
        self.taken = tasks.take_all(connection, self.tasks, self._now)
        began = time.monotonic()
        for task in self.taken.values():
            self._try(task, connection, states)
            if time.monotonic() - began > LONGEST:
                break
        self._put_back(connection)
        return self._finish(connection, store)

    def _put_back(self, connection: Connection) -> None:
        """Those that were taken, and not begun."""
        done = {errand.task.id for errand in self.made} | self.failed.keys()
        self.left = self.taken.keys() - done
        for id in self.left:
            tasks.put_back(connection, self.taken[id])

    def _try(self, task: Task, connection: Connection, states: _States) -> None:
        before = len(self.made)
        try:
            self._carry_out(task, connection, states, self.made)
        except PrematureEnd:
            raise
        except BaseException as error:
            if connection.invalidated:
                raise
            del self.made[before:]
            states.forget()
            self.failed[task.id] = error
        else:
            states.keep(self.made[-1])

    def _finish(self, connection: Connection, store: StateStore) -> Sequence[Outgoing]:
        """Write what the errands left, and have those wait that failed."""
        self._transactions.settle(connection, store, self.made)
        for id, error in self.failed.items():
            self._put_off(connection, self.taken[id], error)
        return [row for errand in self.made for row in errand.sent]

    def _complete(
        self, end: PrematureEnd, connection: Connection, store: StateStore
    ) -> Sequence[Outgoing]:
        first = next(iter(self.taken.values()))
        there = tasks.get(connection, first.id)
        if there is not None and there.made_at == first.made_at:  # else its id was used again
            raise end  # it was rolled back: the tasks are there
        if not self.made[-1].is_performed:
            culprit = self.made.pop()
            culprit.free_keys(connection)
            self.failed[culprit.task.id] = end
        self._put_back(connection)
        store.load({entry.key for errand in self.made for entry in errand.entries})
        return self._finish(connection, store)


class _States:
    """The states as the errands of a batch see them: with what those before have moved."""

    def __init__(self, store: StateStore, locks: Collection[StateKey]) -> None:
        self._store = store
        self._known = store.load(locks) if locks else {}
        self._since: set[StateKey] = set()  # loaded by the errand under way

    def load(self, keys: Collection[StateKey]) -> dict[StateKey, str]:
        if unknown := [key for key in keys if key not in self._known]:
            self._known |= self._store.load(unknown)
            self._since.update(unknown)
        return {key: self._known[key] for key in keys}

    def save(self, states: Mapping[StateKey, str]) -> None:
        """They are saved together at the end."""
        self._known |= states

    def keep(self, errand: Errand) -> None:
        self.save({entry.key: entry.state for entry in errand.entries})
        self._since.clear()

    def forget(self) -> None:
        """The one under way was undone, and the locks with it that it took."""
        for key in self._since:
            self._known.pop(key, None)
        self._since.clear()
