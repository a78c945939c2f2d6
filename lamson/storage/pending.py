"""Messages that wait for somebody to come with a token, such as a post for its moderator.

Kept in the transaction of the handler that had the token made, found by the token's digest, and
forgotten when the token has expired or was used up. They take so many octets together, at most: a
`Room` counts, which asks the database now and then. Processes and nodes may pass the limit by what
each of them keeps within `FRESH` seconds.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, insert, select

from lamson.errors import LamsonError
from lamson.storage.tables import pending

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from sqlalchemy.engine import Connection

BLOCK = 4096  # octets: what a message counts at the least, so that their number is bounded as well
FRESH = 10.0  # seconds for which what was counted is believed
FULL = 1.0  # and where there is no room
AT_A_TIME = 4 * 1024 * 1024  # octets that are forgotten, or one message


class NoRoomError(LamsonError):
    """So much waits already that no message is kept."""


@dataclass(frozen=True, slots=True)
class Pending:
    """One message, with its envelope. ``source`` is what log lines call it, ``digest`` that of its
    token, which counts ``until`` then, in seconds since the epoch."""

    digest: bytes
    until: float
    source: str
    sender: str
    recipient: str
    smtputf8: bool
    content: bytes

    @property
    def size(self) -> int:
        """What it counts, in octets."""
        return max(BLOCK, len(self.content))


def keep(connection: Connection, messages: Sequence[Pending]) -> None:
    """Keep them, in the caller's transaction."""
    if messages:
        rows = [
            {
                "digest": one.digest,
                "until": one.until,
                "size": one.size,
                "source": one.source,
                "sender": one.sender,
                "recipient": one.recipient,
                "smtputf8": one.smtputf8,
                "content": one.content,
            }
            for one in messages
        ]
        connection.execute(insert(pending), rows)


def find(connection: Connection, digest: bytes) -> Pending | None:
    """The message that waits for this token; None where none does."""
    row = connection.execute(select(pending).where(pending.c.digest == digest)).mappings().first()
    if row is None:
        return None
    values = {name: row[name] for name in row if name != "size"}
    return Pending(**values)


def forget(connection: Connection, digests: Collection[bytes]) -> None:
    """Their tokens are used up."""
    if digests:
        connection.execute(delete(pending).where(pending.c.digest.in_(list(digests))))


def purge(connection: Connection, now: float, piece: int) -> int:
    """Forget some whose tokens have expired; less than ``piece`` says that no more have."""
    over = select(pending.c.digest, pending.c.size).where(pending.c.until < now)
    found = connection.execute(over.order_by(pending.c.until).limit(piece)).all()
    total = 0
    digests: list[bytes] = []
    for digest, size in found:
        total += size
        if digests and total > AT_A_TIME:
            break
        digests.append(digest)
    forget(connection, digests)
    return len(found) if len(digests) == len(found) else piece


class Room:
    """What may wait at a time: ``limit`` octets. For all threads of a process at once."""

    def __init__(self, limit: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._lock = threading.Lock()
        self._used = 0
        self._counted_at = float("-inf")

    def take(self, connection: Connection, octets: int) -> None:
        """Count a message that is to be kept. Raises NoRoomError where it has no room."""
        with self._lock:
            age = self._clock() - self._counted_at
            is_full = self._used + octets > self._limit
            if age >= FRESH or (is_full and age >= FULL):
                asked = select(func.coalesce(func.sum(pending.c.size), 0))
                self._used = int(connection.scalar(asked) or 0)
                self._counted_at = self._clock()
            if self._used + octets > self._limit:
                raise NoRoomError(
                    f"{self._used} of {self._limit} octets of signing.max_pending are used, and"
                    f" {octets} are to be kept"
                )
            self._used += octets
