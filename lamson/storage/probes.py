"""What arrived of the doctor's probes, for whoever asks within a few minutes.

The reserved route writes a row for each leg of a probe, on whatever node that is; `lamson postfix
check -deliver` reads them. Only who has the project's key can have one written; they are few all
the same, small, and forgotten when their time is over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, func, select, text

from lamson.storage.tables import outbox, probes

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection
    from sqlalchemy.orm import Session

MOST = 100  # rows
_KEEP = text(
    "INSERT INTO lamson_probes (name, until, record) VALUES (:name, :until, :record)"
    " ON CONFLICT (name) DO NOTHING"
)


def keep(db: Session, name: str, record: str, *, until: float, now: float) -> bool:
    """Write one; False where it is there already, or where there are too many."""
    db.execute(delete(probes).where(probes.c.until < now))
    if (db.scalar(select(func.count()).select_from(probes)) or 0) >= MOST:
        return False
    done = db.execute(_KEEP, {"name": name, "until": until, "record": record})
    return bool(done.rowcount)  # type: ignore[attr-defined]


def read(connection: Connection, name: str) -> str | None:
    """The record of that name; None where nothing has arrived so far."""
    found: str | None = connection.scalar(select(probes.c.record).where(probes.c.name == name))
    return found


def error_of_answer(connection: Connection, message_id: str) -> str | None:
    """What was wrong with the last attempt to submit the answer; None where it does not wait."""
    asked = select(outbox.c.last_error).where(outbox.c.message_id == message_id)
    found: str | None = connection.scalar(asked)
    return None if found is None else found or "no attempt has failed yet"


def purge(connection: Connection, now: float, piece: int) -> int:
    """Forget some whose time is over; gives how many, ``piece`` at most."""
    over = select(probes.c.name).where(probes.c.until < now).limit(piece)
    return connection.execute(delete(probes).where(probes.c.name.in_(over))).rowcount
