"""lamson.storage.journal_search: what a person asks the journal, on each database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson.storage import journal_rows, journal_search
from tests.unit.storage.test_journal_rows import row, write

if TYPE_CHECKING:
    import pytest

    from lamson.storage.database import Database


def test_words_are_searched_a_piece_at_a_time(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_search, "THROUGH", 4)
    write(database, *(row(number) for number in range(1, 10)), row(10, subject="100 %_ Größe"))
    with database.read() as connection:
        found, last = journal_search.search(connection, ["NUMBER", "zed@"], limit=2)
        assert ([one.id for one in found], last) == ([9, 8], 8)
        found, last = journal_search.search(connection, ["number", "3"])
        assert (found, last) == ([], 7)
        found, last = journal_search.search(connection, ["number", "3"], before=7)
        assert ([one.id for one in found], last) == ([3], 3)
        assert journal_search.search(connection, ["number"], before=1) == ([], None)
        (found_one,), _ = journal_search.search(connection, ["%_", "GRÖSSE"])
        assert found_one.id == 10


def test_moves_kept_octets_and_a_mark(database: Database) -> None:
    write(database, row(1, state="START", next_state="ASKED", content=b"abc"), row(2))
    with database.read() as connection:
        assert [one.id for one in journal_search.moves(connection, "Zed@E.example")] == [1]
        octets = [journal_search.octets_kept(connection, id) for id in (1, 2, 3)]
        assert octets == [3, 0, 0]
        assert [one.id for one in journal_search.of_ids(connection, [1, 2, 3])] == [2, 1]
        assert journal_search.of_ids(connection, []) == []
        mark = journal_search.marker(connection)
    with database.begin() as connection:
        journal_rows.delete(connection, [1, 2])
        assert journal_search.marker(connection) != mark
