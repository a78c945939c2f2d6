"""lamson.delivery.schedules: each slot is run once, whatever happens round it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from lamson.delivery.errands import Fate
from lamson.errors import RouteError
from lamson.storage import schedules
from tests.unit.delivery import timely

if TYPE_CHECKING:
    from collections.abc import Callable

    from lamson.storage.database import Database
    from lamson.storage.schedules import Ran
    from tests.unit.delivery.timely import Timely

    Make = Callable[..., Timely]

DAY, HOUR = 86400.0, 3600.0
FIRST = timely.START - timely.START % DAY + 6 * HOUR + DAY

SOURCE = """
    from lamson.delivery.posting import Posting

    @every("1 day", at="06:00")
    def digest(mailer: Posting, db: Session):
        number = len(db.execute(text("SELECT word FROM note")).all())
        db.execute(text("INSERT INTO note VALUES (:word)"), {"word": f"run {number}"})
        mailer.send(mailer.compose(to="a@example.com", sender="b@test.com", subject="x", body=""))
"""


def ran(database: Database) -> dict[str, Ran]:
    with database.read() as connection:
        return schedules.all_of(connection)


def test_a_slot_is_run_once_over_all_processes(make_timely: Make) -> None:
    nodes = [make_timely(SOURCE) for _ in range(1)]
    here = nodes[0]
    here.take_up()
    here.take_up()  # another worker, or a restart
    assert [task.due_at for task in here.waiting()] == [FIRST]
    here.now = FIRST - 1
    assert here.run_due() == []
    here.now = FIRST
    (task,) = here.due()
    fates: list[Fate] = []
    threads = [
        threading.Thread(target=lambda: fates.append(here.errands.run(task))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(fates, key=lambda fate: fate.name) == [Fate.DONE] + [Fate.GONE] * 3
    assert here.words() == ["run 0"]
    assert len(here.sent()) == 1
    assert [task.due_at for task in here.waiting()] == [FIRST + DAY]


@pytest.mark.parametrize(("missed", "runs"), [("once", 1), ("skip", 0)])
def test_slots_that_were_missed_run_once_or_not(
    make_timely: Make, database: Database, missed: str, runs: int
) -> None:
    here = make_timely(SOURCE.replace('at="06:00"', f'at="06:00", missed="{missed}"'))
    here.take_up()
    here.now = FIRST + 5 * DAY + HOUR
    here.take_up()
    assert here.run_due() == [Fate.DONE]
    assert len(here.words()) == runs
    assert len(ran(database)) == runs
    assert [task.due_at for task in here.waiting()] == [FIRST + 6 * DAY]
    here.now = FIRST + 6 * DAY + 2  # late, as one is under load
    assert here.run_due() == [Fate.DONE]
    assert len(here.words()) == runs + 1


def test_a_failure_is_tried_again_within_the_slot(make_timely: Make, database: Database) -> None:
    here = make_timely("""
        FAILS = [True]

        @every("1 hour")
        def report(db: Session):
            db.execute(text("INSERT INTO note VALUES ('x')"))
            if FAILS[0]:
                raise ValueError("broken")
    """)
    import sys

    here.take_up()
    slot = here.waiting()[0].due_at
    here.now = slot
    while here.now < slot + HOUR:
        assert here.run_due() == [Fate.PUT_OFF]
        (task,) = here.waiting()
        here.now = task.due_at
    assert here.now == slot + HOUR, "the next slot, not an attempt beyond it"
    name = f"{here.name}.report"
    assert ran(database)[name].error == "broken"
    assert ran(database)[name].failures == ran(database)[name].runs == 10
    assert task.attempts == 0
    sys.modules[here.name].FAILS[0] = False
    assert here.run_due() == [Fate.DONE]
    assert here.words() == ["x"]
    assert ran(database)[name].error == ""
    assert ran(database)[name].failures == 0
    assert ran(database)[name].runs == 11


def test_what_the_code_says_is_taken_up_at_the_start(make_timely: Make) -> None:
    one = make_timely(SOURCE)
    one.take_up()
    one.schedules.by_name.clear()
    one.take_up()
    assert one.waiting() == []
    changed = make_timely(SOURCE.replace("06:00", "07:00"))
    # As if it were the same module, a version later.
    changed.schedules.by_name = {f"{one.name}.digest": changed.schedules.by_name.popitem()[1]}
    changed.take_up()
    assert [task.due_at for task in changed.waiting()] == [FIRST + HOUR]
    name = changed.schedules.by_name.popitem()[1].function.full_name
    assert changed.waiting()[0].payload["function"] == name


def test_a_changed_schedule_waits_for_its_own_slot(make_timely: Make) -> None:
    from dataclasses import replace

    here = make_timely(SOURCE)
    here.take_up()
    name = f"{here.name}.digest"
    one = here.schedules.by_name[name]
    here.schedules.by_name[name] = one._replace(schedule=replace(one.schedule, at="07:00"))
    here.take_up()
    assert [task.due_at for task in here.waiting()] == [FIRST + HOUR]


def test_a_clock_that_jumps_a_day_and_back_runs_each_slot_once(make_timely: Make) -> None:
    here = make_timely(SOURCE)
    here.take_up()
    here.now = FIRST + HOUR
    here.run_due()
    here.now += DAY
    here.run_due()
    here.now -= DAY
    assert here.run_due() == []
    for hour in range(3 * 24):
        here.now = FIRST + HOUR + hour * HOUR
        here.run_due()
    assert here.words() == ["run 0", "run 1", "run 2", "run 3"]


QUARTERS = """
    from datetime import datetime

    RAN = []

    @every("15 minutes")
    def tick(slot: datetime, db: Session):
        RAN.append(slot.timestamp())
