"""lamson.storage.pending, on both databases: messages that wait for a token, within their room."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lamson.storage import pending
from lamson.storage.pending import BLOCK, FRESH, FULL, NoRoomError, Pending, Room

if TYPE_CHECKING:
    from lamson.storage.database import Database


def make(
    name: bytes, *, content: bytes = b"From: z\r\n\r\n\xff\x00", until: float = 100.0
) -> Pending:
    return Pending(name * 16, until, "4id", "zed@example.com", "users@test.com", True, content)


def test_it_is_found_by_its_token_as_it_was(database: Database) -> None:
    with database.begin() as connection:
        pending.keep(connection, [])
        pending.keep(connection, [make(b"1"), make(b"2", until=200.0)])
    with database.begin() as connection:
        assert pending.find(connection, b"1" * 16) == make(b"1")
        assert pending.find(connection, b"3" * 16) is None
        pending.forget(connection, [])
        pending.forget(connection, [b"1" * 16])
        assert pending.find(connection, b"1" * 16) is None
        assert pending.purge(connection, 200.0, 9) == 0
        assert pending.purge(connection, 201.0, 9) == 1
        assert pending.find(connection, b"2" * 16) is None


def test_large_ones_are_forgotten_one_by_one_to_the_end(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pending, "AT_A_TIME", BLOCK)
    with database.begin() as connection:
        pending.keep(connection, [make(b"1"), make(b"2")])
        assert pending.purge(connection, 101.0, 9) == 9, "there is more"
        assert pending.purge(connection, 101.0, 9) == 1
        assert pending.purge(connection, 101.0, 9) == 0


def test_there_is_room_for_so_many_octets(database: Database) -> None:
    now = 0.0
    room = Room(4 * BLOCK, clock=lambda: now)
    large = make(b"1", content=b"x" * 2 * BLOCK)
    with database.begin() as connection:
        pending.keep(connection, [large])
        room.take(connection, make(b"2").size)
        room.take(connection, BLOCK)
        with pytest.raises(NoRoomError, match=r"16384 of 16384 .*max_pending are used, and 4096"):
            room.take(connection, BLOCK)
        pending.forget(connection, [large.digest])  # and the others were never kept
        now = FULL / 2
        with pytest.raises(NoRoomError):
            room.take(connection, BLOCK)
        now = FULL
        for _ in range(4):
            room.take(connection, BLOCK)
        now += FRESH
        room.take(connection, 4 * BLOCK)
