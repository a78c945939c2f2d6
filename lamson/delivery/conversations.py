"""The conversations of others, in the transaction of a delivery that is none of theirs.

For the handler of bounce addresses: a report comes from a machine, and is about a conversation with
somebody else. Its state is locked and moved as that of an author is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.engine import Connection
    from sqlalchemy.orm import Session

    from lamson.delivery.posting import Posting
    from lamson.storage.state import StateKey


class Run(Protocol):
    """The delivery under way. ``load`` gives the state of a conversation, and locks it until the
    transaction ends."""

    connection: Connection | None
    load: Callable[[StateKey], str]

    def session(self) -> Session: ...


class Conversations:
    """What is done with them stands in the savepoint of the delivery. ``mailer`` sends its mail."""

    def __init__(self, run: Run, mailer: Posting) -> None:
        self._run = run
        self.mailer = mailer
        self.moves: dict[StateKey, str] = {}
        self.module = ""  # in whose states
        self.told: tuple[str, str] = ("", "")  # of which mail it was, and what, for the journal

    @property
    def connection(self) -> Connection:
        self._run.session()  # which makes the savepoint
        assert self._run.connection is not None
        return self._run.connection

    def session(self) -> Session:
        return self._run.session()

    def state(self, key: StateKey) -> str:
        """Where that conversation stands."""
        return self.moves[key] if key in self.moves else self._run.load(key)

    def move(self, key: StateKey, state: str, *, module: str) -> None:
        """It stands there, in a state of that module, if the delivery is committed."""
        self.moves[key] = state
        self.module = module
