"""Keeps the handlers of a batch from ending the transaction that their deliveries share.

For `Database.begin_shared`, whose transactions are ended by whoever began them. While one is
shared, its connection refuses what would end it, however the driver is asked: by its own methods,
by SQL, by a script. The refusal is an exception in the line that asked; the transaction goes on as
if nothing had been asked. SQLAlchemy's Connection takes it for ended even so, and a driver can be
got round: `is_open` tells afterwards.

A handler can also leave the connection another one than it was: a row factory, a temporary table, a
lock that outlives transactions. What would change the rows that we read ourselves is refused;
whatever else outlives the transaction is noted, and the connection is closed after it instead of
being used again.

On SQLite the library itself is asked what a statement is (sqlite3_set_authorizer). PostgreSQL's has
no such question, so there the words are read: a string of several statements is one of them each.

Options that a handler gives to the connection would be its neighbours' too, and those of whoever
has it next. SQLite's are refused. PostgreSQL's last until the handler has returned: see
`reset_options`.
"""

from __future__ import annotations

import re
import sqlite3
import weakref
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import exc

from lamson.storage.failure import AlteredConnection, SharedTransactionError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import Connection, ExceptionContext
    from sqlalchemy.pool import ConnectionPoolEntry

_OF_ROWS = {"row_factory", "text_factory"}  # attributes: ours are read by the same connection
_IDLE, _UNKNOWN = 0, 4  # libpq's PQTRANS_IDLE and PQTRANS_UNKNOWN

# Most statements have none of these words, and are looked at no further.
_SUSPICIOUS = re.compile(r"(?i)\b(?:commit|rollback|end|abort|begin|start|prepare)\b")
# What outlives a transaction, and no RESET undoes (PostgreSQL's manual, 9.28.10, CREATE TABLE).
# What merely looks like it costs a connection.
_LASTING = re.compile(
    r"(?i)(?:\A|;)\s*(?:DISCARD|LISTEN|LOAD|PREPARE|CREATE\s+(?:\w+\s+)*TEMP(?:ORARY)?)\s"
    r"|\bpg_(?:try_)?advisory_lock|\bWITH\s+HOLD\b"
)
_LASTING_ACTIONS = {
    sqlite3.SQLITE_ATTACH,
    sqlite3.SQLITE_CREATE_TEMP_INDEX,
    sqlite3.SQLITE_CREATE_TEMP_TABLE,
    sqlite3.SQLITE_CREATE_TEMP_TRIGGER,
    sqlite3.SQLITE_CREATE_TEMP_VIEW,
}
# What is no word of a statement (PostgreSQL's manual, 4.1), or the words that it begins with.
_TOKEN = re.compile(
    r"(?s)--[^\n]*|/\*.*?\*/|'[^']*'|\"[^\"]*\"|\$(\w*)\$.*?\$\1\$"
    r"|(?P<end>;)|(?P<word>\w+)|[^\w\s]"
)
_ENDING = {"COMMIT", "END", "ABORT", "BEGIN"}
_NOISE = {"WORK", "TRANSACTION"}
# What may set options. A false alarm, such as an UPDATE in several lines, costs a round trip.
_SETTING = re.compile(r"(?im)(?:^|;|\*/)\s*(?:set|reset)\b|\bset_config\b")
_RESET = "RESET SESSION AUTHORIZATION; RESET ALL"  # the first one is for SET ROLE, too
# Pragmas whose argument sets no option that outlives the transaction: a table, or what is stored.
_HARMLESS = frozenset(
    {
        *("table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo"),
        *("foreign_key_list", "foreign_key_check", "integrity_check", "quick_check", "optimize"),
        *("defer_foreign_keys", "user_version", "application_id"),
    }
)


def ends_transaction(sql: str) -> bool:
    """Whether one of the statements in ``sql`` would end a transaction, or begin another one."""
    if not _SUSPICIOUS.search(sql):
        return False
    words: list[str] = []  # of one statement; the first three tell
    for token in _TOKEN.finditer(sql):
        if token["end"]:
            if _is_ending(words):
                return True
            words = []
        elif token["word"] and len(words) < 3:
            words.append(token["word"].upper())
    return _is_ending(words)


def _is_ending(words: list[str]) -> bool:
    first, *others = words or [""]
    second = others[0] if others else ""
    if first == "ROLLBACK":  # back to a savepoint is nobody else's affair
        return "TO" not in ([second] if second not in _NOISE else others[1:])
    return first in _ENDING or (first in ("START", "PREPARE") and second == "TRANSACTION")


class Shared:
    """What a connection to a database knows and refuses besides; before the driver's own class."""

    is_shared = False  # whether its transaction is
    is_altered = False  # for the transactions that come after this one
    was_dropped = False  # by a handler that gave the connection up, though nothing had failed
    was_set = False  # whether a handler may have set options

    def has_transaction(self) -> bool:
        """Whether one is open. Asks nobody."""
        raise NotImplementedError

    def commit(self) -> None:
        _refuse(self)
        super().commit()  # type: ignore[misc]

    def rollback(self) -> None:
        _refuse(self)
        super().rollback()  # type: ignore[misc]

    def close(self) -> None:
        _refuse(self)
        super().close()  # type: ignore[misc]

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _OF_ROWS:
            _refuse(self)
        super().__setattr__(name, value)

    def restore(self) -> None:
        """Undo what a handler may have set, and can be undone."""


