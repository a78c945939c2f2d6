"""Sessions and connections that somebody else made, by whatever driver: what to know of them first.

For `lamson.mailer`, whose rows are to be committed with the caller's own work, or not at all.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import Connection


def connection_of(session: Any) -> Connection:
    """The connection in whose transaction ``session`` is. Raises TypeError for anything else."""
    if isinstance(session, Connection):
        return session
    if hasattr(session, "sync_session") or hasattr(session, "sync_connection"):
        raise TypeError(f"send to {type(session).__name__} with `await mailer.send_async(...)`")
    connect = getattr(session, "connection", None)
    connection = connect() if callable(connect) else None
    if not isinstance(connection, Connection):
        raise TypeError(
            f"session= is an SQLAlchemy Session or Connection, not {type(session).__name__}"
        )
    return connection


def commits_each_statement(connection: Connection) -> bool:
    """Whether there is no transaction on it that could undo what is written."""
    if connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT":
        return True
    fairy = connection.connection
    driver: Any = fairy.driver_connection
    if True in (getattr(driver, "autocommit", None), getattr(fairy, "autocommit", None)):
        return True
    # sqlite3 that is told to begin nothing, where nobody else has begun.
    return getattr(driver, "isolation_level", "") is None and not getattr(
        driver, "in_transaction", True
    )
