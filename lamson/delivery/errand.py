"""An errand: one task while it is done, and what may be done in its transaction.

For who does a kind of tasks (see lamson/delivery/errands.py). Nothing of it counts before the
commit: where the errand fails, states, mail and rows are as they were, and the task waits again.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Protocol

from lamson.delivery.savepoint import Savepoint, keep
from lamson.delivery.timers import Entry
from lamson.errors import LamsonError
from lamson.storage import keys

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy.engine import Connection
    from sqlalchemy.orm import Session

    from lamson.delivery.posting import Posting
    from lamson.storage.outgoing import Outgoing
    from lamson.storage.state import StateKey, StateStore
    from lamson.storage.tasks import Task


class MakeMailer(Protocol):
    """Makes what an errand sends with, by its id, a digest, and what gives its connection."""

    def __call__(self, id: str, digest: bytes, connect: Callable[[], Connection], /) -> Posting: ...


def crash_key(task: Task) -> bytes:
    """What a death over ``task`` is counted against: it, and none of its name that comes later."""
    text = f"{task.kind}\0{task.name}\0{task.made_at!r}"
    return hashlib.blake2b(text.encode(), digest_size=32, person=b"lamson task").digest()


class Errand:
    """What who does a ``task`` has in hand. ``connection`` is in the transaction that took it.

    ``now`` is when it began, in seconds since the epoch.
    """

    def __init__(
        self,
        task: Task,
        connection: Connection,
        store: StateStore,
        *,
        make_mailer: MakeMailer,
        now: float,
    ) -> None:
        self.task = task
        self.connection = connection
        self.now = now
        self.entries: list[Entry] = []
        """Who entered which state."""
        self.is_performed = False
        self.again: list[Task] = []
        """Tasks that wait for another time, in the place of those of their name."""
        self.notes: list[tuple[str, dict[str, object]]] = []
        """What the log is told once it is committed."""
        self._store = store
        self._make_mailer = make_mailer
        self._mailer: Posting | None = None
        self._sender: tuple[str, StateKey | None] = "", None
        self._savepoint: Savepoint | None = None
        self._is_over = False

    @property
    def id(self) -> str:
        """How log lines call it, and the mail that it sends."""
        return f"task-{self.task.id}"

    def note(self, event: str, **fields: object) -> None:
        """Have the log told of it, should it be committed."""
        self.notes.append((event, fields))

    @property
    def mailer(self) -> Posting:
        """What is sent by it is mail of this transaction."""
        self._check_open()
        if self._mailer is None:
            digest = crash_key(self.task)  # a repetition makes the same Message-IDs
            self._mailer = self._make_mailer(self.id, digest, self._connect)
            self._mailer.module, self._mailer.state_key = self._sender
        return self._mailer

    def _connect(self) -> Connection:
        """The connection, for what is to be undone together with the session's work."""
        self.session()
        return self.connection

    def act_for(self, module: str, key: StateKey | None = None) -> None:
        """What is sent by it is mail of this handler module, in that conversation: whoever wants to
        know what became of it is asked there."""
        self._sender = module, key

    def session(self) -> Session:
        """The session that all share who work for this errand."""
        self._check_open()
        if self._savepoint is None:
            self._savepoint = Savepoint(self.connection)
        return self._savepoint.session

    def state(self, key: StateKey) -> str:
        """Where a correspondent stands; nobody else can move him before this errand ends."""
        self._check_open()
        moved = [entry.state for entry in self.entries if entry.key == key]
        return moved[-1] if moved else self._store.load([key])[key]

    def move(
        self,
        key: StateKey,
        state: str,
        *,
        module: str | None = None,
        captures: Mapping[str, object] | None = None,
    ) -> None:
        """Move him to ``state`` of the handler module ``module`` (default: the key's).

        ``captures`` are for the functions that he is handed to, should he stay there.
        """
        self.state(key)  # locked
        self.entries.append(Entry(key, state, module or key.module, captures or {}))

    def finish(self) -> None:
        """Write what the session holds.

        Raises PrematureEnd where the transaction is not ours any more.
        """
        keep(self._savepoint, self._mailer)

    def undo(self, error: BaseException) -> None:
        """After ``error``. Raises PrematureEnd where a function ended the transaction before."""
        if self._savepoint is not None:
            self._savepoint.rollback(error)

    @property
    def sent(self) -> list[Outgoing]:
        """The mail that was made."""
        return [] if self._mailer is None else list(self._mailer.outgoing)

    def free_keys(self, connection: Connection) -> None:
        """Its mail is not sent, though its transaction was committed: another attempt sends it."""
        for claimed in [] if self._mailer is None else self._mailer.claimed:
            keys.free(connection, claimed)

    @property
    def todo(self) -> list[Task]:
        """What is to be done after the commit."""
        return [] if self._mailer is None else list(self._mailer.todo)

    def end(self) -> None:
        """Whoever kept it, or its session, can do nothing with it from now on."""
        self._is_over = True
        if self._mailer is not None:
            self._mailer.end()
        if self._savepoint is not None:
            self._savepoint.session.end()

    def _check_open(self) -> None:
        if self._is_over:
            raise LamsonError("this errand is over: nothing of it may be kept for later")
