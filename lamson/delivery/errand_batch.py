"""Several tasks in one transaction, each in a savepoint of its own.

For errands: on SQLite a commit costs more than what a timer does in it. One that fails is undone
alone, and its task is there as before; the states that any of them wants locked are locked before
the first one is taken, in one order. Nothing of it counts before the commit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from lamson.storage.failure import PrematureEnd
from lamson.storage.state import SqlStateStore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy.engine import Connection

    from lamson.delivery.errand import Errand
    from lamson.delivery.transaction import Transactions
    from lamson.storage.outgoing import Outgoing
    from lamson.storage.state import StateStore
    from lamson.storage.tasks import Task


class Do(Protocol):
    """Takes a task and does it; gives the mail. The list is given its errand, if it was there."""

    def __call__(
        self, task: Task, connection: Connection, store: StateStore, made: list[Errand], /
    ) -> Sequence[Outgoing]: ...


class ErrandBatch:
    """One attempt at ``tasks``, and what came of it."""

    def __init__(
        self,
        tasks: Sequence[Task],
        transactions: Transactions,
        lock: Callable[[Sequence[Task], StateStore], None],
        do: Do,
    ) -> None:
        self.tasks = tasks
        self.made: list[Errand] = []
        """Those that were done; after PrematureEnd the last one is that which was under way."""
        self.gone: set[int] = set()
        """The tasks that somebody else does, or did."""
        self.failed: dict[int, BaseException] = {}
        """Why tasks were undone."""
        self._transactions = transactions
        self._lock = lock
        self._do = do

    def run(self) -> None:
        """Raises what the transaction fails with; PrematureEnd where a function ended it."""
        self._transactions.run_errand(self._work)

    def forget(self) -> None:
        """Nothing was committed, or it is not known: the table tells."""
        self.made.clear()
        self.gone.clear()
        self.failed.clear()

    def _work(self, connection: Connection, store: StateStore) -> Sequence[Outgoing]:
        self._lock(self.tasks, store)
        sent: list[Outgoing] = []
        for task in self.tasks:
            sent += self._try(task, connection)
        store.save({})  # what was made to be locked, and is of no use
        return sent

    def _try(self, task: Task, connection: Connection) -> Sequence[Outgoing]:
        before = len(self.made)
        savepoint = connection.begin_nested()
        try:
            sent = self._do(task, connection, SqlStateStore(connection), self.made)
            savepoint.commit()
        except PrematureEnd:
            raise
        except BaseException as error:
            if connection.invalidated:
                raise
            savepoint.rollback()
            del self.made[before:]
            self.failed[task.id] = error
            return ()
        if len(self.made) == before:
            self.gone.add(task.id)
        else:
            self.made[-1].is_kept = True
        return sent
