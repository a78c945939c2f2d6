"""How many automatic answers one correspondent gets in an hour (RFC 3834 section 2).

It ends a loop with another robot that every other rule let pass.
"""

from __future__ import annotations

import time


class AnswerLimit:
    """Counts answers by correspondent and hour.

    It counts in memory, in each process for itself: a limit of the order of magnitude is all that
    is needed. It remembers ``remember`` correspondents at most, and half as many at least.
    """

    def __init__(self, per_hour: int = 30, *, remember: int = 10_000) -> None:
        self._per_hour = per_hour
        self._remember = remember
        # By hash, as they are many, in two generations: the older one is dropped in one go.
        self._counts: dict[int, int] = {}
        self._older: dict[int, int] = {}

    def allows(self, correspondent: str) -> bool:
        """Whether one more answer may go out; it is counted then."""
        key = _this_hour(correspondent)
        count = self._counts.get(key, self._older.get(key, 0))
        is_allowed = count < self._per_hour
        self._counts[key] = count + is_allowed
        if len(self._counts) >= self._remember // 2:
            self._older, self._counts = self._counts, {}
        return is_allowed

    def take_back(self, correspondent: str) -> None:
        """Do not count an answer that was allowed: its transaction was rolled back."""
        key = _this_hour(correspondent)
        for counts in (self._counts, self._older):
            if count := counts.get(key, 0):
                counts[key] = count - 1


def _this_hour(correspondent: str) -> int:
    return hash((correspondent, int(time.time() // 3600)))
