"""lamson.storage.seen"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from lamson.storage import seen, tables
from lamson.storage.forgetting import Forgetting
from tests.unit.support import make_key

if TYPE_CHECKING:
    from lamson.storage.database import Database
    from lamson.storage.seen_key import Key

ONE, TWO, THREE = (make_key(name, b"c" * 16) for name in (b"1", b"2", b"3"))
FORGED = make_key(b"1", b"f" * 16)  # the queue id of ONE, and not its content
DAY = 24 * 3600.0


def claim(database: Database, *keys: Key, now: float = 0.0) -> dict[Key, bytes]:
    with database.begin() as connection:
        return seen.claim(connection, keys, now)


def test_a_key_can_be_claimed_once(database: Database) -> None:
    assert claim(database, ONE, TWO) == {ONE: ONE.entry, TWO: TWO.entry}
    assert set(claim(database, TWO, THREE)) == {THREE}
    assert claim(database) == {}


@pytest.mark.parametrize(("first", "second"), [(FORGED, ONE), (ONE, FORGED)])
def test_each_of_two_contents_under_one_key_is_claimed_once(
    database: Database, first: Key, second: Key
) -> None:
    """Whichever came first: neither the forger nor the retry of the other suppresses anything."""
    assert claim(database, first) == {first: first.entry}
    assert claim(database, second, TWO) == {second: second.other_entry, TWO: TWO.entry}
    for again in (first, second, first):
        assert claim(database, again) == {}
    with database.read() as connection:
        assert seen.is_claimed(connection, first)
        assert seen.is_claimed(connection, second)
        assert not seen.is_claimed(connection, make_key(b"1", b"x" * 16))
        assert not seen.is_claimed(connection, THREE)


def test_two_contents_may_come_together(database: Database) -> None:
    claimed = claim(database, ONE, FORGED)
    assert set(claimed) == {ONE, FORGED}
    assert len(set(claimed.values())) == 2
    assert claim(database, ONE) == claim(database, FORGED) == {}


def test_a_claim_can_be_taken_back(database: Database) -> None:
    with database.begin() as connection:
        claimed = seen.claim(connection, [ONE, TWO], 0.0)
        seen.forget(connection, [claimed[ONE]])
        assert set(seen.claim(connection, [ONE, TWO], 0.0)) == {ONE}


def test_one_content_is_taken_back_and_the_other_stays(database: Database) -> None:
    claim(database, FORGED)
    with database.begin() as connection:
        seen.forget(connection, list(seen.claim(connection, [ONE], 0.0).values()))
    assert claim(database, FORGED) == {}
    assert set(claim(database, ONE)) == {ONE}


def purge(database: Database, now: float, wall: float) -> int:
    """How many are forgotten, looked for three at a time."""
    before = count(database)
    for start, end in seen.ranges(wall):
        purge_range(database, start, end, now)
    return before - count(database)


def purge_range(database: Database, start: bytes, end: bytes, now: float) -> None:
    Forgetting(database).purge_found(
        lambda connection, after, piece: seen.old(connection, after, end, now, piece),
        lambda connection, keys: seen.drop(connection, keys, now),
        start,
        most=3,
    )


def count(database: Database) -> int:
    with database.read() as connection:
        return len(connection.execute(select(tables.seen.c.key)).all())


def test_what_was_handled_long_ago_is_purged_whatever_its_key_says(database: Database) -> None:
    wall = time.time()
    times = (0.0, wall - 40 * DAY, wall - 31 * DAY, wall + 400 * DAY)
    old = [make_key(b"old", at=at) for at in times]
    late = [make_key(b"late", at=at) for at in times]  # it waited in the queue for long
    recent = make_key(b"recent", at=wall - DAY)
    claim(database, *old, recent, now=1000.0)
    claim(database, *late, now=2000.0)
    assert purge(database, 1500.0 + seen.KEEP, wall) == len(old)
    assert purge(database, 1500.0 + seen.KEEP, wall) == 0
    assert set(claim(database, *old, *late, recent)) == set(old)


def test_a_piece_is_a_range_and_leaves_what_is_recent(database: Database) -> None:
    keys = [make_key(b"%d" % number, at=number) for number in range(7)]
    claim(database, *keys[::2], now=0.0)
    claim(database, *keys[1::2], now=2.0)
    assert purge(database, 1.0 + seen.KEEP, time.time()) == 4
    assert set(claim(database, *keys)) == set(keys[::2])
