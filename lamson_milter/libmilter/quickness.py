"""Whether the filters of a stage have been quick for long enough to run without a thread.

For the milter's callbacks. To hand work to another thread and back costs more than most filters do.
"""

from __future__ import annotations

import time
from resource import RUSAGE_THREAD, getrusage
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    T = TypeVar("T")

_QUICK = 0.02  # seconds: what takes longer may wait for something
_TRIAL = 20  # runs on a thread before the filters of a stage are held to be quick
_AFTER_SLOW = 1000  # runs on a thread after a slow one


class Quickness:
    """The quickness of one stage.

    A stage with a slow run goes back to the threads for a thousand runs. What hangs after having
    been quick for long is answered by Postfix's own time limit, and the worker is replaced.
    """

    __slots__ = ("_left",)

    def __init__(self, *, may_be_quick: bool) -> None:
        self._left = float(_TRIAL) if may_be_quick else float("inf")

    @property
    def is_quick(self) -> bool:
        return self._left <= 0

    def time(self, work: Callable[[], T]) -> T:
        """What ``work()`` returns or raises; takes in how long it took on this thread.

        Where others had the processor meanwhile, work that did not wait is not slow for it: else a
        busy machine would be given still more to do.
        """
        began, before = time.monotonic(), getrusage(RUSAGE_THREAD)
        try:
            return work()
        finally:
            seconds = time.monotonic() - began
            if seconds > _QUICK:
                after = getrusage(RUSAGE_THREAD)
                if after.ru_nvcsw == before.ru_nvcsw:
                    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            self.took(seconds)

    def took(self, seconds: float) -> None:
        """Take in how long one run took."""
        if seconds > _QUICK:
            self._left = max(self._left, _AFTER_SLOW)
        elif self._left > 0:
            self._left -= 1
