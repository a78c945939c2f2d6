"""Mailing lists: who is on them, what was posted, and what waits for a moderator.

For `lamson.lists`, and for the pieces in which a post goes out. All is done in the caller's
transaction. Who asked to be on a list and never confirmed is forgotten after `ASKED` seconds, what
moderators had before them, and posts that are in no archive, after `KEPT`.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import delete, func, insert, select, update

from lamson.smtp import address
from lamson.storage.outgoing import fit
from lamson.storage.tables import list_held, list_members, list_posts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy.engine import Connection, RowMapping

ASKED = 7 * 86400.0
KEPT = 30 * 86400.0

ASKING, ACTIVE, PAUSED, DISABLED = "asking", "active", "paused", "disabled"
MAIL, DIGEST, NONE = "mail", "digest", "none"
ON_IT = (ACTIVE, PAUSED, DISABLED)


class Copy(NamedTuple):
    """A member who is to have a post; ``key`` is his address as it is compared."""

    id: int
    key: str
    address: str
    own_posts: bool
    copies: bool


def key_of(mailbox: str) -> str:
    """An address as it is compared."""
    return fit(address.normalise(mailbox))


def find(connection: Connection, which: str, mailbox: str) -> RowMapping | None:
    """The row of somebody on the list ``which``, or who asked to be; locked where that counts."""
    query = select(list_members).where(
        list_members.c.list == key_of(which), list_members.c.key == key_of(mailbox)
    )
    return connection.execute(query.with_for_update()).mappings().first()


def by_id(connection: Connection, id: int) -> RowMapping | None:
    """The row of that id."""
    query = select(list_members).where(list_members.c.id == id).with_for_update()
    return connection.execute(query).mappings().first()


def everywhere(connection: Connection, mailbox: str) -> Sequence[RowMapping]:
    """All rows of somebody, on whatever list."""
    query = select(list_members).where(list_members.c.key == key_of(mailbox))
    return connection.execute(query.order_by(list_members.c.list)).mappings().all()


def listed(
    connection: Connection, which: str, *, office: str = "", most: int | None = None
) -> Sequence[RowMapping]:
    """Who is on the list ``which``, in the order in which they came; with ``office``
    ("is_owner") those who have it."""
    query = select(list_members).where(
        list_members.c.list == key_of(which), list_members.c.status.in_(ON_IT)
    )
    if office:
        query = query.where(list_members.c[office])
    return connection.execute(query.order_by(list_members.c.id).limit(most)).mappings().all()


def known(connection: Connection) -> list[str]:
    """The addresses of all lists that anybody is on, as they are compared."""
    query = select(list_members.c.list).where(list_members.c.status.in_(ON_IT)).distinct()
    return list(connection.execute(query.order_by(list_members.c.list)).scalars())


def put(connection: Connection, which: str, mailbox: str, **values: object) -> int:
    """Have a row for somebody, with these values in it; gives its id."""
    found = find(connection, which, mailbox)
    if found is not None:
        if values:
            change = update(list_members).where(list_members.c.id == found["id"])
            connection.execute(change.values(**values))
        return int(found["id"])
    row = {
        "list": key_of(which),
        "key": key_of(mailbox),
        "address": fit(mailbox),
        "status": ASKING,
        "mode": MAIL,
        "is_owner": False,
        "is_moderator": False,
        "is_held": False,
        "own_posts": True,
        "copies": False,
        "score": 0.0,
        "scored_at": 0.0,
        "pauses": 0,
        "since": time.time(),
        **values,
    }
    statement = insert(list_members).values(row).returning(list_members.c.id)
    return int(connection.execute(statement).scalar_one())


def change(connection: Connection, id: int, **values: object) -> None:
    """Have a row say so."""
    connection.execute(update(list_members).where(list_members.c.id == id).values(**values))


def remove(connection: Connection, id: int) -> bool:
    """Forget a row; False where it was not there."""
    return bool(connection.execute(delete(list_members).where(list_members.c.id == id)).rowcount)


def last(connection: Connection, which: str) -> int:
    """The highest id there is, whether he is on the list or not: who comes later gets a higher."""
    query = select(list_members.c.id).where(list_members.c.list == key_of(which))
    return connection.execute(query.order_by(list_members.c.id.desc()).limit(1)).scalar() or 0


def readers(
    connection: Connection, which: str, mode: str, *, after: int, upto: int, limit: int
) -> list[Copy]:
    """Some who are to have what is sent in ``mode``, with ids beyond ``after``, in order."""
    columns = (getattr(list_members.c, name) for name in Copy._fields)
    query = select(*columns).where(
        list_members.c.list == key_of(which),
        list_members.c.id > after,
        list_members.c.id <= upto,
        list_members.c.status == ACTIVE,
        list_members.c.mode == mode,
    )
    found = connection.execute(query.order_by(list_members.c.id).limit(limit))
    return [Copy(*row) for row in found]


def was_posted(connection: Connection, which: str, digest: bytes) -> bool:
    """Whether a post of that digest is there."""
    same = select(list_posts.c.id).where(
        list_posts.c.list == key_of(which), list_posts.c.digest == digest
    )
    return connection.execute(same).first() is not None


def has_digest(connection: Connection, which: str) -> bool:
    """Whether anybody on the list gets digests."""
    query = select(list_members.c.id).where(
        list_members.c.list == key_of(which), list_members.c.mode == DIGEST
    )
    return connection.execute(query.limit(1)).first() is not None


def post(
    connection: Connection, which: str, digest: bytes, named: Iterable[str], **values: object
) -> int:
    """Have a row for a post; gives its id. ``named`` are those whom its To and Cc fields name.

    Where another transaction posts the same one, one of the two fails.
    """
    row = {"list": key_of(which), "digest": digest, **values}
    row |= {name: fit(str(row[name])) for name in ("message_id", "subject", "author")}
    row["named"] = json.dumps(sorted(set(map(key_of, named))))
    statement = insert(list_posts).values(row).returning(list_posts.c.id)
    return int(connection.execute(statement).scalar_one())


def posted(connection: Connection, id: int) -> RowMapping | None:
    """The row of a post."""
    return connection.execute(select(list_posts).where(list_posts.c.id == id)).mappings().first()


def arrived(connection: Connection, id: int) -> None:
    """A post has gone to all that it is for: whom its fields name is of no more use."""
    done = update(list_posts).where(list_posts.c.id == id).values(shared=0, named="[]")
    connection.execute(done)


def undigested(connection: Connection, which: str, limit: int) -> Sequence[RowMapping]:
    """Posts that were in no digest, oldest first."""
    query = select(list_posts).where(
        list_posts.c.list == key_of(which), list_posts.c.is_digested.is_(False)
    )
    found = query.order_by(list_posts.c.id).limit(limit).with_for_update()
    return connection.execute(found).mappings().all()


def digested(connection: Connection, ids: Iterable[int]) -> None:
    """They were in a digest; what is in no archive needs no content any more."""
    these = list_posts.c.id.in_(list(ids))
    connection.execute(update(list_posts).where(these).values(is_digested=True))
    forgotten = update(list_posts).where(these, list_posts.c.is_archived.is_(False))
    connection.execute(forgotten.values(content=b""))


def hold(connection: Connection, which: str, digest: bytes, **values: object) -> int:
    """Have a post wait; gives its id."""
    row = {"list": key_of(which), "digest": digest, "held_at": time.time(), **values}
    row |= {"decision": "", "decided_by": ""}
    row |= {name: fit(str(row[name])) for name in ("author", "subject", "reason")}
    statement = insert(list_held).values(row).returning(list_held.c.id)
    return int(connection.execute(statement).scalar_one())


def is_held(connection: Connection, which: str, digest: bytes) -> bool:
    """Whether that post waits, or waited."""
    same = select(list_held.c.id).where(
        list_held.c.list == key_of(which), list_held.c.digest == digest
    )
    return connection.execute(same).first() is not None


def held(connection: Connection, id: int) -> RowMapping | None:
    """What waits, or waited, under that id; locked."""
    query = select(list_held).where(list_held.c.id == id).with_for_update()
    return connection.execute(query).mappings().first()


def waiting(connection: Connection, which: str) -> Sequence[RowMapping]:
    """What waits for a moderator of the list ``which``, without its content."""
    columns = [column for column in list_held.columns if column is not list_held.c.content]
    query = select(*columns).where(list_held.c.list == key_of(which), list_held.c.decision == "")
    return connection.execute(query.order_by(list_held.c.id)).mappings().all()


def page(
    connection: Connection, which: str, *, most: int, before: int | None
) -> Sequence[RowMapping]:
    """Posts in the archive, newest first, with ids lower than ``before``."""
    query = select(list_posts).where(
        list_posts.c.list == key_of(which), list_posts.c.is_archived.is_(True)
    )
    if before is not None:
        query = query.where(list_posts.c.id < before)
    return connection.execute(query.order_by(list_posts.c.id.desc()).limit(most)).mappings().all()


def archived(connection: Connection, which: str, id: int) -> RowMapping | None:
    """The post of that id, where it is in the archive of the list ``which``."""
    query = select(list_posts).where(
        list_posts.c.id == id,
        list_posts.c.list == key_of(which),
        list_posts.c.is_archived.is_(True),
    )
    return connection.execute(query).mappings().first()


def room_taken(connection: Connection, which: str) -> tuple[int, int]:
    """How many posts wait for a moderator, and the octets of them all."""
    query = select(func.count(), func.coalesce(func.sum(func.length(list_held.c.content)), 0))
    query = query.where(list_held.c.list == key_of(which), list_held.c.decision == "")
    number, octets = connection.execute(query).one()
    return int(number), int(octets)


def decide(connection: Connection, id: int, decision: str, by: str) -> None:
    """What is decided needs no content any more."""
    values = {"decision": decision, "decided_by": fit(by), "content": b""}
    connection.execute(update(list_held).where(list_held.c.id == id).values(**values))


def purge(connection: Connection, now: float, piece: int) -> int:
    """Forget some whose time is over; fewer than ``piece`` say that no more are."""
    over = (
        (list_members, list_members.c.status == ASKING, list_members.c.since < now - ASKED),
        (list_held, list_held.c.held_at < now - KEPT),
        (
            list_posts,
            list_posts.c.is_archived.is_(False),
            list_posts.c.shared == 0,
            list_posts.c.posted_at < now - KEPT,
        ),
    )
    most = 0
    for table, *conditions in over:
        some = select(table.c.id).where(*conditions).limit(piece)
        some = some.with_for_update(skip_locked=True)
        most = max(most, connection.execute(delete(table).where(table.c.id.in_(some))).rowcount)
    return most
