"""The SQLAlchemy session that a handler is given.

What it does is a part of the delivery's transaction, and is committed when the handler has
returned. So it is ours to close, and is closed for good then: whoever kept it gets an exception.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from sqlalchemy.exc import SAWarning, SQLAlchemyError
from sqlalchemy.orm import Session

from lamson.storage.failure import SharedTransactionError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection


class HandlerSession(Session):
    """A session within the savepoint of one delivery, with a savepoint of its own.

    So what a handler commits itself (``db.commit()``) is undone with the rest when it fails later.
    """

    def __init__(self, connection: Connection) -> None:
        super().__init__(
            connection, join_transaction_mode="create_savepoint", close_resets_only=False
        )

    def close(self) -> None:
        """Nothing: SQLAlchemy would throw away what is not committed yet, and say nothing."""

    def reset(self) -> None:
        """Nothing, as `close`."""

    def invalidate(self) -> None:
        """Raises SharedTransactionError: the connection is not the handler's alone."""
        raise SharedTransactionError

    def end(self) -> None:
        """Close it for good; everything that is asked of it from now on raises."""
        with suppress(
            SQLAlchemyError, SAWarning
        ):  # where the transaction is gone, that is known by now
            super().close()
