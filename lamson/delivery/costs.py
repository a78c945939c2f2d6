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
        self._last: dict[Handler, float] = {}  # what the last run took

    def record(self, job: Job, seconds: float) -> None:
        """Learn how long handlers take: slowness at the second run, quickness little by little.

        One slow run says little, unless it was very slow: where other programs want the processor,
        such as Postfix's, a handler waits some milliseconds for it now and then.
        """
        for match in job.matches:
            handler = match.handler
            known = self._seconds.get(handler, seconds)
            both = min(seconds, self._last.get(handler, seconds))
            self._seconds[handler] = max(both, 0.9 * known + 0.1 * seconds)
            self._last[handler] = seconds

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
