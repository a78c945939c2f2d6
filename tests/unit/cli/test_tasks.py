"""`lamson tasks`: what waits in the database for its time."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from lamson.storage import tasks
from lamson.storage.tasks import Task

if TYPE_CHECKING:
    from collections.abc import Callable

    from lamson.storage.database import Database
    from tests.unit.cli.conftest import Done

    Lamson = Callable[..., Done]

TIMER = {"author": "zed@example.com\x1b", "module": "app.lists", "state": "CONFIRMING"}


def add(database: Database, *wanted: Task) -> list[Task]:
    with database.begin() as connection:
        tasks.add(connection, wanted)
        return tasks.waiting(connection)


def test_what_waits_is_listed_and_shown(lamson: Lamson, database: Database) -> None:
    timer, later = add(
        database,
        Task("timer", "0f0f", TIMER, 1000.0),
        Task("later", "app.crm.tell key", {"key": "k"}, 2000.0),
    )
    assert lamson("tasks", "-count").out == "2\n"
    lines = lamson("tasks").out.splitlines()
    assert lines[0].startswith(
        f"{timer.id}  timer  zed@example.com? in app.lists.CONFIRMING  due 1970-01-01 "
    )
    assert lines[1].startswith(f"{later.id}  later  app.crm.tell key  due ")
    assert lamson("tasks", "-kind", "later").out.splitlines() == lines[1:]
    shown = lamson("tasks", "-show", str(timer.id)).out
    assert '"author": "zed@example.com\\u001b"' in shown


def test_a_timer_of_a_thread_names_it(lamson: Lamson, database: Database) -> None:
    of_thread = {"machine": "app.desk zearkraflxau", "author": "", "module": "app.desk"}
    add(database, Task("timer", "0f0f", of_thread | {"state": "OPEN"}, 1000.0))
    assert "  timer  thread zearkraflxau in app.desk.OPEN  due " in lamson("tasks").out


def test_what_failed_can_be_done_now(lamson: Lamson, database: Database) -> None:
    (task,) = add(database, Task("later", "tell", None, 1000.0))
    with database.begin() as connection:
        tasks.put_aside(connection, task, "failed 20 times: no answer")
    assert "put aside  failed 1 times: failed 20 times: no answer" in lamson("tasks").out
    assert lamson("tasks", "-retry", "ALL").out.startswith("1 task(s)")
    with database.read() as connection:
        assert len(tasks.due(connection, time.time(), 10)) == 1
    assert lamson("tasks", "-retry", str(task.id)).out.startswith("1 task(s)")


def test_dropping_asks_first(lamson: Lamson, database: Database) -> None:
    (task,) = add(database, Task("later", "tell"))
    assert lamson("tasks", "-drop", str(task.id), given=b"n\n").status == 130
    assert lamson("tasks", "-count").out == "1\n"
    assert lamson("tasks", "-drop", str(task.id), "-FORCE").status == 0
    assert lamson("tasks", "-count").out == "0\n"


def test_what_is_not_there(lamson: Lamson, database: Database) -> None:
    for option in ("-show", "-drop", "-retry"):
        done = lamson("tasks", option, "17")
        assert done.status == os.EX_NOINPUT
        assert "there is no task 17" in done.err
        assert lamson("tasks", option, str(2**63)).status == os.EX_NOINPUT
    assert lamson("tasks", "-retry", "x").status == os.EX_USAGE
    assert lamson("tasks", "-kind", "timers").status == os.EX_USAGE
    assert lamson("tasks", "-count", "-list").status == os.EX_USAGE


@pytest.mark.usefixtures("project")
def test_without_a_database(lamson: Lamson) -> None:
    done = lamson("tasks")
    assert done.status == os.EX_CONFIG
    assert "none is set" in done.err
