"""Which rows of the outbox a process may take over, and their content.

For `Outbox.claim`, within its transaction. Sizes are asked for before anything is loaded: both
databases know them without reading the content. What finds no room stays where it is, for another
claim or another process.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, bindparam, case, delete, func, or_, select, union_all

from lamson.storage.room import parts
from lamson.storage.tables import content, halves, list_posts, outbox, scheduled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.engine import Connection, RowMapping
    from sqlalchemy.sql import ColumnElement, Select

    from lamson.storage.outgoing import Outgoing
    from lamson.storage.room import Budget, Room

LONGEST_DELAY = 3600.0  # seconds, give or take a fifth, that a row is put off for
_SET_BACK = 2 * LONGEST_DELAY  # what is due later than that was put off before the clock went back

_shared_size = (
    select(func.length(content.c.content)).where(content.c.id == outbox.c.shared).scalar_subquery()
)
HEAD = [
    *(column for column in outbox.columns if column is not outbox.c.content),
    case((outbox.c.shared == 0, func.length(outbox.c.content)), else_=_shared_size).label("size"),
]
"""A row but for its content."""


def find(connection: Connection, limit: int, now: float, budget: Budget) -> list[RowMapping]:
    """Rows that are free, in order, as `HEAD` has them: whole conversations, as far as they are.

    See `Outbox.claim` for the limits. ``budget`` is told what found no room.
    """
    room = budget.room()
    firsts = _first(connection, limit, now, budget, room)
    return firsts + _following(connection, firsts, limit, now, budget, room) if firsts else []


def load(connection: Connection, rows: Sequence[Outgoing], sizes: Sequence[int]) -> list[Outgoing]:
    """Give ``rows`` their content; without those that another process has deleted meanwhile."""
    found: set[int] = set()
    shared: dict[int, bytes] = {}
    sized = list(zip(rows, sizes, strict=True))
    for part in parts(sized, lambda one: one[1]):
        by_id = {row.id: row for row, _ in part}
        query = select(outbox.c.id, outbox.c.content).where(outbox.c.id.in_(by_id))
        with closing(connection.execute(query)) as contents:
            for id, own in contents:
                by_id[id].content = bytes(own)
                found.add(id)
        wanted = {row.shared for row, _ in part} - {0, *shared}
        if wanted:
            one = select(content.c.id, content.c.content).where(content.c.id.in_(wanted))
            shared |= {id: bytes(octets) for id, octets in connection.execute(one)}
        for row, _ in part:
            if row.shared:
                row.top, row.content = row.content, shared.get(row.shared, b"")
                if row.shared not in shared:  # its rows have gone meanwhile
                    found.discard(row.id)
    return [row for row in rows if row.id in found]


def contents(connection: Connection, after: int, limit: int) -> list[int]:
    """The ids of shared contents behind ``after``, in order."""
    query = select(content.c.id).where(content.c.id > after).order_by(content.c.id).limit(limit)
    return list(connection.execute(query).scalars())


def unused(connection: Connection, ids: Sequence[int]) -> list[int]:
    """Those of the contents ``ids`` of which no row is left, in order."""
    query = select(content.c.id).where(content.c.id.in_(ids), *_UNUSED).order_by(content.c.id)
    return list(connection.execute(query).scalars())


def drop(connection: Connection, ids: Sequence[int]) -> None:
    """Delete those of the contents ``ids`` of which no row is left.

    A transaction makes a content and its rows together, and no row comes to one later, but from
    among those that are scheduled, or for a post to a list, in one transaction too: what this
    statement sees without a row has none, also where others write at the same time.
    """
    connection.execute(delete(content).where(content.c.id.in_(ids), *_UNUSED))


# That it is not 0 is known; said, it lets a database use the index of such rows.
_UNUSED = [
    ~select(table.c.id).where(table.c.shared != 0, table.c.shared == content.c.id).exists()
    for table in (outbox, scheduled, list_posts)
]


def _of_conversations(is_due: ColumnElement[bool]) -> Select[Any]:
    earlier = outbox.alias()
    is_earlier = and_(earlier.c.conversation == outbox.c.conversation, earlier.c.id < outbox.c.id)
    none_before = [
        ~select(earlier.c.id).where(is_earlier, is_half).exists()
        for is_half in halves(earlier).values()
    ]
    is_free = outbox.c.lease_until <= bindparam("now")
    query = select(*HEAD).where(is_due, is_free, *none_before)
    return query.order_by(outbox.c.due_at, outbox.c.id).limit(bindparam("limit"))


# Made once: SQLAlchemy goes through all columns of a query that it has not seen before.
_FIRST = (
    _of_conversations(outbox.c.due_at <= bindparam("now")),
    _of_conversations(outbox.c.due_at > bindparam("set_back")),
)
_FIRST_UNLOCKED = tuple(query.with_for_update(skip_locked=True) for query in _FIRST)


def _first(
    connection: Connection, limit: int, now: float, budget: Budget, room: Room
) -> list[RowMapping]:
    """The first rows of conversations, where they are free; who has been due for longest is first.

    In the order of an index, so that all that are not due cost nothing.
    """
    rows: list[RowMapping] = []
    for query in _FIRST if connection.dialect.name == "sqlite" else _FIRST_UNLOCKED:
        given = {"now": now, "set_back": now + _SET_BACK, "limit": limit - len(rows)}
        with closing(connection.execute(query, given)) as found:
            for row in found.mappings():
                if not room.take(row["size"]):  # the others do not skip it: it would wait for ever
                    budget.want(row["size"])
                    return rows
                rows.append(row)
    return rows


def _following(
    connection: Connection,
    firsts: Sequence[RowMapping],
    limit: int,
    now: float,
    budget: Budget,
    room: Room,
) -> list[RowMapping]:
    """The rows behind ``firsts``, each in its conversation up to one that has to wait."""
    is_behind = and_(
        outbox.c.conversation.in_([row["conversation"] for row in firsts]),
        outbox.c.id.not_in([row["id"] for row in firsts]),
    )
    behind = select(*HEAD, _is_free(now).label("is_free")).where(is_behind)
    # In one statement, which sees both halves at one moment.
    query = union_all(*(behind.where(is_half) for is_half in halves(outbox).values()))
    rows = []
    blocked = set()
    with closing(connection.execute(query.order_by("id").limit(limit))) as found:
        for row in found.mappings():
            if row["conversation"] in blocked:
                continue
            if not row["is_free"]:
                blocked.add(row["conversation"])
            elif room.take(row["size"]):
                rows.append(row)
            else:
                budget.want(row["size"])
                break
    return rows


def _is_free(now: float) -> ColumnElement[bool]:
    return and_(
        or_(outbox.c.due_at <= now, outbox.c.due_at > now + _SET_BACK),
        outbox.c.lease_until <= now,
    )
