"""What came, for the journal: a row for each delivery, written in its transaction.

What a handler refused, or failed over, is there too, as its savepoint alone was rolled back. What
was undone with its whole transaction is not: nothing of it is in the database. Postfix brings that
again.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lamson.storage.glance import glance
from lamson.storage.journal_rows import JournalRow, Sent, add

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy.engine import Connection

    from lamson.delivery.job import Job, Result

_MOST_SENT = 100  # of one delivery, that its row names


class Journaling:
    """Makes the rows: of each message at most ``max_octets``, where it ``is_whole``, or else of its
    header. ``clock`` gives seconds since the epoch."""

    def __init__(
        self, max_octets: int, *, is_whole: bool, clock: Callable[[], float] = time.time
    ) -> None:
        self._max_octets = max_octets
        self._is_whole = is_whole
        self._clock = clock

    def write(self, connection: Connection, results: Sequence[Result], first_id: int) -> None:
        """Write what came to ``results``, under ids from ``first_id`` on."""
        now = self._clock()
        rows = [
            self._row(result, first_id + number, now)
            for number, result in enumerate(results)
            if not result.retry and (result.error_state is None or result.job.is_again)
        ]
        add(connection, rows)

    def kept(self, connection: Connection, result: Result, first_id: int, reason: str) -> None:
        """Write one that was kept as undeliverable, in the transaction that knows it."""
        row = self._row(result, first_id, self._clock(), outcome="kept", about=reason)
        add(connection, [row])

    def _row(
        self, result: Result, id: int, now: float, *, outcome: str = "", about: str = ""
    ) -> JournalRow:
        job = result.job
        message = job.message
        envid, told = result.told
        seen = glance(message.raw)
        length = len(message.raw) if self._is_whole else seen.end
        return JournalRow(
            id=id,
            direction="in",
            at=message.envelope.received or now,
            done_at=now,
            source=message.envelope.id,
            message_id=seen.message_id,
            correspondent=message.author,
            ours=message.recipient.address,
            subject=seen.subject,
            size=len(message.raw),
            outcome=outcome or outcome_of(result),
            reply="" if outcome else result.reply.line,
            handler=",".join(result.handled),
            state=result.state or _resumed(job),
            next_state=result.moves[0][1] if result.moves and not result.failed else "",
            sent=tuple([Sent(row.id, row.envid) for row in result.outgoing[:_MOST_SENT]]),
            envid=envid,
            about=about or told,
            content=message.raw[: min(length, self._max_octets)],
        )


def outcome_of(result: Result) -> str:
    """What the log and the journal call it."""
    if result.failed or not (result.handled or result.is_held):
        return "failed"
    return "handled" if result.handled else "spam"


def _resumed(job: Job) -> str:
    return job.resume_in if job.resumes is not None else ""
