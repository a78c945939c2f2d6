"""The `lamson.Mailer` of a `Mailroom`: a test may look at its database in the middle of `begin`.

A database in memory is one connection, which the fixture ``db`` has too: what it read between the
two ends of a transaction ended that, and what was written there was gone.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from lamson.mailer import Mailer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy.engine import Connection
    from sqlalchemy.orm import Session

    from lamson.settings import Settings
    from lamson.storage.database import Database


class MailerBeside(Mailer):
    """``sessions`` are those of the test. While `begin` lasts they are in its transaction."""

    def __init__(self, settings: Settings, database: Database, sessions: Sequence[Session]) -> None:
        super().__init__(settings, database=database)
        self._sessions = sessions

    @contextmanager
    def begin(self) -> Iterator[Session]:
        _end(self._sessions)
        with super().begin() as session, _joined(self._sessions, session.connection()):
            yield session


@contextmanager
def _joined(sessions: Sequence[Session], connection: Connection) -> Iterator[None]:
    before = [one.bind for one in sessions]
    try:
        for one in sessions:
            one.bind = connection
        yield
        _end(sessions)
    finally:
        for one, bind in zip(sessions, before, strict=True):
            if one.in_transaction():  # as the block has raised
                one.rollback()
            one.bind = bind


def _end(sessions: Sequence[Session]) -> None:
    """Write what they have, and let go of the connection; the transaction of `begin` goes on."""
    for one in sessions:
        if one.in_transaction():
            one.commit()
