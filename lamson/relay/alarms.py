"""Alarms: when the relay has to look for rows that it deferred, without asking the table for that.

Rows that were paced have a time of their own each: they leave then, rather than with the next look
that comes anyway. Those of a restart, and of other processes, are found by that look.
"""

from __future__ import annotations

import heapq
import math

GRAIN = 0.1  # seconds: times as near as that are one, so that they are few however many rows wait


class Alarms:
    """Times, in seconds since the epoch. Used on one thread."""

    def __init__(self) -> None:
        self._times: list[int] = []  # in grains, the next one first
        self._known: set[int] = set()

    def add(self, due_at: float) -> None:
        """Something is due then: no earlier is it looked for."""
        grain = math.ceil(due_at / GRAIN)
        if grain not in self._known:
            self._known.add(grain)
            heapq.heappush(self._times, grain)

    def next(self, now: float) -> float | None:
        """The next one; those that have passed are forgotten."""
        while self._times and self._times[0] * GRAIN <= now:
            self._known.discard(heapq.heappop(self._times))
        return self._times[0] * GRAIN if self._times else None
