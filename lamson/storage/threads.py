"""Threads: conversations about one thing, who takes part in them, and what was said.

For `lamson.delivery.thread_finder`, which asks for those of a whole batch of deliveries, and for
the transaction, which writes what became of them; each takes a handful of statements. A thread is
locked from the moment that it was found: two messages of one thread are handled one after the
other. What is kept of a thread is bounded, and forgotten when no mail has come for long.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, delete, select, text

from lamson.message.history import Said
from lamson.storage.outgoing import fit
from lamson.storage.tables import (
    state,
    thread_ids,
    thread_messages,
    thread_participants,
    threads,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from sqlalchemy import BindParameter
    from sqlalchemy.engine import Connection

    from lamson.storage.state import StateKey

MAX_PARTICIPANTS = 1000  # of one thread; who comes later gets in by a signed address alone
MAX_IDS = 1000  # of mail that was sent in one thread: the newest
MAX_MESSAGES = 50  # of which is kept what they say: the newest
MAX_TEXT = 10_000  # characters of one of them
AT_A_TIME = 25  # threads that are forgotten at most: each has many rows


@dataclass(slots=True)
class Known:
    """A thread as the database knows it, for all deliveries of a batch that belong to it.

    ``participants`` says of each address whether the others may know it; ``pending`` is what was
    said in this batch, and is not written yet.
    """

    id: str
    subject: str
    modules: set[str] = field(default_factory=set)
    participants: dict[str, bool] = field(default_factory=dict)
    is_new: bool = False
    pending: list[Entry] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Entry:
    """One message of a thread. ``said.text`` is "" where it says what another one says as well."""

    digest: bytes
    message_id: str
    said: Said


@dataclass(slots=True)
class Change:
    """What one delivery adds to a thread: ``sent`` are digests of Message-IDs."""

    thread: Known
    module: str
    participants: dict[str, bool] = field(default_factory=dict)
    sent: list[bytes] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)


def digest(message_id: str) -> bytes:
    """By which a Message-ID is found."""
    octets = message_id.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(octets, digest_size=16, person=b"lamson thread").digest()


def sent_in(connection: Connection, digests: Collection[bytes]) -> dict[bytes, Known]:
    """The threads in which mail with these Message-IDs was sent, without their participants."""
    if not digests:
        return {}
    query = (
        select(thread_ids.c.digest, threads)
        .join(threads, threads.c.id == thread_ids.c.thread)
        .where(thread_ids.c.digest.in_(digests))
    )
    return {
        row.digest: Known(row.id, row.subject, set(row.modules.split()))
        for row in connection.execute(query)
    }


def taking_part(
    connection: Connection, ids: Collection[str], addresses: Collection[str]
) -> set[tuple[str, str]]:
    """Who of ``addresses`` takes part in which of these threads."""
    if not ids or not addresses:
        return set()
    table = thread_participants.c
    query = select(table.thread, table.address).where(
        table.thread.in_(ids), table.address.in_(addresses)
    )
    return {(row.thread, row.address) for row in connection.execute(query)}


def lock(connection: Connection, ids: Collection[str]) -> dict[str, Known]:
    """Those of these threads that there are, with their participants, locked in a fixed order."""
    if not ids:
        return {}
    query = select(threads).where(threads.c.id.in_(ids)).order_by(threads.c.id)
    found = {
        row.id: Known(row.id, row.subject, set(row.modules.split()))
        for row in connection.execute(query.with_for_update())
    }
    table = thread_participants.c
    taking = select(table.thread, table.address, table.is_open).where(table.thread.in_(found))
    for row in connection.execute(taking.order_by(table.thread, table.number)) if found else ():
        found[row.thread].participants[row.address] = row.is_open
    return found


def entries(connection: Connection, id: str) -> list[Entry]:
    """What is kept of what was said in a thread, in order."""
    table = thread_messages.c
    query = select(thread_messages).where(table.thread == id).order_by(table.id)
    return [
        Entry(
            row.digest,
            row.message_id,
            Said(
                row.author,
                row.name,
                datetime.fromtimestamp(row.said_at, UTC),
                row.text,
                row.is_ours,
            ),
        )
        for row in connection.execute(query)
    ]


def write(connection: Connection, changes: Sequence[Change], now: float, keep: float) -> None:
    """Add them to their threads. ``now`` is the time of the service clock, ``keep`` for how many
    seconds of it what was said is kept."""
    known = {change.thread.id: change.thread for change in changes}
    for change in changes:
        change.thread.modules.add(change.module)
    _insert(
        connection,
        _THREAD,
        [
            {
                "id": id,
                "modules": " ".join(sorted(known[id].modules)),
                "subject": fit(known[id].subject),
                "now": now,
            }
            for id in sorted(known)
        ],
    )
    _insert(connection, _PARTICIPANT, _participants(changes))
    digests = {one: change.thread.id for change in reversed(changes) for one in change.sent}
    # What was sent at one time is told apart, so that the newest of it are those sent last.
    order = {one: n for n, one in enumerate(one for change in changes for one in change.sent)}
    _insert(
        connection,
        _ID,
        [
            {"digest": one, "thread": digests[one], "now": now + order[one] * 1e-6}
            for one in sorted(digests)
        ],
    )
    _insert(
        connection,
        _MESSAGE,
        [
            {
                "thread": change.thread.id,
                "digest": entry.digest,
                "message_id": fit(entry.message_id),
                "author": fit(entry.said.author),
                "name": fit(entry.said.name),
                "said_at": entry.said.date.timestamp(),
                "now": now,
                "is_ours": entry.said.is_ours,
                "text": fit(entry.said.text[:MAX_TEXT]),
            }
            for change in changes
            for entry in change.entries
        ],
    )
    if known:
        bounds = {"ids": list(known), "old": now - keep, "most": MAX_MESSAGES}
        connection.execute(_CUT_MESSAGES, bounds)
    if digests:
        ids = sorted(set(digests.values()))
        connection.execute(_CUT_IDS, {"ids": ids, "most": MAX_IDS})


def purge(connection: Connection, now: float, keep: float, piece: int) -> int:
    """Forget some of the threads without mail for ``keep`` seconds of the service clock.

    Fewer than ``piece`` say that no more is to be forgotten. One that is in use is left for later.
    With a thread goes the state that `per_thread` kept for it.
    """
    old = select(threads).where(threads.c.used_at < now - keep).limit(piece)
    rows = connection.execute(old.with_for_update(skip_locked=True)).all()
    ids = [row.id for row in rows]
    if not ids:
        return 0
    for table in (thread_participants, thread_ids, thread_messages):
        connection.execute(delete(table).where(table.c.thread.in_(ids)))
    keys = [state_of(module, row.id) for row in rows for module in row.modules.split()]
    connection.execute(delete(state).where(state.c.author == "", state.c.module.in_(keys)))
    connection.execute(delete(threads).where(threads.c.id.in_(ids)))
    return len(ids)


def state_of(module: str, id: str) -> str:
    """What the state of a thread in a module is kept for."""
    return f"{module} {id}"


def thread_of(module: str, key: StateKey) -> str:
    """The id of the thread that a state of the module is kept for; "" where it is an author's."""
    begin = state_of(module, "")
    is_of_thread = not key.author and key.module.startswith(begin)
    return key.module[len(begin) :] if is_of_thread else ""


