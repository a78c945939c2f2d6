"""What SQLite needs to be told, and our own statements on it, without a detour.

For `db`, which sets up its connections here, and for the tables that a transaction's bookkeeping is
in: seen, states, outbox. SQLAlchemy takes twice as long over a statement as SQLite does, so those
go to the driver as they are. What a handler does goes through SQLAlchemy, on the same connection.

Errors are SQLAlchemy's on both ways. A connection whose transaction is gone is given up: what was
executed on it then would be committed at once, each statement for itself.
"""

from __future__ import annotations

import os
import sqlite3
import time
from functools import cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import exc
from sqlalchemy.pool import StaticPool

from lamson import private
from lamson.storage import failure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.engine import Connection, ExceptionContext

BUSY_TIMEOUT = 10.0  # seconds to wait for another process's write lock
_MOST_ROWS = 64  # in one statement
# Octets, of a new file. A commit writes whole pages, and a batch changes one for each author.
_PAGE = "page_size=2048"
# Pages of the log at which a commit brings them into the file, which its mail waits for: so many
# that it is less than one in a hundred that waits (docs/decisions/0028-a-long-log.md).
_LOG = "wal_autocheckpoint=8000"
_LONGEST_LOG = "journal_size_limit=67108864"  # octets, once it begins anew: a reader held it up
_CACHE = "cache_size=-1000"  # KiB for each connection; the system caches the file as well


def execute(connection: Connection, statement: str, parameters: Sequence[object] = ()) -> list[Any]:
    """Run one statement in the open transaction of ``connection``; gives its rows.

    Raises what SQLAlchemy raises.
    """
    cursor = _driver(connection).cursor()
    try:
        return list(cursor.execute(statement, parameters))
    except sqlite3.Error as error:
        cursor.close()  # first: it would keep a connection open that is given up
        is_over = _is_over(connection, error)
        if is_over:
            connection.invalidate(error)
        told = exc.DBAPIError.instance(
            statement,
            tuple(parameters),
            error,
            sqlite3.Error,
            hide_parameters=True,  # a log is no place for mail
            connection_invalidated=is_over,
            dialect=connection.dialect,
        )
        failure.count(told)
        raise told from error


def insert(
    connection: Connection, into: str, rows: Sequence[Sequence[object]], end: str = ""
) -> list[Any]:
    """``INSERT INTO into VALUES`` of many rows; gives what ``end`` (RETURNING) gives.

    One statement is for many rows: an executemany() would let go of the interpreter's lock for each
    row, and wait for it again. Their number is a power of two, so that few statements have to be
    compiled, and kept.
    """
    found: list[Any] = []
    at = 0
    while at < len(rows):
        size = min(_MOST_ROWS, 1 << (len(rows) - at).bit_length() - 1)
        part = rows[at : at + size]
        at += size
        statement = _insert_statement(into, len(part[0]), size, end)
        found += execute(connection, statement, tuple(chain.from_iterable(part)))
    return found


@cache
def _insert_statement(into: str, columns: int, rows: int, end: str) -> str:
    row = f"({', '.join('?' * columns)})"
    return f"INSERT INTO {into} VALUES {', '.join([row] * rows)} {end}"


def _driver(connection: Connection) -> sqlite3.Connection:
    return cast("sqlite3.Connection", connection.connection.driver_connection)


def is_reader(connection: Connection) -> bool:
    """Whether each statement on it stands for itself: then it takes no lock."""
    return connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT"


def obstacle(file: str | None) -> str:
    """Why it cannot be opened, which SQLite does not say: ``; `` and what it is, or nothing."""
    path = file or ":memory:"
    directory = os.path.dirname(path) or "."
    if os.path.isdir(path):
        return "; it is a directory"
    if not os.path.isdir(directory):
        return f"; there is no directory {directory}"
    for one in (directory, path):
        if os.path.exists(one) and not os.access(one, os.W_OK):
            return f"; this user may not write to {one}"
    return ""


def overwrite_deleted(connection: Connection) -> None:
    """From now on what is deleted on this connection is overwritten, and not merely let go of."""
    execute(connection, "PRAGMA secure_delete=ON")


def empty_log(connection: Connection) -> bool:
    """Bring the write-ahead log into the file, and leave nothing in it; False where others read.

    ``connection`` has no transaction.
    """
    return not execute(connection, "PRAGMA wal_checkpoint(TRUNCATE)")[0][0]


# Listeners to SQLAlchemy's events.


def connect(dialect: Any, _record: object, arguments: list[Any], options: dict[str, Any]) -> Any:
    """Root may be in the directory of another user, who could have laid links there.

    The log and its index are opened by the first statement: that belongs to it.
    """
    directory = os.path.dirname(str(arguments[0])) or "."
    with private.as_owner_of(Path(directory)):
        connection = dialect.connect(*arguments, **options)
        prepare(connection)
        return connection


def prepare(connection: Any) -> None:
    # The driver must not begin transactions by itself; we do, with BEGIN IMMEDIATE.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA {_PAGE}")
    _use_wal(cursor)
    for pragma in ("synchronous=FULL", "foreign_keys=ON", _CACHE, _LOG, _LONGEST_LOG):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _use_wal(cursor: sqlite3.Cursor) -> None:
    """Turn the write-ahead log on. A file that another node makes at this moment is waited for.

    SQLite itself does not wait there, whatever the driver's timeout (sqlite3_busy_handler).
    """
    deadline = time.monotonic() + BUSY_TIMEOUT
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            is_busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not is_busy or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def begin_immediate(connection: Connection) -> None:
    if not is_reader(connection):
        execute(connection, "BEGIN IMMEDIATE")


def check_open(connection: Connection) -> None:
    """Before a COMMIT, since one without a transaction would be taken for success."""
    if not is_reader(connection) and not _driver(connection).in_transaction:
        raise exc.InvalidRequestError("the transaction ended before its commit")


def drop_ended(context: ExceptionContext) -> None:
    """Give up a connection like one to a server that went away, where `_is_over` says so."""
    connection, error = context.connection, context.original_exception
    if connection is None or connection.invalidated or is_reader(connection):
        return
    execution = context.execution_context
    if execution is not None and execution.cursor is not None and _is_read_only(error):
        execution.cursor.close()
    if _is_over(connection, error):
        context.is_disconnect = True


def _is_over(connection: Connection, error: BaseException) -> bool:
    """After some errors (a full disk) SQLite has rolled everything back.

    A connection made while the files were read-only is over as well: it stays so, and makes those
    read-only that are opened beside it, since a process has one index of the write-ahead log for
    all of them. The idle ones are closed with it. One in memory is all the database that there is.
    """
    if isinstance(connection.engine.pool, StaticPool):
        return False
    if _is_read_only(error):
        connection.engine.dispose()
        return True
    return not _driver(connection).in_transaction


def _is_read_only(error: BaseException) -> bool:
    return getattr(error, "sqlite_errorname", "").startswith("SQLITE_READONLY")
