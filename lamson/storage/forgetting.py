"""Forgets what is over, in small pieces: whoever writes at the same time hardly waits.

For `lamson.storage.housekeeping`, whatever the table, and however much was missed before. Each
piece is a transaction of its own. It has as many rows as were deleted in a few milliseconds the
last time, and never so many that they would write more than a few MiB of log. Where no index tells
what is over, that is looked for on a connection that only reads.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy.engine import Connection

    from lamson.storage.database import Database

Key = TypeVar("Key")

FIRST = 32  # rows of the first piece
LEAST = 8
MOST = 250  # rows wherever they lie: a page of the table and one of an index for each, 2 MiB
MOST_IN_ORDER = 1000  # rows that lie side by side
LONG = 0.01  # seconds, after which a piece is too large
PAUSE = 0.01  # seconds between two pieces: who waits for SQLite's writer gets it


class Forgetting:
    """Of one database. ``is_ending`` says that nobody is to wait: no other piece is begun."""

    def __init__(self, database: Database, is_ending: threading.Event | None = None) -> None:
        self._database = database
        self._is_ending = threading.Event() if is_ending is None else is_ending

    def purge(self, piece: Callable[[Connection, int], int], most: int = MOST) -> None:
        """Call ``piece`` until it deletes fewer rows than the number that it is given."""
        size = min(FIRST, most)
        is_done = False
        while not is_done:
            with self._database.begin() as connection:
                began = time.monotonic()
                is_done = piece(connection, size) < size
                size = _next(size, time.monotonic() - began, most)
            is_done |= self._is_ending.wait(PAUSE)

    def purge_found(
        self,
        find: Callable[[Connection, Key, int], Sequence[Key]],
        drop: Callable[[Connection, Sequence[Key]], object],
        after: Key,
        most: int = MOST,
    ) -> None:
        """Delete what ``find`` finds, in the order of the keys, beginning behind ``after``.

        It is asked for so many at a time. ``drop`` deletes them where they are over still.
        """
        size = min(FIRST, most)
        is_done = False
        while not is_done:
            with self._database.read() as connection:
                keys = find(connection, after, size)
            if not keys:
                return
            is_done, after = len(keys) < size, keys[-1]
            with self._database.begin() as connection:
                began = time.monotonic()
                drop(connection, keys)
                size = _next(size, time.monotonic() - began, most)
            is_done |= self._is_ending.wait(PAUSE)


def _next(size: int, seconds: float, most: int) -> int:
    """How many rows the next piece has, where one of ``size`` took so long."""
    if seconds > LONG:
        return max(size // 2, LEAST)
    return min(2 * size, most) if seconds < LONG / 4 else size
