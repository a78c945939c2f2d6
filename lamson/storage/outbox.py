"""The outbox: mail that handlers sent, as rows of the transaction in which they ran.

A row holds the final bytes. It is inserted under a lease of this process, submitted after the
commit and deleted once Postfix took it. A row whose lease ran out (its process died) or whose time
for another attempt has come is claimed by whichever process looks first. Rows of one conversation
(sender and recipients) leave in the order in which they were made: a later row waits for an
earlier one. Of the content no more is leased or loaded than `held` has room for: a backlog of any
size needs the same memory. Ids are the time in nanoseconds; should two nodes make the same one,
the later takes the next.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import and_, bindparam, func, or_, select, update

from lamson import log
from lamson.storage import LARGEST_ID, claims, pipeline, posted, scheduled, sqlite, tasks
from lamson.storage.held import HeldRows
from lamson.storage.outgoing import fit, from_row, split, to_row
from lamson.storage.room import parts
from lamson.storage.suppressed import Suppression, task_of
from lamson.storage.tables import content, outbox
from lamson.storage.tables import scheduled as scheduled_table
from lamson.storage.untold import Untold

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from sqlalchemy.engine import Connection
    from sqlalchemy.sql import ColumnElement

    from lamson.storage.database import Database
    from lamson.storage.journal_sent import JournalSent
    from lamson.storage.outgoing import Outgoing
    from lamson.storage.tasks import Task

LEASE = 300.0  # seconds
MAX_RECIPIENTS = 50  # of one row
CONTENTS = 500  # that are looked at in one go
CONTENTS_AT_A_TIME = 25  # that are deleted in one transaction
PROMOTED = 500  # rows that come due in one transaction
RELEASED = 1024 * 1024  # octets that are written when leases are given back in one transaction
ROW = 16 * 1024  # of those, what a row costs beside its content: pages of the table and an index


class Outbox:
    """The rows of one database, as one process (``owner``) sees them.

    What it knows of those that it leased to itself is in ``held`` alone, which the relay shares.
    """

    def __init__(
        self,
        database: Database,
        owner: str,
        held: HeldRows | None = None,
        *,
        lease: float = LEASE,
        max_recipients: int = MAX_RECIPIENTS,
        journal: JournalSent | None = None,
    ) -> None:
        """``journal`` is told by the relay how it went, and written here, where one is kept."""
        self.held = HeldRows() if held is None else held
        self._database = database
        self._owner = owner
        self._lease = lease
        self._max_recipients = max_recipients
        self.journal = journal
        self._last_id = 0
        self._looked_at = 0  # the last content that was looked at, whether it is used
        self._id_lock = threading.Lock()
        self._suppression = Suppression()
        self._to_tell: dict[int, list[Task]] = {}  # by row, with whose change each is written
        self.untold = Untold()
        """For who calls `insert` from several threads, and tells the relay of what it gave."""
        self.doubtful: deque[Outgoing] = deque()
        """Rows whose claim failed, perhaps after it was committed."""

    def split(self, rows: Iterable[Outgoing]) -> list[Outgoing]:
        """The rows that ``rows`` become: to so many recipients each as one transaction takes."""
        return [part for row in rows for part in split(row, self._max_recipients)]

    def insert(
        self, connection: Connection, rows: Sequence[Outgoing], apart: Collection[str] = ()
    ) -> list[Outgoing]:
        """Insert ``rows`` in the caller's transaction.

        Gives back those that are leased to us and may be submitted as soon as that transaction is
        committed; the others stand behind an earlier row and are claimed later, as are those of
        the conversations ``apart``, or their time has not come. Suppressed recipients get nothing;
        tracked mail is noted.
        """
        rows = posted.admitted(connection, rows, self._suppression)
        now = time.time()
        posted.share(connection, rows)
        for row in rows:
            row.created_at = now
            if row.due_at > now:
                posted.put(connection, row)
        rows = [row for row in rows if row.due_at <= now]
        elsewhere = set(apart)
        if self._database.is_sqlite:  # PostgreSQL says so when it inserts them
            names = {row.conversation for row in rows}
            elsewhere |= self._held_elsewhere(connection, names, now)
        is_full = self.held.is_full  # once: one row of a conversation must not skip another
        room = self.held.budget.room()
        if is_full:
            self.held.budget.want()
        mine = []
        for row in rows:
            if is_full or row.conversation in elsewhere:
                continue
            if room.take(len(row.content)):
                row.lease_until = now + self._lease
                mine.append(row)
            else:
                elsewhere.add(row.conversation)
                self.held.budget.want(len(row.content))
        for part in parts(rows, lambda row: len(row.content)):
            left = part
            while left:
                left = self._insert(connection, left)
        return [row for row in mine if row.lease_until]

    def _insert(self, connection: Connection, rows: Sequence[Outgoing]) -> Sequence[Outgoing]:
        """Insert ``rows``; gives those whose new id another node has used already."""
        for row in rows:
            row.id = self._next_id()
        values = [to_row(row, self._owner if row.lease_until else "") for row in rows]
        if self._database.is_sqlite:  # it has one writer at a time, and so one time
            sqlite.insert(connection, _INTO, values)
            return []
        columns = map(list, zip(*values, strict=True))
        given: dict[str, object] = dict(zip(outbox.columns.keys(), columns, strict=True))
        given |= {"our_owner": self._owner, "time": rows[0].created_at}
        made = dict(pipeline.execute(connection, _INSERT, given))
        for row in rows:
            if made.get(row.id) == "":
                row.lease_until = 0.0
        return [row for row in rows if row.id not in made]

    def call(self) -> float | None:
        """Let what is due by now take its place in the table, or some of it where that is much.

        Gives when the next one of the others is due, None where none waits.
        """
        with self._database.read() as connection:
            due_at = scheduled.next_due(connection)
        if due_at is None or due_at > time.time():
            return due_at
        with self._database.begin() as connection:
            now = time.time()
            scheduled.promote(connection, now, PROMOTED, self._next_id, self._suppression)
            return scheduled.next_due(connection)

    def claim(self, limit: int) -> list[Outgoing]:
        """Lease and give rows that are due, in order: whole conversations, as far as they are.

        At most ``limit`` conversations and ``limit`` rows that follow their first ones, and no more
        of them than there is room for. Holding the first row keeps other processes from the rest of
        its conversation. Where this raises, the rows may be leased all the same: they are
        `doubtful`, to be released before any others are claimed.
        """
        now = time.time()
        budget = self.held.budget
        rows: list[Outgoing] = []
        try:
            with self._database.begin() as connection:
                found = claims.find(connection, limit, now, budget)
                if not found:
                    return []
                rows = [from_row(row, now + self._lease) for row in found]
                self.held.begin_claim(rows, sum(row["size"] for row in found))
                connection.execute(
                    update(outbox)
                    .where(outbox.c.id.in_([row.id for row in rows]))
                    .values(lease_owner=self._owner, lease_until=now + self._lease)
                )
                return claims.load(connection, rows, [row["size"] for row in found])
        except Exception:
            self.doubtful.extend(rows)
            raise

    @contextmanager
    def deleting(self, *, is_alone: bool = False) -> Iterator[Callable[[Connection], None]]:
        """Put this round a transaction: gives what deletes all that is to be deleted, within it.

        Where that transaction fails, those rows come again next time; so do rows that it did not
        find, which may be younger than what it sees. Where it ``is_alone`` they are gone: another
        process had them meanwhile.
        """
        ids: list[int] = []
        gone: set[int] = set()

        def delete(connection: Connection) -> None:
            ids.extend(self.held.begin_deletion())
            self.delete_rows(connection, ids, gone)
            self._tell(connection, ids)

        is_committed = False
        try:
            yield delete
            is_committed = True
        finally:
            if is_committed:
                self._told(ids)
            found = [id for id in ids if id not in gone]
            self.held.deleted(found, is_committed=is_committed)
            self.held.deleted(gone, is_committed=is_committed and is_alone)
        if gone and is_committed:
            log.logger.warning(
                "outbox: %d rows that were submitted were not there to be deleted%s",
                len(gone),
                ": another process had them too" if is_alone else "; looking again",
            )

    def refused(
        self, row: Outgoing, recipients: Sequence[str], why: str, *, for_good: bool
    ) -> None:
        """Submission did not take it for them: where it is tracked, the application is told.

        That is written with what becomes of the row: both, or neither.
        """
        if row.envid:
            task = task_of(row, recipients, "refused", why, is_permanent=for_good)
            self._to_tell.setdefault(row.id, []).append(task)

    def _tell(self, connection: Connection, ids: Collection[int]) -> None:
        if self.journal is not None:
            self.journal.write(connection, ids)
        if self._to_tell:
            tasks.add(connection, [task for id in ids for task in self._to_tell.get(id, ())])

    def _told(self, ids: Collection[int]) -> None:
        if self.journal is not None:
            self.journal.written(ids)
        for id in ids if self._to_tell else ():
            self._to_tell.pop(id, None)

    def delete_rows(
        self, connection: Connection, ids: Collection[int], gone: set[int] | None = None
    ) -> None:
        """Delete rows in the caller's transaction.

        When that is committed, ``gone`` has those that were not there for it. SQLite's one writer
        sees them all: what is not there was deleted by another process.
        """
        if ids and self._database.is_sqlite:
            sqlite.execute(connection, _DELETE_SQLITE, (json.dumps(list(ids)),))
        elif ids:
            missing = set() if gone is None else gone
            missing.update(ids)

            def found(rows: list[tuple[int]]) -> None:
                missing.difference_update(row[0] for row in rows)

            pipeline.later(connection, _DELETE, {"ids": list(ids)}, found)

    def delete_now(self) -> None:
        """Delete what is to be deleted and has not been so with other work meanwhile."""
        if self.held.has_deletions:
            with (
                self.deleting(is_alone=True) as delete,
                self._database.begin_forgettable() as connection,
            ):
                delete(connection)

    def delete(self, ids: Collection[int]) -> None:
        """Delete rows at once."""
        if ids:
            with self._database.begin_forgettable() as connection:
                self.delete_rows(connection, ids)

    def drop(self, id: int) -> None:
        """Delete a row, scheduled or not, for a person who wants it gone."""
        with self._database.begin() as connection:
            if not scheduled.drop(connection, id):
                self.delete_rows(connection, [id])

    def defer(self, row: Outgoing, due_at: float) -> None:
        """Give ``row`` back, with its remaining recipients and error, until ``due_at``.

        Like `release`, it leaves a row alone that another process has taken over meanwhile.
        """
        with self._database.begin() as connection:
            connection.execute(
                update(outbox)
                .where(outbox.c.id == row.id, outbox.c.lease_owner == self._owner)
                .values(
                    recipients=json.dumps(row.recipients),
                    attempts=row.attempts,
                    last_error=fit(row.last_error),
                    due_at=due_at,
                    lease_owner="",
                    lease_until=0,
                )
            )
            self._tell(connection, [row.id])
        self._told([row.id])

    def release(self, ids: Collection[int]) -> None:
        """Give rows back untouched, so that the next process need not wait for the lease."""
        if not ids:
            return
        with self._database.begin() as connection:
            connection.execute(
                update(outbox)
                .where(outbox.c.id == bindparam("row"), outbox.c.lease_owner == self._owner)
                .values(lease_owner="", lease_until=0),
                _rows(ids),
            )

    def is_believable(self, lease_until: float) -> bool:
        """Whether a lease ends when one of ours can: else the clock was ahead when it was made."""
        return lease_until <= time.time() + 2 * self._lease

    def renew(self, rows: Collection[Outgoing]) -> None:
        """Lease rows for longer that are being submitted."""
        if not rows:
            return
        until = time.time() + self._lease
        with self._database.begin() as connection:
            connection.execute(
                update(outbox)
                .where(outbox.c.id == bindparam("row"), outbox.c.lease_owner == self._owner)
                .values(lease_until=until),
                _rows(row.id for row in rows),
            )
        for row in rows:
            row.lease_until = until

    def release_owner(self, owner: str) -> int:
        """Give back all leases of ``owner``, a process known to be dead; gives the number."""
        return self._release_all(outbox.c.lease_owner == owner)

    def far_leases(self) -> list[tuple[str, float]]:
        """Leases of others that end later than one from now on could: owner and end."""
        query = select(outbox.c.lease_owner, outbox.c.lease_until).where(
            outbox.c.lease_until > time.time() + 2 * self._lease,
            outbox.c.lease_owner != self._owner,
        )
        with self._database.read() as connection:
            return [(owner, until) for owner, until in connection.execute(query.distinct())]

    def release_lease(self, owner: str, until: float) -> int:
        """Give back what ``owner`` leased, where it is so still; gives the number."""
        return self._release_all(and_(outbox.c.lease_owner == owner, outbox.c.lease_until == until))

    def _release_all(self, are_these: ColumnElement[bool]) -> int:
        """In pieces, which hold others up for moments; no index finds them, so reading does."""
        query = select(outbox.c.id, func.length(outbox.c.content)).where(are_these)
        with self._database.read() as connection:
            found = connection.execute(query.order_by(outbox.c.id)).all()
        number = 0
        for piece in parts(found, lambda row: int(row[1]) + ROW, RELEASED):
            release = update(outbox).where(outbox.c.id.in_([id for id, _ in piece]), are_these)
            with self._database.begin() as connection:
                number += connection.execute(release.values(lease_owner="", lease_until=0)).rowcount
        return number

    def owners(self) -> list[str]:
        """Who holds leases."""
        with self._database.read() as connection:
            query = select(outbox.c.lease_owner).where(outbox.c.lease_owner != "").distinct()
            return list(connection.execute(query).scalars())

    def all(self) -> list[Outgoing]:
        """All rows, oldest first, for people to look at: without their content."""
        with self._database.read() as connection:
            rows = connection.execute(select(*claims.HEAD).order_by(outbox.c.id)).mappings()
            return [from_row(row, row["lease_until"]) for row in rows]

    def get(self, id: int) -> Outgoing | None:
        """One row, scheduled or not, without its content; None where it is gone."""
        if id > LARGEST_ID:
            return None
        with self._database.read() as connection:
            query = select(*claims.HEAD).where(outbox.c.id == id)
            row = connection.execute(query).mappings().first() or scheduled.head(connection, id)
            return None if row is None else from_row(row, row["lease_until"])

    def content(self, id: int) -> bytes | None:
        """The content of one row, scheduled or not; None where it is gone."""
        with self._database.read() as connection:
            for table in (outbox, scheduled_table):
                own = select(table.c.content, table.c.shared).where(table.c.id == id)
                row = connection.execute(own).first()
                if row is not None and not row.shared:
                    return bytes(row.content)
                if row is not None:
                    query = select(content.c.content).where(content.c.id == row.shared)
                    shared = connection.execute(query).scalar()
                    return None if shared is None else bytes(row.content) + bytes(shared)
        return None

    def scheduled(self, limit: int | None = None) -> list[Outgoing]:
        """What is to leave later, in the order in which it is due: without its content."""
        with self._database.read() as connection:
            return [from_row(row, 0.0) for row in scheduled.waiting(connection, limit)]

    def purge(self) -> None:
        """Delete what rows shared that have left.

        Where much is in use still no more than a part is looked at, another one each time.
        """
        while self._purge_part():
            pass

    def _purge_part(self) -> bool:
        """Go on where the last one ended; gives whether it was worth while, and more is there."""
        with self._database.read() as connection:
            ids = claims.contents(connection, self._looked_at, CONTENTS)
            unused = claims.unused(connection, ids) if ids else []
        self._looked_at = ids[-1] if len(ids) == CONTENTS else 0
        for at in range(0, len(unused), CONTENTS_AT_A_TIME):
            with self._database.begin_forgettable() as connection:
                claims.drop(connection, unused[at : at + CONTENTS_AT_A_TIME])
        return bool(unused and self._looked_at)

    def retry(self, id: int | None) -> int:
        """Make a row due now, or all that were tried where None, unless it is under way.

        Gives the number. One that is scheduled leaves at once, where it is named.

        A lease that ends later than any can is that of a process whose clock was ahead: it ends.
        """
        now = time.time()
        is_free = or_(outbox.c.lease_until <= now, outbox.c.lease_until > now + 2 * self._lease)
        statement = update(outbox).where(is_free).values(due_at=0, lease_owner="", lease_until=0)
        if id is not None:
            statement = statement.where(outbox.c.id == id)
        with self._database.begin() as connection:
            if id is not None and scheduled.hasten(connection, id, now):
                return 1
            return connection.execute(statement).rowcount

    def count(self) -> int:
        """The number of rows that are due, and that Postfix has not taken yet."""
        with self._database.read() as connection:
            return connection.execute(select(func.count()).select_from(outbox)).scalar_one()

    def new_ids(self, number: int) -> int:
        """The first of ``number`` ids for rows of the journal, in one order with those here."""
        return self._next_id(number)

    def _next_id(self, number: int = 1) -> int:
        """The first of ``number`` new ones."""
        with self._id_lock:
            first = max(self._last_id + 1, time.time_ns())
            self._last_id = first + number - 1
            return first

    def _held_elsewhere(self, connection: Connection, names: set[str], now: float) -> set[str]:
        """Those conversations of which a row is not on its way from this process.

        Where none waits the newest one tells: it came to us only if all before it had.
        """
        if not names:
            return set()
        values = (json.dumps(list(names)), self._owner, now)
        return {row[0] for row in sqlite.execute(connection, _HELD_SQLITE, values)}


# Two looks into an index for each name, however many rows wait in a conversation.
_HELD = """SELECT value FROM {names} WHERE EXISTS (
    SELECT 1 FROM lamson_outbox WHERE conversation = names.value AND lease_owner = ''
) OR (
    SELECT lease_owner <> {owner} OR lease_until <= {now} FROM lamson_outbox
    WHERE conversation = names.value AND lease_owner <> '' ORDER BY id DESC LIMIT 1
)"""
_HELD_SQLITE = _HELD.format(names="json_each(?) AS names", owner="?", now="?")
_INTO = f"lamson_outbox ({', '.join(outbox.columns.keys())})"
_DELETE_SQLITE = "DELETE FROM lamson_outbox WHERE id IN (SELECT value FROM json_each(?))"
_DELETE = "DELETE FROM lamson_outbox WHERE id = ANY(%(ids)s) RETURNING id"
_POSTGRES_TYPES = {"BLOB": "bytea"}
_ARRAYS = [
    f"%({column.name})s::{_POSTGRES_TYPES.get(str(column.type), column.type)}[]"
    for column in outbox.columns
]
# Those of conversations that are held elsewhere are leased by nobody.
_LEASES = {
    name: f"CASE WHEN conversation IN (SELECT value FROM held) THEN {none} ELSE {name} END"
    for name, none in (("lease_owner", "''"), ("lease_until", "0"))
}
_SELECTED = ", ".join(_LEASES.get(name, name) for name in [*outbox.columns.keys()])
_INSERT = (
    f"WITH new ({', '.join(outbox.columns.keys())}) AS MATERIALIZED"
    f" (SELECT * FROM unnest({', '.join(_ARRAYS)})), held (value) AS MATERIALIZED ("
    + _HELD.format(
        names="(SELECT DISTINCT conversation FROM new) AS names (value)",
        owner="%(our_owner)s",
        now="%(time)s",
    )
    + f") INSERT INTO {_INTO} SELECT {_SELECTED}"
    " FROM new ON CONFLICT DO NOTHING RETURNING id, lease_owner"
)


def _rows(ids: Iterable[int]) -> list[dict[str, int]]:
    return [{"row": id} for id in ids]
