"""lamson.storage.tasks: each waits once, is taken once, and comes back where that failed."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from lamson.storage import tasks
from lamson.storage.tasks import Task

if TYPE_CHECKING:
    from lamson.storage.database import Database


def names(database: Database, now: float) -> list[str]:
    with database.read() as connection:
        return [task.name for task in tasks.due(connection, now, 10)]


def test_each_waits_once(database: Database) -> None:
    with database.begin() as connection:
        tasks.add(connection, [Task("timer", "zed", {"state": "A"}, 50.0)])
        tasks.add(connection, [Task("timer", "zed", {"state": "B"}, 60.0)])
        tasks.put(connection, [Task("timer", "ann", {"state": "A"}, 50.0)])
        tasks.put(connection, [Task("timer", "ann", {"state": "B"}, 40.0)])
        tasks.add(connection, [Task("outcome", "zed")])
        tasks.add(connection, [])
        assert tasks.next_due(connection) == 40.0
        waiting = {(task.kind, task.name): task.payload for task in tasks.waiting(connection)}
    assert waiting == {
        ("timer", "zed"): {"state": "A"},
        ("timer", "ann"): {"state": "B"},
        ("outcome", "zed"): None,
    }
    with database.begin() as connection:
        assert [task.kind for task in tasks.waiting(connection, "outcome")] == ["outcome"]
        assert tasks.cancel(connection, "timer", ["zed", "nobody"]) == 1
        assert tasks.cancel(connection, "timer", []) == 0
    assert names(database, 39.0) == []
    assert names(database, 4e9) == ["ann", "zed"]


def test_one_is_taken_once_it_is_due(database: Database) -> None:
    with database.begin() as connection:
        tasks.add(connection, [Task("timer", "zed", [1], 50.0)])
        (task,) = tasks.due(connection, 50.0, 10)
        assert tasks.take(connection, task.id, 49.0) is None
    with database.begin() as connection:
        taken = tasks.take(connection, task.id, 50.0)
        assert taken == task
        assert tasks.take(connection, task.id, 50.0) is None
    assert names(database, 4e9) == []


def test_one_whose_transaction_failed_waits_again(database: Database) -> None:
    with database.begin() as connection:
        tasks.add(connection, [Task("timer", "zed", due_at=50.0)])
        (task,) = tasks.due(connection, 50.0, 10)
        transaction = connection.begin_nested()
        assert tasks.take(connection, task.id, 50.0)
        transaction.rollback()
        assert tasks.put_off(connection, task, 70.0, "no\0room")
        assert not tasks.put_off(connection, task, 80.0, "it is known by now")
        (later,) = tasks.due(connection, 70.0, 10)
    assert (later.attempts, later.last_error, later.due_at) == (1, "no?room", 70.0)


def test_two_take_it_at_the_same_moment(database: Database) -> None:
    with database.begin() as connection:
        tasks.add(connection, [Task("timer", "zed", due_at=50.0)])
        (task,) = tasks.due(connection, 50.0, 10)
    taken: list[Task | None] = []
    both = threading.Barrier(2)

    def take() -> None:
        both.wait()
        with database.begin() as connection:
            taken.append(tasks.take(connection, task.id, 50.0))

    threads = [threading.Thread(target=take) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(bool, taken)) == [False, True]
