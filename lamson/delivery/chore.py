"""A chore: one piece of work for the dispatcher's threads that is no delivery: a task, or some."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(slots=True, eq=False)
class Chore:
    """``work`` is given how many workers died over it; it must not raise. ``done`` is called on the
    loop afterwards. ``crash_key`` is what a death is counted against: 32 octets, or as many for
    each of several tasks, none of which is a suspect. ``name`` is how log lines call it.
    """

    name: str
    crash_key: bytes
    work: Callable[[int], None]
    done: Callable[[], None] = lambda: None
    deaths: int = 0
    started: float = 0.0  # monotonic; 0 while it waits for a thread
    is_late: bool = False  # beyond its deadline, and told of

    def run(self) -> None:
        """On a thread."""
        self.started = time.monotonic()
        self.work(self.deaths)
