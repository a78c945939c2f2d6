"""What submission made of a mail, on its way to the journal.

The relay notes it as it happens, on its loop; it is written with what becomes of the row of the
outbox, in the same transaction: so the journal says that a mail has left if and only if the outbox
has it no more. What waits for a database that is away is bounded: beyond that a row is written
without its content.
"""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from lamson.storage import journal_rows
from lamson.storage.glance import glance
from lamson.storage.journal_rows import JournalRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy.engine import Connection

    from lamson.storage.outgoing import Outgoing

MOST_WAITING = 16 << 20  # octets of contents that wait to be written


class JournalSent:
    """Of one process. `note` is called on the loop, the others from threads."""

    def __init__(self, max_octets: int, *, is_whole: bool) -> None:
        """``max_octets`` are kept of one message, which it ``is_whole`` or else its header."""
        self._max_octets = max_octets
        self._is_whole = is_whole
        self._waiting: dict[int, JournalRow] = {}
        self._octets = 0
        self._lock = threading.Lock()  # for both: it is written by threads

    def note(self, row: Outgoing, recipients: Sequence[str], outcome: str, reply: str) -> None:
        """Submission took it for them, or did not: "submitted", "deferred" or "refused"."""
        with self._lock:
            before = self._waiting.pop(row.id, None)
            if before is not None:
                self._octets -= len(before.content)
                if before.outcome not in ("deferred", outcome):
                    outcome = "mixed"
                if before.outcome != "deferred" and reply != before.reply:
                    reply = f"{before.reply} / {reply}"
                noted = replace(before, done_at=time.time(), outcome=outcome, reply=reply)
            else:
                noted = self._made(row, recipients, outcome, reply)
            self._octets += len(noted.content)
            self._waiting[row.id] = noted

    def _made(
        self, row: Outgoing, recipients: Sequence[str], outcome: str, reply: str
    ) -> JournalRow:
        octets = row.octets
        seen = glance(octets)
        content = b""
        if self._octets < MOST_WAITING:
            length = len(octets) if self._is_whole else seen.end
            content = octets[: min(length, self._max_octets)]
        everybody = row.recipients or tuple(recipients)
        return JournalRow(
            id=row.id,
            direction="out",
            at=row.created_at,
            done_at=time.time(),
            source=row.source,
            message_id=row.message_id,
            correspondent=everybody[0],
            ours=seen.author or row.sender,
            subject=seen.subject,
            size=len(octets),
            outcome=outcome,
            reply=reply,
            recipients=everybody,
            envid=row.envid,
            content=content,
        )

    def write(self, connection: Connection, ids: Iterable[int]) -> None:
        """Write what was noted of these rows, in the transaction that changes them."""
        if self._waiting:
            found = [self._waiting[id] for id in ids if id in self._waiting]
            journal_rows.add(connection, found)

    def written(self, ids: Iterable[int]) -> None:
        """That transaction was committed."""
        with self._lock:
            for id in ids if self._waiting else ():
                if (row := self._waiting.pop(id, None)) is not None:
                    self._octets -= len(row.content)
