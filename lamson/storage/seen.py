"""What was handled already: the digest of one queue entry and one recipient.

A message that Postfix hands over again (its connection broke before our reply arrived) must not
run a handler again. The digest stands over the source id, the envelope sender and the recipient:
per recipient, because Postfix regroups them between attempts. A false duplicate would be lost
mail, so where no trustworthy source id exists nothing is suppressed. The Message-ID is never used:
a stranger could have claimed it first.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from sqlalchemy import delete, select, text

from lamson.storage import sqlite
from lamson.storage.tables import seen

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy.engine import Connection

    from lamson.smtp.envelope import Envelope

KEEP = 30 * 24 * 3600.0  # seconds of the service clock (see lamson/storage/service_clock.py)

# Postfix puts its Received field on top; with `flags=` lmtp(8) adds the three others above it. Its
# value says "(Postfix)" after our own server's name, or "(Postfix, from userid N)" for sendmail(1).
_POSTFIX_RECEIVED = re.compile(
    rb"(?:(?:Return-Path|Delivered-To|X-Original-To):[^\n]*\n)*"
    rb"Received: (?:from [^\n]*\n(?:[ \t][^\n]*\n){0,4}?[ \t]+)?"
    rb"by [^\n ]+ \(Postfix(?:, from userid \d+)?\)"
)
_HEADER_START = 4096  # bytes in which that field is looked for


def source_id(envelope: Envelope, content: bytes) -> bytes | None:
    """What identifies the queue entry that a message came from, or None where nothing does.

    A long queue id is never used again. A short one is, so then (and for mail from sendmail(1),
    which has no XFORWARD IDENT) the message itself is the identity, provided that Postfix stamped
    it: its Received field holds the queue id and the time.
    """
    queue_id = envelope.peer.ident
    if queue_id and queue_id.is_long:
        return b"queue-id:" + queue_id.encode("ascii")
    if _POSTFIX_RECEIVED.match(content, 0, _HEADER_START):
        return b"content:" + hashlib.sha256(content).digest()
    return None


def kept_id(name: str) -> bytes:
    """The source id of a message in run/undeliverable, by the name that it is kept under."""
    return b"kept:" + name.encode()


def digest(source: bytes, sender: str, recipient: str) -> bytes:
    """The key of one delivery: 32 bytes."""
    parts = (source, sender.encode("utf-8", "surrogateescape"), recipient.encode("utf-8"))
    return hashlib.sha256(b"".join(b"%d:%b" % (len(part), part) for part in parts)).digest()


_INTO = "lamson_seen (key, handled_at)"
_NEW = "ON CONFLICT DO NOTHING RETURNING key"
_CLAIM = text(f"INSERT INTO {_INTO} SELECT unnest(CAST(:keys AS bytea[])), :now {_NEW}")


def claim(connection: Connection, keys: Iterable[bytes], now: float) -> set[bytes]:
    """Insert ``keys`` and give back those that were new; the others were handled before.

    ``now`` is the time of the service clock.
    On PostgreSQL this waits for another transaction that holds one of them.
    """
    ordered = sorted(keys)
    if not ordered:
        return set()
    if connection.dialect.name == "sqlite":
        rows = [(key, now) for key in ordered]
        return {row[0] for row in sqlite.insert(connection, _INTO, rows, _NEW)}
    return set(connection.execute(_CLAIM, {"keys": ordered, "now": now}).scalars())


def is_claimed(connection: Connection, key: bytes) -> bool:
    """Whether ``key`` was handled already."""
    return connection.execute(select(seen.c.key).where(seen.c.key == key)).first() is not None


def forget(connection: Connection, keys: Sequence[bytes]) -> None:
    """Take back claims of this transaction whose handlers failed."""
    if keys:
        connection.execute(delete(seen).where(seen.c.key.in_(keys)))


def purge(connection: Connection, now: float) -> int:
    """Drop what is older than 30 days of the service clock. Gives the number of rows."""
    return connection.execute(delete(seen).where(seen.c.handled_at < now - KEEP)).rowcount
