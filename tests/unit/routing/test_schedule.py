"""lamson.routing.schedule: the slots of a schedule, also where clocks are put forward and back."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamson.routing.schedule import Schedule

BERLIN = "Europe/Berlin"


def at(moment: str, zone: str = "UTC") -> float:
    return datetime.fromisoformat(moment).replace(tzinfo=ZoneInfo(zone)).timestamp()


def slots(schedule: Schedule, after: float, number: int, zone: str = "UTC") -> list[str]:
    found = []
    for _ in range(number):
        after = schedule.next(after)
        found.append(datetime.fromtimestamp(after, ZoneInfo(zone)).strftime("%m-%d %H:%M"))
    return found


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Schedule("15 minutes"), ["01-01 10:15", "01-01 10:30"]),
        (Schedule("hour"), ["01-01 11:00", "01-01 12:00"]),
        (Schedule("1 day"), ["01-02 00:00", "01-03 00:00"]),
        (Schedule("1 day", at="06:00"), ["01-02 06:00", "01-03 06:00"]),
        (Schedule("1 day", at="10:02"), ["01-01 10:02", "01-02 10:02"]),
        (Schedule("1 week", at="9:30"), ["01-04 09:30", "01-11 09:30"]),
        (Schedule(cron="0 6 * * mon-fri"), ["01-04 06:00", "01-05 06:00"]),
        (Schedule(cron="*/20 * * * *"), ["01-01 10:20", "01-01 10:40"]),
    ],
    ids=str,
)
def test_slots(schedule: Schedule, expected: list[str]) -> None:
    assert slots(schedule, at("2027-01-01T10:01:30"), 2) == expected  # a Friday


@pytest.mark.parametrize(
    "schedule",
    [Schedule("1 day", at="02:30", zone=BERLIN), Schedule(cron="30 2 * * *", zone=BERLIN)],
    ids=str,
)
def test_a_time_that_the_clock_leaves_out_or_has_twice_comes_once(schedule: Schedule) -> None:
    spring = slots(schedule, at("2027-03-27T12:00", BERLIN), 2, BERLIN)
    assert spring[0] in ("03-28 03:00", "03-28 03:30")  # 02:00 became 03:00
    assert spring[1] == "03-29 02:30"
    autumn = slots(schedule, at("2027-10-30T12:00", BERLIN), 2, BERLIN)
    assert autumn == ["10-31 02:30", "11-01 02:30"]


def test_minutes_go_on_while_an_hour_comes_twice() -> None:
    schedule = Schedule("30 minutes", zone=BERLIN)
    assert slots(schedule, at("2027-10-31T01:45", BERLIN), 4, BERLIN) == [
        "10-31 02:00",
        "10-31 02:30",
        "10-31 02:00",
        "10-31 02:30",
    ]


SCHEDULES = st.sampled_from(
    [
        Schedule("15 minutes"),
        Schedule("1 day", at="02:30", zone=BERLIN),
        Schedule("3 days", at="02:30", zone="America/New_York"),
        Schedule("2 weeks", at="23:59", zone=BERLIN),
        Schedule(cron="30 2 * * *", zone=BERLIN),
        Schedule(cron="0 6 1 * mon", zone=BERLIN),
        Schedule(cron="7 */5 * * *", zone="Australia/Lord_Howe"),
    ]
)


@given(SCHEDULES, st.floats(1.7e9, 1.9e9), st.floats(0, 4e6))
def test_slots_are_those_of_one_row(schedule: Schedule, after: float, waited: float) -> None:
    """Whoever asks, and whenever: the next slot is later, and none lies between."""
    first = schedule.next(after)
    assert first > after
    assert schedule.next((after + first) / 2) == first
    second = schedule.next(first)
    assert second > first
    now = first + waited
    last = schedule.last(now, first)
    assert first <= last <= now < schedule.next(last)
    assert last == first or schedule.next(last - 1) == last


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({}, "expected an interval"),
        ({"interval": "1 day", "cron": "0 6 * * *"}, "expected an interval"),
        ({"interval": "often"}, "expected such as"),
        ({"interval": "0 days"}, "expected such as"),
        ({"interval": "1 hour", "at": "06:00"}, "for days and weeks"),
        ({"interval": "1 day", "at": "25:00"}, "06:00"),
        ({"interval": "1 day", "zone": "Europe/Atlantis"}, "no time zone"),
        ({"interval": "1 day", "zone": "../../etc/passwd"}, "no time zone"),
        ({"interval": "1 day", "missed": "twice"}, "missed="),
        ({"cron": "0 6 * *"}, "no line of crontab"),
        ({"cron": "0 0 30 2 *"}, "no line of crontab"),
        ({"cron": "0 6 * * *", "at": "06:00"}, "says itself"),
    ],
)
def test_what_is_no_schedule(arguments: dict[str, str], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Schedule(**arguments)
