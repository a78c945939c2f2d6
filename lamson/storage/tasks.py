"""Tasks: work that waits in the database for its time, or for somebody to do it.

For timers of conversations, schedules, work after a commit, and what became of mail that submission
refused. A task has a ``kind``, which says who does it, and a ``name``, which is the only one of its
kind: that it is put twice makes it one. It is taken in the transaction that does it: so it is done
once, whoever else looks at the same time, and is there again where that transaction fails. What is
done outside of a transaction is leased meanwhile: it is due again later. A task that is put aside
waits for a person: it is due never.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.dialects import postgresql

from lamson.storage import LARGEST_ID
from lamson.storage.keys import in_schema
from lamson.storage.outgoing import fit
from lamson.storage.tables import tasks

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlalchemy.engine import Connection, RowMapping


NEVER = 1e12  # due then is what was put aside; no clock comes that far


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

    @property
    def is_aside(self) -> bool:
        """Whether it waits for a person, and for no time."""
        return self.due_at >= NEVER


def put(connection: Connection, wanted: Sequence[Task]) -> None:
    """Have each of them wait, in the place of one of the same name, in the caller's transaction."""
    _insert(connection, wanted, _REPLACE)


def add(connection: Connection, wanted: Sequence[Task], schema: str | None = None) -> None:
    """Have each of them wait; one of the same name that waits already stays as it is.

    ``schema`` is that of our tables, where the search path of the connection is another.
    """
    if schema is None:
        _insert(connection, wanted, _KEEP)
        return
    same = [tasks.c.kind, tasks.c.name]
    statement = postgresql.insert(tasks).on_conflict_do_nothing(index_elements=same)
    now = time.time()
    for task in wanted:
        connection.execute(statement, _row(task, now), execution_options=in_schema(schema))


def cancel(connection: Connection, kind: str, names: Collection[str]) -> int:
    """Forget tasks, in the caller's transaction; gives how many there were."""
    if not names:
        return 0
    statement = delete(tasks).where(tasks.c.kind == kind, tasks.c.name.in_(list(names)))
    return connection.execute(statement).rowcount


def due(
    connection: Connection,
    now: float,
    limit: int,
    *,
    kinds: Collection[str] = (),
    but: Collection[str] = (),
) -> list[Task]:
    """Tasks whose time has come, the one that waits longest first; none is held by that.

    Where there are ``kinds``, of these alone; none of those in ``but``.
    """
    query = select(tasks).where(tasks.c.due_at <= now).order_by(tasks.c.due_at, tasks.c.id)
    if kinds:
        query = query.where(tasks.c.kind.in_(kinds))
    if but:
        query = query.where(tasks.c.kind.not_in(but))
    return [_task(row) for row in connection.execute(query.limit(limit)).mappings()]


def take(
    connection: Connection, id: int, now: float, *, made_at: float | None = None
) -> Task | None:
    """Take a task to do it in the caller's transaction; None where somebody else does, or did,
    and where it is not due any more.

    An id may be used again when its task has gone: who read the task some time ago gives its
    ``made_at``, and is not given another one.
    """
    statement = _TAKE_SQLITE if connection.dialect.name == "sqlite" else _TAKE
    made = {"since": 0.0 if made_at is None else made_at}
    made["until"] = NEVER if made_at is None else made_at
    row = connection.execute(statement, {"id": id, "now": now, **made}).mappings().first()
    return None if row is None else _task(row)


def take_all(connection: Connection, wanted: Sequence[Task], now: float) -> dict[int, Task]:
    """Take those of ``wanted`` that can be taken as `take` does, by one statement; gives them by
    id, in their order."""
    statement, rows = (
        _TAKE_ALL,
        {
            "now": now,
            "ids": [task.id for task in wanted],
            "made": [task.made_at for task in wanted],
        },
    )
    if connection.dialect.name == "sqlite":
        pairs = [(task.id, task.made_at) for task in wanted]
        statement, rows = _TAKE_ALL_SQLITE, {"now": now, "pairs": json.dumps(pairs)}
    found = {row["id"]: _task(row) for row in connection.execute(statement, rows).mappings()}
    return {task.id: found[task.id] for task in wanted if task.id in found}


def put_back(connection: Connection, task: Task) -> None:
    """Have one wait again that was taken in the caller's transaction, as if it had not been."""
    row = _row(task, time.time()) | {"attempts": task.attempts, "last_error": task.last_error}
    connection.execute(_RESTORE, row)


def put_off(connection: Connection, task: Task, due_at: float, error: str) -> bool:
    """After it failed: note that, and have it wait until ``due_at``; False where it has gone."""
    statement = (
        update(tasks)
        .where(*_same(task))
        .values(attempts=task.attempts + 1, last_error=fit(error), due_at=due_at)
    )
    return connection.execute(statement).rowcount > 0


def lease(connection: Connection, task: Task, until: float) -> bool:
    """Have nobody else do it before ``until``; False where somebody does, or did."""
    statement = update(tasks).where(*_same(task), tasks.c.due_at == task.due_at)
    statement = statement.values(due_at=until)
    return connection.execute(statement).rowcount > 0


def finish(connection: Connection, task: Task) -> bool:
    """Forget one that was leased; False where it has gone, or was put anew meanwhile."""
    is_leased = tasks.c.due_at == task.due_at
    return connection.execute(delete(tasks).where(*_same(task), is_leased)).rowcount > 0


def put_aside(connection: Connection, task: Task, error: str) -> bool:
    """Have it wait for a person; False where it has gone, or was put anew meanwhile."""
    statement = update(tasks).where(*_same(task))
    values = {"due_at": NEVER, "attempts": task.attempts + 1, "last_error": fit(error)}
    return connection.execute(statement.values(values)).rowcount > 0


