"""The database under a run, as the harness looks at it: SQLite in the project, or PostgreSQL."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, Protocol

from tests.faults.chain import Row

if TYPE_CHECKING:
    from pathlib import Path

    from tests.postgres import PostgresInstance

_EFFECTS = "SELECT message, recipient, token, author, step FROM effect ORDER BY id"
_STATES = "SELECT author, state FROM lamson_state"
_CLICKS = "SELECT payload FROM click"
_THREADS = (
    "SELECT (SELECT count(*) FROM effect), (SELECT count(*) FROM lamson_threads),"
    " (SELECT count(*) FROM lamson_thread_ids),"
    " (SELECT count(*) FROM lamson_thread_messages WHERE is_ours),"
    " (SELECT count(*) FROM lamson_thread_messages WHERE NOT is_ours)"
)
_OUTBOX = "SELECT (SELECT count(*) FROM lamson_outbox) + (SELECT count(*) FROM lamson_scheduled)"


class Store(Protocol):
    """What a run asks of its database."""

    @property
    def url(self) -> str: ...

    def effects(self) -> list[Row]:
        """The rows that the handlers left, in order."""

    def clicks(self) -> list[str]:
        """What the handler of signed addresses was given, each time that it ran."""

    def states(self) -> list[tuple[str, str]]:
        """Each author and his state."""

    def waiting(self) -> int:
        """Rows of the outbox, and those that are to be."""

    def threads(self) -> tuple[int, ...]:
        """How many rows the handlers left, and threads, mails sent in them, and what was said by
        us and by others."""

    def close(self) -> None: ...


class SqliteStore:
    """``run/lamson.db`` of a project."""

    def __init__(self, project: Path) -> None:
        self.path = project / "run" / "lamson.db"
        self.url = f"sqlite:///{self.path}"

    def effects(self) -> list[Row]:
        return [Row(*row) for row in self._query(_EFFECTS)]

    def clicks(self) -> list[str]:
        return [payload for (payload,) in self._query(_CLICKS)]

    def states(self) -> list[tuple[str, str]]:
        return self._query(_STATES)

    def waiting(self) -> int:
        return int(self._query(_OUTBOX)[0][0])

    def threads(self) -> tuple[int, ...]:
        return tuple(self._query(_THREADS)[0])

    def connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=30, isolation_level=None)

    def close(self) -> None:
        pass

    def _query(self, statement: str) -> list[Any]:
        with closing(self.connect()) as database:
            return database.execute(statement).fetchall()


class PostgresStore:
    """A database of its own on a PostgreSQL that others use too."""

    def __init__(self, server: PostgresInstance) -> None:
        self.server = server
        self.name = server.create_database()
        self.url = server.url(self.name)

    def effects(self) -> list[Row]:
        return [Row(*row) for row in self.server.execute(_EFFECTS, self.name)]

    def clicks(self) -> list[str]:
        return [payload for (payload,) in self.server.execute(_CLICKS, self.name)]

    def states(self) -> list[tuple[str, str]]:
        return [(author, state) for author, state in self.server.execute(_STATES, self.name)]

    def waiting(self) -> int:
        return int(self.server.execute(_OUTBOX, self.name)[0][0])

    def threads(self) -> tuple[int, ...]:
        return tuple(self.server.execute(_THREADS, self.name)[0])

    def close(self) -> None:
        self.server.drop_database(self.name)
