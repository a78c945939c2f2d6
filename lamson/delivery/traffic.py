"""Which deliveries are under way in this process: the dispatcher writes it, the relay asks it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lamson.delivery.job import Job


class Traffic:
    """The deliveries that have no reply yet, and when the last message came. On the loop alone."""

    def __init__(self) -> None:
        self.pending: set[Job] = set()
        self.came_at = 0.0  # monotonic

    def is_busy(self, seconds: float) -> bool:
        """Whether deliveries are under way, or one came within these last ``seconds``."""
        return bool(self.pending) or time.monotonic() - self.came_at < seconds
