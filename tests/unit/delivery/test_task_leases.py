"""lamson.delivery.task_leases: whose a task is that is done outside of a transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson.delivery.task_leases import TaskLeases
from lamson.storage import tasks
from lamson.storage.tasks import Task

if TYPE_CHECKING:
    from lamson.storage.database import Database


def put(database: Database) -> Task:
    with database.begin() as connection:
        tasks.put(connection, [Task("outside", "one", due_at=1.0)])
    return waiting(database)[0]


def waiting(database: Database) -> list[Task]:
    with database.read() as connection:
        return tasks.waiting(connection)


def test_one_has_it_until_it_is_done(database: Database) -> None:
    leases = TaskLeases(database, lambda: 100.0, 10.0)
    task = put(database)
    lease = leases.take(task)
    assert lease is not None
    assert TaskLeases(database, lambda: 100.0, 10.0).take(task) is None
    assert [one.due_at for one in waiting(database)] == [110.0]
    leases.finish(lease)
    assert waiting(database) == []


def test_what_is_held_is_leased_anew_and_what_was_let_go_is_not(database: Database) -> None:
    now = [100.0]
    leases = TaskLeases(database, lambda: now[0], 10.0)
    lease = leases.take(put(database))
    assert lease is not None
    now[0] = 5000.0
    leases.renew()
    assert [one.due_at for one in waiting(database)] == [lease.task.due_at] == [5010.0]
    leases.let_go(lease)
    now[0] = 9000.0
    leases.renew()
    assert [one.due_at for one in waiting(database)] == [5010.0]


def test_what_was_put_anew_meanwhile_stays(database: Database) -> None:
    leases = TaskLeases(database, lambda: 100.0, 10.0)
    lease = leases.take(put(database))
    assert lease is not None
    again = put(database)
    leases.renew()
    leases.finish(lease)
    assert waiting(database) == [again]
