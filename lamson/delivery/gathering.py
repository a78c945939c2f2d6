"""Lets deliveries wait a moment for others to share their transaction.

Where several clients send at a time, what they send after the replies to one batch arrives within a
moment. To wait for that saves a transaction; whoever sends alone need not wait.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from lamson.delivery.job import Job
    from lamson.delivery.traffic import Traffic

GATHER = 0.001  # seconds that a delivery may wait for others to share its transaction


class Gathering:
    """What arrived on the loop and is not handed over yet."""

    def __init__(
        self, traffic: Traffic, limit: int, hand_over: Callable[[Sequence[Job]], None]
    ) -> None:
        """``hand_over`` is given what came together; ``limit`` deliveries are enough for that."""
        self._pending = traffic.pending
        self._limit = limit
        self._hand_over = hand_over
        self._arrived: list[Job] = []
        self._expected = 1  # deliveries to wait for, as so many were under way the last time
        self._timer: asyncio.TimerHandle | None = None
        self._is_ending = False

    def add(self, jobs: Sequence[Job], loop: asyncio.AbstractEventLoop | None) -> None:
        """Take in what arrived. Without a ``loop`` it waits until there is one."""
        self._arrived += jobs
        if self._is_ending or loop is None:
            return
        if len(self._arrived) >= self._expected:
            self._is_ending = True
            loop.call_soon(self._end)
        elif self._timer is None:
            self._timer = loop.call_later(GATHER, self._end)

    def _end(self) -> None:
        arrived, self._arrived = self._arrived, []
        self._is_ending = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if len(arrived) < self._expected:
            self._expected = max(1, len(arrived))
        else:
            self._expected = min(len(self._pending), self._limit)
        self._hand_over(arrived)
