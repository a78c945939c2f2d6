"""The journal: a row for each mail that came or was sent, and what became of it.

For the transaction, which writes what came, for the relay, whose changes of the outbox have along
what was sent (see `lamson.storage.journal_sent`), and for whoever shows it. Rows are read from the
newest on, a page at a time, from behind the last id that is known: no page costs more than the
first. Addresses are kept in the form in which they are compared. A row of mail that was sent has
the id of its row in the outbox, so that it is there once however often it was tried. An id is a
time in nanoseconds: two nodes that make the same one lose a row of the journal, and no mail.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from sqlalchemy import and_, func, literal, select, text

from lamson.smtp import address
from lamson.storage import sqlite
from lamson.storage.outgoing import fit
from lamson.storage.tables import journal, journal_content

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.engine import Connection

Direction = Literal["in", "out"]

MOST = 1000  # rows of one page
_LONGEST_NAME = 1000  # octets of what stands in an index
_LONGEST_TEXT = 1000  # characters of a text that a stranger wrote
_LONGEST_WORDS = 2000
_ROW = 300  # octets that a row takes beside its texts, about


class Sent(NamedTuple):
    """A mail that came of another one: its row in the outbox and here, 0 where it has none of its
    own, and its envid, "" where it is not tracked."""

    id: int
    envid: str


@dataclass(frozen=True, slots=True)
class JournalRow:
    """One mail, "in" or "out". Times are seconds since the epoch.

    ``at`` is when it came, or was put into the outbox; ``done_at`` when that came of it which
    ``outcome`` names, with the ``reply`` that we gave or were given. ``source`` is how log lines
    call it, of mail that was sent the mail that it came from. ``correspondent`` is who wrote, or
    the first who was written to; ``recipients`` are all of those. ``sent`` is what came of it.
    ``envid`` is the id of tracked mail, or of the mail that this one reports about: ``about`` then
    says what. ``content`` is the header, or the message, as far as it is kept.
    """

    id: int
    direction: Direction
    at: float
    done_at: float
    source: str
    message_id: str
    correspondent: str
    ours: str
    subject: str
    size: int
    outcome: str
    reply: str
    handler: str = ""
    state: str = ""
    next_state: str = ""
    recipients: tuple[str, ...] = ()
    sent: tuple[Sent, ...] = ()
    envid: str = ""
    about: str = ""
    content: bytes = b""


def add(connection: Connection, rows: Sequence[JournalRow]) -> None:
    """Write ``rows`` in the caller's transaction.

    Of what is known already it is noted how it went this time. Where it went otherwise before, for
    other recipients, the outcome is "mixed", and the replies stand one after the other.
    """
    if not rows:
        return
    values = [_values(row) for row in rows]
    contents = [(row.id, row.content) for row in rows if row.content]
    if connection.dialect.name == "sqlite":
        sqlite.insert(connection, _INTO, values, _AGAIN)
        if contents:
            sqlite.insert(connection, _INTO_CONTENT, contents, _ONCE)
        return
    connection.execute(
        _INSERT, dict(zip(_NAMES, map(list, zip(*values, strict=True)), strict=True))
    )
    if contents:
        ids, octets = zip(*contents, strict=True)
        connection.execute(_INSERT_CONTENT, {"ids": list(ids), "contents": list(octets)})


def page(
    connection: Connection,
    *,
    before: int | None = None,
    limit: int = 50,
    correspondent: str | None = None,
    direction: Direction | None = None,
    words: str = "",
) -> list[JournalRow]:
    """Some rows, newest first, without their contents: those ``before`` an id, the newest without.

    Of the conversation with ``correspondent``, however he is spelt; of one ``direction``; and of
    those whose subject or addresses have ``words`` in them, in any case.
    """
    query = select(journal).order_by(journal.c.id.desc()).limit(max(1, min(limit, MOST)))
    if before is not None:
        query = query.where(journal.c.id < before)
    if correspondent is not None:
        query = query.where(journal.c.correspondent == name_of(correspondent))
    if direction is not None:
        query = query.where(journal.c.direction == direction)
    if words.strip():
        query = query.where(journal.c.words.contains(folded(words.strip()), autoescape=True))
    return [from_row(found) for found in connection.execute(query).mappings()]


def find(
    connection: Connection,
    *,
    id: int | None = None,
    source: str | None = None,
    message_id: str | None = None,
    envid: str | None = None,
    reply: str | None = None,
    limit: int = MOST,
) -> list[JournalRow]:
    """The rows that all of these are true of, newest first, without their contents.

    ``reply`` is a word of it, such as the queue id under which Postfix took a mail.
    """
    wanted = [
        column == value
        for column, value in (
            (journal.c.id, id),
            (journal.c.source, source),
            (journal.c.message_id, None if message_id is None else _name(message_id)),
            (journal.c.envid, envid),
        )
        if value is not None
    ]
    if envid:
        wanted.append(journal.c.envid != "")  # so that its index is used
    if reply:
        wanted.append(journal.c.reply.contains(reply, autoescape=True))
    query = select(journal).where(and_(*wanted)).order_by(journal.c.id.desc()).limit(limit)
    return [from_row(found) for found in connection.execute(query).mappings()]


def content(connection: Connection, id: int) -> bytes | None:
    """What is kept of one mail: its header, or the message; None where nothing is."""
    query = select(journal_content.c.content).where(journal_content.c.id == id)
    found = connection.execute(query).scalar()
    return None if found is None else bytes(found)


def octets(connection: Connection, after: int = 0) -> int:
    """What all rows that are newer than the id ``after`` take together."""
    query = select(func.coalesce(func.sum(journal.c.kept), literal(0)))
    return int(connection.execute(query.where(journal.c.id > after)).scalar_one())


def newest(connection: Connection) -> int:
    """The newest id; 0 where there is none."""
    query = select(journal.c.id).order_by(journal.c.id.desc()).limit(1)
    return int(connection.execute(query).scalar() or 0)


def delete(connection: Connection, ids: Sequence[int]) -> None:
    """Forget rows, with their contents, in the caller's transaction."""
    for at in range(0, len(ids), _AT_ONCE):
        some = ids[at : at + _AT_ONCE]
        for table in (journal_content, journal):
            connection.execute(table.delete().where(table.c.id.in_(some)))


