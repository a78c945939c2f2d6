"""What was posted to a list, as members got it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lamson.message.message import Message
from lamson.storage import lists

if TYPE_CHECKING:
    from sqlalchemy.engine import RowMapping
    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class ArchivedPost:
    """One post. ``content`` is as the members got it, without the fields of each of them."""

    id: int
    message_id: str
    subject: str
    author: str
    posted_at: datetime
    content: bytes

    @property
    def message(self) -> Message:
        """The post, to be read."""
        return Message(self.content)


def page(which: str, db: Session, *, most: int, before: int | None) -> list[ArchivedPost]:
    rows = lists.page(db.connection(), which, most=most, before=before)
    return [_of_row(row) for row in rows]


def one(which: str, db: Session, id: int) -> ArchivedPost | None:
    row = lists.archived(db.connection(), which, id)
    return None if row is None else _of_row(row)


def _of_row(row: RowMapping) -> ArchivedPost:
    return ArchivedPost(
        id=row["id"],
        message_id=row["message_id"],
        subject=row["subject"],
        author=row["author"],
        posted_at=datetime.fromtimestamp(row["posted_at"], UTC),
        content=bytes(row["content"]),
    )