def driver(connection: Connection) -> Any:
    """The driver's own connection: a `Shared`; None where a handler has given it up."""
    return connection.connection.driver_connection


@contextmanager
def shared(connection: Connection) -> Iterator[None]:
    """Guard the transaction of ``connection`` meanwhile.

    Raises AlteredConnection where the database failed after a handler altered the connection.
    """
    itself = driver(connection)
    itself.is_shared = True
    try:
        yield
    except BaseException as error:
        itself.is_shared = False
        if not is_open(connection) and itself.has_transaction():
            itself.rollback()  # SQLAlchemy would give it back to the pool as it is
        if not connection.invalidated and driver(connection) is not itself:
            itself.close()  # it was given away: nobody else would
        if itself.is_altered and isinstance(error, exc.DBAPIError):
            raise AlteredConnection from error
        raise
    finally:
        itself.is_shared = False
        itself.restore()


def is_open(connection: Connection) -> bool:
    """Whether the transaction still goes on that was begun on ``connection``, as far as is known.

    Asks nobody: on PostgreSQL one that was ended and begun anew counts as open, and shows when our
    savepoint in it is missing.
    """
    if connection.closed or connection.invalidated or not connection.in_transaction():
        return False
    itself = driver(connection)
    return itself is not None and bool(itself.has_transaction())


def reset_options(connection: Connection) -> None:
    """A handler has returned: what it has set is as it was. Its failure undoes that by itself."""
    itself = driver(connection)
    if itself.was_set:
        itself.was_set = False
        connection.exec_driver_sql(_RESET)
        itself.was_set = False  # as this looked like another one


class SqliteConnection(Shared, sqlite3.Connection):
    """A connection to SQLite."""

    def guard(self) -> None:
        """Have SQLite ask about all statements, those included that are prepared already."""
        itself = weakref.ref(self)

        def authorise(action: int, name: str | None, argument: str | None, *_: object) -> int:
            connection = itself()
            if connection is None or not connection.is_shared:
                return sqlite3.SQLITE_OK
            if action in _LASTING_ACTIONS:
                connection.is_altered = True
            is_refused = action == sqlite3.SQLITE_TRANSACTION or (
                action == sqlite3.SQLITE_PRAGMA
                and argument is not None
                and (name or "").lower() not in _HARMLESS
            )
            return sqlite3.SQLITE_DENY if is_refused else sqlite3.SQLITE_OK

        self.set_authorizer(authorise)

    def has_transaction(self) -> bool:
        try:
            return self.in_transaction
        except sqlite3.ProgrammingError:  # it is closed
            return False


@cache
def postgres_connection() -> Any:
    """The class of connections to PostgreSQL; psycopg is no library that everybody has."""
    import psycopg
    from psycopg.sql import Composable

    from lamson.storage.postgres import PatientConnection

    def check(cursor: Any, query: Any) -> None:
        if cursor.connection.is_shared:
            if isinstance(query, Composable):
                query = query.as_string(cursor)
            elif isinstance(query, bytes):
                query = query.decode("utf-8", "replace")
            if isinstance(query, str):
                if ends_transaction(query):
                    raise SharedTransactionError
                if _SETTING.search(query):
                    cursor.connection.was_set = True
                if _LASTING.search(query):
                    cursor.connection.is_altered = True

    class Cursor(psycopg.Cursor[Any]):
        def execute(self, query: Any, *arguments: Any, **options: Any) -> Any:
            check(self, query)
            return super().execute(query, *arguments, **options)

        def executemany(self, query: Any, *arguments: Any, **options: Any) -> Any:
            check(self, query)
            return super().executemany(query, *arguments, **options)

        def stream(self, query: Any, *arguments: Any, **options: Any) -> Any:
            check(self, query)
            return super().stream(query, *arguments, **options)

    class PostgresConnection(Shared, PatientConnection):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self.restore()

        def restore(self) -> None:
            self.cursor_factory = Cursor

        def has_transaction(self) -> bool:
            return self.pgconn.transaction_status not in (_IDLE, _UNKNOWN)

    return PostgresConnection


def _refuse(connection: Any) -> None:
    if connection.is_shared:
        raise SharedTransactionError


# Listeners to SQLAlchemy's events.


def connect_to_postgres(_dialect: object, _record: object, cargs: Any, cparams: Any) -> Any:
    return postgres_connection().connect(*cargs, **cparams)


def note_dropped(driver: Any, _record: object, error: BaseException | None) -> None:
    """A connection is given up, because it failed or a handler said so: it is to be closed.

    A handler says so with SQLite's ``INSERT OR ROLLBACK`` too, and where it gives the connection
    back to the pool, which cannot roll it back. A statement that was merely wrong, such as ROLLBACK
    TO a savepoint that is gone, ends no transaction in SQLite: somebody had ended it before.
    """
    ours = (sqlite3.IntegrityError, SharedTransactionError)
    was_wrong = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR
    if driver.is_shared and (error is None or was_wrong or isinstance(error, ours)):
        driver.was_dropped = True
    driver.is_shared = False


def drop_altered(driver: Any, record: ConnectionPoolEntry) -> None:
    """A connection comes back to the pool: not one that is another one than it was."""
    if driver is not None and driver.is_altered:
        record.invalidate()


def explain(context: ExceptionContext) -> BaseException | None:
    """SQLite says no more than "not authorized"."""
    error = context.original_exception
    is_ours = getattr(error, "sqlite_errorname", "") == "SQLITE_AUTH"
    return SharedTransactionError() if is_ours else None
