"""What was handled already: a row for each delivery, by its key (see lamson/storage/seen_key.py).

A message that Postfix hands over again (its connection broke before our reply arrived) must not
run a handler again. Where the key is known and the content beside it is another one, nothing is
suppressed: the delivery is claimed under an entry of its own, so that each of the two contents is
handled once, whichever came first and however often either comes again.

Rows are kept for 30 days of the service clock since they were handled, and purged from the oldest
key on. `handled_at` says when that was: the time in the key is Postfix's wall clock, and that of
whoever claims a queue id, which nothing may be forgotten by. It needs no index.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, select, text

from lamson.storage import pipeline, sqlite
from lamson.storage.seen_key import time_prefix
from lamson.storage.tables import seen

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy.engine import Connection

    from lamson.storage.seen_key import Key

KEEP = 30 * 24 * 3600.0  # seconds of the service clock (see lamson/storage/service_clock.py)
DAY = 24 * 3600.0  # seconds that a clock may be ahead before its keys are taken for wrong

_INTO = "lamson_seen (key, content, handled_at)"
_NEW = "ON CONFLICT DO NOTHING RETURNING key, content"
_CLAIM = (
    f"INSERT INTO {_INTO} SELECT entry, content, %(now)s"
    " FROM unnest(%(entries)s::bytea[], %(contents)s::bytea[]) AS new (entry, content)"
    f" {_NEW}"
)
_OLD = text(
    "SELECT key FROM lamson_seen WHERE key > :after AND key < :end AND handled_at < :old"
    " ORDER BY key LIMIT :piece"
)
_DROP = text("DELETE FROM lamson_seen WHERE key >= :first AND key <= :last AND handled_at < :old")


def claim(connection: Connection, keys: Iterable[Key], now: float) -> dict[Key, bytes]:
    """Give those of ``keys`` that are new, each with the entry that it was given in the table.

    The others were handled before. An entry other than ``key.entry`` says that another content
    stands under that one. ``now`` is the time of the service clock. On PostgreSQL this waits for
    another transaction that holds one of them.
    """
    ordered = sorted(keys)
    if not ordered:
        return {}
    new = _insert(connection, [(key.entry, key.content) for key in ordered], now)
    claimed = {key: key.entry for key in ordered if (key.entry, key.content) in new}
    if len(claimed) == len(ordered):
        return claimed
    known = [key for key in ordered if key not in claimed]
    stands = dict(_contents(connection, [key.entry for key in known]))
    others = [key for key in known if stands.get(key.entry) != key.content]
    if others:
        entries = sorted((key.other_entry, key.content) for key in others)
        new = _insert(connection, entries, now)
        for key in others:
            if (key.other_entry, key.content) in new:
                claimed[key] = key.other_entry
    return claimed


def is_claimed(connection: Connection, key: Key) -> bool:
    """Whether the delivery of ``key`` was handled already."""
    found = _contents(connection, [key.entry, key.other_entry])
    return any(content == key.content for _, content in found)


def forget(connection: Connection, entries: Sequence[bytes]) -> None:
    """Take back claims of this transaction, by their entries, whose handlers failed."""
    if entries:
        connection.execute(delete(seen).where(seen.c.key.in_(entries)))


def ranges(wall: float) -> list[tuple[bytes, bytes]]:
    """Between which keys there may be any to forget, at that time of the wall clock.

    Those older than 30 days, and those from the future.
    """
    early, late = (time_prefix(int(at * 1e6)) for at in (wall - KEEP, wall + DAY))
    return [(b"", early), (late, b"\xff" * 25)]


def old(connection: Connection, after: bytes, end: bytes, now: float, piece: int) -> list[bytes]:
    """Some keys between two, in order, of what was handled long ago: 30 days of service."""
    asked = {"after": after, "end": end, "old": now - KEEP, "piece": piece}
    return [bytes(key) for key in connection.execute(_OLD, asked).scalars()]


def drop(connection: Connection, keys: Sequence[bytes], now: float) -> None:
    """Forget what `old` found: a range of the table."""
    connection.execute(_DROP, {"first": keys[0], "last": keys[-1], "old": now - KEEP})


def _insert(
    connection: Connection, rows: Sequence[tuple[bytes, bytes]], now: float
) -> set[tuple[bytes, bytes]]:
    """Insert pairs of entry and content, in order; gives those whose entries were new."""
    if connection.dialect.name == "sqlite":
        stamped = [(*row, now) for row in rows]
        return {(row[0], row[1]) for row in sqlite.insert(connection, _INTO, stamped, _NEW)}
    entries, contents = zip(*rows, strict=True)
    values = {"entries": list(entries), "contents": list(contents), "now": now}
    return {(row[0], row[1]) for row in pipeline.execute(connection, _CLAIM, values)}


def _contents(connection: Connection, entries: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
    found = connection.execute(select(seen.c.key, seen.c.content).where(seen.c.key.in_(entries)))
    return [(row[0], row[1]) for row in found]
