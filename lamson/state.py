"""Where each correspondent stands in each state machine.

The key is a module's name (or what its ``@state_key_generator`` returned) and the author's
address. Whoever has no row is in `START`. The SQL store locks what it reads until the transaction
ends, so that two messages of one author cannot race; the in-memory one is for services without a
database and forgets at the end of the process.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple, Protocol

from sqlalchemy import select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from lamson.models import state

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sqlalchemy.engine import Connection

START = "START"
ERROR = "ERROR"


class StateKey(NamedTuple):
    """Whose state in which machine."""

    module: str
    author: str


class StateStore(Protocol):
    """What the engine needs: read with a lock, write, both for many keys at once."""

    def load(self, keys: Collection[StateKey]) -> dict[StateKey, str]: ...

    def save(self, states: Mapping[StateKey, str]) -> None: ...


class MemoryStateStore:
    """States in a dictionary. Whoever uses it from several threads holds ``lock`` meanwhile."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._states: dict[StateKey, str] = {}

    def load(self, keys: Collection[StateKey]) -> dict[StateKey, str]:
        return {key: self._states.get(key, START) for key in keys}

    def save(self, states: Mapping[StateKey, str]) -> None:
        self._states.update(states)


class SqlStateStore:
    """States in the table ``lamson_state``, within the transaction of ``connection``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._is_sqlite = connection.dialect.name == "sqlite"

    def load(self, keys: Collection[StateKey]) -> dict[StateKey, str]:
        found = dict.fromkeys(keys, START)
        if not keys:
            return found
        if self._is_sqlite:  # BEGIN IMMEDIATE has locked everything
            statement = select(state).where(tuple_(state.c.module, state.c.author).in_(keys))
            rows = self._connection.execute(statement).all()
        else:  # a row must exist to be locked; the fixed order keeps two batches from deadlock
            rows = self._connection.execute(_LOCK, self._rows(dict.fromkeys(keys, START))).all()
        found.update((StateKey(row.module, row.author), row.state) for row in rows)
        return found

    def save(self, states: Mapping[StateKey, str]) -> None:
        if states:
            statement = _SQLITE_SAVE if self._is_sqlite else _POSTGRES_SAVE
            self._connection.execute(statement, self._rows(states))

    @staticmethod
    def _rows(states: Mapping[StateKey, str]) -> list[dict[str, str]]:
        return [
            {"module": key.module, "author": key.author, "state": value}
            for key, value in sorted(states.items())
        ]


_PRIMARY_KEY = [state.c.module, state.c.author]
_sqlite_insert, _postgres_insert = sqlite.insert(state), postgresql.insert(state)
_SQLITE_SAVE = _sqlite_insert.on_conflict_do_update(
    index_elements=_PRIMARY_KEY, set_={"state": _sqlite_insert.excluded.state}
)
_POSTGRES_SAVE = _postgres_insert.on_conflict_do_update(
    index_elements=_PRIMARY_KEY, set_={"state": _postgres_insert.excluded.state}
)
_LOCK = _postgres_insert.on_conflict_do_update(
    index_elements=_PRIMARY_KEY, set_={"state": state.c.state}
).returning(state.c.module, state.c.author, state.c.state)
