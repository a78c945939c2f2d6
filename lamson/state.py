"""Where each correspondent stands in each state machine.

The key is a module's name (or what its ``@state_key_generator`` returned) and the author's
address. Whoever has no row is in `START`. The SQL store locks what it reads until the transaction
ends, so that two messages of one author cannot race. On PostgreSQL that takes a row, also for who
has none: it is made, and removed again by `save` if it was of no use, so that the addresses which
spam makes up leave nothing behind. The in-memory store is for services without a database and
forgets at the end of the process.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from typing import TYPE_CHECKING, NamedTuple, Protocol

from sqlalchemy import and_, bindparam, delete
from sqlalchemy.dialects import postgresql

from lamson.models import state

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sqlalchemy.engine import Connection

START = "START"
ERROR = "ERROR"
_NEW = ""  # the state in a row that was made to be locked
_LONGEST = 1000  # octets of each half of a key: an index of PostgreSQL takes 2,700 for both
_UNFIT = re.compile("[\0\ud800-\udfff]")  # what is no text to a database


class StateKey(NamedTuple):
    """Whose state in which machine."""

    module: str
    author: str

    @classmethod
    def make(cls, module: str, author: str) -> StateKey:
        """A key that every database can hold; what is too long becomes a digest."""
        return cls(_fit(module), _fit(author))


def _fit(text: str) -> str:
    octets = text.encode("utf-8", "surrogatepass")
    if len(octets) > _LONGEST or _UNFIT.search(text):
        return "sha256:" + hashlib.sha256(octets).hexdigest()
    return text


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
        self._made: set[StateKey] = set()

    def load(self, keys: Collection[StateKey]) -> dict[StateKey, str]:
        found = dict.fromkeys(keys, START)
        if not keys:
            return found
        if self._is_sqlite:  # BEGIN IMMEDIATE has locked everything
            rows = self._connection.exec_driver_sql(_SQLITE_LOAD, (json.dumps(list(keys)),))
        else:  # a row must exist to be locked; the fixed order keeps two batches from deadlock
            rows = self._connection.execute(_LOCK, self._rows(dict.fromkeys(keys, _NEW)))
        for module, author, value in rows:
            key = StateKey(module, author)
            if value == _NEW:
                self._made.add(key)
            else:
                found[key] = value
        return found

    def save(self, states: Mapping[StateKey, str]) -> None:
        if states and self._is_sqlite:
            values = json.dumps([(*key, value) for key, value in states.items()])
            self._connection.exec_driver_sql(_SQLITE_SAVE, (values,))
        elif states:
            self._connection.execute(_POSTGRES_SAVE, self._rows(states))
        if unused := self._made - states.keys():
            self._connection.execute(_DELETE, self._rows(dict.fromkeys(unused, _NEW)))
        self._made.clear()

    @staticmethod
    def _rows(states: Mapping[StateKey, str]) -> list[dict[str, str]]:
        return [
            {"module": key.module, "author": key.author, "state": value}
            for key, value in sorted(states.items())
        ]


# SQLite's statements go to the driver as they are: what SQLAlchemy does for each would take longer
# than SQLite. One statement whatever their number: an IN with as many parameters is compiled anew.
_SQLITE_LOAD = (
    "SELECT state.module, state.author, state.state FROM json_each(?) AS key "
    "JOIN lamson_state AS state ON state.module = json_extract(key.value, '$[0]') "
    "AND state.author = json_extract(key.value, '$[1]')"
)
_SQLITE_SAVE = (
    "INSERT INTO lamson_state (module, author, state) "
    "SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]') "
    "FROM json_each(?) WHERE true "  # without WHERE, ON would be taken for that of a join
    "ON CONFLICT (module, author) DO UPDATE SET state = excluded.state"
)
_PRIMARY_KEY = [state.c.module, state.c.author]
_postgres_insert = postgresql.insert(state)
_POSTGRES_SAVE = _postgres_insert.on_conflict_do_update(
    index_elements=_PRIMARY_KEY, set_={"state": _postgres_insert.excluded.state}
)
_LOCK = _postgres_insert.on_conflict_do_update(
    index_elements=_PRIMARY_KEY, set_={"state": state.c.state}
).returning(state.c.module, state.c.author, state.c.state)
_DELETE = delete(state).where(
    and_(
        state.c.module == bindparam("module"),
        state.c.author == bindparam("author"),
        state.c.state == bindparam("state"),
    )
)
