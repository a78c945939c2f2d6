"""Connections to a database server, and processes that a handler forks.

For `lamson.storage.database`. Such a process has copies of the connections of its worker. With them
the server would not notice when the worker dies, and keep its transaction, and the rows that it has
locked, for as long as that process lives; and what it said by them would reach the server in the
middle of what the worker says. So they lead nowhere there: using one is an error.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

if TYPE_CHECKING:
    from sqlalchemy.pool import ConnectionPoolEntry

_connections: WeakSet[Any] = WeakSet()


def remember(connection: Any, entry: ConnectionPoolEntry) -> None:
    """Listen to SQLAlchemy's ``connect``."""
    _connections.add(connection)


def _let_go() -> None:
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for connection in list(_connections):
        with suppress(Exception):  # it is closed
            os.dup2(nothing, connection.fileno(), inheritable=False)
    os.close(nothing)


os.register_at_fork(after_in_child=_let_go)
