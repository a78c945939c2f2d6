"""Mail that is written into the outbox from anywhere, on whatever connection the caller has.

For `lamson.mailer`, whose connection may be one of a web application, of another driver, with a
search path of its own; and for the outbox, where it puts mail that is to leave later. Such rows are
leased by nobody: the service finds them.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite

from lamson.storage import keys, tracked
from lamson.storage.outgoing import fit, split, to_row
from lamson.storage.suppressed import Suppression
from lamson.storage.tables import content, outbox, scheduled

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from sqlalchemy import Table
    from sqlalchemy.engine import Connection

    from lamson.storage.outgoing import Outgoing

_suppression = Suppression(is_own=False)
SHARED_FROM = 512  # octets of a content that is stored once for several rows


def post(
    connection: Connection,
    rows: Sequence[Outgoing],
    *,
    max_recipients: int,
    schema: str | None = None,
) -> None:
    """Insert ``rows`` in the caller's transaction: to so many recipients each, due or not."""
    now = time.time()
    kept = admitted(connection, rows, _suppression, schema)
    parts = [part for row in kept for part in split(row, max_recipients)]
    share(connection, parts, schema)
    for row in parts:
        row.created_at = now
        put(connection, row, schema)


def admitted(
    connection: Connection,
    rows: Sequence[Outgoing],
    suppression: Suppression,
    schema: str | None = None,
) -> list[Outgoing]:
    """Note what is tracked of ``rows``; gives them without recipients that are suppressed."""
    if mails := {row.envid: row.tracked for row in rows if row.tracked is not None}:
        tracked.insert(connection, [*filter(None, mails.values())], schema)
    return suppression.applied(connection, rows, schema)


def put(connection: Connection, row: Outgoing, schema: str | None = None) -> None:
    """Insert one row: into the outbox, or where its time has not come, among what is scheduled."""
    if row.due_at > row.created_at:
        more = {"key": row.key or None, "scope": fit(row.scope)}
        row.id = _insert(connection, scheduled, _values(row) | more, schema)
    else:
        row.id = _insert(connection, outbox, _values(row), schema)


def share(connection: Connection, rows: Sequence[Outgoing], schema: str | None = None) -> None:
    """Store once what several of ``rows`` have for their content."""
    if len(rows) < 2:
        return
    alone = [row for row in rows if not row.shared]
    numbers = Counter(row.content for row in alone if len(row.content) >= SHARED_FROM)
    often = [octets for octets, number in numbers.items() if number > 1]
    ids = {octets: _insert(connection, content, {"content": octets}, schema) for octets in often}
    for row in alone if ids else ():
        row.shared = ids.get(row.content, 0)


def keep(connection: Connection, octets: bytes) -> int:
    """Store a content for rows to come; gives what they are to have for `Outgoing.shared`."""
    return _insert(connection, content, {"content": octets}, None)


def kept(connection: Connection, id: int) -> bytes:
    """The content that was stored so."""
    return bytes(
        connection.execute(select(content.c.content).where(content.c.id == id)).scalar_one()
    )


def _values(row: Outgoing) -> dict[str, object]:
    return dict(zip(outbox.columns.keys(), to_row(row, ""), strict=True))


def _insert(
    connection: Connection, table: Table, values: dict[str, object], schema: str | None
) -> int:
    """Insert a row under an id that is the time; gives it. Who has the same one takes the next."""
    made: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = made.insert(table).on_conflict_do_nothing(index_elements=[table.c.id])
    id = time.time_ns()
    while True:
        done = connection.execute(
            statement, {**values, "id": id}, execution_options=keys.in_schema(schema)
        )
        if done.rowcount:
            return id
        id += 1
