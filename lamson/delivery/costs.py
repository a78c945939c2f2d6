"""What the dispatcher has learnt of how long handlers take: it groups deliveries by that."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lamson.delivery.job import Job
    from lamson.routing.handler import Handler

QUICK = 0.005  # seconds: handlers faster than this may share a transaction
INSTANT = 0.0001  # seconds: handlers faster than this may run without a thread


class Costs:
    """How long each handler takes. One that is not known yet is taken for slow."""

    def __init__(self) -> None:
        self._seconds: dict[Handler, float] = {}

    def record(self, job: Job, seconds: float) -> None:
        """Learn how long handlers take: slowness at once, quickness little by little."""
        for match in job.matches:
            known = self._seconds.get(match.handler, 0.0)
            self._seconds[match.handler] = max(seconds, 0.9 * known + 0.1 * seconds)

    def is_quick(self, job: Job) -> bool:
        """Whether its handlers may share a transaction with others."""
        return max([self._seconds.get(match.handler, QUICK) for match in job.matches]) < QUICK

    def is_instant(self, job: Job) -> bool:
        """Whether its handlers may hold up the loop.

        Those with states may not: states are locked while the handler of another thread runs.
        """
        for match in job.matches:
            handler = match.handler
            if not handler.is_stateless or self._seconds.get(handler, QUICK) >= INSTANT:
                return False
        return True