def _participants(changes: Iterable[Change]) -> list[dict[str, object]]:
    """Who is new, or does not mind to be known any more; in the order in which rows are locked."""
    rows: dict[tuple[str, str], dict[str, object]] = {}
    for change in changes:
        for number, (address, is_open) in enumerate(change.thread.participants.items()):
            if address in change.participants:
                row = {
                    "thread": change.thread.id,
                    "address": address,
                    "is_open": is_open,
                    "number": number,
                }
                rows[change.thread.id, address] = row
    return [rows[key] for key in sorted(rows)]


def _insert(connection: Connection, statement: object, rows: list[dict[str, object]]) -> None:
    if rows:
        connection.execute(statement, rows)  # type: ignore[call-overload]


_THREAD = text(
    "INSERT INTO lamson_threads (id, modules, subject, used_at)"
    " VALUES (:id, :modules, :subject, :now) ON CONFLICT (id) DO UPDATE"
    " SET modules = excluded.modules, used_at = excluded.used_at"
)
_PARTICIPANT = text(
    "INSERT INTO lamson_thread_participants (thread, address, is_open, number)"
    " VALUES (:thread, :address, :is_open, :number)"
    " ON CONFLICT (thread, address) DO UPDATE SET is_open = excluded.is_open"
)
_ID = text(
    "INSERT INTO lamson_thread_ids (digest, thread, sent_at) VALUES (:digest, :thread, :now)"
    " ON CONFLICT (digest) DO NOTHING"
)
_MESSAGE = text(
    "INSERT INTO lamson_thread_messages"
    " (thread, digest, message_id, author, name, said_at, kept_at, is_ours, text) VALUES"
    " (:thread, :digest, :message_id, :author, :name, :said_at, :now, :is_ours, :text)"
    " ON CONFLICT (thread, digest) DO NOTHING"
)
_IN_THREADS: BindParameter[list[str]] = bindparam("ids", expanding=True)
_CUT_MESSAGES = text(
    "DELETE FROM lamson_thread_messages WHERE thread IN :ids AND (kept_at < :old OR id <="
    " (SELECT other.id FROM lamson_thread_messages AS other"
    " WHERE other.thread = lamson_thread_messages.thread ORDER BY other.id DESC"
    " LIMIT 1 OFFSET :most))"
).bindparams(_IN_THREADS)
_CUT_IDS = text(
    "DELETE FROM lamson_thread_ids WHERE thread IN :ids AND (sent_at, digest) <="
    " (SELECT other.sent_at, other.digest FROM lamson_thread_ids AS other"
    " WHERE other.thread = lamson_thread_ids.thread ORDER BY other.sent_at DESC, other.digest DESC"
    " LIMIT 1 OFFSET :most)"
).bindparams(_IN_THREADS)
