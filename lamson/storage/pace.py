"""How fast mail goes to a domain, or from a sender: at most so many messages a minute.

For the relay. All workers and nodes share a row for each domain and sender that is paced: it says
when the next message may go. Who has one now takes that time for it and moves the row on; where
that time has not come, the message waits for it in the outbox, and holds up nothing of others. It
need not ask again then. A message to several domains waits for the slowest. Nothing is asked of the
database for what is not paced.
"""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING

from sqlalchemy import delete, select, text

from lamson.smtp import address
from lamson.storage.claims import LONGEST_DELAY
from lamson.storage.tables import pace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.engine import Connection

    from lamson.storage.database import Database
    from lamson.storage.outgoing import Outgoing

EACH = "*"  # any domain that has no pace of its own
WAITS = "waits for its turn"  # how `last_error` begins of a message that has a time to go


class Pace:
    """``rates`` are messages a minute, by domain, `EACH`, or address of an envelope sender."""

    def __init__(self, database: Database, rates: Mapping[str, int]) -> None:
        self._database = database
        self._rates = {_folded(name): rate for name, rate in rates.items()}
        self._each = self._rates.get(EACH)

    def holds(self, row: Outgoing) -> bool:
        """Whether ``row`` is to be asked for at all. Asks nobody."""
        return bool(self._of(row))

    def turn(self, row: Outgoing) -> tuple[float, str]:
        """When ``row`` may go, and why not before; 0.0 where that is now."""
        rates = self._of(row)
        now = time.time()
        if not rates or (row.last_error.startswith(WAITS) and 0 < row.due_at <= now):
            return 0.0, ""
        with self._database.begin_forgettable() as connection:
            # In one order, lest two processes wait for one another.
            times = {name: self._take(connection, name, rates[name], now) for name in sorted(rates)}
        name = max(times, key=lambda one: times[one])
        if times[name] <= now:
            return 0.0, ""
        limit = f"at most {rates[name]} messages a minute, {name}"
        if times[name] > now + LONGEST_DELAY:  # it has no time yet, and asks again
            return now + LONGEST_DELAY, f"has to wait: {limit}"
        return times[name], f"{WAITS}: {limit}"

    def _of(self, row: Outgoing) -> dict[str, int]:
        """The rates that count for a message."""
        rates: dict[str, int] = {}
        sender = address.normalise(row.sender)
        if sender in self._rates:
            rates[sender] = self._rates[sender]
        for domain in {address.normalise(one).rpartition("@")[2] for one in row.recipients}:
            rate = self._rates.get(domain, self._each)
            if rate is not None:
                rates[domain] = rate
        return rates

    @staticmethod
    def _take(connection: Connection, name: str, rate: int, now: float) -> float:
        """The time that a message is given; one too far away is not taken."""
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:16]
        values = {
            "name": digest,
            "now": now,
            "after": now + 60.0 / rate,
            "interval": 60.0 / rate,
            "late": now + LONGEST_DELAY,
        }
        row = connection.execute(_TAKE, values).first()
        if row is not None:
            return float(row[0]) - 60.0 / rate
        asked = select(pace.c.next_at).where(pace.c.name == digest)
        return max(float(connection.execute(asked).scalar() or 0.0), now + LONGEST_DELAY + 1.0)


def purge(connection: Connection, now: float, piece: int) -> int:
    """Forget some of those whose time has passed, in the caller's transaction; gives how many."""
    over = select(pace.c.name).where(pace.c.next_at <= now).limit(piece)
    over = over.with_for_update(skip_locked=True)  # that is being moved on
    return connection.execute(delete(pace).where(pace.c.name.in_(over))).rowcount


def _folded(name: str) -> str:
    return address.normalise(name) if "@" in name else address.normalise(f"x@{name}")[2:]


# After the clock went back a time may be too far away to be true: it begins anew.
_TAKE = text(
    "INSERT INTO lamson_pace (name, next_at) VALUES (:name, :after) ON CONFLICT (name) DO UPDATE"
    " SET next_at = CASE WHEN lamson_pace.next_at <= :now"
    " OR lamson_pace.next_at > :late + :interval THEN :after"
    " ELSE lamson_pace.next_at + :interval END"
    " WHERE lamson_pace.next_at <= :late OR lamson_pace.next_at > :late + :interval"
    " RETURNING next_at"
)
