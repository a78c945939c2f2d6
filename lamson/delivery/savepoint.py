"""What the handlers of one delivery, or one task, do with their session: in a savepoint of its own.

So it can be undone alone. Where the transaction round it is gone, because the connection broke or
a handler ended it, that is told from a failure that only the savepoint is to pay for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy.exc import SAWarning, SQLAlchemyError

from lamson.errors import LamsonError
from lamson.storage import guard
from lamson.storage.failure import PrematureEnd

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from lamson.delivery.posting import Posting


class Savepoint:
    """Opened when it is made, with a session in it. Raises LamsonError where no database is."""

    __slots__ = ("_connection", "_driver", "_savepoint", "session")

    def __init__(self, connection: Connection | None) -> None:
        if connection is None:
            raise LamsonError("a Session needs a database: set `database` in the settings")
        # 6 MiB, which an application without one can do without.
        from lamson.delivery.session import HandlerSession

        self._connection = connection
        self._driver = guard.driver(connection)
        self._savepoint = connection.begin_nested()
        self.session = HandlerSession(connection)

    def check(self) -> None:
        """Before anything else is written: raises PrematureEnd as `commit` does."""
        if not self._connection.invalidated:
            self._check_open()

    def commit(self) -> None:
        """Raises PrematureEnd where a handler ended the transaction and said nothing."""
        self.check()
        self.session.commit()
        self._savepoint.commit()
        guard.reset_options(self._connection)

    def rollback(self, error: BaseException) -> None:
        """Undo what was done in it, because of ``error``, which is raised where all is gone.

        Raises PrematureEnd where a handler ended the transaction, or the savepoint, and with it
        what could be undone.
        """
        if self._connection.invalidated and not self._driver.was_dropped:
            raise error
        self._check_open()
        try:
            self.session.rollback()
            is_whole = self._savepoint.is_active
            self._savepoint.rollback()
        except (SQLAlchemyError, SAWarning) as broken:
            if self._connection.invalidated:
                raise
            raise PrematureEnd from broken
        if not is_whole:
            raise PrematureEnd

    def _check_open(self) -> None:
        if not guard.is_open(self._connection):
            raise PrematureEnd


def keep(savepoint: Savepoint | None, posting: Posting | None) -> None:
    """Keep what was done, the keys of what is sent included: all of it, or nothing.

    Raises PrematureEnd where the transaction is not ours any more.
    """
    if savepoint is not None:
        savepoint.check()  # before a key is claimed on what may be gone
    if posting is not None:
        posting.settle()
    if savepoint is not None:
        savepoint.commit()
