"""lamson.storage.journal_purge: rows that are too old, and the oldest of what takes too much."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson.storage import journal_rows
from lamson.storage.forgetting import Forgetting
from lamson.storage.journal_purge import JournalPurge
from tests.unit.storage.test_journal_rows import ids, row, write

if TYPE_CHECKING:
    from lamson.storage.database import Database

NOW = 1_700_000_000.0
SECOND = 10**9
PIECE = 2


def all_pieces(database: Database, purge: JournalPurge) -> None:
    Forgetting(database).purge_found(purge.too_many, journal_rows.delete, 0, PIECE)


def test_rows_that_are_too_old_go_piece_by_piece(database: Database) -> None:
    days = [int(NOW - number * 86400) * SECOND for number in (9, 8, 7, 2, 1)]
    write(database, *map(row, days))
    purge = JournalPurge(3.0, 10**9)
    with database.begin() as connection:
        assert [purge.too_old(connection, NOW, PIECE) for _ in range(3)] == [2, 1, 0]
    assert ids(database) == days[:2:-1]


def test_the_oldest_of_what_takes_too_much_go(database: Database) -> None:
    write(database, *(row(id, content=b"x" * 10_000) for id in range(1, 8)))
    purge = JournalPurge(3.0, 32_000)
    all_pieces(database, purge)
    assert ids(database) == [7, 6, 5]
    write(database, *(row(id, content=b"x" * 10_000) for id in (8, 9)))
    all_pieces(database, purge)
    assert ids(database) == [9, 8, 7]


def test_what_another_process_forgot_is_not_forgotten_twice(database: Database) -> None:
    write(database, *(row(id, content=b"x" * 10_000) for id in range(1, 4)))
    one, other = (JournalPurge(3.0, 32_000) for _ in range(2))
    for purge in (one, other):
        all_pieces(database, purge)
    write(database, *(row(id, content=b"x" * 10_000) for id in range(4, 7)))
    for purge in (one, other, one, other):
        all_pieces(database, purge)
    assert ids(database) == [6, 5, 4]


def test_where_there_is_room_nothing_is_forgotten(database: Database) -> None:
    write(database, *map(row, range(1, 6)))
    all_pieces(database, JournalPurge(3.0, 10**9))
    with database.read() as connection:
        assert len(journal_rows.page(connection)) == 5
