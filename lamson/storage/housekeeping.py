"""What a process does for the database from time to time, whether mail comes or not.

It gives back what dead processes leased (those of this machine, and any whose clock was far ahead),
deletes contents that rows of the outbox shared, saves the service clock, and forgets what was
handled long ago, how many answers went out in past hours, mail that nobody reports about any more,
threads that no mail comes to any more, what of mailing lists is past, and what the journal has no
room for. A turn that fails is logged, and the next one comes all the same.

What has an end by the wall clock is mail that waits for a token, a token that was used, a post that
waits for a moderator: a clock that was set ahead by mistake must not end them. So that clock is
believed when it has gone on as time does for `BELIEVED_AFTER` seconds, and on PostgreSQL no more
than that of the server.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from lamson import log
from lamson.storage import (
    answers,
    bounced,
    failure,
    journal_rows,
    keys,
    lists,
    pace,
    pending,
    probes,
    redeemed,
    seen,
    seen_before,
    threads,
    tracked,
)
from lamson.storage.far_leases import FarLeases
from lamson.storage.forgetting import MOST_IN_ORDER, Forgetting
from lamson.storage.leaps import Leaps
from lamson.storage.patience import patience

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.engine import Connection

    from lamson.storage.database import Database
    from lamson.storage.journal_purge import JournalPurge
    from lamson.storage.lease_owner import LeaseOwners
    from lamson.storage.outbox import Outbox
    from lamson.storage.service_clock import ServiceClock

LOOK_FOR_DEAD = 10.0  # seconds between looks for rows that a dead process leased
FAR_TURNS = 6  # of those, between looks for leases that end too late
TURNS = 60  # of those, between two savings of the service clock
BELIEVED_AFTER = 3600.0  # seconds without a leap of the wall clock, and since the start
ENDING = 5.0  # seconds that the last turn may wait for the database: somebody waits for that
DAY = 86_400.0  # seconds


class Housekeeping:
    """A task on the loop; the work itself is done on threads."""

    def __init__(
        self,
        database: Database,
        clock: ServiceClock,
        outbox: Outbox,
        owners: LeaseOwners,
        *,
        keep_threads: float = 365 * DAY,
        journal: JournalPurge | None = None,
        believed_after: float = BELIEVED_AFTER,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """``keep_threads`` is for how many seconds threads without mail are kept, ``journal`` what
        forgets rows of the journal. ``wall`` is the clock that may leap, ``steady`` never does."""
        self._wall, self._steady = wall, steady
        self._leaps = Leaps(wall, steady)
        self._began = steady()
        self._believed_after = believed_after
        self._journal = journal
        self._keep_threads = keep_threads
        self._database = database
        self._clock = clock
        self._outbox = outbox
        self._owners = owners
        self._far_leases = FarLeases(outbox)
        self._task: asyncio.Task[None] | None = None
        self._is_ending = threading.Event()
        self._forgetting = Forgetting(database, self._is_ending)

    def start(self) -> None:
        """Begin, on the running loop."""
        self._task = asyncio.create_task(self._keep_house())

    def cancel(self) -> None:
        """Begin no other turn, and no other piece of one."""
        self._is_ending.set()
        if self._task is not None:
            self._task.cancel()

    async def stop(self) -> None:
        """End, and save the clock once more."""
        self.cancel()
        await _quietly(self._tidy, ENDING)

    async def _keep_house(self) -> None:
        for turn in itertools.count(1):
            await asyncio.sleep(LOOK_FOR_DEAD)
            self._is_believed()  # each look is compared with the one before
            # Not at the start alone: a killed process may be dying still when another starts.
            await _quietly(partial(self._owners.release_dead, self._outbox, is_running=True))
            await _quietly(self._outbox.purge)
            if turn % FAR_TURNS == 0:
                await _quietly(self._far_leases.release)
            if turn % TURNS == 0:
                await _quietly(self._tidy)

    def _tidy(self) -> None:
        if self._clock.is_read:
            with self._database.begin() as connection:
                self._clock.save(connection)
            self._forget(self._clock())
            if self._is_believed():
                self._forget_by_date(self._date())

    def _is_believed(self) -> bool:
        """Whether the wall clock has gone on as time does, for as long as that takes."""
        is_shaken = self._leaps.is_recent(self._believed_after)
        return not is_shaken and self._steady() - self._began >= self._believed_after

    def _date(self) -> float:
        """The time by the wall clock, or by the server's where that is earlier."""
        wall = self._wall()
        if self._database.is_sqlite:
            return wall
        with self._database.read() as connection:
            return min(wall, connection.execute(select(keys.present(connection))).scalar_one())

    def _forget(self, now: float) -> None:
        """Forget what is over by the service clock, and what the journal has no room for."""
        purge = self._forgetting.purge
        for after, end in seen.ranges(self._wall()):
            self._forget_seen(after, end, now)
        self._forgetting.purge_found(
            lambda connection, after, piece: answers.past(connection, after, now, piece),
            lambda connection, found: answers.drop(connection, found, now),
            b"",
        )
        purge(lambda connection, piece: seen_before.purge(connection, now, piece))
        keep = self._keep_threads
        purge(
            lambda connection, piece: threads.purge(connection, now, keep, piece),
            threads.AT_A_TIME,
        )
        if self._journal is not None:
            self._forgetting.purge_found(self._journal.too_many, journal_rows.delete, 0)

    def _forget_by_date(self, wall: float) -> None:
        purge = self._forgetting.purge
        for table in (probes, redeemed, pending, tracked, bounced, pace, lists):
            purge(partial(_purge, table, wall))
        purge(lambda connection, piece: keys.purge(connection, wall, piece))
        if (journal := self._journal) is not None:
            purge(lambda connection, piece: journal.too_old(connection, wall, piece))

    def _forget_seen(self, after: bytes, end: bytes, now: float) -> None:
        self._forgetting.purge_found(
            lambda connection, after, piece: seen.old(connection, after, end, now, piece),
            lambda connection, found: seen.drop(connection, found, now),
            after,
            MOST_IN_ORDER,
        )


def _purge(table: Any, wall: float, connection: Connection, piece: int) -> int:
    return int(table.purge(connection, wall, piece))


async def _quietly(work: Callable[[], None], seconds: float | None = None) -> None:
    try:
        with patience(seconds):
            await asyncio.to_thread(work)
    except Exception as error:  # noqa: BLE001 - the next turn comes all the same
        is_known = failure.is_known(error)
        text = failure.brief(error)
        log.logger.error("housekeeping failed: %s", text, exc_info=None if is_known else error)
