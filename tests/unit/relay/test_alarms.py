"""lamson.relay.alarms: times to look again, each once, and none too early."""

from __future__ import annotations

from lamson.relay.alarms import GRAIN, Alarms


def test_the_next_one_is_no_earlier_than_what_is_due() -> None:
    alarms = Alarms()
    assert alarms.next(0.0) is None
    for due_at in (1000.31, 1000.01, 1000.02):
        alarms.add(due_at)
    first = alarms.next(1000.0)
    assert first is not None
    assert 1000.02 <= first <= 1000.02 + GRAIN
    second = alarms.next(first)
    assert second is not None
    assert 1000.31 <= second <= 1000.31 + GRAIN
    assert alarms.next(second) is None


def test_however_many_wait_they_are_few() -> None:
    alarms = Alarms()
    for number in range(10_000):
        alarms.add(1000.0 + number / 10_000)
    assert len(alarms._times) <= 1 / GRAIN + 1
