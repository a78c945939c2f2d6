"""Who is on a list, and how he wants its mail."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from lamson.smtp import address
from lamson.storage import bounced, lists, suppressed

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, RowMapping
    from sqlalchemy.orm import Session

Mode = Literal["mail", "digest", "none"]
Status = Literal["active", "paused", "disabled"]


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody on a list. ``address`` is as he wrote it, ``list_address`` that of the list.

    ``mode`` is how he gets posts, ``own_posts`` whether he gets his own, ``copies`` whether he gets
    one that names him in To or Cc. Posts of who ``is_held`` wait for a moderator. ``status`` is
    paused or disabled where mail to him failed too often, ``score`` are the points of that.
    """

    address: str
    list_address: str
    status: Status
    mode: Mode
    own_posts: bool
    copies: bool
    is_owner: bool
    is_moderator: bool
    is_held: bool
    score: float
    since: datetime
    id: int


def of_row(row: RowMapping) -> Member:
    """The member in a row of the table."""
    return Member(
        address=row["address"],
        list_address=row["list"],
        status=row["status"],
        mode=row["mode"],
        own_posts=row["own_posts"],
        copies=row["copies"],
        is_owner=row["is_owner"],
        is_moderator=row["is_moderator"],
        is_held=row["is_held"],
        score=row["score"],
        since=datetime.fromtimestamp(row["since"], UTC),
        id=row["id"],
    )


def known_lists(db: Session) -> list[str]:
    """The addresses of all lists that anybody is on, in order."""
    return lists.known(db.connection())


def memberships(db: Session, mailbox: str) -> list[Member]:
    """What somebody is on, however his address is spelt: a member for each list, in their order."""
    rows = lists.everywhere(db.connection(), mailbox)
    return [of_row(row) for row in rows if row["status"] in lists.ON_IT]


def listed(which: str, db: Session, *, most: int | None = None) -> list[Member]:
    return [of_row(row) for row in lists.listed(db.connection(), which, most=most)]


def find(which: str, db: Session, mailbox: str) -> Member | None:
    row = lists.find(db.connection(), which, mailbox)
    return of_row(row) if row is not None and row["status"] in lists.ON_IT else None


def add(
    which: str, db: Session, mailbox: str, *, owner: bool = False, moderator: bool = False
) -> Member:
    written = address.parse_mailbox(mailbox, smtputf8=True)
    connection = db.connection()
    values: dict[str, object] = {"status": lists.ACTIVE, "score": 0.0, "pauses": 0}
    if owner:
        values["is_owner"] = True
    if moderator:
        values["is_moderator"] = True
    before = lists.find(connection, which, written)
    if before is None or before["status"] not in lists.ON_IT:
        values["since"] = time.time()
    lists.put(connection, which, written, **values)
    found = find(which, db, written)
    assert found is not None
    return found


def remove(which: str, db: Session, mailbox: str) -> bool:
    found = find(which, db, mailbox)
    return found is not None and lists.remove(db.connection(), found.id)


def change(which: str, db: Session, mailbox: str, **wanted: object) -> Member:
    found = find(which, db, mailbox)
    if found is None:
        raise LookupError(f"{mailbox} is not on the list {which}")
    mode = wanted.get("mode")
    if mode not in (None, lists.MAIL, lists.DIGEST, lists.NONE):
        raise ValueError(f"mode={mode!r}: expected mail, digest or none")
    values = {name: value for name, value in wanted.items() if value is not None}
    if values:
        lists.change(db.connection(), found.id, **values)
    changed = find(which, db, mailbox)
    assert changed is not None
    return changed


def revive(connection: Connection, row: RowMapping) -> None:
    """He has written from there: mail reaches him again, whatever was held against his address."""
    lists.change(connection, row["id"], status=lists.ACTIVE, score=0.0, pauses=0)
    forgive(connection, row["list"], row["address"])


def forgive(connection: Connection, which: str, mailbox: str) -> None:
    """Mail of the list reaches him again: forget what was held against his address."""
    bounced.forget(connection, mailbox)
    suppressed.remove(connection, mailbox, "")
    suppressed.remove(connection, mailbox, which.replace("@", ".").lower())
