"""How much memory the messages of one worker may take, all sessions together.

For `session`. Without it a hundred large messages at a time, which is what Postfix's default number
of processes sends, are a gigabyte. What passes the budget is answered 452, and sent again later.
"""

from __future__ import annotations

import threading

from lamson.smtp.reply import Reply

FULL = Reply(452, "4.3.1", "Too much mail at a time, try again later")
_STEP = 64 * 1024  # octets of a session that are counted together


class FullError(Exception):
    """The budget is spent."""


class Budget:
    """At most ``limit`` octets. Any thread may call."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._lock = threading.Lock()

    def take(self, octets: int) -> None:
        """Raises FullError where so much is not left; then nothing was taken."""
        with self._lock:
            if self.used + octets > self.limit:
                raise FullError(f"messages of {self.limit} octets are in work already")
            self.used += octets

    def give(self, octets: int) -> None:
        """Give back what was taken."""
        with self._lock:
            self.used -= octets


class Share:
    """What one session has taken. Less than 64 KiB are taken when they add up to that."""

    __slots__ = ("_budget", "_held", "_pending")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._held = 0
        self._pending = 0

    def add(self, octets: int) -> None:
        """Count more, or less. Raises FullError."""
        self._pending += octets
        if self._pending >= _STEP:
            self._budget.take(self._pending)
            self._held += self._pending
            self._pending = 0

    def clear(self) -> None:
        """Give all of it back."""
        if self._held:
            self._budget.give(self._held)
        self._held = self._pending = 0
