"""lamson.storage.service_clock: what was handled is forgotten after 30 days of service, not of
calendar.
"""

import time

import pytest

from lamson.storage import seen
from lamson.storage.database import Database
from lamson.storage.service_clock import ServiceClock
from tests.unit.support import make_key

DAY = 24 * 3600.0


class Monotonic:
    """A monotonic clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def found_old(database: Database, clock: ServiceClock) -> list[bytes]:
    with database.read() as connection:
        return [
            key
            for after, end in seen.ranges(time.time())
            for key in seen.old(connection, after, end, clock(), 10)
        ]


def start(database: Database, monotonic: Monotonic) -> ServiceClock:
    clock = ServiceClock(monotonic)
    with database.read() as connection:
        clock.read(connection)
    return clock


def save(database: Database, clock: ServiceClock) -> None:
    with database.begin() as connection:
        clock.save(connection)


def test_it_begins_at_nought_and_goes_on_after_a_restart(database: Database) -> None:
    monotonic = Monotonic()
    clock = start(database, monotonic)
    assert clock() == 0.0
    monotonic.now += 100.0
    save(database, clock)
    monotonic.now = 5.0  # the machine was started again
    clock = start(database, monotonic)
    monotonic.now += 10.0
    assert clock() == 110.0


def test_two_nodes_do_not_make_it_run_twice_as_fast(database: Database) -> None:
    ours, theirs = Monotonic(), Monotonic()
    one, other = start(database, ours), start(database, theirs)
    for _ in range(3):
        ours.now += 60.0
        theirs.now += 60.0
        save(database, one)
        save(database, other)
    assert start(database, ours)() == 180.0


def test_it_never_goes_back(database: Database) -> None:
    fast, slow = Monotonic(), Monotonic()
    one, other = start(database, fast), start(database, slow)
    fast.now += 500.0
    slow.now += 1.0
    save(database, one)
    save(database, other)
    assert start(database, fast)() == 500.0


@pytest.mark.parametrize("jump", [40 * DAY, -40 * DAY])
def test_a_jump_of_the_wall_clock_forgets_nothing(
    database: Database, jump: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monotonic = Monotonic()
    clock = start(database, monotonic)
    with database.begin() as connection:
        seen.claim(connection, [make_key(b"one", at=time.time())], clock())
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + jump)
    monotonic.now += 29 * DAY
    assert not found_old(database, clock)
    monotonic.now += 2 * DAY
    assert found_old(database, clock)