"""


def test_a_clock_that_jumps_a_day_and_back_leaves_out_none_between(make_timely: Make) -> None:
    import sys

    here = make_timely(QUARTERS)
    began = here.now
    here.take_up()
    for minute in (*range(0, 90, 5), *range(90, 140), *range(140, 30 * 60, 5)):
        ahead = DAY if 100 <= minute <= 130 else 0.0
        here.now = began + minute * 60 + ahead
        with here.database.begin() as connection:
            here.schedules.mend(connection, here.now)
        here.run_due()
    ran = sys.modules[here.name].RAN
    assert len(set(ran)) == len(ran), "none twice"
    # Those of the half-hour in which the clock was elsewhere were caught up with by one run.
    away = {began + minute * 60 for minute in (105, 120)}
    expected = {began + 900 * number for number in range(1, 30 * 4)} - away
    assert began % 900 == 0
    assert set(ran) == expected


def test_an_outage_after_a_jump_runs_none_of_those_that_ran_ahead(make_timely: Make) -> None:
    import sys

    here = make_timely(QUARTERS)
    began = here.now
    here.take_up()
    for minute in (15, 30):
        here.now = began + minute * 60
        here.run_due()
    for minute in (60, 75):  # ahead of the time, which is half past
        here.now = began + minute * 60
        here.run_due()
    here.now = began + 31 * 60
    with here.database.begin() as connection:
        here.schedules.mend(connection, here.now)
    here.now = began + 76 * 60  # nobody was there at a quarter to
    here.run_due()
    here.now = began + 90 * 60
    here.run_due()
    ran = [(slot - began) / 60 for slot in sys.modules[here.name].RAN]
    assert ran == [15, 30, 60, 75, 45, 90]


def test_a_clock_that_is_wrong_twice_runs_none_again(make_timely: Make) -> None:
    """Ahead, so that a slot is left out, and then back behind one that ran before all that."""
    import sys

    here = make_timely(QUARTERS)
    began = here.now
    here.take_up()
    for minute in (15, 50, 60, 14, 16, 29, 31):
        here.now = began + minute * 60
        with here.database.begin() as connection:
            here.schedules.mend(connection, here.now)
        here.run_due()
    ran = sys.modules[here.name].RAN
    assert [(slot - began) / 60 for slot in ran] == [15, 45, 60, 30]


def test_one_is_run_by_hand_besides_its_slots(make_timely: Make, database: Database) -> None:
    here = make_timely(SOURCE)
    here.take_up()
    with database.begin() as connection:
        task = here.schedules.now(connection, f"{here.name}.digest")
    here.take_up()
    here.now = max(here.now, task.due_at)
    assert here.errands.run(task) is Fate.DONE
    assert here.words() == ["run 0"]
    assert [task.due_at for task in here.waiting()] == [FIRST]


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ('@every("often")\ndef f(): pass', "expected such as"),
        ("@every\ndef f(): pass", "needs when"),
        ("@every()\ndef f(): pass", "needs when"),
        ('@every("1 day")\ndef f(delivery: Delivery): pass', "asks for a Delivery"),
        ('@every("1 day")\n@every("1 hour")\ndef f(): pass', "second @every"),
        ('@every("1 day")\ndef f(message): pass', "nobody gives"),
        ('@every("1 day")\n@route("(user)@(host)")\ndef f(message): pass', "only one of them"),
    ],
)
def test_what_cannot_be_is_told_when_it_is_loaded(
    make_timely: Make, source: str, problem: str
) -> None:
    with pytest.raises(RouteError, match=problem) as raised:
        make_timely(source)
    assert raised.value.line
