"""lamson.storage.answers"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from lamson.storage import answers

if TYPE_CHECKING:
    from lamson.storage.database import Database

KEYS = [bytes([number]) * 16 for number in range(20)]


def test_counts_add_up_within_an_hour(database: Database) -> None:
    with database.begin() as connection:
        assert answers.count(connection, {}, 0.0) == {}
        first = answers.count(connection, dict.fromkeys(KEYS, 2), 10.0)
        assert first == dict.fromkeys(KEYS, 2)
        assert answers.count(connection, {KEYS[3]: 1, KEYS[0]: 5}, 3599.0) == {
            KEYS[0]: 7,
            KEYS[3]: 3,
        }


def test_a_process_whose_clock_is_behind_adds_to_the_later_hour(database: Database) -> None:
    with database.begin() as connection:
        for now, total in ((10.0, 1), (3700.0, 1), (10.0, 2), (3700.0, 3)):
            assert answers.count(connection, {KEYS[0]: 1}, now) == {KEYS[0]: total}


def test_past_hours_are_forgotten(database: Database) -> None:
    with database.begin() as connection:
        answers.count(connection, {KEYS[0]: 1, KEYS[1]: 1}, 0.0)
        answers.count(connection, {KEYS[1]: 1}, 3600.0)
        assert answers.past(connection, b"", 3600.0, 9) == []
        assert answers.past(connection, b"", 7200.0, 9) == [KEYS[0]]
        assert answers.drop(connection, KEYS, 7200.0) == 1


def test_they_are_forgotten_in_pieces_that_wait_for_nobody(database: Database) -> None:
    with database.begin() as connection:
        answers.count(connection, dict.fromkeys(KEYS, 1), 0.0)
    with ExitStack() as stack:
        if not database.is_sqlite:  # a delivery counts one of them, and has not committed yet
            counting = stack.enter_context(database.begin())
            answers.count(counting, {KEYS[0]: 1}, 9 * answers.HOUR)
        purging = stack.enter_context(database.begin())
        found = [answers.past(purging, after, 9 * answers.HOUR, 15) for after in (b"", KEYS[14])]
        dropped = [answers.drop(purging, keys, 9 * answers.HOUR) for keys in found]
    assert found == [KEYS[:15], KEYS[15:]]
    assert dropped == ([15, 5] if database.is_sqlite else [14, 5])
