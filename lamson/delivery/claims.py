"""Which deliveries are new: each is claimed in its transaction; the others are answered 250."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson import failpoint, log
from lamson.smtp.reply import OK
from lamson.storage import seen
from lamson.storage.seen_before import SeenBefore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy.engine import Connection

    from lamson.delivery.job import Job

_ANOTHER_CONTENT = (
    "%s: a message with another content was handled under this queue id, sender and recipient; this"
    " one is handled as well. Somebody else than Postfix speaks to the LMTP port, or Postfix was"
    " made to change what it keeps (postsuper -r with other header_checks or filters)"
)


class Claims:
    """Makes them. For all threads at once; ``clock`` is the service clock."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._before = SeenBefore()

    def of(self, connection: Connection | None, jobs: Sequence[Job]) -> Sequence[Job]:
        """The jobs that were not handled before; the others are answered 250.

        What is run again for a person takes the key of the former delivery as well: where that was
        kept though its commit failed, Postfix still has the message, and asks again.
        """
        wanted = [key for job in jobs for key in (job.key, job.original)]
        known = [key for key in wanted if key is not None] if connection is not None else []
        if connection is None or not known:
            return jobs
        new = seen.claim(connection, known, self._clock())
        before = self._before.among(connection, new)
        if failpoint.ACTIVE:
            failpoint.reach(failpoint.AFTER_SEEN)
        fresh = []
        for job in jobs:
            if job.key is None:
                fresh.append(job)
            elif job.key in new and job.key not in before:
                job.entries = [new[key] for key in (job.key, job.original) if key in new]
                fresh.append(job)
                if new[job.key] != job.key.entry:
                    log.logger.error(_ANOTHER_CONTENT, job)
            else:
                job.reply = OK
                message = job.message
                log.event("duplicate", message.envelope.id, recipient=message.recipient)
        return fresh
