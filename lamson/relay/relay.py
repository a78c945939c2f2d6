"""The relay: submits the outbox to Postfix over a few kept connections.

It runs on the event loop of its process. Rows come from the dispatcher right after their commit,
and from a sweep of the table at the start, every few seconds (rows whose time has come, rows that a
dead process left), when the next scheduled one is due, or one that it deferred itself, when
somebody says that he put mail there, and as soon as there is room in memory for what was left
there. One message of a conversation is under way at a time, so their order is kept. Where a row
stands is known by `lamson.storage.held` alone; `lamson.relay.attempt` makes an attempt and tells
what becomes of the row.

A row is deleted only after Postfix's 250. What could not be written to the table while the database
was down is written later, before anything else is taken from it (`lamson.relay.changes`): so an
outage makes nothing leave twice.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from lamson import log
from lamson.relay import attempt
from lamson.relay.alarms import Alarms
from lamson.relay.attempt import Attempts
from lamson.relay.changes import Changes, explain
from lamson.storage.leaps import Leaps
from lamson.storage.patience import patience

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence

    from lamson.relay.submission import Submitter
    from lamson.storage.held import Came
    from lamson.storage.maildir import Maildir
    from lamson.storage.outbox import Outbox
    from lamson.storage.outgoing import Outgoing
    from lamson.storage.pace import Pace

SWEEP_INTERVAL = 5.0  # seconds
SWEEP_PAUSE = 0.1  # seconds, at least, also where there is room again
SWEEP_LIMIT = 500  # rows claimed at one go
RIDE = 0.02  # seconds that a row which Postfix took may wait to be deleted with other work
HOLD_BACK = 30.0  # seconds for which new rows of a conversation are given back after an earlier one
IN_FLIGHT = 2  # messages on one connection: the next one's commands go out with the content
LAST_PART = 0.4  # of the time to drain: for what is under way
PAUSE = 1.0  # seconds after a failure that nobody expected


class Relay:
    """Submits mail for one process, with ``connections`` connections at most."""

    def __init__(
        self,
        outbox: Outbox,
        undeliverable: Maildir,
        make_submitter: Callable[[], Submitter],
        *,
        connections: int = 4,
        max_age: float = 5 * 24 * 3600.0,
        is_busy: Callable[[float], bool] = lambda seconds: False,
        pace: Pace | None = None,
    ) -> None:
        """``max_age``: seconds after which a message that is always deferred is given up.

        ``is_busy`` tells whether a delivery is under way, or came within so many seconds: its
        transaction then deletes what Postfix took. ``pace`` says what has to wait for its turn.
        """
        self._outbox = outbox
        self._held = outbox.held
        self._changes = Changes(outbox)
        self._attempts = Attempts(undeliverable, max_age, outbox.refused, pace, outbox.journal)
        self._make_submitter = make_submitter
        self._connections = connections
        self._is_busy = is_busy
        self._submitters: dict[int, Submitter] = {}
        self._ready = asyncio.Semaphore(0)  # counts what `HeldRows.begin` has to give
        self._has_taken = asyncio.Event()
        self._has_room = asyncio.Event()
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        self._workers: list[asyncio.Task[None]] = []
        self._keepers: list[asyncio.Task[None]] = []
        self._loose: set[asyncio.Task[object]] = set()  # changes that nobody else awaits
        self._is_stopping = False
        self._next_due: float | None = None  # of what is scheduled
        self._alarms = Alarms()  # of what was deferred
        self._sweeps_at = 0.0  # where nothing happens before
        self._leaps = Leaps(time.time)

    async def start(self) -> None:
        """Begin to sweep and to submit."""
        connections = [*range(self._connections)] * IN_FLIGHT  # to a free one first
        self._workers = [self._begin(partial(self._submit_for_ever, one)) for one in connections]
        self._keepers = [self._begin(self._delete_for_ever), self._begin(self._sweep_for_ever)]

    def wake(self) -> None:
        """Look into the table now: somebody put mail there. On the loop's thread."""
        self._has_room.set()

    async def drain(self, timeout: float) -> None:
        """Submit what waits in memory for up to ``timeout`` seconds; give the rest back; stop.

        The last part of that time is for what is under way: cut off, it could leave twice, or be
        leased to us by a thread that goes on when all else is given back.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout * (1 - LAST_PART)):
                await self._is_idle.wait()
        self._is_stopping = True
        for _ in self._workers:  # those that wait for a row end now
            self._ready.release()
        self._has_taken.set()  # and those that wait for news
        self._has_room.set()
        tasks = [*self._workers, *self._keepers]
        if tasks:
            await asyncio.wait(tasks, timeout=timeout * LAST_PART)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for submitter in self._submitters.values():  # not before: several tasks share one
            await submitter.close()
        await self._delete_taken()
        await self._give_back_all()
        log.flush()

    async def _give_back_all(self) -> None:
        """Also what the dispatcher has to tell meanwhile."""
        while True:
            while self._loose:  # what is on its way back has one writer then: this one
                await asyncio.gather(*self._loose, return_exceptions=True)
            ids = self._held.give_back_all()
            await self._changes.release(ids)
            await self._changes.catch_up()
            if not ids and not self._loose:
                return

    def submit(self, rows: Sequence[Outgoing]) -> None:
        """Take over committed rows that are leased to this process. On the loop's thread."""
        if late := self._came(self._held.hold(rows)):
            self._later(self._changes.release(late))

    def give_back(self, rows: Sequence[Outgoing]) -> None:
        """Let go of rows that may be in the table, leased to us, though their commit failed.

        Where they are, the sweep finds them. On the loop's thread.
        """
        self._held.doubt(rows)
        self._later(self._changes.release(self._held.begin_release()))

    def _came(self, came: Came) -> list[int]:
        """Wake who submits; gives the rows that are to be released."""
        for _ in range(came.ready):
            self._ready.release()
        self._look()
        return came.late

    def _later(self, work: Coroutine[object, object, object]) -> None:
        task = asyncio.create_task(work)
        self._loose.add(task)
        task.add_done_callback(self._loose.discard)

    def _look(self) -> None:
        if self._held.is_idle:
            self._is_idle.set()
        else:
            self._is_idle.clear()

    def _begin(self, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        return asyncio.create_task(self._keep_up(work))

    async def _keep_up(self, work: Callable[[], Awaitable[None]]) -> None:
        """Begin ``work`` again whatever it raises: were it to end, mail would wait unnoticed."""
        while not self._is_stopping:
            try:
                await work()
            except Exception:  # noqa: BLE001 - a bug here must not stop the other mail
                log.logger.exception("outbox: a failure that was not expected; going on")
                await asyncio.sleep(PAUSE)

    async def _submit_for_ever(self, connection: int) -> None:
        if connection not in self._submitters:
            self._submitters[connection] = self._make_submitter()
        while not self._is_stopping:
            await self._ready.acquire()
            if self._is_stopping:  # what began now would be cut off: it is given back instead
                return
            if row := self._held.begin():
                await self._advance(self._submitters[connection], row)

    async def _advance(self, submitter: Submitter, row: Outgoing) -> None:
        """Try the first row of a conversation; when it must wait, so must those behind it."""
        try:
            fate = await self._attempts.make(submitter, row)
        except Exception:  # noqa: BLE001 - a bug here must not stop the other mail
            log.logger.exception("id=%s: %s stays", row.source, row.message_id)
            behind = self._held.leave(row)
        else:
            if fate.is_done:
                if self._held.take(row):
                    self._ready.release()
                self._has_taken.set()
                return
            if fate.due_at is None:
                behind = self._held.release(row)
            else:
                behind = self._held.defer(row, fate.due_at)
                await self._changes.defer(row, fate.due_at)
                self._alarms.add(fate.due_at)
                if fate.due_at < self._sweeps_at:
                    self._has_room.set()  # the sweep takes it at once, or knows when it has to
        self._look()
        await self._changes.release(behind)

    async def _delete_for_ever(self) -> None:
        while not self._is_stopping:
            await self._has_taken.wait()
            if self._is_busy(RIDE):  # then the next delivery's transaction deletes them
                await asyncio.sleep(RIDE)
            await self._delete_taken()

    async def _delete_taken(self) -> None:
        self._has_taken.clear()
        await self._changes.delete()
        if self._held.has_room_again:
            self._has_room.set()
        self._look()
        log.flush()

    async def _sweep_for_ever(self) -> None:
        while not self._is_stopping:
            began = time.time()
            self._held.end_hold_backs(HOLD_BACK)
            await self._renew()
            if self._attempts.is_server_down or self._leaps.is_recent(2 * SWEEP_INTERVAL):
                await self._changes.catch_up()
            else:
                await self.sweep()
            await asyncio.sleep(min(SWEEP_PAUSE, SWEEP_INTERVAL))
            pause = self._pause(began)
            self._sweeps_at = time.time() + pause
            # Not wait_for: before Python 3.12 it overhears being cancelled where what it waits for
            # is there by then.
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._has_room.wait()
            self._has_room.clear()
            if self._held.has_deletions and not self._held.is_behind:
                self._has_taken.set()  # what was to delete them was cut off
            self._look()

    def _pause(self, began: float) -> float:
        """Seconds until the next sweep, where nothing happens before. ``began`` is when the last
        one did: what became due since then it may have missed.
        """
        now = time.time()
        due = [one for one in (self._next_due, self._alarms.next(began)) if one is not None]
        return min(max(min(due, default=now + SWEEP_INTERVAL) - now, 0.0), SWEEP_INTERVAL)

    async def _renew(self) -> None:
        """Keep the lease of what is under way: a slow server must not be given it twice.

        And lease anew what was leased while the clock was ahead: others do not believe it for long.
        """
        limit = time.time() + attempt.LEASE_MARGIN
        rows = [row for row in self._held.under_way() if row.lease_until < limit]
        is_believable = self._outbox.is_believable
        rows += [row for row in self._held.waiting() if not is_believable(row.lease_until)]
        await self._changes.renew(rows)

    async def sweep(self) -> None:
        """Take what is due from the table, until nothing is or enough waits in memory."""
        budget = self._held.budget
        wanted = budget.wanted
        budget.want_nothing()
        while await self._changes.catch_up() and not self._is_stopping:
            if self._held.is_full:
                budget.want()
                return
            self._held.begin_look()
            try:
                with patience():
                    rows = await asyncio.to_thread(self._take)
            except Exception as error:  # noqa: BLE001 - the next sweep tries again
                explain(error)
                self._held.end_claim()
                doubtful = self._outbox.doubtful
                self._held.doubt([doubtful.popleft() for _ in range(len(doubtful))])
                return
            if late := self._came(self._held.hold_claimed(rows)):
                await self._changes.release(late)
                return
            if not rows and wanted is not None and not self._held.is_idle:
                budget.want(wanted)  # it stands behind rows that we have still
            if len(rows) < SWEEP_LIMIT:
                return
            wanted = None

    def _take(self) -> list[Outgoing]:
        """What is due, and what has become so. On a thread."""
        self._next_due = self._outbox.call()
        return self._outbox.claim(SWEEP_LIMIT)
