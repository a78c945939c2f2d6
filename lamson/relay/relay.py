"""The relay: submits the outbox to Postfix over a few kept connections.

It runs on the event loop of its process. Rows come from the dispatcher right after their commit,
and from a sweep of the table at the start and every few seconds (rows whose time has come, rows
that a dead process left). One message of a conversation is under way at a time, so their order is
kept.

A row is deleted only after Postfix's 250. A temporary refusal or a broken connection gives the row
back for a later attempt (exponential back-off with jitter); a permanent one, or one that lasts
longer than `max_age`, moves the message to the undeliverable queue with the reason. What could not
be written to the table while the database was down is written later, before anything else is taken
from it: so an outage makes nothing leave twice.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from lamson import failpoint, log
from lamson.relay.submission import Outcome, Submitter, SubmitterDown
from lamson.storage import failure
from lamson.storage.outbox import LONGEST_DELAY
from lamson.storage.undeliverable import Kept, keep

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence

    from lamson.storage.maildir import Maildir
    from lamson.storage.outbox import Outbox, Outgoing

SWEEP_INTERVAL = 5.0  # seconds
SWEEP_LIMIT = 500  # rows claimed at one go
ENOUGH = 2000  # rows in memory; what is committed beyond them waits in the table
FIRST_DELAY = 5.0  # seconds before the second attempt
RIDE = 0.02  # seconds that a row which Postfix took may wait to be deleted with other work
HOLD_BACK = 30.0  # seconds for which new rows of a conversation are given back after an earlier one
IN_FLIGHT = 2  # messages on one connection: the next one's commands go out with the content
LAST_PART = 0.4  # of the time to drain: for what is under way
LEASE_MARGIN = 90.0  # seconds of its lease that a row must have left to be submitted
PAUSE = 1.0  # seconds after a failure that nobody expected

_FAILED = "outbox: the database failed: %s"


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
    ) -> None:
        """``max_age``: seconds after which a message that is always deferred is given up.

        ``is_busy`` tells whether deliveries are under way, or one came within so many seconds.
        """
        self._outbox = outbox
        self._undeliverable = undeliverable
        self._make_submitter = make_submitter
        self._connections = connections
        self._max_age = max_age
        self._submitters: dict[int, Submitter] = {}
        self._conversations: dict[str, deque[Outgoing]] = {}
        self._ready: asyncio.Queue[str] = asyncio.Queue()
        self._waiting = 0
        self._unwritten: deque[Callable[[], object]] = deque()  # changes that the table lacks
        self._has_taken = asyncio.Event()
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        self._held_back: dict[str, float] = {}  # conversations given back, and when
        self._down_until = 0.0
        self._tasks: list[asyncio.Task[None]] = []
        self._under_way: dict[asyncio.Task[object], Outgoing] = {}  # by the task that submits it
        self._is_stopping = False
        self._is_busy = is_busy
        self._loose: set[asyncio.Task[object]] = set()

    async def start(self) -> None:
        """Begin to sweep and to submit."""
        works: list[Callable[[], Awaitable[None]]] = [
            partial(self._submit_for_ever, connection)
            for connection in [*range(self._connections)] * IN_FLIGHT  # to a free one first
        ]
        works += [self._delete_for_ever, self._sweep_for_ever]
        self._tasks = [asyncio.create_task(self._keep_up(work)) for work in works]

    async def drain(self, timeout: float) -> None:
        """Submit what waits in memory for up to ``timeout`` seconds; give the rest back; stop.

        The last part of that time is for what is under way: cut off, it could leave twice.
        """
        with suppress(TimeoutError):
            await asyncio.wait_for(self._is_idle.wait(), timeout * (1 - LAST_PART))
        self._is_stopping = True
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=timeout * LAST_PART)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, *self._loose, return_exceptions=True)
        for submitter in self._submitters.values():  # not before: several tasks share one
            await submitter.close()
        await self._delete_taken()
        left = [row.id for rows in self._conversations.values() for row in rows]
        await self._change(self._outbox.release, left)
        await self._catch_up()
        log.flush()

    def submit(self, rows: Sequence[Outgoing]) -> None:
        """Take over committed rows that are leased to this process. On the loop's thread."""
        late = [row.id for row in rows if row.conversation in self._held_back]
        if late:  # committed while an earlier row of theirs was given back
            self._later(self._change(self._outbox.release, late))
            rows = [row for row in rows if row.conversation not in self._held_back]
        for row in rows:
            known = self._conversations.get(row.conversation)
            if known is None:
                self._conversations[row.conversation] = deque([row])
                self._ready.put_nowait(row.conversation)
            else:
                known.append(row)
        self._count(len(rows))

    def give_back(self, ids: Sequence[int]) -> None:
        """Let go of rows that may be in the table, leased to us, though their commit failed.

        Where they are, the sweep finds them. On the loop's thread.
        """
        self._later(self._change(self._outbox.release, ids))

    def _later(self, work: Coroutine[object, object, object]) -> None:
        task = asyncio.create_task(work)
        self._loose.add(task)
        task.add_done_callback(self._loose.discard)

    def _count(self, change: int) -> None:
        self._waiting += change
        self._outbox.is_full = self._waiting >= ENOUGH
        if self._waiting or self._outbox.taken:
            self._is_idle.clear()
        else:
            self._is_idle.set()

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
            conversation = await self._ready.get()
            if self._is_stopping:  # what began now would be cut off: it is given back instead
                return
            await self._advance(self._submitters[connection], conversation)

    async def _advance(self, submitter: Submitter, conversation: str) -> None:
        """Try the first row of a conversation; when it must wait, so must those behind it."""
        rows = self._conversations[conversation]
        task = asyncio.current_task()
        assert task is not None
        self._under_way[task] = rows[0]
        try:
            is_done = await self._submit_one(submitter, rows[0])
        except Exception:  # noqa: BLE001 - a bug here must not stop the other mail
            log.logger.exception("id=%s: %s stays", rows[0].source, rows[0].message_id)
            is_done = False
        finally:
            del self._under_way[task]
        if is_done:
            rows.popleft()
            self._count(-1)
            if rows:
                self._ready.put_nowait(conversation)
            else:
                del self._conversations[conversation]
        else:
            del self._conversations[conversation]
            self._held_back[conversation] = time.monotonic()
            self._count(-len(rows))
            await self._change(self._outbox.release, [row.id for row in rows][1:])

    async def _submit_one(self, submitter: Submitter, row: Outgoing) -> bool:
        """Try one row once. True when it is done with, False when it was given back."""
        if time.time() > row.lease_until - LEASE_MARGIN:  # it waited too long here
            await self._change(self._outbox.release, [row.id])
            return False
        try:
            if time.monotonic() < self._down_until:
                raise SubmitterDown(row.last_error or "submission does not answer")
            outcome = await submitter.submit(row)
        except SubmitterDown as error:
            self._down_until = max(self._down_until, time.monotonic() + 1.0)
            return await self._defer(row, str(error))
        except Exception as error:  # noqa: BLE001 - a bug here must not stop the other mail
            log.logger.exception("id=%s: submitting %s failed", row.source, row.message_id)
            return await self._defer(row, repr(error))
        if failpoint.ACTIVE:
            failpoint.reach(failpoint.AFTER_SUBMISSION)
        return await self._conclude(row, outcome)

    async def _conclude(self, row: Outgoing, outcome: Outcome) -> bool:
        refused = {refusal.recipient for refusal in outcome.refusals}
        if taken := [one for one in row.recipients if one not in refused]:
            log.event(
                "submitted",
                row.source,
                message_id=row.message_id,
                recipients=",".join(taken),
                reply=outcome.reply,
            )
        later = []
        for refusal in outcome.refusals:
            reason = f"refused by the submission server: {refusal.reply}"
            if not refusal.is_permanent or not await self._give_up(row, refusal.recipient, reason):
                later.append(refusal)
        if later:
            row.recipients = tuple(refusal.recipient for refusal in later)
            return await self._defer(row, later[0].reply)
        self._outbox.forget(row.id)
        self._has_taken.set()
        return True

    async def _defer(self, row: Outgoing, reason: str) -> bool:
        """Give a row back for later, or give it up when it is too old. True when given up."""
        row.attempts += 1
        row.last_error = reason
        if time.time() - row.created_at > self._max_age:
            why = f"given up after {row.attempts} attempts: {reason}"
            if await self._give_up(row, ", ".join(row.recipients), why):
                self._outbox.forget(row.id)
                self._has_taken.set()
                return True
        delay = min(FIRST_DELAY * 2 ** (row.attempts - 1), LONGEST_DELAY) * random.uniform(0.8, 1.2)
        log.event(
            "deferred",
            row.source,
            message_id=row.message_id,
            recipients=",".join(row.recipients),
            attempt=row.attempts,
            delay=f"{delay:.0f}",
            reason=reason,
        )
        await self._change(self._outbox.defer, row, time.time() + delay)
        return False

    async def _give_up(self, row: Outgoing, recipients: str, reason: str) -> bool:
        """Keep the message in the undeliverable queue. False when even that failed."""
        entry = Kept(row.content, reason, row.sender, recipients, row.source)
        log.event(
            "refused", row.source, message_id=row.message_id, recipients=recipients, reason=reason
        )
        try:
            await asyncio.to_thread(keep, self._undeliverable, entry)
        except OSError as error:
            log.logger.error("id=%s: the undeliverable queue failed: %s", row.source, error)
            return False
        return True

    async def _delete_for_ever(self) -> None:
        while True:
            await self._has_taken.wait()
            if self._is_busy(RIDE):  # then the next delivery's transaction deletes them
                await asyncio.sleep(RIDE)
            await self._delete_taken()

    async def _delete_taken(self) -> None:
        self._has_taken.clear()
        if self._outbox.has_forgotten:
            await self._change(self._outbox.delete_now)
        self._count(0)
        log.flush()

    async def _sweep_for_ever(self) -> None:
        while True:
            long_ago = time.monotonic() - HOLD_BACK
            for name in [name for name, at in self._held_back.items() if at < long_ago]:
                del self._held_back[name]
            await self._renew()
            if time.monotonic() >= self._down_until:
                await self.sweep()
            await asyncio.sleep(SWEEP_INTERVAL)
            if self._outbox.has_forgotten and not self._unwritten:
                self._has_taken.set()  # the transaction that took them along has failed
            self._count(0)

    async def _renew(self) -> None:
        """Keep the lease of what is under way: a slow server must not be given it twice."""
        limit = time.time() + LEASE_MARGIN
        rows = [row for row in self._under_way.values() if row.lease_until < limit]
        if rows:
            await self._change(self._outbox.renew, rows)

    async def sweep(self) -> None:
        """Take what is due from the table, until nothing is or enough waits in memory."""
        while self._waiting < ENOUGH and await self._catch_up():
            before = self._known()
            try:
                rows = await asyncio.to_thread(self._outbox.claim, SWEEP_LIMIT)
            except Exception as error:  # noqa: BLE001 - the next sweep tries again
                _explain(error)
                return
            known = self._known()
            new = [row for row in rows if row.id not in known]
            if any(row.id in before for row in new):  # submitted meanwhile, or given back
                await self._change(self._outbox.release, [row.id for row in new])
                return
            for row in rows:
                self._held_back.pop(row.conversation, None)
            self.submit(new)
            if len(rows) < SWEEP_LIMIT:
                return

    def _known(self) -> set[int]:
        """Rows that wait here, or that Postfix has taken.

        The table may offer these again after a jump of the clock, or a long wait for the database.
        """
        waiting = {row.id for rows in self._conversations.values() for row in rows}
        return waiting | self._outbox.taken

    async def _change(self, function: Callable[..., object], *arguments: object) -> None:
        """Change the table, off the loop; later, when the database fails now."""
        change = partial(function, *arguments)
        if not await self._is_made(change):
            self._unwritten.append(change)

    async def _catch_up(self) -> bool:
        """Make the changes that the table lacks. False when the database fails still."""
        while self._unwritten:
            if not await self._is_made(self._unwritten[0], is_last=True):
                return False
            self._unwritten.popleft()
        return True

    @staticmethod
    async def _is_made(change: Callable[[], object], *, is_last: bool = False) -> bool:
        """Try a change. False where it is worth another attempt.

        One that fails for a reason that nobody expected is tried twice. Then its rows are left to
        the end of their lease: it must not keep all others waiting for ever.
        """
        try:
            await asyncio.to_thread(change)
        except Exception as error:  # noqa: BLE001 - a bug here must not stop the other mail
            _explain(error)
            if failure.is_outage(error):
                return False
            return is_last or isinstance(error, SQLAlchemyError)
        return True


def _explain(error: Exception) -> None:
    """Log a failure of the database in one line, any other with its traceback."""
    is_known = failure.is_known(error)
    log.logger.error(_FAILED, failure.brief(error), exc_info=None if is_known else error)
