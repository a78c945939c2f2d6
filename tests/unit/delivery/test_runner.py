"""lamson.delivery.runner: what is due is handed over, no earlier, a few at a time."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy import text

from lamson.delivery.errand import crash_key
from lamson.delivery.errands import Errands
from lamson.delivery.runner import AHEAD, ASIDE, Runner
from lamson.storage import tasks
from lamson.storage.leaps import Leaps
from lamson.storage.tasks import Task
from tests.unit.delivery.timely import make_mailer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pytest

    from lamson.delivery.chore import Chore
    from lamson.delivery.errand import Errand
    from lamson.storage.database import Database
    from tests.unit.delivery.timely import Timely

    Make = Callable[..., Timely]

SOURCE = """
    @route("list@(host)")
    def START(message, host):
        pass
"""


class Threads:
    """Hands of as many threads as there are chores."""

    def __init__(self) -> None:
        self.most = 0
        self.suspects: set[bytes] = set()
        self.together: list[int] = []
        self.keys: set[bytes] = set()
        self.aside: list[bool] = []
        self._running = 0
        self._threads: list[threading.Thread] = []

    def do(self, chore: Chore, *, aside: bool = False) -> None:
        self._running += 1
        self.most = max(self.most, self._running)
        self.aside.append(aside)
        self.together.append(len(chore.crash_key) // 32)
        self.keys.add(chore.crash_key)
        loop = asyncio.get_running_loop()

        def done() -> None:
            self._running -= 1
            chore.done()

        def run() -> None:
            chore.run()
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(done)

        self._threads.append(threading.Thread(target=run))
        self._threads[-1].start()

    def suspected(self, crash_keys: Sequence[bytes]) -> set[bytes]:
        return {key for key in crash_keys if key in self.suspects}

    def join(self) -> None:
        for thread in self._threads:
            thread.join()


def run(
    *runners: Runner, until: Callable[[], bool], begin: Callable[[], None] = lambda: None
) -> None:
    async def story() -> None:
        for runner in runners:
            runner.start()
        begin()
        async with asyncio.timeout(30):
            while not until():
                await asyncio.sleep(0.01)
        for runner in runners:
            runner.stop()

    asyncio.run(story())
    for runner in runners:
        assert isinstance(runner._hands, Threads)
        runner._hands.join()


def add(database: Database, *wanted: Task) -> None:
    with database.begin() as connection:
        tasks.add(connection, wanted)


def count(database: Database) -> int:
    with database.read() as connection:
        return len(tasks.waiting(connection))


def test_two_processes_do_each_task_once(make_timely: Make, database: Database) -> None:
    done: list[str] = []
    hands = Threads()
    runners = []
    for _ in range(2):
        here = make_timely(SOURCE)
        here.errands.register("test", lambda task, errand: done.append(task.name))
        runners.append(Runner(database, here.errands, hands, limit=1))
    names = [f"number {number}" for number in range(150)]
    add(database, *(Task("test", name) for name in names))
    run(*runners, until=lambda: count(database) == 0)
    assert sorted(done) == sorted(names)
    assert hands.most <= 2 * AHEAD


def test_none_is_early_and_none_waits_for_the_next_look(
    make_timely: Make, database: Database
) -> None:
    late: list[float] = []
    here = make_timely(SOURCE)
    here.errands._clock = time.time
    here.errands.register("test", lambda task, errand: late.append(time.time() - task.due_at))
    runner = Runner(database, here.errands, Threads())
    now = time.time()
    # Not through this process: nobody tells the runner.
    run(
        runner,
        until=lambda: len(late) == 5,
        begin=lambda: add(
            database,
            *(Task("test", str(number), due_at=now + number / 4) for number in range(1, 6)),
        ),
    )
    assert all(one >= 0 for one in late)
    assert max(late) < 10


def test_it_is_told_of_what_can_be_done_now(make_timely: Make, database: Database) -> None:
    done: list[str] = []
    here = make_timely(SOURCE)
    here.errands._clock = time.time
    here.errands.register("test", lambda task, errand: done.append(task.name))
    runner = Runner(database, here.errands, Threads())

    def begin() -> None:
        add(database, Task("test", "one"))
        threading.Thread(target=runner.poke).start()

    run(runner, until=lambda: bool(done), begin=begin)
    runner.poke()  # nothing runs any more


def test_what_makes_calls_to_the_world_holds_up_nothing(
    make_timely: Make, database: Database
) -> None:
    done: list[str] = []
    is_over = threading.Event()

    waited: list[str] = []

    def wait(task: Task) -> None:
        waited.append(task.name)
        assert is_over.wait(20)

    here = make_timely(SOURCE)
    here.errands._clock = time.time
    here.errands.register("test", lambda task, errand: done.append(task.name))
    here.errands.register_outside("outside", wait)
    add(database, *(Task("outside", str(number)) for number in range(200)))
    add(database, Task("test", "one"))
    hands = Threads()
    runner = Runner(database, here.errands, hands)

    def is_done() -> bool:
        if done:
            is_over.set()
        return count(database) == 0

    run(runner, until=is_done)
    assert hands.most <= ASIDE + AHEAD
    assert len(waited) == len(set(waited)) == 200
    assert done == ["one"]


def test_the_clock_leaps_while_one_is_done_outside_of_a_transaction(
    make_timely: Make, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else takes it for one that was left; what is due after that is done."""
    ahead = 0.0
    asked: Counter[int] = Counter()
    begun: list[str] = []
    may_end = threading.Event()

    def perform(task: Task) -> None:
        begun.append(task.name)
        if task.name == "long":
            assert may_end.wait(30)

    def clock(of: int) -> float:
        asked[of] += bool(ahead)
        return time.time() + ahead

    def steady() -> float:
        """Stands still until both have seen the leap, however slow the machine is."""
        return 1000.0 * (min(asked[0], asked[1]) > 20)

    monkeypatch.setattr("lamson.delivery.runner.Leaps", partial(Leaps, steady=steady))
    monkeypatch.setattr("lamson.delivery.runner.LOOK", 0.05)
    runners = []
    for number in range(2):
        here = make_timely(SOURCE)
        own = partial(clock, number)
        here.errands = Errands(database, here.transactions, make_mailer, clock=own)
        here.errands.register_outside("outside", perform)
        runners.append(Runner(database, here.errands, Threads(), clock=own))
    add(database, Task("outside", "long"))

    def is_done() -> bool:
        nonlocal ahead
        if begun and not ahead:
            ahead = 86_400.0
            add(database, Task("outside", "short", due_at=time.time()))
        if "short" in begun and min(asked[0], asked[1]) > 40:  # several looks after that
            may_end.set()
        return count(database) == 0

    run(*runners, until=is_done)
    assert begun == ["long", "short"]


