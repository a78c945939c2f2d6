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


def test_mail_to_several_is_with_each_of_them_where_it_is_new_enough(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_search, "NAMED", 5)
    both = ("zed@e.example", "Bob_1@e.example")
    alike = ("zed@e.example", "xbob_1@e.example", "bobx1@e.example")
    several = {"direction": "out", "recipients": both}
    write(database, row(1, **several), row(2, correspondent="bob_1@e.example"), row(3))
    write(database, *(row(number, **several) for number in (4, 5)))
    write(database, row(6, direction="out", recipients=alike), row(7, **several))
    with database.read() as connection:

        def pages(who: str) -> list[list[int]]:
            found: list[list[int]] = []
            last: int | None = None
            while not found or last is not None:
                rows, last = journal_search.conversation(connection, who, before=last, limit=2)
                found.append([one.id for one in rows])
            return found

        assert pages("BOB_1@e.example") == [[7], [5, 4], [2, 1]]
        assert pages("zed@e.example") == [[7, 6], [5, 4], [3, 1]]
        rows, last = journal_search.conversation(connection, "bob_1@e.example")
        assert ([one.id for one in rows], last) == ([7, 5, 4, 2], None), "the first is too old"


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
