"""What tasks cost when many wait: `python -m tests.bench.tasks [SMALL LARGE]` prints ratios.

On SQLite and on a PostgreSQL of its own: looking for what is due, when the next one is, taking one,
putting a timer. With a million that wait each should cost what it costs with a thousand.
"""

from __future__ import annotations

import sys
import tempfile
import time
from contextlib import contextmanager
from statistics import median
from typing import TYPE_CHECKING

from sqlalchemy import insert, text

from lamson.storage import tables, tasks
from lamson.storage.database import Database
from lamson.storage.tasks import Task
from tests.postgres.instance import PostgresInstance, why_not

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy.engine import Connection

SIZES = (1_000, 1_000_000)
ROUNDS = 200
PIECE = 10_000


def main(sizes: tuple[int, int]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        _compare("SQLite", lambda size: f"sqlite:///{directory}/{size}.db", sizes)
    if reason := why_not():
        print(f"PostgreSQL: {reason}")
        return
    with PostgresInstance() as postgres:
        _compare("PostgreSQL", lambda _: postgres.url(postgres.create_database()), sizes)


def _compare(name: str, url: Callable[[int], str], sizes: tuple[int, int]) -> None:
    few, many = (_measure(url(size), size) for size in sizes)
    print(f"{name}: {sizes[0]:,} and {sizes[1]:,} tasks, medians of {ROUNDS}, in microseconds")
    for what in few:
        small, large = few[what] * 1e6, many[what] * 1e6
        print(f"  {what:10} {small:9.0f} {large:9.0f}   ratio {large / small:.2f}")


def _measure(url: str, size: int) -> dict[str, float]:
    """Seconds for each kind of work, where ``size`` tasks wait and a few of them are due."""
    with _filled(url, size) as (database, now):

        def take(connection: Connection) -> None:
            (task,) = tasks.due(connection, now, 1)
            assert tasks.take(connection, task.id, now, made_at=task.made_at)

        def put(connection: Connection) -> None:
            tasks.put(connection, [Task("timer", f"new {time.time_ns()}", {"x": 1}, now + 9e6)])

        return {
            "due": _timed(database.read, lambda connection: tasks.due(connection, now, 64)),
            "next_due": _timed(database.read, tasks.next_due),
            "take": _timed(database.begin, take),
            "put": _timed(database.begin, put),
            "hurry": _timed(database.begin, lambda connection: tasks.hurry(connection, now, 7200)),
        }


@contextmanager
def _filled(url: str, size: int) -> Iterator[tuple[Database, float]]:
    database = Database(url)
    database.create_all()
    now = time.time()
    due = 2 * ROUNDS
    for start in range(0, size, PIECE):
        rows = [
            {
                "kind": "timer",
                "name": f"{number:032x}",
                "payload": '{"author": "somebody@example.com", "state": "WAITING"}',
                "made_at": now,
                "due_at": now - 1 if number < due else now + number,
                "attempts": 0,
                "last_error": "",
            }
            for number in range(start, min(start + PIECE, size))
        ]
        with database.begin() as connection:
            connection.execute(insert(tables.tasks), rows)
    if not database.is_sqlite:
        with database.read() as connection:
            connection.execute(text("ANALYZE lamson_tasks"))
    try:
        yield database, now
    finally:
        database.close()


def _timed(connected: Callable[[], object], work: Callable[[Connection], object]) -> float:
    seconds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        with connected() as connection:  # type: ignore[attr-defined]
            work(connection)
        seconds.append(time.perf_counter() - began)
    return median(seconds)


if __name__ == "__main__":
    given = [int(one.replace("_", "")) for one in sys.argv[1:]]
    main((given[0], given[1]) if len(given) == 2 else SIZES)
