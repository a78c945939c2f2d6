"""lamson.storage.forgetting: pieces that follow from how long the last one took."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from lamson.storage import forgetting
from lamson.storage.forgetting import FIRST, LEAST, MOST, Forgetting

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest
    from sqlalchemy.engine import Connection

    from lamson.storage.database import Database


class Rows:
    """So many, of which each takes that many seconds to delete; ``asked`` is what for."""

    def __init__(self, number: int, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = list(range(number))
        self.asked: list[int] = []
        self._seconds = seconds
        self._now = 0.0
        monkeypatch.setattr("lamson.storage.forgetting.time.monotonic", lambda: self._now)
        monkeypatch.setattr(forgetting, "PAUSE", 0)

    def purge(self, connection: Connection, piece: int) -> int:
        self.asked.append(piece)
        return self.drop(connection, self.left[:piece])

    def find(self, connection: Connection, after: int, piece: int) -> list[int]:
        self.asked.append(piece)
        return [row for row in self.left if row > after][:piece]

    def drop(self, connection: Connection, keys: Sequence[int]) -> int:
        self._now += self._seconds * len(keys)
        self.left = [row for row in self.left if row not in set(keys)]
        return len(keys)


def test_pieces_grow_while_they_are_quick(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = Rows(700, 0.0, monkeypatch)
    Forgetting(database).purge(rows.purge)
    assert rows.asked == [FIRST, 64, 128, MOST, MOST]
    assert rows.left == []


def test_pieces_shrink_where_they_take_long(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = Rows(70, 0.01, monkeypatch)
    Forgetting(database).purge_found(rows.find, rows.drop, -1)
    assert rows.asked == [FIRST, 16, LEAST, LEAST, LEAST]
    assert rows.left == []


def test_what_is_found_is_asked_for_once_though_it_stays(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = Rows(70, 0.0, monkeypatch)
    Forgetting(database).purge_found(rows.find, lambda connection, keys: None, -1)
    assert rows.asked == [FIRST, 64]


def test_no_other_piece_is_begun_at_the_end(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = Rows(700, 0.0, monkeypatch)
    is_ending = threading.Event()
    is_ending.set()
    Forgetting(database, is_ending).purge(rows.purge)
    Forgetting(database, is_ending).purge_found(rows.find, rows.drop, -1)
    assert rows.asked == [FIRST, FIRST]
