"""The time of a test: the mailroom's timers, schedules, keys, tokens and limits go by it."""

from __future__ import annotations

import time


class Clock:
    """The time of a test, in seconds since the epoch: it goes as ours does, and can be moved on."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self._ahead

    def monotonic(self) -> float:
        """What never goes back, as `time.monotonic`."""
        return time.monotonic() + self._ahead

    def go_to(self, moment: float) -> None:
        """Let time pass until ``moment``; it does not go back."""
        self._ahead += max(0.0, moment - self())