def test_an_outage_ends(
    make_timely: Make, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[str] = []
    here = make_timely(SOURCE)
    here.errands._clock = time.time
    here.errands.register("test", lambda task, errand: done.append(task.name))
    add(database, Task("test", "one"))
    with database.begin() as connection:
        connection.execute(text("ALTER TABLE lamson_tasks RENAME TO lamson_elsewhere"))
    runner = Runner(database, here.errands, Threads())

    def mended() -> bool:
        if "no task is done for now" in caplog.text and not done:
            with database.begin() as connection:
                connection.execute(text("ALTER TABLE lamson_elsewhere RENAME TO lamson_tasks"))
            caplog.clear()
        return bool(done)

    run(runner, until=mended)


def test_a_failure_that_nobody_expected_does_not_end_it(
    make_timely: Make,
    database: Database,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No task would be done any more, and nothing would tell so."""
    monkeypatch.setattr("lamson.delivery.runner.OUTAGE", 0.01)
    done: list[str] = []
    here = make_timely(SOURCE)
    here.errands._clock = time.time
    here.errands.register("test", lambda task, errand: done.append(task.name))
    add(database, Task("test", "one"))

    class Clumsy(Threads):
        def suspected(self, crash_keys: Sequence[bytes]) -> set[bytes]:
            if not caplog.records:
                raise ZeroDivisionError
            return super().suspected(crash_keys)

    here.errands._kinds["test"] = replace(here.errands._kinds["test"], shares=True)
    runner = Runner(database, here.errands, Clumsy())
    run(runner, until=lambda: bool(done))
    assert "a failure that was not expected" in caplog.text


def test_what_was_put_off_by_a_clock_that_was_ahead_does_not_wait(
    make_timely: Make, database: Database
) -> None:
    done: list[str] = []
    here = make_timely(SOURCE)
    here.errands._clock = time.time

    def perform(task: Task, errand: Errand) -> None:
        done.append(task.name)

    here.errands.register("test", perform)
    add(database, Task("test", "failed"), Task("test", "planned", due_at=time.time() + 86400))
    with database.begin() as connection:
        (task,) = tasks.due(connection, time.time() + 1, 10)
        tasks.put_off(connection, task, time.time() + 86400, "broken")
    run(Runner(database, here.errands, Threads()), until=lambda: done == ["failed"])
    assert count(database) == 1


def test_preparing_comes_first_and_once(make_timely: Make, database: Database) -> None:
    prepared: list[object] = []
    done: list[object] = []
    here = make_timely(SOURCE)
    here.errands._clock = time.time
    here.errands.register("test", lambda task, errand: done.append(list(prepared)))
    add(database, *(Task("test", str(number)) for number in range(3)))
    runner = Runner(database, here.errands, Threads(), prepare=lambda _: prepared.append(1))
    run(runner, until=lambda: len(done) == 3)
    assert done == [[1]] * 3


def test_quick_ones_are_handed_over_together_and_a_suspect_alone(
    make_timely: Make, database: Database
) -> None:
    done: list[str] = []
    hands = Threads()
    here = make_timely(SOURCE)
    here.errands._clock = time.time
    here.errands.register("test", lambda task, errand: done.append(task.name), shares=True)
    here.errands.register("alone", lambda task, errand: done.append(task.name))
    add(database, *(Task("test", str(number)) for number in range(8)))
    add(database, *(Task("alone", f"alone {number}") for number in range(3)))
    runner = Runner(database, here.errands, hands)
    runner._costs = {"test": 0.005, "alone": 0.005}
    with database.read() as connection:
        suspect = next(task for task in tasks.waiting(connection) if task.name == "3")
    hands.suspects.add(crash_key(suspect))
    run(runner, until=lambda: count(database) == 0)
    assert len(done) == len(set(done)) == 11
    assert 1 < max(hands.together) <= 7
    assert hands.suspects < hands.keys


def test_slow_ones_leave_threads_to_the_mail(make_timely: Make, database: Database) -> None:
    done: list[str] = []
    hands = Threads()
    here = make_timely(SOURCE)

    def slow(task: Task, errand: Errand) -> None:
        time.sleep(0.05)
        done.append(task.name)

    here.errands.register("test", slow)
    runner = Runner(database, here.errands, hands, limit=2)
    add(database, *(Task("test", str(number)) for number in range(10)))
    here.errands._clock = time.time
    run(runner, until=lambda: len(done) == 10)
    assert hands.most == 2


def test_what_mends_is_told_the_time_at_which_its_turn_has_come(
    make_timely: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others may have gone on meanwhile: for them the clock did not go back."""
    here = make_timely(SOURCE)

    def wait_for_a_lock(connection: object, now: float, most: float) -> int:
        here.now += 5.0
        return 0

    monkeypatch.setattr(tasks, "hurry", wait_for_a_lock)
    mended: list[float] = []
    runner = Runner(
        here.database,
        here.errands,
        Threads(),
        clock=lambda: here.now,
        mend=lambda connection, now: mended.append(now),
    )
    runner._look(inside=True, outside=True)
    assert mended == [here.now]
