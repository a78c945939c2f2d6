"""What of the journal is forgotten: rows that are too old, and the oldest of what takes too much.

For the housekeeping. How much all rows take together is added up once, and from then on of those
that are new; before anything is forgotten for it, and now and then meanwhile, it is added up again,
for other processes forget too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from lamson.storage import journal_rows
from lamson.storage.tables import journal

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

_BELIEVED = 10  # pieces that are forgotten by one sum
_DAY = 86400.0


class JournalPurge:
    """Keeps rows for so many ``days``, and no more of them than ``max_octets`` hold."""

    def __init__(self, days: float, max_octets: int) -> None:
        self._seconds = days * _DAY
        self._max_octets = max_octets
        self._counted_to = 0
        self._octets = 0
        self._believed = 0

    def too_old(self, connection: Connection, now: float, piece: int) -> int:
        """Forget some that are, contents and all; fewer than ``piece`` say that no more are."""
        oldest = int((now - self._seconds) * 1e9)
        query = select(journal.c.id).where(journal.c.id < oldest).order_by(journal.c.id)
        ids = list(connection.execute(query.limit(piece)).scalars())
        journal_rows.delete(connection, ids)
        return len(ids)

    def too_many(self, connection: Connection, after: int, piece: int) -> list[int]:
        """Some of the oldest, behind ``after``, where all take too much; at most ``piece``.

        ``connection`` only reads, since nobody can write into SQLite while all is added up.
        """
        newest = journal_rows.newest(connection)
        self._octets += journal_rows.octets(connection, self._counted_to)
        self._counted_to = newest
        if self._octets <= self._max_octets:
            self._believed = 0
            return []
        if self._believed == 0:
            self._octets, self._believed = journal_rows.octets(connection), _BELIEVED
        self._believed -= 1
        excess = self._octets - self._max_octets
        query = select(journal.c.id, journal.c.kept).where(journal.c.id > after)
        query = query.order_by(journal.c.id).limit(piece)
        ids: list[int] = []
        for row in connection.execute(query) if excess > 0 else ():
            if excess <= 0:
                break
            excess -= row.kept
            ids.append(row.id)
        self._octets = excess + self._max_octets
        return ids
