"""Runs batches until every delivery in them has a reply, whatever the database does meanwhile.

A batch that one of its deliveries undid is run again, one delivery at a time, and so is a delivery
that the database ended in favour of another one. What still has no reply then is answered 451.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sqlalchemy import exc

from lamson import log
from lamson.smtp.reply import LOCAL_ERROR
from lamson.storage import failure
from lamson.storage.suspects import TOO_OFTEN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lamson.delivery.job import Job
    from lamson.delivery.transaction import Transactions

ATTEMPTS = 3  # runs of a delivery by itself, after a conflict with others
RERUN = 30.0  # seconds after which no more of a batch is run again


class Batches:
    """Used by all threads of the dispatcher at once."""

    def __init__(self, transactions: Transactions, record: Callable[[Job, float], None]) -> None:
        """``record`` is told how long the handlers of each job took, in seconds."""
        self._transactions = transactions
        self._record = record

    def run(self, batch: Sequence[Job]) -> None:
        """Run ``batch``. In the end each job has its reply. Raises nothing."""
        try:
            self._run(batch)
        except BaseException as error:  # noqa: BLE001 - a thread that dies would answer nobody
            _explain(error, [job for job in batch if job.reply is None])
        finally:
            for job in batch:
                if job.reply is None:
                    job.reply = LOCAL_ERROR

    def _run(self, batch: Sequence[Job]) -> None:
        if batch[0].deaths >= TOO_OFTEN:  # a suspect is alone
            self._transactions.give_up(batch[0])
            return
        try:
            self._transactions.run(batch, self._record)
        except exc.SQLAlchemyError as error:
            if len(batch) == 1 or not failure.is_one_deliverys(error):
                raise
            log.logger.warning(
                "%d deliveries are run again one by one: %s", len(batch), failure.brief(error)
            )
        undone = [job for job in batch if job.reply is None]
        limit = time.monotonic() + RERUN if undone else 0.0
        for at, job in enumerate(undone):
            if time.monotonic() >= limit:
                log.logger.error("%d deliveries answered 451: out of time", len(undone) - at)
                return
            self._run_again(job)

    def _run_again(self, job: Job) -> None:
        """Run one delivery alone that was undone by a conflict, or by a neighbour's failure."""
        for _ in range(ATTEMPTS):
            try:
                self._transactions.run([job], self._record)
            except exc.SQLAlchemyError as error:
                if not failure.is_conflict(error):
                    _explain(error, [job])
                    job.reply = LOCAL_ERROR
            if job.reply is not None:
                return
        log.logger.error(
            "%s: answered 451: in conflict with other deliveries %d times", job, ATTEMPTS
        )


def _explain(error: BaseException, batch: Sequence[Job]) -> None:
    """Log why deliveries failed: one line for database and disk, a traceback when it is us."""
    is_database = isinstance(error, exc.SQLAlchemyError)
    is_outage = is_database or failure.is_outage(error)
    log.logger.error(
        "%d deliveries answered 451: %s%s",
        len(batch),
        "the database failed: " if is_database else "",
        failure.brief(error),
        exc_info=None if is_outage else error,
    )
