"""Erasing a correspondent: what the framework's own tables have of one mailbox.

For `lamson forget`. All of it is done in the caller's transaction, and each place tells how many
entries of it went: a person may look first and roll back. Addresses are compared as everywhere, so
it does not matter how he was spelt. What many share stays with the others: he is taken out of it,
and out of what a server said of it. On SQLite what is deleted is overwritten in the file as well.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, select, update

from lamson.smtp import address
from lamson.storage import bounced, journal_rows, sqlite, suppressed
from lamson.storage import lists as storage_lists
from lamson.storage import threads as storage_threads
from lamson.storage.glance import glance
from lamson.storage.outgoing import Outgoing
from lamson.storage.state import StateKey
from lamson.storage.tables import (
    journal,
    journal_content,
    keys,
    list_held,
    list_members,
    list_posts,
    outbox,
    pending,
    scheduled,
    state,
    tasks,
    thread_ids,
    thread_messages,
    thread_participants,
    threads,
)
from lamson.storage.tables import tracked as tracked_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import Table
    from sqlalchemy.engine import Connection

_HEAD = ("id", "sender", "recipients", "message_id", "envid", "last_error")
_AT_ONCE = 500  # rows that are looked at together, and parameters of a statement
_HEADER = 16 * 1024  # octets of a message in which From is looked for
# Each word is looked at once: what a server said may be long.
_MAILBOX = re.compile(r"""(?<![^\s<>()\[\]",;:'])[^\s<>()\[\]",;:'@]++@[^\s<>()\[\]",;:']+""")


@dataclass
class Forgotten:
    """How many entries went, by the place where they stood; and what could not go now."""

    numbers: dict[str, int] = field(default_factory=dict)
    under_way: int = 0
    """Mail to him that a process is handing to Postfix at this moment, and posts of his that are on
    their way to members of a list."""

    def add(self, place: str, number: int) -> None:
        self.numbers[place] = self.numbers.get(place, 0) + max(0, number)


class _Erasure:
    """Of one mailbox, in one transaction."""

    def __init__(self, connection: Connection, mailbox: str, now: float) -> None:
        self._connection = connection
        self._mailbox = address.normalise(mailbox)
        self._author = StateKey.make("", self._mailbox).author
        self._now = now
        self._message_ids: set[str] = set()  # of mail that was sent to him alone
        self._envids: set[str] = set()
        self._ended: set[str] = set()  # what the states of his own threads were kept for
        self.done = Forgotten()

    def _is_him(self, text: str) -> bool:
        return address.normalise(text) == self._mailbox

    def _without_him(self, text: str) -> str:
        """What a server said, without his address in it."""

        def left(found: re.Match[str]) -> str:
            return "..." if self._is_him(found[0].rstrip(".")) else found[0]

        return _MAILBOX.sub(left, text)

    def _others(self, recipients: str) -> tuple[bool, list[str]]:
        """Whether he is among them, and who else is."""
        listed = json.loads(recipients or "[]")
        others = [one for one in listed if not self._is_him(one)]
        return len(others) < len(listed), others

    def _each(
        self, table: Table, *columns: str, wanted: Any = True, more: Sequence[Any] = ()
    ) -> Iterator[Any]:
        """All rows, some columns of them, a few at a time."""
        key = next(iter(table.primary_key.columns))
        last: object = None
        while True:
            query = select(*(table.c[name] for name in columns), *more).where(wanted)
            if last is not None:
                query = query.where(key > last)
            rows = self._connection.execute(query.order_by(key).limit(_AT_ONCE)).all()
            yield from rows
            if len(rows) < _AT_ONCE:
                return
            last = getattr(rows[-1], key.name)

    def _delete(self, table: Table, name: str, values: Sequence[Any]) -> int:
        number = 0
        for at in range(0, len(values), _AT_ONCE):
            some = table.c[name].in_(values[at : at + _AT_ONCE])
            number += self._connection.execute(delete(table).where(some)).rowcount
        return number

    def waiting(self) -> None:
        """Mail to him that has not left: in the outbox, and scheduled."""
        for table in (outbox, scheduled):
            name = "scheduled mail" if table is scheduled else "mail in the outbox"
            gone: list[int] = []
            number = 0
            for row in self._each(table, *_HEAD):
                is_in, others = self._others(row.recipients)
                if not is_in:
                    continue
                if table is outbox and not self._is_free(row.id):
                    self.done.under_way += 1
                    continue
                number += 1
                if others:
                    left = Outgoing(
                        "", row.message_id, row.sender, tuple(others), b"", envid=row.envid
                    )
                    values = {
                        "recipients": json.dumps(others),
                        "conversation": left.conversation,
                        "last_error": self._without_him(row.last_error),
                    }
                    self._connection.execute(
                        update(table).where(table.c.id == row.id).values(values)
                    )
                else:
                    gone.append(row.id)
                    self._message_ids.add(row.message_id)
            self._delete(table, "id", gone)
            self.done.add(name, number)

    def _is_free(self, id: int) -> bool:
        """Whether nobody hands that row of the outbox to Postfix; nor can anybody begin to."""
        query = select(outbox.c.id).where(outbox.c.id == id, outbox.c.lease_until <= self._now)
        query = query.with_for_update(skip_locked=True)
        return self._connection.execute(query).first() is not None

    def tracked(self) -> None:
        gone: list[str] = []
        number = 0
        for row in self._each(tracked_table, "id", "message_id", "recipients"):
            is_in, others = self._others(row.recipients)
            if not is_in:
                continue
            number += 1
            if others:
                change = update(tracked_table).where(tracked_table.c.id == row.id)
                self._connection.execute(change.values(recipients=json.dumps(others)))
            else:
                gone.append(row.id)
                self._message_ids.add(row.message_id)
        self._envids.update(gone)
        self._delete(tracked_table, "id", gone)
        self.done.add("tracked mail", number)
        # Mail to others, of which it was to be told in his conversation.
        of_his = update(tracked_table).where(tracked_table.c.state_author == self._author)
        self._connection.execute(of_his.values(state_module="", state_author=""))

    def journal(self) -> None:
        """Mail from him, that which was passed on included, and to him; and reports about that."""
        name = journal_rows.name_of(self._mailbox)
        gone: list[int] = []
        number = 0
        columns = ("id", "message_id", "correspondent", "recipients", "envid", "direction", "ours")
        for row in self._each(journal, *columns, "reply", "about"):
            is_his = row.correspondent == name
            if row.direction == "out" and row.ours == name:  # whoever else it went to
                gone.append(row.id)
                number += 1
                continue
            is_in, others = self._others(row.recipients)
            if row.direction == "in" and not is_his:
                continue
            if not (is_his or is_in):
                continue
            number += 1
            if others:
                self._take_out_of(row, others)
                continue
            gone.append(row.id)
            if row.direction == "out":
                self._message_ids.add(row.message_id)
                self._envids.add(row.envid)
        journal_rows.delete(self._connection, gone)
        reports = [
            found
            for envid in sorted(self._envids - {""})
            for found in journal_rows.find(self._connection, envid=envid)
        ]
        journal_rows.delete(self._connection, [one.id for one in reports])
        self.done.add("journal", number + len(reports))

    def _take_out_of(self, row: Any, others: list[str]) -> None:
        """Out of a mail to many; its header may name him, so that goes."""
        values = {
            "correspondent": journal_rows.name_of(others[0]),
            "recipients": json.dumps(others),
            "words": "",
            "reply": self._without_him(row.reply),
            "about": self._without_him(row.about),
        }
        self._connection.execute(update(journal).where(journal.c.id == row.id).values(values))
        gone = delete(journal_content).where(journal_content.c.id == row.id)
        self._connection.execute(gone)

    def keys(self) -> None:
        """What mail to him alone was sent once by: it can be sent anew.

        Tracked mail to many is a row for each of them: it would come to the others twice.
        """
        names = sorted(self._message_ids - {""} - self._of_others())
        self.done.add("keys", self._delete(keys, "message_id", names))

    def _of_others(self) -> set[str]:
        """The Message-IDs of mail to him that others are known to get, or to have."""
        names = sorted(self._message_ids)
        found: set[str] = set()
        for at in range(0, len(names), _AT_ONCE):
            for table in (outbox, scheduled, tracked_table, journal):
                some = table.c.message_id.in_(names[at : at + _AT_ONCE])
                query = select(table.c.message_id).where(some)
                if table is journal:
                    query = query.where(journal.c.direction == "out")
                found.update(self._connection.execute(query).scalars())
        return found

    def threads(self) -> None:
        """Threads without anybody else, and his part in the others."""
        mine = select(thread_participants.c.thread)
        mine = mine.where(thread_participants.c.address == self._mailbox)
        for id in list(self._connection.execute(mine).scalars()):
            shared = select(thread_participants.c.address).where(
                thread_participants.c.thread == id,
                thread_participants.c.address != self._mailbox,
            )
            if self._connection.execute(shared.limit(1)).first() is None:
                self._end(id)
                self.done.add("threads", 1)
                continue
            said = select(thread_messages.c.id, thread_messages.c.author)
            said = said.where(thread_messages.c.thread == id)
            his = [row.id for row in self._connection.execute(said) if self._is_him(row.author)]
            self._delete(thread_messages, "id", his)
            out = delete(thread_participants).where(
                thread_participants.c.thread == id,
                thread_participants.c.address == self._mailbox,
            )
            self._connection.execute(out)
            self.done.add("places in threads of others", 1)

    def _end(self, id: str) -> None:
        query = select(threads.c.modules).where(threads.c.id == id)
        modules = self._connection.execute(query).scalar() or ""
        for table in (thread_participants, thread_ids, thread_messages):
            self._delete(table, "thread", [id])
        names = [storage_threads.state_of(module, id) for module in modules.split()]
        of_thread = delete(state).where(state.c.author == "", state.c.module.in_(names))
        self._connection.execute(of_thread)
        self._ended.update(names)
        self._delete(threads, "id", [id])

    def states(self) -> None:
        """Where he stands, and the timers of that, and of the threads that were his alone."""
        gone = delete(state).where(state.c.author == self._author)
        self.done.add("states", self._connection.execute(gone).rowcount)
        timers = [
            row.id
            for row, timer in self._tasks("timer")
            if timer.get("author") == self._author
            or (not timer.get("author") and timer.get("machine") in self._ended)
        ]
        self.done.add("timers", self._delete(tasks, "id", timers))

    def outcomes(self) -> None:
        """What became of mail to him, where the application has not been told yet."""
        gone: list[int] = []
        for row, told in self._tasks("outcome"):
            others = [one for one in told.get("recipients", ()) if not self._is_him(one)]
            if not others:
                gone.append(row.id)
            elif len(others) < len(told["recipients"]):
                left = told | {"recipients": others, "diagnostic": ""}
                change = update(tasks).where(tasks.c.id == row.id)
                self._connection.execute(change.values(payload=json.dumps(left)))
        self.done.add("outcomes that nobody was told of", self._delete(tasks, "id", gone))

    def _tasks(self, kind: str) -> Iterator[tuple[Any, dict[str, Any]]]:
        for row in self._each(tasks, "id", "payload", wanted=tasks.c.kind == kind):
            payload = json.loads(row.payload)
            if isinstance(payload, dict):
                yield row, payload

    def pending(self) -> None:
        """What he wrote and waits for who comes with a token."""
        header = func.substr(pending.c.content, 1, _HEADER).label("header")
        gone = [
            row.digest
            for row in self._each(pending, "digest", "sender", more=[header])
            if self._is_him(row.sender) or self._is_him(glance(bytes(row.header)).author)
        ]
        self.done.add("mail that waits for a token", self._delete(pending, "digest", gone))

    def lists(self) -> None:
        """Where he is on a mailing list or asked to be, and what he wrote to one."""
        key = storage_lists.key_of(self._mailbox)
        his = self._delete(list_members, "key", [key])
        self.done.add("places on mailing lists", his)
        gone: list[int] = []
        for row in self._each(list_posts, "id", "author", "shared", "named"):
            if not self._is_him(row.author):
                self._take_out_of_named(row, key)
                continue
            if row.shared:
                self.done.under_way += 1
            else:
                gone.append(row.id)
        self.done.add("posts to mailing lists", self._delete(list_posts, "id", gone))
        held: list[int] = []
        for row in self._each(list_held, "id", "author", "sender", "decided_by"):
            if self._is_him(row.author) or self._is_him(row.sender):
                held.append(row.id)
            elif self._is_him(row.decided_by):
                decided = update(list_held).where(list_held.c.id == row.id)
                self._connection.execute(decided.values(decided_by=""))
        self.done.add("posts that wait for a moderator", self._delete(list_held, "id", held))

    def _take_out_of_named(self, row: Any, key: str) -> None:
        """Out of those whom a post names that is on its way to members."""
        named = json.loads(row.named or "[]")
        if key in named:
            named.remove(key)
            change = update(list_posts).where(list_posts.c.id == row.id)
            self._connection.execute(change.values(named=json.dumps(named)))

    def reputation(self, *, is_unsuppressed: bool) -> None:
        number = bounced.of(self._connection, self._mailbox)
        bounced.forget(self._connection, self._mailbox)
        self.done.add("failures", 1 if any(number) else 0)
        if is_unsuppressed:
            gone = suppressed.remove(self._connection, self._mailbox)
            self.done.add("suppressions", gone)


def forget(
    connection: Connection, mailbox: str, now: float, *, is_unsuppressed: bool = False
) -> Forgotten:
    """Erase what stands of ``mailbox``, in the caller's transaction.

    That he gets no mail any more stays known, unless he ``is_unsuppressed``: else he would be
    written to again.
    """
    if connection.dialect.name == "sqlite":
        sqlite.overwrite_deleted(connection)
    erasure = _Erasure(connection, mailbox, now)
    steps: list[Callable[[], None]] = [
        erasure.waiting,
        erasure.tracked,
        erasure.journal,
        erasure.keys,
        erasure.threads,
        erasure.states,
        erasure.outcomes,
        erasure.pending,
        erasure.lists,
    ]
    for step in steps:
        step()
    erasure.reputation(is_unsuppressed=is_unsuppressed)
    return erasure.done
