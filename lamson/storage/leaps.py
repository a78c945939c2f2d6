"""Leaps of the wall clock: after one, leases and whatever else has an end only seem to be over.

For the relay, for tasks that are done outside of a transaction, and for the housekeeping. The clock
of a machine leaps where it was set, or where the machine stood still. Each process notices at its
next look and leases anew what it has under way; until all have had time for that, nobody takes over
what another one leased. Nor is anything forgotten by that clock before it has gone on as time does
for a while: it may be set right again.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LEAP = 10.0  # seconds ahead, from one look to the next: less than what leases are renewed before


class Leaps:
    """Those that one process notices, by a clock that never leaps."""

    def __init__(
        self, wall: Callable[[], float], steady: Callable[[], float] = time.monotonic
    ) -> None:
        self._wall, self._steady = wall, steady
        self._offset = wall() - steady()
        self._last = -float("inf")

    def is_recent(self, seconds: float) -> bool:
        """Whether the last one was noticed at most so many seconds ago, or is now."""
        now = self._steady()
        offset = self._wall() - now
        if offset - self._offset > LEAP:
            self._last = now
        self._offset = offset
        return now - self._last <= seconds
