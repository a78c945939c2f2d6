"""What the database knows of a mail: journal, outbox, tracked mail, and how an address stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import or_, select

from lamson.smtp import address
from lamson.storage import journal_rows
from lamson.storage.outgoing import few
from lamson.storage.tables import outbox, scheduled, state, suppressed, tracked
from lamson.tracing.event import Event
from lamson.tracing.postfix_log import QUEUED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import ColumnElement
    from sqlalchemy.engine import Connection

    from lamson.storage.journal_rows import JournalRow
    from lamson.tracing.wanted import Asked

_MOST = 200  # rows of one kind
_AT_ONCE = 20  # ids: no index is for these questions, which are asked by hand


def journal(connection: Connection, asked: Asked, ids: Sequence[str], limit: int) -> list[Event]:
    """Rows of the journal of what was asked for, and of these ``ids``."""
    found: dict[int, JournalRow] = {}

    def take(rows: Sequence[JournalRow]) -> None:
        found.update((row.id, row) for row in rows)

    if asked.row is not None:
        take(journal_rows.find(connection, id=asked.row))
    if asked.address:
        take(journal_rows.page(connection, correspondent=asked.address, limit=limit))
    if asked.message_id:
        take(journal_rows.find(connection, message_id=asked.message_id, limit=limit))
    for id in ids[:_AT_ONCE]:
        take(journal_rows.find(connection, source=id, limit=_MOST))
        take(journal_rows.find(connection, envid=id, limit=_MOST))
        if len(id) >= 6:
            take(journal_rows.find(connection, reply=id, limit=_MOST))
    for row in list(found.values())[:_AT_ONCE]:
        for sent in row.sent:
            take(journal_rows.find(connection, id=sent.id))
        if row.envid:
            take(journal_rows.find(connection, envid=row.envid))
        if row.direction == "out":
            take(journal_rows.find(connection, source=row.source, limit=_MOST))
    return [_of_journal(row) for row in list(found.values())[:_MOST]]


def _of_journal(row: JournalRow) -> Event:
    fields = {
        "row": str(row.id),
        "direction": row.direction,
        "correspondent": row.correspondent,
        "ours": row.ours,
        "subject": row.subject,
        "message_id": row.message_id,
        "size": str(row.size),
        "outcome": row.outcome,
        "reply": row.reply,
        "handler": row.handler,
        "state": row.state,
        "next": row.next_state,
        "recipients": few(row.recipients) if len(row.recipients) > 1 else "",
        "envid": row.envid,
        "about": row.about,
        "sent": " ".join(str(one.id) for one in row.sent),
    }
    leads = []
    if row.direction == "out":
        leads = [(row.source, other) for other in QUEUED.findall(row.reply)]
        if row.envid:
            leads.append((row.source, row.envid))
    elif row.envid:
        leads = [(row.envid, row.source)]
    return _event("journal", row.done_at, row.source, fields, leads)


def waiting(connection: Connection, asked: Asked, ids: Sequence[str]) -> Iterator[Event]:
    """Rows of the outbox, due or scheduled, of what was asked for and of these ``ids``."""
    for name, table in (("outbox", outbox), ("scheduled", scheduled)):
        columns = [column for column in table.c if column.name != "content"]
        of_ids = list(ids[:_AT_ONCE])
        wanted: list[ColumnElement[bool]] = [
            table.c.source.in_(of_ids),
            table.c.envid.in_([id for id in of_ids if id]),
        ]
        if asked.row is not None:
            wanted.append(table.c.id == asked.row)
        if asked.message_id:
            wanted.append(table.c.message_id == asked.message_id)
        if asked.address:
            wanted.append(table.c.recipients.contains(asked.address, autoescape=True))
        query = select(*columns).where(or_(*wanted)).order_by(table.c.id).limit(_MOST)
        for row in connection.execute(query).mappings():
            fields = {
                "row": str(row["id"]),
                "message_id": row["message_id"],
                "recipients": row["recipients"],
                "attempts": str(row["attempts"]),
                "error": row["last_error"],
                "envid": row["envid"],
            }
            yield _event(name, row["created_at"], row["source"], fields)


def of_tracked(connection: Connection, asked: Asked, ids: Sequence[str]) -> Iterator[Event]:
    """Mail of which the application wants to know what became."""
    wanted: list[ColumnElement[bool]] = [tracked.c.id.in_(list(ids[:_AT_ONCE]))]
    if asked.message_id:
        wanted.append(tracked.c.message_id == asked.message_id)
    query = select(tracked).where(or_(*wanted)).order_by(tracked.c.sent_at).limit(_MOST)
    for row in connection.execute(query).mappings():
        fields = {name: str(row[name]) for name in ("message_id", "subject", "recipients")}
        yield _event("tracked", row["sent_at"], row["id"], fields)


def of_address(connection: Connection, mailbox: str) -> Iterator[Event]:
    """Where a correspondent stands, and whether he gets mail."""
    folded = address.normalise(mailbox)
    query = select(state).where(state.c.author == folded).limit(_MOST)
    for row in connection.execute(query):
        yield Event("database", None, "", "state", "", {"module": row.module, "state": row.state})
    gone = select(suppressed).where(suppressed.c.address == folded).limit(_MOST)
    for row in connection.execute(gone):
        fields = {"scope": row.scope, "reason": row.reason, "diagnostic": row.diagnostic}
        yield _event("suppressed", row.since, "", fields)


def _event(
    what: str,
    at: float,
    id: str,
    fields: dict[str, str],
    leads: Sequence[tuple[str, str]] = (),
) -> Event:
    known = {name: value for name, value in fields.items() if value}
    return Event("database", at, id, what, "", known, tuple(leads))
