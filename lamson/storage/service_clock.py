"""The service clock: for how many seconds the service has run, whatever the wall clock says.

What was handled is remembered for 30 days. Were that counted by the wall clock, one wrong jump
ahead would forget it all and let a retried message run twice. So rows are stamped with this clock:
it is kept in the database, advances with the monotonic clock while a process runs, and stands
still while none does. It can only be too slow, and then rows are merely kept longer. Several nodes
share it: each writes the greater of what it finds and what it knows.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sqlalchemy import func, select, text, update

from lamson.storage.tables import clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.engine import Connection


class ServiceClock:
    """The clock as one process reads it. ``monotonic`` gives seconds."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Until it is read it counts from nought."""
        self._monotonic = monotonic
        self._ahead = -monotonic()  # of the monotonic clock
        self.is_read = False

    def read(self, connection: Connection) -> None:
        """Take over where the clock stands in the database."""
        began = self._monotonic()
        base = connection.execute(select(func.max(clock.c.seconds))).scalar() or 0.0
        self._ahead = base - began
        self.is_read = True

    def __call__(self) -> float:
        """Seconds of service."""
        return self._ahead + self._monotonic()

    def save(self, connection: Connection) -> None:
        """Keep where the clock stands for the processes to come."""
        now = self()
        connection.execute(_FIRST, {"seconds": now})
        connection.execute(update(clock).where(clock.c.seconds < now).values(seconds=now))


_FIRST = text("INSERT INTO lamson_clock (id, seconds) VALUES (1, :seconds) ON CONFLICT DO NOTHING")
