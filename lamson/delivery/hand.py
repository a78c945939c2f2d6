"""What the handlers of one delivery have in hand while they run, and how that is kept or undone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson.delivery.savepoint import Savepoint, keep

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.engine import Connection

    from lamson.delivery.context import Delivery
    from lamson.delivery.job import Result
    from lamson.delivery.session import HandlerSession
    from lamson.delivery.signing import Desk
    from lamson.delivery.thread import Thread
    from lamson.routing.router import Match
    from lamson.storage.state import StateKey


class Hand:
    """What the handlers of one delivery have in hand while they run."""

    __slots__ = (
        "connection",
        "delivery",
        "desk",
        "key",
        "load",
        "match",
        "result",
        "savepoint",
        "threads",
    )

    def __init__(
        self,
        result: Result,
        connection: Connection | None,
        desk: Desk,
        load: Callable[[StateKey], str],
    ) -> None:
        self.result = result
        self.desk = desk
        self.load = load
        self.match: Match | None = None  # the one that runs: what it raises is its module's affair
        self.key: StateKey | None = None
        self.delivery: Delivery | None = None
        self.threads: dict[str, Thread] = {}  # by module
        self.savepoint: Savepoint | None = None
        self.connection = connection

    def __str__(self) -> str:
        """The handler that runs, or ran last, and where it stands: for the log."""
        if self.match is None:
            return str(self.result.job)
        handler = self.match.handler
        return f"{handler.full_name} ({handler.file}:{handler.line})"

    @property
    def has_database(self) -> bool:
        return self.connection is not None

    def connect(self) -> Connection:
        """The connection, for what is to be undone together with the handlers' own work."""
        self.session()
        assert self.connection is not None
        return self.connection

    def session(self) -> HandlerSession:
        """The session that all of them share."""
        if self.savepoint is None:
            self.savepoint = Savepoint(self.connection)
        return self.savepoint.session

    def commit(self) -> None:
        """Keep what was done, the keys of what is sent included: all of it, or nothing."""
        keep(self.savepoint, self.delivery)

    def undo(self, error: BaseException) -> None:
        """Roll back to the savepoint. Raises where that is not possible, or not enough."""
        if self.savepoint is not None:
            self.savepoint.rollback(error)
        elif self.connection is not None and self.connection.invalidated:
            raise error  # the whole transaction is gone

    def end(self) -> None:
        """Whoever kept what it was given can do nothing with it from now on."""
        if self.delivery is not None:
            self.delivery.end()
        for thread in self.threads.values():
            thread.end()
        if self.savepoint is not None:
            self.savepoint.session.end()
