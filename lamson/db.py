"""The database: one SQLAlchemy engine, transactions that mean what they say, and the schema.

SQLite is the embedded default (WAL, synchronous=FULL, one writer at a time: `BEGIN IMMEDIATE`,
since the driver's deferred BEGIN lets two writers overwrite each other). PostgreSQL is for
production. Anything that goes wrong surfaces as SQLAlchemy's exceptions; the engine answers those
with 451.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import sqlalchemy
from sqlalchemy import event, exc
from sqlalchemy.pool import StaticPool

from lamson import models
from lamson.errors import DatabaseError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from sqlalchemy.engine import Connection

BUSY_TIMEOUT = 10.0  # seconds that SQLite waits for another process's write lock


class Database:
    """One database, by SQLAlchemy URL, for all threads of this process."""

    def __init__(self, url: str, *, connections: int = 10) -> None:
        """Connect lazily. Raises DatabaseError for a URL that SQLAlchemy cannot use."""
        try:
            parsed = sqlalchemy.make_url(url)
            self.is_sqlite = parsed.get_backend_name() == "sqlite"
            options: dict[str, Any] = {}
            if self.is_sqlite:
                options["connect_args"] = {"check_same_thread": False, "timeout": BUSY_TIMEOUT}
                if parsed.database in (None, "", ":memory:"):
                    options["poolclass"] = StaticPool
            else:
                options |= {"pool_size": connections, "pool_timeout": 10, "pool_pre_ping": True}
            self.engine = sqlalchemy.create_engine(parsed, **options)
        except (exc.ArgumentError, exc.NoSuchModuleError, ModuleNotFoundError) as error:
            raise DatabaseError(f"database {url!r} cannot be used: {error}") from error
        # SQLite has one writer: threads of one process queue here, fairly and without polling.
        self._writer: AbstractContextManager[object] = nullcontext()
        if self.is_sqlite:
            self._writer = threading.RLock()
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_immediate)

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """One transaction: commit at the end, rollback on an exception."""
        with self._writer, self.engine.begin() as connection:
            yield connection

    def read(self) -> Connection:
        """A connection for reading: it takes no lock, each statement stands for itself."""
        return self.engine.connect().execution_options(isolation_level="AUTOCOMMIT")

    def check(self) -> None:
        """Check that the tables are there and of the version we know.

        Raises DatabaseError when they are not, UnavailableError when the database does not answer.
        """
        try:
            with self.read() as connection:
                if not sqlalchemy.inspect(connection).has_table(models.VERSION_TABLE):
                    raise DatabaseError(f"database {self} has no tables yet: run `lamson syncdb`")
                revision = connection.execute(
                    sqlalchemy.text(f"SELECT version_num FROM {models.VERSION_TABLE}")
                ).scalar()
        except exc.DBAPIError as error:
            raise UnavailableError(f"database {self} cannot be used: {error.orig}") from error
        if revision != models.SCHEMA_REVISION:
            raise DatabaseError(
                f"database {self} is at schema {revision}, this version of lamson "
                f"needs {models.SCHEMA_REVISION}: "
                + (
                    "run `lamson syncdb`"
                    if str(revision) < models.SCHEMA_REVISION
                    else "it was made by a newer lamson; upgrade this one"
                )
            )

    def create_all(self) -> None:
        """Create our tables without migrations: for tests on a database that is thrown away."""
        models.metadata.create_all(self.engine)

    def close(self) -> None:
        self.engine.dispose()

    def __str__(self) -> str:
        return self.engine.url.render_as_string(hide_password=True)


def _prepare_sqlite(connection: Any, record: object) -> None:
    # The driver must not begin transactions by itself; we do, with BEGIN IMMEDIATE.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_immediate(connection: Connection) -> None:
    if connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT":
        return  # a reader takes no lock
    connection.exec_driver_sql("BEGIN IMMEDIATE")
