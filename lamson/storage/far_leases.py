"""Leases that end later than any can: a clock was ahead when they were made.

Whoever lives leases anew what it has, by its clock as it is now. So what stays as it is was left by
a process that died with its clock ahead, and would be held for as long as that was. How long it has
stayed is measured here by the monotonic clock: no clock of any node is believed.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lamson import log

if TYPE_CHECKING:
    from collections.abc import Callable

    from lamson.storage.outbox import Outbox

PATIENCE = 120.0  # seconds


class FarLeases:
    """Those that one process has seen, and since when."""

    def __init__(self, outbox: Outbox, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._outbox = outbox
        self._monotonic = monotonic
        self._seen: dict[tuple[str, float], float] = {}

    def release(self) -> None:
        """Look for them, and give back those that have stood for long."""
        now = self._monotonic()
        leases = self._outbox.far_leases()
        self._seen = {lease: self._seen.get(lease, now) for lease in leases}
        for lease, since in self._seen.items():
            if now - since > PATIENCE and (number := self._outbox.release_lease(*lease)):
                log.logger.warning(
                    "outbox: %d rows were leased by %s with a clock far ahead: given back",
                    number,
                    lease[0],
                )