def restore(connection: Connection, task: Task, due_at: float, error: str) -> None:
    """Have one wait again that was taken, and failed though that was committed."""
    row = _row(task, time.time())
    row |= {"due_at": due_at, "attempts": task.attempts + 1, "last_error": fit(error)}
    connection.execute(_RESTORE, row | {"made_at": task.made_at})


def retry(connection: Connection, now: float, id: int | None = None) -> int:
    """Make one due now, or all that failed and wait for another attempt; gives their number.

    It counts as new: what it did to processes before is not held against it any more.
    """
    statement = update(tasks).values(due_at=now, made_at=now)
    if id is None:
        statement = statement.where(tasks.c.attempts > 0, tasks.c.due_at > now)
    else:
        statement = statement.where(tasks.c.id == id)
    return connection.execute(statement).rowcount


def hurry(connection: Connection, now: float, most: float) -> int:
    """Make those due now that failed and wait longer for another attempt than ``most`` seconds.

    So does nobody wait, but for a clock that was ahead when they failed.
    """
    statement = update(tasks).where(
        tasks.c.attempts > 0, tasks.c.due_at > now + most, tasks.c.due_at < NEVER
    )
    return connection.execute(statement.values(due_at=now)).rowcount


def drop(connection: Connection, id: int) -> bool:
    """Forget one; False where it is not there."""
    return connection.execute(delete(tasks).where(tasks.c.id == id)).rowcount > 0


def get(connection: Connection, id: int) -> Task | None:
    """One, for people to look at; None where it is not there."""
    if id > LARGEST_ID:
        return None
    row = connection.execute(select(tasks).where(tasks.c.id == id)).mappings().first()
    return None if row is None else _task(row)


def find(connection: Connection, kind: str, name: str) -> Task | None:
    """The one of that kind and name; None where it is not there."""
    query = select(tasks).where(tasks.c.kind == kind, tasks.c.name == name)
    row = connection.execute(query).mappings().first()
    return None if row is None else _task(row)


def named(connection: Connection, kind: str) -> dict[str, Task]:
    """All of a kind of which there are few, by name."""
    rows = connection.execute(select(tasks).where(tasks.c.kind == kind)).mappings()
    return {row["name"]: _task(row) for row in rows}


def next_due(connection: Connection) -> float | None:
    """When the next one is due, None where none waits."""
    query = select(tasks.c.due_at).where(tasks.c.due_at < NEVER)
    query = query.order_by(tasks.c.due_at).limit(1)
    return connection.execute(query).scalar()


def waiting(connection: Connection, kind: str | None = None, limit: int = 1000) -> list[Task]:
    """What waits, in the order in which it is due, for people to look at."""
    query = select(tasks).order_by(tasks.c.due_at, tasks.c.id).limit(limit)
    if kind is not None:
        query = query.where(tasks.c.kind == kind)
    return [_task(row) for row in connection.execute(query).mappings()]


def count(connection: Connection) -> int:
    """How many there are."""
    return connection.execute(select(func.count()).select_from(tasks)).scalar_one()


def _insert(connection: Connection, wanted: Sequence[Task], statement: Any) -> None:
    now = time.time()
    rows = [_row(task, now) for task in wanted]
    if rows:
        connection.execute(statement, rows)


def _row(task: Task, now: float) -> dict[str, Any]:
    return {
        "kind": task.kind,
        "name": task.name,
        "payload": json.dumps(task.payload),
        "made_at": task.made_at or now,
        "due_at": task.due_at or now,
        "attempts": 0,
        "last_error": "",
    }


def _same(task: Task) -> tuple[Any, ...]:
    """That row, unless it was tried, or put anew, since it was read, or its id used again."""
    is_old = tasks.c.attempts == task.attempts
    return (tasks.c.id == task.id, tasks.c.made_at == task.made_at, is_old)


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
    "VALUES (:kind, :name, :payload, :made_at, :due_at, :attempts, :last_error) "
    "ON CONFLICT (kind, name) DO "
)
_KEEP = _RESTORE = text(_INSERT + "NOTHING")
_REPLACE = text(
    _INSERT + "UPDATE SET payload = excluded.payload, made_at = excluded.made_at, "
    "due_at = excluded.due_at, attempts = 0, last_error = ''"
)
_DUE = (
    "SELECT id FROM lamson_tasks "
    "WHERE id = :id AND due_at <= :now AND made_at BETWEEN :since AND :until"
)
_TAKE_SQLITE = text(f"DELETE FROM lamson_tasks WHERE id IN ({_DUE}) RETURNING *")
_TAKE = text(f"DELETE FROM lamson_tasks WHERE id IN ({_DUE} FOR UPDATE SKIP LOCKED) RETURNING *")
_TAKE_ALL = text(
    "DELETE FROM lamson_tasks WHERE id IN (SELECT task.id FROM lamson_tasks AS task"
    " JOIN unnest(CAST(:ids AS bigint[]), CAST(:made AS double precision[])) AS wanted (id, made)"
    " ON task.id = wanted.id AND task.made_at = wanted.made"
    " WHERE task.due_at <= :now FOR UPDATE OF task SKIP LOCKED) RETURNING *"
)
# What SQLite reads in JSON may be another float, by the last bit.
_TAKE_ALL_SQLITE = text(
    "DELETE FROM lamson_tasks WHERE id IN (SELECT task.id FROM json_each(:pairs) AS wanted"
    " CROSS JOIN lamson_tasks AS task ON task.id = json_extract(wanted.value, '$[0]')"
    " AND abs(task.made_at - json_extract(wanted.value, '$[1]')) < 1e-5"
    " WHERE task.due_at <= :now) RETURNING *"
)
