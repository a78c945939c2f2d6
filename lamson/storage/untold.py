"""Conversations with mail that a thread has made, and the relay has not been told of yet.

For the outbox. Whoever writes in a conversation next may see that row before the thread that made
it goes on after its commit. Were he told of first, his mail would leave before it: so he waits
here, for a moment, until the other one was told of.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

PATIENCE = 1.0  # seconds; who made the row may itself wait for a lock of who asks


class Untold:
    """Used by all threads that make mail."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._names: set[str] = set()

    def begin(self, names: Iterable[str]) -> set[str]:
        """Wait until no other thread has one of ``names``, and take them all.

        Gives those that could be had in time. They have to be handed back by `end`.
        """
        wanted = set(names)
        with self._changed:
            if not wanted.isdisjoint(self._names):
                limit = time.monotonic() + PATIENCE
                while not wanted.isdisjoint(self._names):
                    if not self._changed.wait(limit - time.monotonic()):
                        break
            taken = wanted - self._names
            self._names |= taken
            return taken

    def end(self, names: Iterable[str]) -> None:
        """Their mail was told of, or there is none."""
        with self._changed:
            self._names.difference_update(names)
            self._changed.notify_all()
