"""lamson.delivery.errands: each task is done once, in one transaction, or waits again."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from lamson.delivery.errands import Fate
from lamson.routing.module import START
from lamson.storage import tasks
from lamson.storage.state import StateKey
from lamson.storage.tasks import NEVER, Task
from tests.unit.delivery import timely

if TYPE_CHECKING:
    from collections.abc import Callable

    from lamson.delivery.errand import Errand
    from lamson.storage.database import Database
    from tests.unit.delivery.timely import Timely

    Make = Callable[..., Timely]

SOURCE = """
    @route("list@(host)")
    def START(message, host):
        pass
"""
KEY = StateKey("machine", "zed@example.com")


def add(database: Database, *names: str, kind: str = "test") -> None:
    with database.begin() as connection:
        tasks.add(connection, [Task(kind, name, due_at=timely.START) for name in names])


def note(task: Task, errand: Errand) -> None:
    errand.session().execute(text("INSERT INTO note VALUES (:word)"), {"word": task.name})
    response = errand.mailer.compose(
        to="ann@example.com", sender="list@test.com", subject=task.name, body="hello"
    )
    errand.mailer.send(response)
    errand.move(KEY, f"AFTER_{errand.state(KEY)}")


def test_it_is_done_in_the_transaction_that_takes_it(make_timely: Make, database: Database) -> None:
    here = make_timely(SOURCE)
    here.errands.register("test", note)
    add(database, "one")
    (task,) = here.due()
    assert here.run_due() == [Fate.DONE]
    assert here.errands.run(task) is Fate.GONE
    assert here.words() == ["one"]
    assert here.states() == {"zed@example.com": f"AFTER_{START}"}
    assert here.sent() == ['["ann@example.com"]']
    assert [row.source for row in here.transactions.outgoing] == [f"task-{task.id}"]
    assert here.waiting() == []


def test_what_failed_left_nothing_and_waits_longer_each_time(
    make_timely: Make, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(task: Task, errand: Errand) -> None:
        note(task, errand)
        raise ValueError("broken")

    here = make_timely(SOURCE)
    here.errands.register("test", fail)
    add(database, "one")
    pauses = []
    with caplog.at_level(logging.ERROR):
        for _ in range(13):
            assert here.run_due() == [Fate.PUT_OFF]
            (task,) = here.waiting()
            pauses.append(task.due_at - here.now)
            here.now = task.due_at
    assert pauses == [5 * 2**number for number in range(10)] + [3600.0] * 3
    assert (task.attempts, task.last_error) == (13, "broken")
    assert here.words() == []
    assert here.states() == {}
    assert here.sent() == []
    assert caplog.records[0].exc_info is not None
    here.errands.register("test", note)
    assert here.run_due() == [Fate.DONE]
    assert here.words() == ["one"]


def test_system_exit_is_a_failure_like_any_other(make_timely: Make, database: Database) -> None:
    def leave(task: Task, errand: Errand) -> None:
        raise SystemExit(3)

    here = make_timely(SOURCE)
    here.errands.register("test", leave)
    add(database, "one")
    assert here.run_due() == [Fate.PUT_OFF]
    assert here.waiting()[0].last_error == "SystemExit(3)"


def test_what_is_kept_of_an_errand_is_of_no_use(make_timely: Make, database: Database) -> None:
    kept: list[Errand] = []
    here = make_timely(SOURCE)
    here.errands.register("test", lambda task, errand: kept.append(errand))
    add(database, "one")
    here.run_due()
    for use in (lambda: kept[0].session(), lambda: kept[0].mailer, lambda: kept[0].state(KEY)):
        with pytest.raises(Exception, match="over"):
            use()


def test_two_who_try_at_the_same_time_do_it_once(make_timely: Make, database: Database) -> None:
    both_there = threading.Barrier(2)
    done: list[str] = []
    fates: list[Fate] = []
    here = [make_timely(SOURCE), make_timely(SOURCE)]
    for one in here:
        one.errands.register("test", lambda task, errand: done.append(task.name))
    names = [f"number {number}" for number in range(20)]
    add(database, *names)

    def do(one: Timely) -> None:
        found = one.due()
        both_there.wait(10)
        fates.extend(one.errands.run(task) for task in found)

    threads = [threading.Thread(target=do, args=(one,)) for one in here]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == sorted(names)
    assert fates.count(Fate.DONE) == 20
    assert here[0].waiting() == []


def test_what_killed_five_workers_is_put_aside(
    make_timely: Make, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    here = make_timely(SOURCE)
    here.errands.register("test", note)
    add(database, "one")
    (task,) = here.due()
    assert here.errands.run(task, deaths=5) is Fate.PUT_OFF
    (task,) = here.waiting()
    assert task.is_aside
    assert (task.due_at, task.last_error) == (NEVER, "it ended 5 worker processes")
    with database.begin() as connection:
        assert tasks.next_due(connection) is None
        assert tasks.retry(connection, here.now, task.id) == 1
    assert here.due()[0].made_at != task.made_at, "it counts as another one"
    assert here.run_due() == [Fate.DONE]


def test_a_kind_that_nobody_does_waits(make_timely: Make, database: Database) -> None:
    here = make_timely(SOURCE)
    add(database, "one", kind="unheard-of")
    for _ in range(8):
        assert here.run_due() == [Fate.PUT_OFF]
        here.now += 3600
    assert here.waiting()[0].attempts == 8


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("rolls_back", [False, True])
@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_mail_with_a_key_is_sent_once_though_the_transaction_was_ended(
    make_timely: Make, database: Database, end: str, fails: bool, rolls_back: bool
) -> None:
    """The key of mail that was not sent is free: else the next attempt would send none."""
    attempts: list[Errand] = []

    def finish(task: Task, errand: Errand) -> None:
        attempts.append(errand)
        errand.session().connection()
        response = errand.mailer.compose(
            to="ann@example.com", sender="list@test.com", subject=task.name, body="hello"
        )
        errand.mailer.send(response, key="once")
        if len(attempts) == 1:
            driver: Any = errand.connection.connection.driver_connection
            if database.is_sqlite:  # so that nothing can refuse it
                driver.set_authorizer(None)
                driver.execute(end)
            else:
                driver.pgconn.exec_(end.encode())
            if rolls_back:
                errand.session().rollback()
            if fails:
                raise ValueError("broken")

    here = make_timely(SOURCE)
    here.errands.register("test", finish)
    add(database, "one")
    here.run_due()
    here.wait(3600)
    assert here.sent() == ['["ann@example.com"]']
    assert here.waiting() == []


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_who_ends_the_transaction_does_no_harm(
    make_timely: Make, database: Database, end: str
) -> None:
    def finish(task: Task, errand: Errand) -> None:
        note(task, errand)
        driver: Any = errand.connection.connection.driver_connection
        driver.execute(end)

    here = make_timely(SOURCE)
    here.errands.register("test", finish)
    add(database, "one")
    here.run_due()
    here.errands.register("test", note)
    here.wait(3600)
    assert here.words() == ["one"]
    assert here.sent() == ['["ann@example.com"]']
    assert here.waiting() == []
    assert here.states() == {"zed@example.com": f"AFTER_{START}"}


def test_a_failure_after_its_own_commit_is_tried_again(
    make_timely: Make, database: Database
) -> None:
    def fail(task: Task, errand: Errand) -> None:
        errand.session().connection()
        driver: Any = errand.connection.connection.driver_connection
        driver.execute("COMMIT")
        raise ValueError("broken")

    here = make_timely(SOURCE)
    here.errands.register("test", fail)
    add(database, "one")
    assert here.run_due() == [Fate.PUT_OFF]
    (task,) = here.waiting()
    assert task.attempts >= 1
    assert task.due_at > here.now


def test_nothing_can_be_written(make_timely: Make, database: Database) -> None:
    here = make_timely(SOURCE)
    here.errands.register("test", note)
    add(database, "one")
    (task,) = here.due()
    with database.begin() as connection:
        connection.execute(text("ALTER TABLE lamson_tasks RENAME TO lamson_elsewhere"))
    assert here.errands.run(task) is Fate.DUE
    with database.begin() as connection:
        connection.execute(text("ALTER TABLE lamson_elsewhere RENAME TO lamson_tasks"))
    assert here.run_due() == [Fate.DONE]
