"""Our own statements on PostgreSQL: past the toolkit, and several in one round trip.

For the tables that a transaction's bookkeeping is in, as `lamson.storage.sqlite` is on SQLite. What
nobody needs the answer of at once waits for the next statement and is sent with it (psycopg's
pipeline mode), at the latest with the COMMIT, so that a batch costs four round trips: BEGIN with
the claims, the states, what is written, COMMIT. The order of statements is kept, those of a handler
included: what waits is sent before anything that goes through SQLAlchemy.

Errors are SQLAlchemy's on both ways; one of a statement that waited surfaces where it is sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import exc

from lamson.storage import failure, guard

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy.engine import Connection

    Then = Callable[[list[Any]], object]

_BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"  # what `Database` asks for


def execute(connection: Connection, statement: str, parameters: Mapping[str, object]) -> list[Any]:
    """Run one statement in the open transaction, with all that wait; gives its rows."""
    rows: list[Any] = []
    later(connection, statement, parameters, rows.extend)
    flush(connection)
    return rows


def later(
    connection: Connection,
    statement: str,
    parameters: Mapping[str, object],
    then: Then = lambda rows: None,
) -> None:
    """Have one statement sent with the next, or with the COMMIT. ``then`` is given its rows."""
    guard.driver(connection).waiting.append((statement, parameters, then))


def flush(connection: Connection) -> None:
    """Send what waits, in order. Raises what SQLAlchemy raises, for the first one that failed."""
    itself = guard.driver(connection)
    if itself is None or not itself.waiting:
        return
    import psycopg  # which not everybody has

    waiting, itself.waiting = itself.waiting, []
    itself.begins = not (itself.has_transaction() or itself.autocommit)
    if itself.begins:
        waiting.insert(0, (_BEGIN, None, lambda rows: None))
    # Not the cursors of `guard`, which read what a handler says.
    cursors = [psycopg.Cursor(itself) for _ in waiting]
    try:
        if len(waiting) == 1:
            cursors[0].execute(*waiting[0][:2])
        else:
            with itself.pipeline():
                for cursor, (statement, parameters, _) in zip(cursors, waiting, strict=True):
                    cursor.execute(statement, parameters)
    except psycopg.Error as error:
        raise _explained(connection, waiting[-1][0], error) from error
    finally:
        itself.begins = False
    for cursor, (_, _, then) in zip(cursors, waiting, strict=True):
        then(cursor.fetchall() if cursor.description else [])


def _explained(connection: Connection, statement: str, error: Any) -> BaseException:
    """What SQLAlchemy would raise, without the values that PostgreSQL quotes."""
    is_lost = guard.driver(connection).closed
    is_over = is_lost or failure.is_read_only(error)
    failure.hide_values(error)
    if is_lost:
        # As SQLAlchemy does after its own statements: those in the pool are lost as well, and each
        # would cost a delivery that is put off.
        connection.engine.pool._invalidate(connection.connection, error)
    if is_over:
        connection.invalidate(error)
    dialect = connection.dialect
    made: BaseException = exc.DBAPIError.instance(
        statement,
        None,
        error,
        dialect.loaded_dbapi.Error,
        hide_parameters=True,  # a log is no place for mail
        connection_invalidated=is_over,
        dialect=dialect,
    )
    failure.count(made)
    return made
