"""How often mail to an address failed, hard or soft.

For `lamson.delivery.outcomes`. Hard means that there is no such mailbox, soft that it did not take
this mail: it is full, its server was not reached for days, or did not like the text. Soft failures
count within a window of days, which begins with the first one and again after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import delete, select, text

from lamson.storage.tables import bounced
from lamson.storage.tracked import digest

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

KEPT = 365 * 86400.0  # seconds for which an address is remembered after the last failure


class Count(NamedTuple):
    """``soft`` is that of the window."""

    hard: int
    soft: int


def count(
    connection: Connection, mailbox: str, *, is_hard: bool, now: float, window: float
) -> Count:
    """Count one more failure, in the caller's transaction; gives how they stand then."""
    values = {
        "key": digest(mailbox),
        "hard": int(is_hard),
        "soft": int(not is_hard),
        "now": now,
        "begin": now - window,
    }
    row = connection.execute(_COUNT, values).one()
    return Count(row.hard, row.soft)


def of(connection: Connection, mailbox: str) -> Count:
    """How they stand."""
    asked = select(bounced.c.hard, bounced.c.soft).where(bounced.c.key == digest(mailbox))
    row = connection.execute(asked).first()
    return Count(0, 0) if row is None else Count(row.hard, row.soft)


def forget(connection: Connection, mailbox: str) -> None:
    """Begin anew, since mail arrives there again, or a person said so."""
    connection.execute(delete(bounced).where(bounced.c.key == digest(mailbox)))


def purge(connection: Connection, now: float, piece: int) -> int:
    """Forget some that failed long ago; fewer than ``piece`` say that no more did."""
    some = select(bounced.c.key).where(bounced.c.last < now - KEPT).limit(piece)
    some = some.with_for_update(skip_locked=True)
    return connection.execute(delete(bounced).where(bounced.c.key.in_(some))).rowcount


_COUNT = text(
    "INSERT INTO lamson_bounced (key, hard, soft, since, last)"
    " VALUES (:key, :hard, :soft, :now, :now) ON CONFLICT (key) DO UPDATE SET"
    " hard = lamson_bounced.hard + excluded.hard,"
    " soft = excluded.soft"
    " + CASE WHEN lamson_bounced.since < :begin THEN 0 ELSE lamson_bounced.soft END,"
    " since = CASE WHEN lamson_bounced.since < :begin"
    " THEN excluded.since ELSE lamson_bounced.since END,"
    " last = excluded.last RETURNING hard, soft"
)
