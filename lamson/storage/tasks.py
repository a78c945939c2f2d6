"""Tasks: work that waits in the database for its time, or for somebody to do it.

For timers of conversations, schedules, work after a commit, and what became of mail that submission
refused. A task has a ``kind``, which says who does it, and a ``name``, which is the only one of its
kind: that it is put twice makes it one. It is taken in the transaction that does it: so it is done
once, whoever else looks at the same time, and is there again where that transaction fails.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, select, text, update

from lamson.storage.outgoing import fit
from lamson.storage.tables import tasks

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlalchemy.engine import Connection, RowMapping


@dataclass(frozen=True, slots=True)
class Task:
    """One task. ``payload`` is what JSON can hold; ``due_at`` is in seconds since the epoch."""

    kind: str
    name: str
    payload: Any = None
    due_at: float = 0.0
    id: int = 0
    made_at: float = 0.0
    attempts: int = 0
    last_error: str = ""


def put(connection: Connection, wanted: Sequence[Task]) -> None:
    """Have each of them wait, in the place of one of the same name, in the caller's transaction."""
    _insert(connection, wanted, _REPLACE)


def add(connection: Connection, wanted: Sequence[Task]) -> None:
    """Have each of them wait; one of the same name that waits already stays as it is."""
    _insert(connection, wanted, _KEEP)


def cancel(connection: Connection, kind: str, names: Collection[str]) -> int:
    """Forget tasks, in the caller's transaction; gives how many there were."""
    if not names:
        return 0
    statement = delete(tasks).where(tasks.c.kind == kind, tasks.c.name.in_(list(names)))
    return connection.execute(statement).rowcount


def due(connection: Connection, now: float, limit: int) -> list[Task]:
    """Tasks whose time has come, the one that waits longest first; none is held by that."""
    query = select(tasks).where(tasks.c.due_at <= now).order_by(tasks.c.due_at, tasks.c.id)
    return [_task(row) for row in connection.execute(query.limit(limit)).mappings()]


def take(connection: Connection, id: int, now: float) -> Task | None:
    """Take a task to do it in the caller's transaction; None where somebody else does, or did,
    and where it is not due any more."""
    statement = _TAKE_SQLITE if connection.dialect.name == "sqlite" else _TAKE
    row = connection.execute(statement, {"id": id, "now": now}).mappings().first()
    return None if row is None else _task(row)


def put_off(connection: Connection, task: Task, due_at: float, error: str) -> bool:
    """After it failed: note that, and have it wait until ``due_at``; False where it has gone."""
    statement = (
        update(tasks)
        .where(tasks.c.id == task.id, tasks.c.attempts == task.attempts)
        .values(attempts=task.attempts + 1, last_error=fit(error), due_at=due_at)
    )
    return connection.execute(statement).rowcount > 0


def next_due(connection: Connection) -> float | None:
    """When the next one is due, None where none waits."""
    query = select(tasks.c.due_at).order_by(tasks.c.due_at).limit(1)
    return connection.execute(query).scalar()


def waiting(connection: Connection, kind: str | None = None, limit: int = 1000) -> list[Task]:
    """What waits, in the order in which it is due, for people to look at."""
    query = select(tasks).order_by(tasks.c.due_at, tasks.c.id).limit(limit)
    if kind is not None:
        query = query.where(tasks.c.kind == kind)
    return [_task(row) for row in connection.execute(query).mappings()]


def _insert(connection: Connection, wanted: Sequence[Task], statement: Any) -> None:
    now = time.time()
    rows = [
        {
            "kind": task.kind,
            "name": task.name,
            "payload": json.dumps(task.payload),
            "made_at": now,
            "due_at": task.due_at or now,
        }
        for task in wanted
    ]
    if rows:
        connection.execute(statement, rows)


def _task(row: RowMapping) -> Task:
    return Task(
        kind=row["kind"],
        name=row["name"],
        payload=json.loads(row["payload"]),
        due_at=row["due_at"],
        id=row["id"],
        made_at=row["made_at"],
        attempts=row["attempts"],
        last_error=row["last_error"],
    )


_INSERT = (
    "INSERT INTO lamson_tasks (kind, name, payload, made_at, due_at, attempts, last_error) "
    "VALUES (:kind, :name, :payload, :made_at, :due_at, 0, '') ON CONFLICT (kind, name) DO "
)
_KEEP = text(_INSERT + "NOTHING")
_REPLACE = text(
    _INSERT + "UPDATE SET payload = excluded.payload, made_at = excluded.made_at, "
    "due_at = excluded.due_at, attempts = 0, last_error = ''"
)
_DUE = "SELECT id FROM lamson_tasks WHERE id = :id AND due_at <= :now"
_TAKE_SQLITE = text(f"DELETE FROM lamson_tasks WHERE id IN ({_DUE}) RETURNING *")
_TAKE = text(f"DELETE FROM lamson_tasks WHERE id IN ({_DUE} FOR UPDATE SKIP LOCKED) RETURNING *")
