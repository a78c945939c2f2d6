"""lamson.storage.pace: at most so many messages a minute, over all workers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from lamson.storage import pace as module
from lamson.storage.outgoing import Outgoing
from lamson.storage.pace import WAITS, Pace

if TYPE_CHECKING:
    from lamson.storage.database import Database

NOW = 1_900_000_000.0


class Clock:
    now = NOW


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "time", lambda: clock.now)
    return clock


def row(*to: str, sender: str = "l@test.com") -> Outgoing:
    return Outgoing("4Qz", "<1@test>", sender, to, b"x")


def turns(pace: Pace, *rows: Outgoing) -> list[float]:
    """Seconds from now on; each row is told of its own."""
    found = []
    for one in rows:
        due_at, one.last_error = pace.turn(one)
        one.due_at = due_at
        found.append(round(due_at - NOW, 3) if due_at else 0.0)
    return found


def test_messages_take_turns(database: Database, clock: Clock) -> None:
    one, other = (Pace(database, {"example.com": 60, "*": 120}) for _ in range(2))
    rows = [row("a@Example.com"), row("b@example.com"), row("c@example.com"), row("d@b.example")]
    assert turns(one, *rows[:2]) == [0.0, 1.0]
    assert turns(other, *rows[2:], row("e@b.example")) == [2.0, 0.0, 0.5]
    assert rows[1].last_error == f"{WAITS}: at most 60 messages a minute, example.com"
    clock.now = NOW + 1.5
    assert turns(one, rows[1]) == [0.0]  # it has waited, and asks nobody
    assert turns(one, row("f@example.com")) == [3.0]
    clock.now = NOW + 60
    assert turns(one, row("g@example.com")) == [0.0]


def test_a_sender_is_paced_and_all_domains_count(database: Database, clock: Clock) -> None:
    pace = Pace(database, {"News@test.com": 60, "slow.example": 6, "bücher.example": 6})
    assert not pace.holds(row("a@example.com"))
    assert pace.holds(row("a@xn--bcher-kva.example"))
    assert turns(pace, row("a@example.com")) == [0.0]
    both = row("a@example.com", "b@slow.example", sender="news@test.com")
    assert turns(pace, both, row("c@example.com", sender="news@TEST.com")) == [0.0, 1.0]
    assert turns(pace, row("c@slow.example", sender="news@test.com")) == [10.0]


def test_what_is_far_away_asks_again(database: Database, clock: Clock) -> None:
    pace = Pace(database, {"example.com": 1})
    given = turns(pace, *(row(f"{number}@example.com") for number in range(63)))
    assert given == [*(60.0 * number for number in range(61)), 3600.0, 3600.0]
    late = row("late@example.com")
    assert turns(pace, late) == [3600.0]
    assert not late.last_error.startswith(WAITS)
    clock.now = NOW - 86400  # the clock went back
    assert turns(pace, row("a@example.com")) == [0.0]


def test_what_is_over_is_forgotten(database: Database, clock: Clock) -> None:
    turns(Pace(database, {"*": 60}), row("a@example.com"), row("b@b.example"))
    with database.begin() as connection:
        assert module.purge(connection, NOW, 9) == 0
        assert module.purge(connection, NOW + 2, 9) == 2
