"""Chaos: each delivery of a test fails once after its handlers have done their work, and then comes
twice, as Postfix may bring it after a crash or a lost reply.

For `pytest --lamson-chaos`. What was done by the attempt that failed, and by the second of the
others, has to be nothing: no mail, and no row of any table. What a handler does outside of the
database is done twice: the test itself sees that, where it looks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lamson import failpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import MetaData

    from lamson.app import Application
    from lamson.delivery.job import Job


class Chaos:
    """That of one application under test."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._tables: MetaData | None = None

    def run(self, make: Callable[[], Job]) -> Job:
        """Deliver what ``make`` makes anew for each attempt; gives the one that counts.

        Raises AssertionError where something was done that should not have been, and what a handler
        raised.
        """
        transactions = self._application.transactions
        before = self._rows()
        failpoint.install(failpoint.BEFORE_COMMIT, strike=_strike)
        try:
            job = make()
            transactions.run([job], _ignore)  # it passes where a handler committed by itself
        except _Struck:
            transactions.doubtful.clear()  # nothing of it is in the database, as is seen here
            self._compare(before, "a handler that failed after its work")
            job = make()
            failpoint.remove()
            transactions.run([job], _ignore)
        finally:
            failpoint.remove()
        before, number = self._rows(), len(transactions.outgoing)
        transactions.run([make()], _ignore)
        self._compare(before, "a delivery that came again")
        if len(transactions.outgoing) != number:
            raise AssertionError("chaos: a delivery that came again sent mail a second time")
        return job

    def _compare(self, before: dict[str, list[Any]], what: str) -> None:
        after = self._rows()
        changed = [name for name, rows in after.items() if rows != before[name]]
        if changed:
            raise AssertionError(f"chaos: {what} changed {', '.join(changed)}")

    def _rows(self) -> dict[str, list[Any]]:
        from sqlalchemy import MetaData

        database = self._application.database
        assert database is not None
        with database.read() as connection:
            if self._tables is None:
                self._tables = MetaData()
                self._tables.reflect(connection)
            return {
                table.name: list(map(tuple, connection.execute(table.select())))
                for table in self._tables.sorted_tables
            }


class _Struck(Exception):
    """The failure that we made."""


def _strike() -> None:
    raise _Struck


def _ignore(job: Job, seconds: float) -> None:
    """Nobody measures."""
