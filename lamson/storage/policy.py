"""What filters remember about clients and senders: how often, and since when.

For the filters of the milter: greylisting, and limits on rates. A filter judges mail that may yet
be refused, so what it remembers is committed at once, each call for itself, whatever becomes of the
message. Names are made by filters out of what strangers say; rows that have passed their time are
taken away as others are written, a few at a time.

On PostgreSQL the table lies beside the others, for all nodes. On SQLite it lies in a file of its
own beside the database: there is one writer there, and the mail that is handled just now must not
keep an SMTP client waiting. What a power failure takes from that file is a count or two.

Raises SQLAlchemy's exceptions where the database fails; a filter that lets them pass defers.
"""

from __future__ import annotations

import hashlib
import itertools
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, delete, select, text

from lamson.storage.database import Database
from lamson.storage.tables import policy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import Connection

DAY = 86400.0  # seconds
_LONGEST = 200  # characters of a name that are kept as they are
_PURGE_EACH = 50  # calls
_PURGED = 200  # rows at a time

# A row that has passed its time begins anew.
_NOTE = text(
    """
    INSERT INTO lamson_policy AS known (name, number, since, until)
    VALUES (:name, :number, :now, :until)
    ON CONFLICT (name) DO UPDATE SET
        number = CASE WHEN known.until <= :now THEN 0 ELSE known.number END + :number,
        since = CASE WHEN known.until <= :now THEN :now ELSE known.since END,
        until = CASE WHEN known.until <= :now OR :is_prolonged THEN :until ELSE known.until END
    RETURNING number, since
    """
)
_FORGET = text("DELETE FROM lamson_policy WHERE name = :name")
# What another transaction begins anew at this moment is left alone, and not waited for.
_OVER = select(policy.c.name).where(policy.c.until <= bindparam("now")).limit(_PURGED)
_PURGE = delete(policy).where(policy.c.name.in_(_OVER.with_for_update(skip_locked=True)))


class Policy:
    """Counts and first sights by name, for all workers at once. Annotate a parameter with it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._calls = itertools.count(1)
        self._is_made = not database.is_sqlite

    @classmethod
    def beside(cls, database: Database) -> Policy:
        """The one that goes with a project's database: a table there, or a file beside it."""
        url = database.engine.url
        if not database.is_sqlite:
            return cls(database)
        if url.database in (None, "", ":memory:"):
            return cls(Database("sqlite://"))
        return cls(Database(f"sqlite:///{url.database}-policy"))

    def count(self, name: str, *, within: float, by: int = 1) -> int:
        """Count ``by`` more under ``name``; gives the number since the count began.

        It begins with the first call, and anew ``within`` seconds after that: so
        ``policy.count(f"login:{user}", within=3600) > 100`` is true of who sends more than a
        hundred in an hour. With ``by=0`` it only tells.
        """
        return self._note(name, by, within, is_prolonged=False)[0]

    def age(self, name: str, *, keep: float = 30 * DAY) -> float:
        """The seconds since ``name`` was asked for the first time; 0.0 says that this is it.

        It is forgotten when nobody asks for ``keep`` seconds. So ``policy.age(f"{client} {sender}
        {recipient}") < 300`` is true of who has not waited for five minutes.
        """
        return self._note(name, 1, keep, is_prolonged=True)[1]

    def forget(self, name: str) -> None:
        """Begin anew with the next call."""
        with self._writing() as connection:
            connection.execute(_FORGET, {"name": _kept(name)})

    def _note(
        self, name: str, number: int, seconds: float, *, is_prolonged: bool
    ) -> tuple[int, float]:
        if not seconds > 0:
            raise ValueError(f"policy: {name!r} for {seconds!r} seconds")
        now = time.time()
        with self._writing() as connection:
            row = connection.execute(
                _NOTE,
                {
                    "name": _kept(name),
                    "number": number,
                    "now": now,
                    "until": now + seconds,
                    "is_prolonged": is_prolonged,
                },
            ).one()
            if next(self._calls) % _PURGE_EACH == 0:
                connection.execute(_PURGE, {"now": now})
        return int(row.number), max(0.0, now - float(row.since))

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with self._database.begin_forgettable() as connection:
            if not self._is_made:
                policy.create(connection, checkfirst=True)
            yield connection
        self._is_made = True


def _kept(name: str) -> str:
    """The name as it is written: bounded, and what any database takes."""
    if len(name) <= _LONGEST and name.isprintable():
        return name
    octets = name.encode("utf-8", "surrogatepass")
    shown = "".join([one if one.isprintable() else "?" for one in name[:_LONGEST]])
    return f"{shown} {hashlib.sha256(octets).hexdigest()}"
