"""Lines about strangers, at a rate that fills no disk: whoever is refused decides how often he is.

For the servers of this package. What has happened meanwhile is counted, and the next line about the
same says how often that was.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from lamson import log

if TYPE_CHECKING:
    from collections.abc import Callable

MOST = 10  # lines of one kind within
SECONDS = 10.0


class Quiet:
    """Warns, but not too often. For all threads of a process at once."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._begun: dict[str, float] = {}
        self._lines: dict[str, int] = {}
        self._untold: dict[str, int] = {}

    def warn(self, text: str, *given: object) -> None:
        """Log ``text % given``, or count that it was not. ``text`` says of what kind it is."""
        untold = self.due(text)
        if untold is not None:
            more = f" ({untold} more lines like this were left out before)" if untold else ""
            log.logger.warning(f"{text}%s", *given, more)

    def due(self, text: str) -> int | None:
        """How many lines of that kind were left out before this one; None where it is, too."""
        now = self._clock()
        with self._lock:
            if now - self._begun.get(text, now - SECONDS) >= SECONDS:
                self._begun[text], self._lines[text] = now, 0
            self._lines[text] += 1
            if self._lines[text] > MOST:
                self._untold[text] = self._untold.get(text, 0) + 1
                return None
            return self._untold.pop(text, 0)
