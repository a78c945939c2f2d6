"""What became of schedules: when each ran last, how long that took, and whether it went well.

For who looks: `lamson schedule` shows it. When a schedule runs next stands in its task (see
lamson/storage/tasks.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, select, text

from lamson.storage.outgoing import fit
from lamson.storage.tables import schedules

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy.engine import Connection


@dataclass(frozen=True, slots=True)
class Ran:
    """How one schedule ran last. ``error`` is "" where it went well.

    ``runs`` counts all its runs, ``failures`` those that failed since one last went well.
    """

    name: str
    ran_at: float
    seconds: float
    error: str
    runs: int
    failures: int


def record(
    connection: Connection, name: str, ran_at: float, seconds: float, error: str = ""
) -> None:
    """Note how a run went, in the caller's transaction."""
    values = {"name": name, "ran_at": ran_at, "seconds": seconds, "error": fit(error)}
    connection.execute(_RECORD, values | {"failed": 1 if error else 0})


def forget(connection: Connection, names: Collection[str]) -> None:
    """Forget schedules that are gone from the code, in the caller's transaction."""
    if names:
        connection.execute(delete(schedules).where(schedules.c.name.in_(list(names))))


def all_of(connection: Connection) -> dict[str, Ran]:
    """How all of them ran last, by name."""
    rows = connection.execute(select(schedules)).mappings()
    return {row["name"]: Ran(**row) for row in rows}


_RECORD = text(
    "INSERT INTO lamson_schedules (name, ran_at, seconds, error, runs, failures) "
    "VALUES (:name, :ran_at, :seconds, :error, 1, :failed) "
    "ON CONFLICT (name) DO UPDATE SET ran_at = excluded.ran_at, seconds = excluded.seconds, "
    "error = excluded.error, runs = lamson_schedules.runs + 1, "
    "failures = CASE WHEN excluded.failures = 0 THEN 0 ELSE lamson_schedules.failures + 1 END"
)