def name_of(mailbox: str) -> str:
    """A mailbox as it stands in the journal."""
    return _name(address.normalise(mailbox))


def _name(value: str) -> str:
    """What an index of a database takes: what is too long becomes a digest."""
    fitting = fit(value)
    octets = fitting.encode()
    if len(octets) <= _LONGEST_NAME:
        return fitting
    return f"sha256:{hashlib.sha256(octets).hexdigest()}"


def folded(words: str) -> str:
    """Words in the form in which rows are searched for them."""
    return fit(words) if words.isascii() and words.islower() else _composed(fit(words))


def _composed(words: str) -> str:
    return words.lower() if words.isascii() else unicodedata.normalize("NFC", words.casefold())


def _octets(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _values(row: JournalRow) -> tuple[object, ...]:
    """In the order of the table's columns."""
    subject = row.subject[:_LONGEST_TEXT]
    correspondent, ours = address.normalise(row.correspondent), address.normalise(row.ours)
    reply, about = row.reply[:_LONGEST_TEXT], row.about[:_LONGEST_TEXT]
    source, message_id = row.source, row.message_id
    listed = ""
    words = f"{subject} {correspondent} {ours}"
    if len(row.recipients) > 1:
        listed = json.dumps([fit(one) for one in row.recipients])
        words = f"{words} {fit(' '.join(row.recipients))}"
    is_plain = f"{words}{source}{message_id}{reply}{about}".isprintable() and words.isascii()
    if not is_plain or max(len(correspondent), len(ours), len(message_id)) > _LONGEST_NAME:
        subject, source, reply, about, words = map(fit, (subject, source, reply, about, words))
        correspondent, ours, message_id = map(_name, (correspondent, ours, message_id))
    words = _composed(words)[:_LONGEST_WORDS]
    sent = json.dumps(row.sent) if row.sent else ""
    texts = (source, message_id, correspondent, ours, listed, subject, reply, about, sent, words)
    return (
        row.id,
        row.direction,
        row.at,
        row.done_at,
        source,
        message_id,
        correspondent,
        ours,
        listed,
        subject,
        row.size,
        row.handler,
        fit(row.state) if row.state else "",
        fit(row.next_state) if row.next_state else "",
        row.outcome,
        reply,
        row.envid,
        about,
        sent,
        words,
        _ROW + len(row.content) + sum(map(_octets, texts)),
    )


def from_row(found: Any) -> JournalRow:
    """A row as the table has it."""
    return JournalRow(
        id=found["id"],
        direction=found["direction"],
        at=found["at"],
        done_at=found["done_at"],
        source=found["source"],
        message_id=found["message_id"],
        correspondent=found["correspondent"],
        ours=found["ours"],
        subject=found["subject"],
        size=found["size"],
        outcome=found["outcome"],
        reply=found["reply"],
        handler=found["handler"],
        state=found["state"],
        next_state=found["next_state"],
        recipients=tuple(json.loads(found["recipients"] or "[]")) or _only(found),
        sent=tuple(Sent(*one) for one in json.loads(found["sent"] or "[]")),
        envid=found["envid"],
        about=found["about"],
    )


def _only(found: Any) -> tuple[str, ...]:
    return (found["correspondent"],) if found["direction"] == "out" else ()


_AT_ONCE = 500  # parameters of a statement
_NAMES = journal.columns.keys()
_INTO = f"lamson_journal ({', '.join(_NAMES)})"
_INTO_CONTENT = "lamson_journal_content (id, content)"
_ONCE = "ON CONFLICT (id) DO NOTHING"
_AGAIN = (
    "ON CONFLICT (id) DO UPDATE SET done_at = excluded.done_at,"
    " outcome = CASE WHEN lamson_journal.outcome IN ('deferred', excluded.outcome)"
    " THEN excluded.outcome ELSE 'mixed' END,"
    " reply = CASE WHEN lamson_journal.outcome = 'deferred' OR lamson_journal.reply ="
    " excluded.reply THEN excluded.reply"  # what is written again, as nobody knew of the commit
    f" ELSE substr(lamson_journal.reply || ' / ' || excluded.reply, 1, {_LONGEST_TEXT}) END"
    " WHERE lamson_journal.direction = 'out' AND excluded.direction = 'out'"
)
_POSTGRES_TYPES = {"INTEGER": "bigint"}
_ARRAYS = [
    f"CAST(:{column.name} AS {_POSTGRES_TYPES.get(str(column.type), str(column.type))}[])"
    for column in journal.columns
]
_INSERT = text(f"INSERT INTO {_INTO} SELECT * FROM unnest({', '.join(_ARRAYS)}) {_AGAIN}")
_INSERT_CONTENT = text(
    f"INSERT INTO {_INTO_CONTENT} SELECT * FROM"
    f" unnest(CAST(:ids AS bigint[]), CAST(:contents AS bytea[])) {_ONCE}"
)
