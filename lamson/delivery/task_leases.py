"""Leases of the tasks that this process does outside of a transaction.

A lease is the time at which the task is due again. Where the clock leapt ahead meanwhile it seems
to be over; so who has a task leases it anew then.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lamson.storage import tasks

if TYPE_CHECKING:
    from collections.abc import Callable

    from lamson.storage.database import Database
    from lamson.storage.tasks import Task


@dataclass(slots=True, eq=False)
class TaskLease:
    """``task`` is as it was leased last."""

    task: Task


class TaskLeases:
    """Each is for ``seconds``, by ``clock``. Used by all threads of the dispatcher at once."""

    def __init__(self, database: Database, clock: Callable[[], float], seconds: float) -> None:
        self._database = database
        self._clock = clock
        self._seconds = seconds
        self._lock = threading.Lock()
        self._held: set[TaskLease] = set()

    def take(self, task: Task) -> TaskLease | None:
        """Have nobody else do it meanwhile; None where somebody does, or did."""
        leased = self._leased(task)
        with self._database.begin() as connection:
            if not tasks.lease(connection, task, leased.due_at):
                return None
        lease = TaskLease(leased)
        with self._lock:
            self._held.add(lease)
        return lease

    def renew(self) -> None:
        """Lease all anew that are under way. Where that fails nothing has changed."""
        with self._lock:
            if not self._held:
                return
            anew = [(lease, self._leased(lease.task)) for lease in self._held]
            with self._database.begin() as connection:
                are_ours = [tasks.lease(connection, lease.task, new.due_at) for lease, new in anew]
            for (lease, new), is_ours in zip(anew, are_ours, strict=True):
                if is_ours:
                    lease.task = new

    def finish(self, lease: TaskLease) -> None:
        """It is done: forget it, unless it was put anew meanwhile."""
        self.let_go(lease)
        with self._database.begin() as connection:
            tasks.finish(connection, lease.task)

    def let_go(self, lease: TaskLease) -> None:
        """Renew it no more."""
        with self._lock:
            self._held.discard(lease)

    def _leased(self, task: Task) -> Task:
        return replace(task, due_at=self._clock() + self._seconds)
