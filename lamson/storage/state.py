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
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from sqlalchemy import and_, delete, select

from lamson.routing.module import START
from lamson.storage import pipeline, sqlite, tables

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from sqlalchemy.engine import Connection

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
    """What the dispatcher needs: read with a lock, write, both for many keys at once."""

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
        rows: Iterable[Any]
        if self._is_sqlite:  # BEGIN IMMEDIATE has locked everything
            rows = sqlite.execute(self._connection, _SQLITE_LOAD, (json.dumps(list(keys)),))
        else:  # a row must exist to be locked; the fixed order keeps two batches from deadlock
            columns = _columns(dict.fromkeys(keys, _NEW))
            rows = pipeline.execute(self._connection, _LOCK, columns)
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
            sqlite.execute(self._connection, _SQLITE_SAVE, (values,))
        elif states:
            pipeline.later(self._connection, _SAVE, _columns(states))
        if unused := self._made - states.keys():
            pipeline.later(self._connection, _DELETE, _columns(dict.fromkeys(unused, _NEW)))
        self._made.clear()


def listed(
    connection: Connection,
    *,
    author: str | None = None,
    module: str | None = None,
    thread: str = "",
    limit: int = 1000,
) -> list[tuple[StateKey, str]]:
    """Who is in which state, for people to look at; none is locked by that.

    Of one ``author``, one ``module`` (as the key has it) or one ``thread``, where these are given.
    """
    row = tables.state.c
    query = select(row.module, row.author, row.state).where(row.state != _NEW)
    query = query.order_by(row.module, row.author).limit(limit)
    if author is not None:
        query = query.where(row.author == _fit(author))
    if module is not None:
        query = query.where(row.module == _fit(module))
    if thread:
        query = query.where(row.author == "", row.module.endswith(f" {thread}", autoescape=True))
    return [
        (StateKey(found.module, found.author), found.state) for found in connection.execute(query)
    ]


def forget(connection: Connection, key: StateKey) -> None:
    """Have nobody be in a state by that key: START is where he begins. It was loaded before."""
    row = tables.state.c
    is_it = and_(row.module == key.module, row.author == key.author)
    connection.execute(delete(tables.state).where(is_it))


def _columns(states: Mapping[StateKey, str]) -> dict[str, list[str]]:
    """Arrays for a statement on PostgreSQL, in the order in which rows are to be locked."""
    rows = sorted(states.items())
    return {
        "modules": [key.module for key, _ in rows],
        "authors": [key.author for key, _ in rows],
        "states": [value for _, value in rows],
    }


# One statement whatever their number: an IN with as many parameters is compiled anew.
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
_ROWS = (
    "unnest(%(modules)s::text[], %(authors)s::text[], %(states)s::text[]) "
    "AS row (module, author, state)"
)
_INSERT = (
    f"INSERT INTO lamson_state (module, author, state) SELECT * FROM {_ROWS} "
    "ON CONFLICT (module, author) DO UPDATE SET state = "
)
_SAVE = _INSERT + "excluded.state"
_LOCK = _INSERT + "lamson_state.state RETURNING module, author, state"
_DELETE = (
    f"DELETE FROM lamson_state AS state USING {_ROWS} "
    "WHERE (state.module, state.author, state.state) = (row.module, row.author, row.state)"
)
