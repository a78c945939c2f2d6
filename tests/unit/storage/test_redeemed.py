"""lamson.storage.redeemed, on both databases: a token is used once, and forgotten in time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson.storage import redeemed

if TYPE_CHECKING:
    from lamson.storage.database import Database

ONE, TWO, THREE = (bytes([number]) * 16 for number in range(3))


def test_each_is_claimed_once(database: Database) -> None:
    with database.begin() as connection:
        assert redeemed.claim(connection, {}) == set()
        assert redeemed.claim(connection, {ONE: 100.0, TWO: 100.0}) == {ONE, TWO}
    with database.begin() as connection:
        assert redeemed.claim(connection, {TWO: 100.0, THREE: 100.0}) == {THREE}
        redeemed.forget(connection, [])
        redeemed.forget(connection, [TWO])
    with database.begin() as connection:
        assert redeemed.claim(connection, {ONE: 100.0, TWO: 100.0}) == {TWO}


def test_what_was_rolled_back_was_not_used(database: Database) -> None:
    class Undo(Exception):
        pass

    try:
        with database.begin() as connection:
            redeemed.claim(connection, {ONE: 100.0})
            raise Undo
    except Undo:
        pass
    with database.begin() as connection:
        assert redeemed.claim(connection, {ONE: 100.0}) == {ONE}


def test_they_are_forgotten_a_day_after_their_end(database: Database) -> None:
    with database.begin() as connection:
        redeemed.claim(connection, {ONE: 100.0, TWO: 200.0})
        assert redeemed.purge(connection, 100.0 + redeemed.SLACK, 9) == 0
        assert redeemed.purge(connection, 101.0 + redeemed.SLACK, 9) == 1
        assert redeemed.claim(connection, {ONE: 100.0, TWO: 200.0}) == {ONE}
