"""Who gets no mail any more: of the application, or of one of its lists.

For the outbox, which leaves them out, for `lamson.delivery.outcomes`, which adds who turned out not
to be there or complained, and for the operator, who can take anybody off again.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, select, text

from lamson import log
from lamson.smtp import address
from lamson.storage import sqlite, tracked
from lamson.storage.outgoing import few, fit
from lamson.storage.tables import suppressed
from lamson.storage.tasks import Task
from lamson.storage.tasks import add as add_tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy.engine import Connection

    from lamson.storage.outgoing import Outgoing

EMPTY_FOR = 1.0  # seconds for which a table that was empty is taken for empty
TASK = "outcome"
"""The kind of the tasks that tell what became of tracked mail without a report."""


@dataclass(frozen=True, slots=True)
class Suppressed:
    """One address. ``scope`` is the list whose mail it does not get, "" for all mail."""

    address: str
    scope: str
    reason: str
    diagnostic: str = ""
    since: float = 0.0


def add(connection: Connection, one: Suppressed) -> bool:
    """Suppress it, in the caller's transaction; False where it is so already."""
    values = {
        "key": tracked.digest(one.address, one.scope),
        "address": fit(address.normalise(one.address)),
        "scope": fit(one.scope),
        "reason": fit(one.reason),
        "diagnostic": fit(one.diagnostic),
        "since": one.since or time.time(),
    }
    return bool(connection.execute(_ADD, values).rowcount)


def remove(connection: Connection, mailbox: str, scope: str | None = None) -> int:
    """Have it get mail again: of one list, or where None of all; gives how many entries went."""
    wanted = suppressed.c.address == fit(address.normalise(mailbox))
    if scope is not None:
        wanted = suppressed.c.key == tracked.digest(mailbox, scope)
    return connection.execute(delete(suppressed).where(wanted)).rowcount


def listed(connection: Connection, scope: str | None = None) -> Iterator[Suppressed]:
    """All of them, or those of one list, in the order of their dates."""
    query = select(suppressed).order_by(suppressed.c.since, suppressed.c.address)
    if scope is not None:
        query = query.where(suppressed.c.scope == scope)
    for row in connection.execute(query).mappings():
        yield Suppressed(
            row["address"], row["scope"], row["reason"], row["diagnostic"], row["since"]
        )


class Suppression:
    """Leaves them out of what is sent. For all threads of a process at once.

    An application that suppresses nobody pays one look a second: so long a table that was empty is
    taken for empty. Where mail is tracked it is looked at each time.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._empty_until = 0.0

    def applied(self, connection: Connection, rows: Sequence[Outgoing]) -> list[Outgoing]:
        """``rows`` without those recipients, and without rows that have no others.

        They keep their place among the mail to those whom they were for. Of tracked mail the
        application is told.
        """
        is_tracked = any(row.envid for row in rows)
        if not is_tracked and self._clock() < self._empty_until:
            return list(rows)
        keys = {
            (one, scope): tracked.digest(one, scope)
            for row in rows
            for one in row.recipients
            for scope in {"", row.scope}
        }
        found = set(self._among(connection, list(dict.fromkeys(keys.values()))))
        if not found:
            return list(rows)
        kept: list[Outgoing] = []
        for row in rows:
            gone = [one for one in row.recipients if {keys[one, ""], keys[one, row.scope]} & found]
            if gone:
                _tell(connection, row, gone)
                row.recipients = tuple(one for one in row.recipients if one not in gone)
            if row.recipients:
                kept.append(row)
        return kept

    def _among(self, connection: Connection, keys: Sequence[str]) -> list[str]:
        if connection.dialect.name == "sqlite":
            found = [row[0] for row in sqlite.execute(connection, _SQLITE, (json.dumps(keys),))]
        else:
            found = list(connection.execute(_POSTGRES, {"keys": keys}).scalars())
        if not found and connection.execute(_ANY).first() is None:
            self._empty_until = self._clock() + EMPTY_FOR
        return found


def _tell(connection: Connection, row: Outgoing, recipients: Sequence[str]) -> None:
    log.event(
        "suppressed", row.source, message_id=row.message_id or None, recipients=few(recipients)
    )
    if row.envid:
        add_tasks(connection, [task_of(row, recipients, "suppressed", "", is_permanent=True)])


def task_of(
    row: Outgoing, recipients: Sequence[str], kind: str, diagnostic: str, *, is_permanent: bool
) -> Task:
    """The task that tells the application of it; the same one however often it is made."""
    payload = {
        "id": row.envid,
        "recipients": list(recipients),
        "kind": kind,
        "diagnostic": diagnostic,
        "is_permanent": is_permanent,
    }
    name = f"{row.envid} {kind} {tracked.digest(' '.join(sorted(recipients)))}"
    return Task(TASK, name, payload)


_ADD = text(
    "INSERT INTO lamson_suppressed (key, address, scope, reason, diagnostic, since) VALUES"
    " (:key, :address, :scope, :reason, :diagnostic, :since) ON CONFLICT (key) DO NOTHING"
)
_SQLITE = "SELECT key FROM lamson_suppressed WHERE key IN (SELECT value FROM json_each(?))"
_POSTGRES = text("SELECT key FROM lamson_suppressed WHERE key = ANY(:keys)")
_ANY = text("SELECT 1 FROM lamson_suppressed LIMIT 1")
