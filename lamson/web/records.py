"""What waits in the database, a page at a time: states, threads, work, mail to be sent, who is out.

For the window. Each page is read by an index, from where the one before ended (keyset paging), and
never more than it shows: a table of a million rows costs what a small one does. Whoever looks takes
no lock.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select, tuple_

from lamson.delivery import by_hand
from lamson.routing.module import START
from lamson.smtp import address
from lamson.storage import suppressed as suppression
from lamson.storage import tracked
from lamson.storage.outgoing import from_row
from lamson.storage.state import StateKey
from lamson.storage.suppressed import Suppressed
from lamson.storage.tables import (
    outbox,
    scheduled,
    state,
    suppressed,
    tasks,
    thread_participants,
    threads,
)
from lamson.storage.tasks import Task
from lamson.storage.threads import entries

if TYPE_CHECKING:
    from sqlalchemy import Column
    from sqlalchemy.engine import Connection

    from lamson.storage.outgoing import Outgoing
    from lamson.storage.threads import Entry

MACHINES = 200  # state machines that are asked about one author
PARTICIPANTS = 200  # of a thread that are shown

_LIGHT = [column for column in outbox.columns if column.name != "content"]
_LIGHT_LATER = [
    column for column in scheduled.columns if column.name not in ("content", "key", "scope")
]


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one author stands in one state machine."""

    machine: str
    author: str
    state: str


@dataclass(frozen=True, slots=True)
class ThreadLine:
    """A thread in a list; ``used_at`` is in seconds of the service clock."""

    id: str
    modules: str
    subject: str
    used_at: float


def standings(
    connection: Connection, limit: int, after: tuple[str, str] | None = None
) -> list[Standing]:
    """States, in the order of machine and author."""
    columns = (state.c.module, state.c.author)
    query = select(state).where(state.c.state != "").order_by(*columns).limit(limit)
    if after is not None:
        query = query.where(tuple_(*columns) > after)
    return [Standing(row.module, row.author, row.state) for row in connection.execute(query)]


def standings_of(connection: Connection, author: str) -> list[Standing]:
    """Where one author stands, in each machine."""
    wanted = dict.fromkeys((author, address.normalise(author)))
    found: list[Standing] = []
    for machine in _machines(connection):
        query = select(state).where(state.c.module == machine, state.c.author.in_(wanted))
        found += [Standing(row.module, row.author, row.state) for row in connection.execute(query)]
    return found


def _machines(connection: Connection) -> list[str]:
    """All machines that have states: each is a step in the index, however many authors it has."""
    found: list[str] = []
    while len(found) < MACHINES:
        query = select(func.min(state.c.module))
        if found:
            query = query.where(state.c.module > found[-1])
        machine = connection.execute(query).scalar()
        if machine is None:
            break
        found.append(machine)
    return found


def reset(connection: Connection, machine: str, author: str) -> bool:
    """Have an author begin anew, at START; False where he stands there already.

    Raises LamsonError where it is the state of a thread that is not there any more.
    """
    module = machine.partition(" ")[0]  # with a thread behind it
    return by_hand.reset(connection, StateKey(machine, author), module) != START


def thread_lines(
    connection: Connection, limit: int, before: tuple[float, str] | None = None
) -> list[ThreadLine]:
    """Threads, those first that were used last."""
    columns = (threads.c.used_at, threads.c.id)
    query = select(threads).order_by(*(one.desc() for one in columns)).limit(limit)
    if before is not None:
        query = query.where(tuple_(*columns) < before)
    return [
        ThreadLine(row.id, row.modules, row.subject, row.used_at)
        for row in connection.execute(query)
    ]


def thread(connection: Connection, id: str) -> tuple[ThreadLine, list[str], list[Entry]] | None:
    """One thread, who takes part in it and what was said; None where it is not there."""
    row = connection.execute(select(threads).where(threads.c.id == id)).first()
    if row is None:
        return None
    line = ThreadLine(row.id, row.modules, row.subject, row.used_at)
    table = thread_participants.c
    query = select(table.address).where(table.thread == id).limit(PARTICIPANTS)
    return line, list(connection.execute(query).scalars()), entries(connection, id)


def outgoing(connection: Connection, limit: int, after: int = 0) -> list[Outgoing]:
    """What is due and Postfix has not taken yet, oldest first, without its content."""
    query = select(*_LIGHT).where(outbox.c.id > after).order_by(outbox.c.id).limit(limit)
    return [from_row(row, row["lease_until"]) for row in connection.execute(query).mappings()]


def later(
    connection: Connection, limit: int, after: tuple[float, int] | None = None
) -> list[Outgoing]:
    """What is to leave later, in the order of its time, without its content."""
    columns: tuple[Column[Any], ...] = (scheduled.c.due_at, scheduled.c.id)
    query = select(*_LIGHT_LATER).order_by(*columns).limit(limit)
    if after is not None:
        query = query.where(tuple_(*columns) > after)
    return [from_row(row, 0.0) for row in connection.execute(query).mappings()]


def work(connection: Connection, limit: int, after: tuple[float, int] | None = None) -> list[Task]:
    """Timers and other work that waits, in the order of its time."""
    columns: tuple[Column[Any], ...] = (tasks.c.due_at, tasks.c.id)
    query = select(tasks).order_by(*columns).limit(limit)
    if after is not None:
        query = query.where(tuple_(*columns) > after)
    return [
        Task(**{**row, "payload": json.loads(row["payload"])})
        for row in connection.execute(query).mappings()
    ]


def out(connection: Connection, limit: int, after: str = "") -> list[tuple[str, Suppressed]]:
    """Who gets no mail, each with the key that the next page begins behind."""
    query = select(suppressed).order_by(suppressed.c.key).limit(limit)
    if after:
        query = query.where(suppressed.c.key > after)
    return _suppressed(connection, query)


def out_at(connection: Connection, mailbox: str, scope: str = "") -> list[tuple[str, Suppressed]]:
    """Whether one address gets no mail: at all, or of a list."""
    keys = {tracked.digest(mailbox, ""), tracked.digest(mailbox, scope.lower())}
    return _suppressed(connection, select(suppressed).where(suppressed.c.key.in_(keys)))


def let_in(connection: Connection, mailbox: str, scope: str) -> int:
    """Have an address get mail again; gives how many entries went."""
    from lamson.storage import bounced

    number = suppression.remove(connection, mailbox, scope)
    bounced.forget(connection, mailbox)
    return number


def _suppressed(connection: Connection, query: Any) -> list[tuple[str, Suppressed]]:
    return [
        (row.key, Suppressed(row.address, row.scope, row.reason, row.diagnostic, row.since))
        for row in connection.execute(query)
    ]
