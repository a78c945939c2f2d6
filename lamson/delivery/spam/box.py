"""Where spam is kept for a person to look at: ``run/spam``, as what is undeliverable is.

Each message has its reason and its author's state on it, so that `lamson requeue -name run/spam`
gives what is none to its handler. Where the queue is full, what has been there long enough goes;
where nothing has, mail that is spam is answered 451, and waits in Postfix's queue.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lamson import log
from lamson.delivery.keeping import keep
from lamson.smtp.reply import SMTPError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lamson.delivery.job import Job
    from lamson.storage.maildir import Maildir

LOOK = 60.0  # seconds between looks for what may go: there may be hundreds of thousands


class SpamBox:
    """The queue. For all threads at once."""

    def __init__(
        self, queue: Maildir, *, days: float, clock: Callable[[], float] = time.time
    ) -> None:
        """``days`` is for how long a message is kept at the least."""
        self.queue = queue
        self._days = days
        self._clock = clock
        self._looked_at = 0.0

    def keep(self, job: Job, reason: str, state: str) -> None:
        """Keep a message. Raises as `lamson.delivery.keeping.keep` does."""
        try:
            keep(self.queue, job, reason, state)
        except SMTPError:
            if not self._make_room():
                raise
            keep(self.queue, job, reason, state)

    def _make_room(self) -> bool:
        now = self._clock()
        if now < self._looked_at + LOOK:
            return False
        self._looked_at = now
        removed = self.queue.expire(now - self._days * 86400)
        if removed:
            log.logger.info("%s was full: %d old message(s) removed", self.queue.path, removed)
        return removed > 0
