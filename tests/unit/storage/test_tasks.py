"""lamson.storage.tasks: each waits once, is taken once, and comes back where that failed."""

from __future__ import annotations

import threading
from dataclasses import replace
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


def test_one_is_leased_while_it_is_done_outside(database: Database) -> None:
    with database.begin() as connection:
        tasks.add(connection, [Task("later", "zed", due_at=50.0)])
        (task,) = tasks.due(connection, 50.0, 10)
        assert tasks.lease(connection, task, 90.0)
        assert not tasks.lease(connection, task, 95.0), "somebody else has it"
        assert tasks.due(connection, 60.0, 10) == []
        assert not tasks.finish(connection, task)
        assert tasks.finish(connection, replace(task, due_at=90.0))
        assert tasks.waiting(connection) == []


def test_what_is_put_aside_waits_for_a_person(database: Database) -> None:
    with database.begin() as connection:
        tasks.add(connection, [Task("later", "zed", due_at=50.0)])
        (task,) = tasks.due(connection, 50.0, 10)
        assert tasks.put_aside(connection, task, "too often")
        assert not tasks.put_aside(connection, task, "again")
        assert tasks.due(connection, 5e9, 10) == []
        assert tasks.next_due(connection) is None
        (kept,) = tasks.waiting(connection)
        assert kept.is_aside
        assert kept.last_error == "too often"
        assert tasks.get(connection, task.id) == kept
        assert tasks.retry(connection, 60.0) == 1
        assert tasks.due(connection, 60.0, 10)[0].made_at == 60.0
        assert tasks.drop(connection, task.id)
        assert not tasks.drop(connection, task.id)
        assert tasks.get(connection, task.id) is None


def test_only_what_failed_is_tried_at_once(database: Database) -> None:
    with database.begin() as connection:
        tasks.add(connection, [Task("timer", "failed", due_at=50.0)])
        tasks.add(connection, [Task("timer", "planned", due_at=9000.0)])
        (task,) = tasks.due(connection, 50.0, 10)
        tasks.put_off(connection, task, 9000.0, "broken")
        assert tasks.hurry(connection, 60.0, 9000.0) == 0
        assert tasks.hurry(connection, 60.0, 7200.0) == 1
        assert [task.name for task in tasks.due(connection, 60.0, 10)] == ["failed"]
        assert tasks.retry(connection, 60.0) == 0, "none waits for another attempt"


def test_what_was_taken_and_failed_comes_back(database: Database) -> None:
    with database.begin() as connection:
        tasks.add(connection, [Task("timer", "zed", [1], 50.0)])
        (task,) = tasks.due(connection, 50.0, 10)
        assert tasks.take(connection, task.id, 50.0)
        tasks.restore(connection, task, 60.0, "broken")
        (back,) = tasks.waiting(connection)
        assert (back.payload, back.due_at, back.attempts) == ([1], 60.0, 1)
        assert back.made_at == task.made_at


def test_those_of_some_kinds(database: Database) -> None:
    with database.begin() as connection:
        tasks.add(connection, [Task("timer", "zed", due_at=50.0), Task("later", "ann", None, 50.0)])
        assert [task.kind for task in tasks.due(connection, 60.0, 9, kinds=["later"])] == ["later"]
        assert [task.kind for task in tasks.due(connection, 60.0, 9, but=["later"])] == ["timer"]
        assert list(tasks.named(connection, "timer")) == ["zed"]


def test_an_id_that_was_used_again_is_another_task(database: Database) -> None:
    with database.begin() as connection:
        tasks.add(connection, [Task("timer", "zed", due_at=50.0)])
        (old,) = tasks.due(connection, 50.0, 10)
        tasks.drop(connection, old.id)
        tasks.add(connection, [Task("later", "ann", due_at=50.0)])
        (new,) = tasks.due(connection, 50.0, 10)
        stale = replace(old, id=new.id)  # as SQLite gives them
        assert tasks.take(connection, new.id, 50.0, made_at=stale.made_at) is None
        assert not tasks.put_off(connection, stale, 60.0, "broken")
        assert not tasks.put_aside(connection, stale, "broken")
        assert not tasks.lease(connection, stale, 60.0)
        assert tasks.take(connection, new.id, 50.0, made_at=new.made_at) == new


def test_many_are_taken_at_once_but_what_is_due_is_as_it_was_read(database: Database) -> None:
    with database.begin() as connection:
        tasks.add(connection, [Task("test", str(number), due_at=number) for number in range(1, 6)])
        found = tasks.due(connection, 9.0, 9)
    one, two, three, four, five = found
    again = replace(two, made_at=two.made_at - 1)
    with database.begin() as connection:
        assert tasks.drop(connection, one.id)
        taken = tasks.take_all(connection, [four, one, again, three, five], 4.5)
        assert list(taken.values()) == [four, three]
        assert tasks.waiting(connection) == [two, five]
        tasks.put_back(connection, replace(three, attempts=2, last_error="broken"))
        (back,) = tasks.due(connection, 3.0, 9)[1:]
    assert (back.name, back.attempts, back.last_error) == ("3", 2, "broken")
    assert back.made_at == three.made_at
