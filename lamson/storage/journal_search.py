"""Questions that a person who looks at the journal asks, each in a bounded number of steps.

A search for words has no index: it looks through so many rows at a time, and says how far it got.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import and_, func, select

from lamson.smtp import address
from lamson.storage import journal_rows
from lamson.storage.tables import journal, journal_content

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.engine import Connection

    from lamson.storage.journal_rows import JournalRow

THROUGH = 20_000  # rows that one search looks through
NAMED = 5_000  # rows among which mail to several is looked for, of a conversation
MOST_WORDS = 8
_NEAR = 200  # rows of a conversation that are looked at
_CHANGING = 50  # rows whose outcome may change still


def search(
    connection: Connection, words: Sequence[str], *, before: int | None = None, limit: int = 50
) -> tuple[list[JournalRow], int | None]:
    """Rows whose subject or addresses have all of these words, newest first, and the id before
    which the search goes on; None where it has seen all."""
    some = select(journal.c.id, journal.c.words).order_by(journal.c.id.desc()).limit(THROUGH)
    if before is not None:
        some = some.where(journal.c.id < before)
    looked = some.subquery()
    wanted = [
        looked.c.words.contains(journal_rows.folded(word), autoescape=True)
        for word in words[:MOST_WORDS]
    ]
    query = select(looked.c.id).where(and_(*wanted)).order_by(looked.c.id.desc()).limit(limit)
    ids = list(connection.execute(query).scalars())
    rows = of_ids(connection, ids)
    if len(ids) == limit:
        return rows, ids[-1]
    last = select(func.min(looked.c.id), func.count())
    oldest, number = connection.execute(last).one()
    return rows, oldest if number == THROUGH else None


def conversation(
    connection: Connection, correspondent: str, *, before: int | None = None, limit: int = 50
) -> tuple[list[JournalRow], int | None]:
    """Mail with somebody, newest first, and the id before which there is more, None at its end.

    What went to several is found by the first of them, for ever; by another one among so many rows.
    """
    rows = journal_rows.page(
        connection, before=before, limit=limit + 1, correspondent=correspondent
    )
    some = select(journal.c.id, journal.c.recipients, journal.c.words)
    some = some.order_by(journal.c.id.desc()).limit(NAMED)
    if before is not None:
        some = some.where(journal.c.id < before)
    looked = some.subquery()
    name = address.normalise(correspondent)
    is_named = looked.c.words.contains(journal_rows.folded(name), autoescape=True)
    query = select(looked.c.id).where(looked.c.recipients != "", is_named)
    query = query.order_by(looked.c.id.desc()).limit(limit + 1)
    found = {row.id: row for row in rows}
    found |= {row.id: row for row in of_ids(connection, list(connection.execute(query).scalars()))}
    newest = sorted(found.values(), key=lambda row: row.id, reverse=True)[:limit]
    own = {row.id for row in rows}
    shown = [
        row for row in newest if row.id in own or name in map(address.normalise, row.recipients)
    ]
    return shown, newest[-1].id if len(found) > len(newest) else None


def of_ids(connection: Connection, ids: Sequence[int]) -> list[JournalRow]:
    """The rows of some ids, newest first."""
    if not ids:
        return []
    query = select(journal).where(journal.c.id.in_(ids)).order_by(journal.c.id.desc())
    return [journal_rows.from_row(one) for one in connection.execute(query).mappings()]


def octets_kept(connection: Connection, id: int) -> int:
    """How much is kept of the content of one mail."""
    query = select(func.length(journal_content.c.content)).where(journal_content.c.id == id)
    return int(connection.execute(query).scalar() or 0)


def moves(connection: Connection, correspondent: str) -> list[JournalRow]:
    """The newest mails of somebody by which he went from one state to another, newest first."""
    near = journal_rows.page(connection, limit=_NEAR, correspondent=correspondent)
    return [one for one in near if one.next_state]


def marker(connection: Connection) -> str:
    """Changes when a row is added, or when one of the newest turned out otherwise."""
    newest = (
        select(journal.c.id, journal.c.done_at)
        .order_by(journal.c.id.desc())
        .limit(_CHANGING)
        .subquery()
    )
    id, done = connection.execute(
        select(func.max(newest.c.id), func.coalesce(func.sum(newest.c.done_at), 0.0))
    ).one()
    return f"{id or 0:x}.{done:.3f}"
