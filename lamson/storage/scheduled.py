"""Mail whose time has not come: it waits apart from the outbox, and takes its place when it is due.

For the outbox and for who writes into it. What waits here costs the outbox nothing, however much it
is: the outbox has what is due, in the order in which it became so. A row that is due moves there in
one transaction, with a new id: so it stands behind all mail of its conversation that was sent
before its time, holds up none of that, and keeps its place from then on. Its age counts from when
it was due. One process at a time lets rows move, over all nodes: else two could change their order.

Nothing here asks by how much the clock went on since the last time. One that jumps ahead makes rows
leave early, and one that goes back makes them wait; none is lost, and none leaves twice.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, Float, Text, delete, func, insert, literal, select, text, update

from lamson.storage import keys
from lamson.storage.outgoing import from_row
from lamson.storage.room import parts
from lamson.storage.tables import outbox, scheduled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy.engine import Connection, RowMapping

    from lamson.storage.suppressed import Suppression

# What is new in the outbox.
_OF_THE_PLACE = ("id", "created_at", "lease_owner", "lease_until", "last_error")
_MOVED = [column.name for column in outbox.columns if column.name not in _OF_THE_PLACE]
_HEAD = [column for column in scheduled.columns if column is not scheduled.c.content]
_PARTED = "another part of this mail has left"  # by hand, say: its key is used for good
_TURN = text("SELECT pg_try_advisory_xact_lock(CAST('lamson_scheduled'::regclass AS oid)::int, 1)")


def next_due(connection: Connection) -> float | None:
    """When the next one is due, None where none waits."""
    return connection.execute(_NEXT).scalar()


def promote(
    connection: Connection,
    now: float,
    limit: int,
    first_id: Callable[[int], int],
    suppression: Suppression | None = None,
) -> int:
    """Move rows that are due to the outbox, in the caller's transaction; gives how many.

    At most ``limit``, and no more than a few MiB.
    ``first_id`` gives the first of so many new ids; ``suppression`` leaves out who gets no mail any
    more by now. None are moved while another process does so.
    """
    query = (
        select(scheduled.c.id, func.length(scheduled.c.content))
        .where(scheduled.c.due_at <= now)
        .order_by(scheduled.c.due_at, scheduled.c.id)
        .limit(limit)
    )
    if connection.dialect.name != "sqlite":
        if not connection.execute(_TURN).scalar():
            return 0
        query = query.with_for_update(skip_locked=True)  # that is being cancelled
    sizes = connection.execute(query).all()
    if not sizes:
        return 0
    ids = [id for id, _ in next(parts(sizes, lambda row: int(row[1])))]
    leaving = ids if suppression is None else _admitted(connection, ids, suppression)
    if leaving:
        _move(connection, leaving, first_id(len(leaving)))
        _note_parts(connection, leaving)
    connection.execute(delete(scheduled).where(scheduled.c.id.in_(ids)))
    return len(ids)


def _admitted(connection: Connection, ids: Sequence[int], suppression: Suppression) -> list[int]:
    """Those rows that have recipients still; the others are left out of theirs."""
    heads = connection.execute(select(*_HEAD).where(scheduled.c.id.in_(ids))).mappings()
    rows = [replace(from_row(head, 0.0), scope=head["scope"]) for head in heads]
    before = {row.id: row.recipients for row in rows}
    kept = suppression.applied(connection, rows)
    for row in kept:
        if row.recipients != before[row.id]:
            change = update(scheduled).where(scheduled.c.id == row.id)
            connection.execute(change.values(recipients=json.dumps(row.recipients)))
    return [row.id for row in kept]


def _move(connection: Connection, ids: Sequence[int], first_id: int) -> None:
    these = scheduled.c.id.in_(ids)
    place = func.row_number().over(order_by=(scheduled.c.due_at, scheduled.c.id))
    rows = select(
        literal(first_id - 1, BigInteger) + place,
        scheduled.c.due_at,
        literal("", Text),
        literal(0.0, Float),
        literal("", Text),
        *(scheduled.c[name] for name in _MOVED),
    ).where(these)
    connection.execute(insert(outbox).from_select([*_OF_THE_PLACE, *_MOVED], rows))


def _note_parts(connection: Connection, ids: Sequence[int]) -> None:
    """Of mail to many, which is several rows, some leave: the others are to know it."""
    used = select(scheduled.c.key).where(scheduled.c.id.in_(ids), scheduled.c.key.is_not(None))
    if found := set(connection.execute(used).scalars()):
        others = update(scheduled).where(scheduled.c.key.in_(found), scheduled.c.id.not_in(ids))
        connection.execute(others.values(last_error=_PARTED))


def cancel(connection: Connection, key: keys.Key, schema: str | None = None) -> bool:
    """Forget what waits under ``key``, in the caller's transaction; gives whether anything did.

    The key is free then, unless a part of the mail has left: it can be sent under it anew.
    """
    options = keys.in_schema(schema)
    waiting = delete(scheduled).where(scheduled.c.key == key.digest)
    statement = waiting.returning(scheduled.c.last_error)
    cancelled = connection.execute(statement, execution_options=options).scalars().all()
    if cancelled and _PARTED not in cancelled:
        keys.free(connection, key.digest, schema)
    return bool(cancelled)


def head(connection: Connection, id: int) -> RowMapping | None:
    """One row without its content, None where it is gone."""
    return connection.execute(select(*_HEAD).where(scheduled.c.id == id)).mappings().first()


def drop(connection: Connection, id: int) -> bool:
    """Forget one row, in the caller's transaction; gives whether it was there.

    Its key is free where it was the last of its mail, of which none has left: mail to many, and
    tracked mail, is several rows.
    """
    one = delete(scheduled).where(scheduled.c.id == id)
    statement = one.returning(scheduled.c.key, scheduled.c.last_error)
    row = connection.execute(statement).first()
    if row is not None and row.key is not None and row.last_error != _PARTED:
        others = select(scheduled.c.id).where(scheduled.c.key == row.key).limit(1)
        if connection.execute(others).first() is None:
            keys.free(connection, bytes(row.key))
    return row is not None


def hasten(connection: Connection, id: int, now: float) -> bool:
    """Have one row due ``now``, in the caller's transaction; gives whether it was there."""
    statement = update(scheduled).where(scheduled.c.id == id).values(due_at=now)
    return connection.execute(statement).rowcount > 0


def waiting(connection: Connection, limit: int | None = None) -> list[RowMapping]:
    """What waits, in the order in which it is due, without its content, for people to look at."""
    query = select(*_HEAD).order_by(scheduled.c.due_at, scheduled.c.id)
    return list(connection.execute(query.limit(limit)).mappings())


_NEXT = select(scheduled.c.due_at).order_by(scheduled.c.due_at).limit(1)
