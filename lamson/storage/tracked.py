"""Mail of which the application wants to know what became: what is kept of it until then.

For `lamson.delivery.outcomes`. A row is written in the transaction that sends the mail, and is
forgotten when reports about it are believed no more. What the application was told already stands
in a table of its own, so that nobody is told twice: that row is written in the transaction in which
he is told.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, select, text

from lamson.smtp import address
from lamson.storage.keys import in_schema
from lamson.storage.outgoing import fit
from lamson.storage.state import StateKey
from lamson.storage.tables import outcomes, tracked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Table
    from sqlalchemy.engine import Connection


@dataclass(frozen=True, slots=True)
class Tracked:
    """A mail that was sent. ``module`` is the handler module that sent it, ``key`` the conversation
    in which it did, None where in none; ``scope`` is the list that it is mail of, "" for none.
    Reports are believed until ``until``, in seconds since the epoch."""

    id: str
    message_id: str
    subject: str
    recipients: tuple[str, ...]
    module: str
    key: StateKey | None
    scope: str
    sent_at: float
    until: float


def insert(connection: Connection, mails: Sequence[Tracked], schema: str | None = None) -> None:
    """Keep them, in the caller's transaction; ``schema`` is that of our tables, where it has
    another."""
    rows = [
        {
            "id": mail.id,
            "message_id": fit(mail.message_id),
            "subject": fit(mail.subject),
            "recipients": json.dumps(mail.recipients),
            "module": mail.module,
            "state_module": mail.key.module if mail.key else "",
            "state_author": mail.key.author if mail.key else "",
            "scope": fit(mail.scope),
            "sent_at": mail.sent_at,
            "until": mail.until,
        }
        for mail in mails
    ]
    if rows:
        connection.execute(tracked.insert(), rows, execution_options=in_schema(schema))


def get(connection: Connection, id: str) -> Tracked | None:
    """The mail of that id; None where it is not known, or not any more."""
    row = connection.execute(select(tracked).where(tracked.c.id == id)).mappings().first()
    if row is None:
        return None
    key = StateKey(row["state_module"], row["state_author"]) if row["state_module"] else None
    return Tracked(
        id=row["id"],
        message_id=row["message_id"],
        subject=row["subject"],
        recipients=tuple(json.loads(row["recipients"])),
        module=row["module"],
        key=key,
        scope=row["scope"],
        sent_at=row["sent_at"],
        until=row["until"],
    )


def is_first(connection: Connection, id: str, until: float, *what: str) -> bool:
    """Whether this is the first time that ``what`` is said of the mail ``id``; then it is noted.

    That holds until ``until``. Who asks at the same time waits until that transaction has ended.
    """
    done = connection.execute(_TELL, {"key": _said(id, *what), "until": until})
    return bool(done.rowcount)


def unsay(connection: Connection, id: str, *what: str) -> None:
    """It was not said after all, though `is_first` has noted it in this transaction."""
    connection.execute(delete(outcomes).where(outcomes.c.key == _said(id, *what)))


def _said(*what: str) -> str:
    octets = "\0".join(what).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(octets, digest_size=16, person=b"lamson outcome").hexdigest()


def digest(mailbox: str, scope: str = "") -> str:
    """What stands for a mailbox in a key, however it is spelt."""
    octets = f"{scope}\0{address.normalise(mailbox)}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(octets, digest_size=16, person=b"lamson mailbox").hexdigest()


def purge(connection: Connection, now: float, piece: int) -> int:
    """Forget some whose time is over; fewer than ``piece`` say that no more are."""
    return max(
        _purge(connection, outcomes, "key", now, piece),
        _purge(connection, tracked, "id", now, piece),
    )


def _purge(connection: Connection, table: Table, name: str, now: float, piece: int) -> int:
    key = table.c[name]
    some = select(key).where(table.c.until < now).limit(piece).with_for_update(skip_locked=True)
    return connection.execute(delete(table).where(key.in_(some))).rowcount


_TELL = text(
    "INSERT INTO lamson_outcomes (key, until) VALUES (:key, :until) ON CONFLICT (key) DO NOTHING"
)
