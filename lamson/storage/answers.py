"""How many automatic answers went out this hour, by what they are counted under.

For `lamson.delivery.answer_limit`. One statement for a batch of deliveries, shortly before its
commit and in the order of the keys, so that two batches neither wait for each other for long nor
for ever. Hours are those of the service clock, which differs a little between processes: the later
hour counts, and who is behind adds to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, select, text

from lamson.storage import sqlite
from lamson.storage.tables import answers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.engine import Connection

HOUR = 3600.0  # seconds of the service clock

_INTO = "lamson_answers (key, hour, number)"
_ADD = """ON CONFLICT (key) DO UPDATE SET
    number = excluded.number
        + CASE WHEN excluded.hour > lamson_answers.hour THEN 0 ELSE lamson_answers.number END,
    hour = CASE WHEN excluded.hour > lamson_answers.hour
        THEN excluded.hour ELSE lamson_answers.hour END
    RETURNING key, number"""
_COUNT = text(
    f"INSERT INTO {_INTO} SELECT key, :hour, number FROM"
    f" unnest(CAST(:keys AS bytea[]), CAST(:numbers AS integer[])) AS row (key, number) {_ADD}"
)


def count(connection: Connection, added: Mapping[bytes, int], now: float) -> dict[bytes, int]:
    """Add to the counts of this hour; gives how they stand then."""
    hour = int(now // HOUR)
    ordered = sorted(added)
    if not ordered:
        return {}
    if connection.dialect.name == "sqlite":
        rows = [(key, hour, added[key]) for key in ordered]
        return dict(sqlite.insert(connection, _INTO, rows, _ADD))
    numbers = [added[key] for key in ordered]
    found = connection.execute(_COUNT, {"keys": ordered, "numbers": numbers, "hour": hour})
    return {row.key: row.number for row in found}


def past(connection: Connection, after: bytes, now: float, piece: int) -> list[bytes]:
    """Some keys behind ``after``, in order, of the counts of hours before the last one."""
    query = select(answers.c.key).where(answers.c.key > after, answers.c.hour < _oldest(now))
    return [
        bytes(key)
        for key in connection.execute(query.order_by(answers.c.key).limit(piece)).scalars()
    ]


def drop(connection: Connection, found: Sequence[bytes], now: float) -> int:
    """Forget what `past` found; gives how many.

    What is being counted at this moment is left for the next time: nobody waits.
    """
    some = select(answers.c.key).where(answers.c.key.in_(found), answers.c.hour < _oldest(now))
    some = some.with_for_update(skip_locked=True)
    return connection.execute(delete(answers).where(answers.c.key.in_(some))).rowcount


def _oldest(now: float) -> int:
    return int(now // HOUR) - 1
