"""Which database a connection leads to: for whether two of them are one.

For `lamson.mailer`, which is given connections that somebody else made: by another URL, another
driver, over another address. So the database itself is asked.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import text

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection


class Identity(NamedTuple):
    """Equal for connections to the same database."""

    kind: str
    name: tuple[object, ...]


def identity_of(connection: Connection) -> Identity | None:
    """None for a database that is none of ours. Begins no transaction of its own on SQLite."""
    kind = connection.dialect.name
    if kind == "sqlite":
        rows = connection.exec_driver_sql("PRAGMA database_list").all()
        file = next((row[2] for row in rows if row[1] == "main"), "")
        if not file:  # in memory: the connection is the database
            return Identity(kind, (id(connection.connection.driver_connection),))
        status = os.stat(file)
        return Identity(kind, (status.st_dev, status.st_ino))
    if kind == "postgresql":
        return Identity(kind, tuple(connection.execute(_SERVER).one()))
    return None


def schema_of(connection: Connection) -> str | None:
    """The schema that our tables are in, as ``connection`` finds them; None on SQLite."""
    if connection.dialect.name == "sqlite":
        return None
    return str(connection.execute(_SCHEMA).scalar_one())


# Who has started when, and which of its databases: no server of the world has the same. As texts,
# since drivers make different things of it.
_SERVER = text(
    "SELECT CAST(extract(epoch FROM pg_postmaster_start_time()) AS text), CAST(oid AS text)"
    " FROM pg_database WHERE datname = current_database()"
)
_SCHEMA = text(
    "SELECT nspname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace"
    " WHERE pg_class.oid = to_regclass('lamson_outbox')"
)
