"""lamson.delivery.errand_batch: tasks that share a commit, and none of them another one's fate."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError

from lamson.delivery import errand_batch
from lamson.delivery.errands import Fate
from lamson.storage import tasks
from lamson.storage.state import StateKey
from lamson.storage.tasks import Task
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
NAMES = [f"number {number}" for number in range(6)]
ODD = "number 3"


def add(database: Database, kind: str = "test") -> None:
    with database.begin() as connection:
        tasks.add(connection, [Task(kind, name, due_at=timely.START) for name in NAMES])


def note(task: Task, errand: Errand) -> None:
    """A row, a state and a mail with a key."""
    errand.session().execute(text("INSERT INTO note VALUES (:word)"), {"word": task.name})
    response = errand.mailer.compose(
        to="ann@example.com", sender="list@test.com", subject=task.name, body="hello"
    )
    errand.mailer.send(response, key=f"mail of {task.name}")
    errand.move(StateKey("machine", task.name), "AFTER")
    errand.move(StateKey("machine", "all"), f"{errand.state(StateKey('machine', 'all'))}.")


def assert_done(here: Timely) -> None:
    """Each of them once, with all that it did."""
    assert here.words() == NAMES
    assert len(here.sent()) == len(NAMES)
    states = here.states()
    assert states.pop("all") == "START" + "." * len(NAMES)
    assert states == dict.fromkeys(NAMES, "AFTER")
    assert here.waiting() == []


def test_they_share_a_commit(make_timely: Make, database: Database) -> None:
    commits: list[object] = []
    here = make_timely(SOURCE)
    here.errands.register("test", note, shares=True)
    add(database)
    found = here.due()
    event.listen(database.engine, "commit", commits.append)
    assert here.errands.run_together(found) == [Fate.DONE] * 6
    assert len(commits) == 1
    assert_done(here)
    assert here.errands.run_together(found) == [Fate.GONE] * 6


@pytest.mark.parametrize("error", [ValueError, SystemExit])
def test_one_that_fails_is_undone_alone_and_waits(
    make_timely: Make, database: Database, error: type[BaseException]
) -> None:
    def fail(task: Task, errand: Errand) -> None:
        note(task, errand)
        if task.name == ODD:
            raise error("broken")

    here = make_timely(SOURCE)
    here.errands.register("test", fail, shares=True)
    add(database)
    fates = here.errands.run_together(here.due())
    assert [fate is Fate.PUT_OFF for fate in fates] == [name == ODD for name in NAMES]
    (task,) = here.waiting()
    assert (task.name, task.attempts, task.due_at) == (ODD, 1, here.now + 5)
    assert ODD not in here.words()
    here.errands.register("test", note, shares=True)
    here.wait(5)
    assert_done(here)


def test_one_whose_states_cannot_be_told_waits_and_ends_no_thread(
    make_timely: Make, database: Database
) -> None:
    """On SQLite there is but one, which does the mail, too."""

    def locks(task: Task) -> list[StateKey]:
        return [StateKey("machine", {name: name for name in NAMES if name != ODD}[task.name])]

    here = make_timely(SOURCE)
    here.errands.register("test", note, locks=locks, shares=True)
    add(database)
    fates = here.errands.run_together(here.due())
    assert [fate is Fate.PUT_OFF for fate in fates] == [name == ODD for name in NAMES]
    assert here.words() == [name for name in NAMES if name != ODD]


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("rolls_back", [False, True])
@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_one_that_ends_the_transaction_does_no_harm(
    make_timely: Make, database: Database, end: str, fails: bool, rolls_back: bool
) -> None:
    ended: list[str] = []

    def finish(task: Task, errand: Errand) -> None:
        note(task, errand)
        if task.name == ODD and not ended:
            ended.append(end)
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
    here.errands.register("test", finish, shares=True)
    add(database)
    here.errands.run_together(here.due())
    if (fails or rolls_back) and end == "COMMIT":  # what it committed itself is its own affair
        with database.begin() as connection:
            connection.execute(text("DELETE FROM note WHERE word = :word"), {"word": ODD})
    here.wait(3600)
    assert_done(here)


def test_slow_ones_do_not_keep_all_others_waiting(
    make_timely: Make, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite has one writer, and they were taken for quick."""
    monkeypatch.setattr(errand_batch, "LONGEST", 0.0)
    here = make_timely(SOURCE)
    here.errands.register("test", note, shares=True)
    add(database)
    before = {task.name: (task.made_at, task.due_at) for task in here.due()}
    assert here.errands.run_together(here.due()) == [Fate.DONE] + [Fate.DUE] * 5
    left = {task.name: (task.made_at, task.due_at) for task in here.due()}
    assert len(left) == 5
    assert left.items() < before.items()
    while found := here.due():
        here.errands.run_together(found)
    assert_done(here)


def test_where_the_transaction_fails_they_are_done_one_by_one(
    make_timely: Make, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """A constraint that is looked at only with the commit, say."""
    here = make_timely(SOURCE)
    here.errands.register("test", note, shares=True)
    add(database)
    run = here.transactions.run_errand
    attempts: list[object] = []

    def fail_first(work: Any) -> None:
        attempts.append(work)

        def failing(connection: Any, store: Any) -> Any:
            sent = work(connection, store)
            if len(attempts) == 1:
                raise OperationalError("COMMIT", {}, Exception("refused"))
            return sent

        run(failing)

    here.transactions.run_errand = fail_first  # type: ignore[method-assign]
    with caplog.at_level(logging.WARNING):
        assert here.errands.run_together(here.due()) == [Fate.DONE] * 6
    assert len(attempts) == 7
    assert "6 tasks are done again one by one: refused" in caplog.text
    assert_done(here)


def test_nothing_can_be_written(make_timely: Make, database: Database) -> None:
    here = make_timely(SOURCE)
    here.errands.register("test", note, shares=True)
    add(database)
    found = here.due()
    with database.begin() as connection:
        connection.execute(text("ALTER TABLE lamson_tasks RENAME TO lamson_elsewhere"))
    assert here.errands.run_together(found) == [Fate.DUE] * 6
    with database.begin() as connection:
        connection.execute(text("ALTER TABLE lamson_elsewhere RENAME TO lamson_tasks"))
    assert here.errands.run_together(found) == [Fate.DONE] * 6
    assert_done(here)


def test_none_is_done_before_its_time(make_timely: Make, database: Database) -> None:
    here = make_timely(SOURCE)
    here.errands.register("test", note, shares=True)
    add(database)
    found = here.due()
    here.now -= 0.001  # the clock went back
    assert here.errands.run_together(found) == [Fate.GONE] * 6
    assert len(here.waiting()) == 6
    assert here.wait(0.001) == [Fate.DONE] * 6


def test_two_batches_of_the_same_tasks_do_each_once(make_timely: Make, database: Database) -> None:
    both_there = threading.Barrier(2)
    fates: list[Fate] = []
    here = [make_timely(SOURCE), make_timely(SOURCE)]
    for one in here:
        one.errands.register(
            "test", note, locks=lambda task: [StateKey("machine", "all")], shares=True
        )
    add(database)

    def do(one: Timely, found: list[Task]) -> None:
        both_there.wait(10)
        fates.extend(one.errands.run_together(found))

    threads = [
        threading.Thread(target=do, args=(one, one.due()[::step]))
        for one, step in zip(here, (1, -1), strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fates.count(Fate.DONE) == 6
    assert_done(here[0])
