"""The database: one SQLAlchemy engine, transactions that mean what they say, and the schema.

SQLite is the embedded default (WAL, synchronous=FULL, one writer at a time: `BEGIN IMMEDIATE`,
since the driver's deferred BEGIN lets two writers overwrite each other). PostgreSQL is for
production, through psycopg 3: whatever is the server's default, each connection asks for
`synchronous_commit=on`, and each transaction is READ COMMITTED (one that saw an older snapshot
could not delete what was submitted since). It waits for a lock, a server or a broken network no
longer than ten seconds. What the URL says about this (``?options=-c lock_timeout=3s``,
``?connect_timeout=2``, ``?timeout=2`` for SQLite) wins, but for the isolation.

Anything that goes wrong surfaces as SQLAlchemy's exceptions; the dispatcher answers those with 451.
A connection whose transaction is gone is never used to its end: both databases would take a COMMIT
after that for success.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import sqlalchemy
from sqlalchemy import event, exc
from sqlalchemy.pool import StaticPool

from lamson.errors import DatabaseError, UnavailableError
from lamson.storage import failure, forked, guard, patience, pipeline, sqlite, tables
from lamson.storage.url import masked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy.engine import URL, Connection, ExceptionContext
    from sqlalchemy.pool import ConnectionPoolEntry

IDLE = 1.0  # seconds after which a connection to a server is tried before it is used again

CONNECT_TIMEOUT = 10  # seconds a worker waits for a server, as long as for a lock

# For libpq. A server that vanished is noticed within half a minute, by either side.
_CONNECTION = {
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
}
_UNANSWERED = 30  # seconds; no less than it has to connect, or another reason is told than the time
_SESSION = {
    "lock_timeout": "10s",
    "synchronous_commit": "on",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}
_PSYCOPG = "postgresql+psycopg"
_IN_ERROR = 3  # libpq's PQTRANS_INERROR


class Database:
    """One database, by SQLAlchemy URL, for all threads of this process."""

    def __init__(
        self,
        url: str,
        *,
        connections: int = 10,
        connect_timeout: int = CONNECT_TIMEOUT,
        before_writing: Callable[[Database], None] | None = None,
    ) -> None:
        """Connect lazily. Raises DatabaseError for a URL of a database that we cannot use.

        A server is given ``connect_timeout`` seconds to answer, where the URL says nothing else.
        ``before_writing`` must have succeeded once before `begin` does; it may raise anything.
        """
        try:
            parsed = sqlalchemy.make_url(url)
            self.is_sqlite = parsed.get_backend_name() == "sqlite"
            if parsed.drivername == "postgresql":
                parsed = parsed.set(drivername=_PSYCOPG)
            if "@" in (parsed.host or ""):
                raise exc.ArgumentError("an @ in a user's name or password is written %40")
            if not self.is_sqlite and parsed.drivername != _PSYCOPG:
                raise exc.ArgumentError(f"expected sqlite:///... or {_PSYCOPG}://...")
            options: dict[str, Any] = {"hide_parameters": True}  # a log is no place for mail
            if self.is_sqlite:
                options["connect_args"] = {
                    "check_same_thread": False,
                    "factory": guard.SqliteConnection,
                }
                if "timeout" not in parsed.query:
                    options["connect_args"]["timeout"] = sqlite.BUSY_TIMEOUT
                if parsed.database in (None, "", ":memory:"):
                    options["poolclass"] = StaticPool
            else:
                options |= {"pool_size": connections, "pool_timeout": 10}
                options["isolation_level"] = "READ COMMITTED"
                options["connect_args"] = _server_arguments(parsed, connect_timeout)
            self.engine = sqlalchemy.create_engine(parsed, **options)
        except (exc.ArgumentError, ValueError, ModuleNotFoundError) as error:
            why: object = error
            if isinstance(error, ValueError):  # which names what it read as a port
                why = "expected ://user:password@host:port/name"
            problem = f"database {masked(url)!r} cannot be used: {why}"
            if isinstance(error, ModuleNotFoundError):
                problem += "; pip install 'lamson-postfix[postgres]' brings it"
            raise DatabaseError(problem, setting="database") from None
        # SQLite has one writer: threads of one process queue here, fairly and without polling.
        self._writer = threading.RLock()
        self._before_writing = before_writing
        self._kept: Connection | None = None  # SQLite's writer
        event.listen(self.engine, "invalidate", guard.note_dropped)
        event.listen(self.engine, "handle_error", _count_error)
        if not isinstance(self.engine.pool, StaticPool):  # in memory it is the database itself
            event.listen(self.engine, "checkin", guard.drop_altered)
        if self.is_sqlite:
            event.listen(self.engine, "handle_error", guard.explain, retval=True)
            event.listen(self.engine, "do_connect", sqlite.connect)
            event.listen(self.engine, "begin", sqlite.begin_immediate)
            event.listen(self.engine, "commit", sqlite.check_open)
            event.listen(self.engine, "handle_error", sqlite.drop_ended)
        else:
            event.listen(self.engine, "connect", forked.remember)
            event.listen(self.engine, "do_connect", guard.connect_to_postgres)
            event.listen(self.engine, "checkin", _note_time)
            event.listen(self.engine, "checkout", _check_idle)
            event.listen(self.engine, "before_cursor_execute", _send_waiting)
            event.listen(self.engine, "commit", pipeline.flush)
            event.listen(self.engine, "commit", _check_postgres)
            event.listen(self.engine, "handle_error", _drop_read_only)
            event.listen(self.engine, "handle_error", _hide_values)

    def make_ready(self) -> None:
        """Do now what must have succeeded before the first transaction, unless it has."""
        check = self._before_writing  # another thread may be through with it meanwhile
        if check is not None:
            check(self)
            self._before_writing = None

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """One transaction: commit at the end, rollback on an exception."""
        if self._before_writing is not None:
            self.make_ready()
        connected = self._writing() if self.is_sqlite else self.engine.connect()
        with connected as connection, connection.begin():
            yield connection

    @contextmanager
    def begin_shared(self) -> Iterator[Connection]:
        """A transaction in which others' code runs, too.

        Whoever would end it before gets SharedTransactionError: it is not theirs alone.
        """
        failed: BaseException | None = None
        try:
            with self.begin() as connection, guard.shared(connection):
                try:
                    yield connection
                except BaseException as error:
                    failed = error
                    raise
        except exc.ResourceClosedError:  # somebody closed the connection: that is how it failed
            raise failed or exc.InvalidRequestError("the connection was closed") from None
        except Exception as error:
            # Of a connection that was given away nothing can be rolled back, and it tells so in
            # words of its own.
            if isinstance(failed, failure.PrematureEnd) and not isinstance(
                error, failure.PrematureEnd
            ):
                raise failed from None
            raise

    @contextmanager
    def begin_forgettable(self) -> Iterator[Connection]:
        """A transaction that a power failure may undo, though no death of a process does.

        It does not wait for the disk: for what is merely done again when it is lost. On PostgreSQL
        it is one like any other, since the death of the server would undo it.
        """
        if not self.is_sqlite:
            with self.begin() as connection:
                yield connection
            return
        with self._writing() as connection:
            driver = guard.driver(connection)
            driver.execute("PRAGMA synchronous=NORMAL")
            try:
                with connection.begin():
                    yield connection
            finally:
                if not connection.invalidated:  # else it is closed, and the next one is new
                    driver.rollback()  # a failed COMMIT leaves it open, and then this could not be
                    driver.execute("PRAGMA synchronous=FULL")

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """SQLite's one writer of this process. Its connection is kept: to check one out costs.

        Not so one in which a transaction is open still, as after a COMMIT that failed, or to which
        a handler gave options: the next transaction would inherit them.
        """
        with self._turn():
            connection, self._kept = self._kept, None
            if connection is None:
                connection = self.engine.connect()
                guard.driver(connection).guard()
            try:
                yield connection
            finally:
                is_there = not (connection.invalidated or connection.closed)
                driver = guard.driver(connection) if is_there else None
                is_clean = driver is not None and not (
                    connection.get_transaction()
                    or driver.in_transaction
                    or driver.is_altered
                    or connection.get_execution_options()
                )
                if is_clean and self._kept is None:
                    self._kept = connection
                else:
                    connection.close()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """That of a thread to write, which a handler that hangs would never let come."""
        seconds = patience.limit()
        if not self._writer.acquire(timeout=-1 if seconds is None else seconds):
            why = f"database is locked: here a transaction goes on for more than {seconds:g} s"
            raise exc.OperationalError("BEGIN", None, sqlite3.OperationalError(why))
        try:
            yield
        finally:
            self._writer.release()

    def read(self) -> Connection:
        """A connection for reading: it takes no lock, each statement stands for itself."""
        return self.engine.connect().execution_options(isolation_level="AUTOCOMMIT")

    @contextmanager
    def read_only(self) -> Iterator[Connection]:
        """A connection on which every attempt to write fails."""
        if self.is_sqlite:
            with self.read() as connection:
                connection.exec_driver_sql("PRAGMA query_only=ON")
                try:
                    yield connection
                finally:
                    connection.exec_driver_sql("PRAGMA query_only=OFF")
        else:
            with self.engine.connect().execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            ) as connection:
                yield connection

    def check(self) -> None:
        """Check that the tables are there and of the version we know.

        Raises DatabaseError when they are not, UnavailableError when the database does not answer.
        """
        try:
            with self.read() as connection:
                if not sqlalchemy.inspect(connection).has_table(tables.VERSION_TABLE):
                    raise DatabaseError(f"database {self} has no tables yet: run `lamson syncdb`")
                revision = connection.execute(
                    sqlalchemy.text(f"SELECT version_num FROM {tables.VERSION_TABLE}")
                ).scalar()
        except exc.DBAPIError as error:
            raise self.unavailable(error) from error
        if revision != tables.SCHEMA_REVISION:
            raise DatabaseError(
                f"database {self} is at schema {revision}, this version of lamson "
                f"needs {tables.SCHEMA_REVISION}: "
                + (
                    "run `lamson syncdb`"
                    if str(revision) < tables.SCHEMA_REVISION
                    else "it was made by a newer lamson; upgrade this one"
                )
            )

    def unavailable(self, error: BaseException) -> UnavailableError:
        """The error to raise where the database failed, in one line."""
        why = failure.brief(error)
        if self.is_sqlite and "unable to open" in why:
            why += sqlite.obstacle(self.engine.url.database)
        return UnavailableError(f"database {self} cannot be used: {why}")

    def create_all(self) -> None:
        """Create our tables without migrations: for tests on a database that is thrown away."""
        tables.metadata.create_all(self.engine)

    def close(self) -> None:
        """Let go of all connections, but for that of a handler that hangs: it ends with us."""
        has_turn = self._writer.acquire(timeout=sqlite.BUSY_TIMEOUT)
        try:
            if has_turn and self._kept is not None:
                self._kept.close()
                self._kept = None
            self.engine.dispose()
        finally:
            if has_turn:
                self._writer.release()

    @contextmanager
    def at_rest(self) -> Iterator[None]:
        """While entered there is no connection to a file, but for those that somebody reads on.

        A process that is forked then has to make its own. Else it had SQLite's notes of which locks
        this process has, took none, and wrote to a log that others believed to be nobody's.
        """
        if not self.is_sqlite:
            yield
            return
        with self._writer:
            if not isinstance(self.engine.pool, StaticPool):
                self.close()
            yield

    def __str__(self) -> str:
        return masked(self.engine.url.render_as_string(hide_password=False))


def _count_error(context: ExceptionContext) -> None:
    failure.count(context.sqlalchemy_exception or context.original_exception)


def _send_waiting(connection: Connection, *_: object) -> None:
    """What waits comes before the statement that SQLAlchemy is about to send."""
    pipeline.flush(connection)


def _check_postgres(connection: Connection) -> None:
    """After an error PostgreSQL answers COMMIT by ROLLBACK, and the driver finds that all right."""
    driver = guard.driver(connection)
    if driver.pgconn.transaction_status == _IN_ERROR:
        driver.rollback()  # SQLAlchemy would give it back to the pool as it is
        raise exc.InvalidRequestError("the transaction failed before its commit")


def _drop_read_only(context: ExceptionContext) -> None:
    """A session on a server that was made read-only stays so; the next may find a better one."""
    if failure.is_read_only(context.original_exception):
        context.is_disconnect = True
        context.invalidate_pool_on_disconnect = False


def _hide_values(context: ExceptionContext) -> None:
    """PostgreSQL quotes the values that it did not like."""
    message = failure.hide_values(context.original_exception)
    if message is not None and context.sqlalchemy_exception is not None:
        kind = type(context.original_exception)
        context.sqlalchemy_exception.args = (f"({kind.__module__}.{kind.__name__}) {message}",)


def _server_arguments(url: URL, connect_timeout: int) -> dict[str, str]:
    """What to ask libpq for beside the URL. The last one of several equal options counts."""
    wanted = {
        "connect_timeout": str(connect_timeout),
        "tcp_user_timeout": str(1000 * max(_UNANSWERED, connect_timeout)),
        **_CONNECTION,
    }
    arguments = {name: value for name, value in wanted.items() if name not in url.query}
    theirs = url.query.get("options", os.environ.get("PGOPTIONS", ""))
    ours = [f"-c {name}={value}" for name, value in _SESSION.items()]
    arguments["options"] = " ".join(
        [*ours, theirs if isinstance(theirs, str) else " ".join(theirs)]
    )
    return arguments


def _note_time(connection: object, entry: ConnectionPoolEntry) -> None:
    entry.info["used_at"] = time.monotonic()


def _check_idle(connection: Any, entry: ConnectionPoolEntry, proxy: object) -> None:
    """Try a connection that has been idle, so that the first mail after an outage finds a live one.

    One that was used a moment ago is not tried, since that costs a round trip: should the server
    have been restarted within that moment, one transaction is answered 451.
    """
    if time.monotonic() - entry.info.get("used_at", time.monotonic()) < IDLE:
        return
    try:
        connection.autocommit = True
        connection.execute("")
        connection.autocommit = False
    except Exception as error:
        raise exc.DisconnectionError(str(error)) from error
