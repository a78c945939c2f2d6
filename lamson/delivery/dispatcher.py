"""The dispatcher: deliveries in from the event loop, batches through worker threads, replies out.

`deliver` and every reply happen on the loop's thread; handlers and SQL happen on the threads of a
`Pool`. Deliveries whose handlers are known to be quick share a transaction (see
lamson/delivery/transaction.py); a handler not yet known, or known to be slow, runs alone.

When things go wrong every recipient still gets a reply: 451 when the database failed, when a
handler passed its deadline, and for a message that is being handled at this moment already.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol, cast

from lamson import log, metrics, telemetry
from lamson.delivery import spans
from lamson.delivery.batches import Batches
from lamson.delivery.chore import Chore
from lamson.delivery.costs import Costs
from lamson.delivery.gathering import Gathering
from lamson.delivery.job import Job
from lamson.delivery.pool import Pool
from lamson.delivery.traffic import Traffic
from lamson.message.parsed import ParsedMessage
from lamson.message.request import MailRequest
from lamson.routing.router import Momentary
from lamson.smtp import address
from lamson.smtp.envelope import Recipient
from lamson.smtp.reply import BUSY, LOCAL_ERROR, Reply
from lamson.storage import seen_key
from lamson.storage.state import StateKey
from lamson.storage.suspects import Suspects, crash_key

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from lamson.delivery.judging import Judging
    from lamson.delivery.pool import Work
    from lamson.delivery.transaction import Transactions
    from lamson.message.notes import Notary
    from lamson.message.witness import Witness
    from lamson.routing.router import Match, Router
    from lamson.smtp.envelope import Envelope
    from lamson.storage.outgoing import Outgoing
    from lamson.storage.seen_key import Key


ASIDE = 4  # threads for what is done outside of transactions


class Outlet(Protocol):
    """What takes mail on that was committed. Both methods are called on the loop's thread."""

    def submit(self, rows: Sequence[Outgoing]) -> None:
        """Take over committed rows that are leased to this process."""

    def give_back(self, rows: Sequence[Outgoing]) -> None:
        """Let go of rows that may be in the table, leased to us, though their commit failed."""


class _NotKept(Exception):
    """Carries matches past the cache: a token may end at any time, and anybody can make up more
    addresses that look as if they had one than the cache holds."""

    def __init__(self, found: Sequence[Match]) -> None:
        super().__init__()
        self.found = found


class Dispatcher:
    """Runs deliveries for one process."""

    def __init__(
        self,
        router: Router,
        transactions: Transactions,
        *,
        threads: int = 8,
        batch_limit: int = 256,
        deadline: float = 300.0,
        run_dir: Path | None = None,
        is_inline: bool = False,
        notary: Notary | None = None,
        witness: Witness | None = None,
        judging: Judging | None = None,
        traffic: Traffic | None = None,
        outlet: Outlet | None = None,
        on_stuck: Callable[[], None] = lambda: None,
    ) -> None:
        """``deadline``: seconds after which a delivery is answered 451 whatever its handler does.

        With SQLite one thread is right: it has one writer. In ``run_dir`` each thread notes what it
        runs, for the case that the process dies over it; None notes nothing. With ``is_inline``
        handlers that have always been instantaneous run on the loop: right where no database is.
        ``notary`` verifies the filters' notes, ``witness`` tells what proves an author, and
        ``judging`` what is spam, to handlers that want that known. ``traffic``
        is for whoever wants to know what is under way. Without an ``outlet`` nobody takes mail on.
        ``on_stuck`` is called, on the loop's thread, when a handler passed its deadline.
        """
        # The same few addresses are written to over and over.
        self._match = lru_cache(maxsize=1024)(self._look_up)
        self._router = router
        self._transactions = transactions
        self._deadline = deadline
        self._is_inline = is_inline
        self._notary = notary
        self._witness = witness
        self._judging = judging
        self._traffic = traffic or Traffic()
        self._pending = self._traffic.pending
        self._outlet = outlet
        self._on_stuck = on_stuck
        self._suspects = Suspects(run_dir) if run_dir is not None else None
        self._costs = Costs()
        self._batches = Batches(transactions, self._costs.record)
        self._pool = Pool(self._run, threads=threads, batch_limit=batch_limit, run_dir=run_dir)
        self._gathering = Gathering(self._traffic, batch_limit, self._hand_over)
        # What makes calls to the world is not to keep deliveries waiting.
        self._aside = Pool(self._run, threads=ASIDE, batch_limit=1, run_dir=run_dir, name="aside")
        self._running: set[Key] = set()
        self._chores: set[Chore] = set()
        self._finished: deque[Work] = deque()
        self._is_report_due = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watchdog: asyncio.TimerHandle | None = None
        self._ticked = time.monotonic()
        self._is_stopped = threading.Event()

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the threads; replies are given on ``loop``."""
        self._loop = loop
        if self._is_inline:
            threading.Thread(target=self._guard_loop, daemon=True).start()
        self._pool.start()
        self._aside.start()
        self._watch()

    def stop(self) -> None:
        """End the threads once they have done what waits. Does not wait for them."""
        self._is_stopped.set()
        self._pool.stop()
        if self._judging is not None:
            self._judging.stop()
        self._aside.stop()
        if self._watchdog is not None:
            self._watchdog.cancel()

    @property
    def pending(self) -> int:
        """Deliveries that have no reply yet."""
        return len(self._pending)

    def route(self, recipient: str) -> Sequence[Match]:
        """The routes that ``recipient`` matches; none means that it must be refused."""
        try:
            return self._match(recipient)
        except _NotKept as passing:
            return passing.found

    def _look_up(self, recipient: str) -> Sequence[Match]:
        with self._pool.routing():
            found = self._router.match(recipient)
        if isinstance(found, Momentary):
            raise _NotKept(found)
        return found

    def deliver(
        self,
        envelope: Envelope,
        content: bytes,
        routed: Sequence[Sequence[Match]],
        done: Callable[[int, Reply], None],
        *,
        again: str = "",
        original: Key | None = None,
        state: str = "",
    ) -> None:
        """Take a message over: ``done(index, reply)`` is called once for each recipient.

        ``routed`` holds what `route` gave for each of ``envelope.recipients``. A recipient that
        stands there twice is handled once and answered twice.

        ``again`` is for a message that was kept: the name that it is kept under. It is run whatever
        was handled before, but once under that name, and a failure is a reply like any other: the
        message is not kept once more. ``original`` is the key of the delivery that was kept, which
        counts as handled too from then on. ``state`` is where its author stood then (the state
        key's module and the state): the handler meets it there, and where it fails the author stays
        where he is.
        """
        shared = ParsedMessage(content, self._notary, self._witness)
        source = seen_key.kept_source(again) if again else seen_key.source(envelope, content)
        jobs: dict[str, Job] = {}
        metrics.count_message(len(content), len(envelope.recipients))
        now = self._traffic.came_at = time.monotonic()
        for index, recipient in enumerate(envelope.recipients):
            identity = address.normalise(recipient)
            job = jobs.get(identity)
            if job is None:
                key = None
                if source is not None:
                    key = source.key(envelope.sender, identity)
                    if key in self._running:
                        metrics.count_reply(BUSY.code)
                        done(index, BUSY)
                        continue
                    self._running.add(key)
                message = MailRequest(shared, envelope, Recipient(recipient))
                job = jobs[identity] = Job(message, routed[index], key, done)
                job.is_again, job.original = bool(again), original
                module, _, job.resume_in = state.rpartition(" ")
                if module:
                    job.resumes = StateKey.make(module, message.author)
                job.started = now
                handlers = ",".join([match.handler.full_name for match in job.matches])
                log.event("routed", envelope.id, recipient=identity, handlers=handlers)
                if telemetry.ACTIVE:
                    job.span = spans.received(job)
            job.indexes.append(index)
        if jobs:
            self._take(list(jobs.values()))

    def do(self, chore: Chore, *, aside: bool = False) -> None:
        """Have a thread do ``chore``, under the deadline of a handler; on the loop's thread.

        What holds no transaction is done ``aside``: deliveries do not wait for it.
        """
        if self._suspects is not None:
            self._suspects.refresh()
            chore.deaths = self._suspects.deaths(chore.crash_key)
        self._chores.add(chore)
        (self._aside if aside else self._pool).put([chore], is_quick=False)

    def suspected(self, crash_keys: Sequence[bytes]) -> set[bytes]:
        """Those over which workers died: they are to be done alone."""
        if self._suspects is None:
            return set()
        self._suspects.refresh()
        return {key for key in crash_keys if self._suspects.deaths(key)}

    def _take(self, jobs: list[Job]) -> None:
        """Have the deliveries of one message judged that want to be, and go on with the others."""
        self._pending.update(jobs)
        judging = self._judging
        judged = [job for job in jobs if judging.wants(job)] if judging is not None else []
        if judging is not None and judged and self._loop is not None:
            judging.judge(judged, self._loop, self._go_on)
            jobs = [job for job in jobs if job not in judged]
        if jobs:
            self._go_on(jobs)

    def _go_on(self, jobs: list[Job]) -> None:
        """Run deliveries here and now, or let them wait for a thread."""
        if self._suspects is not None:
            for job in jobs:
                message = job.message
                job.crash_key = (
                    job.key.name
                    if job.key is not None
                    else crash_key(message.envelope.sender, message.recipient.address, message.raw)
                )
                job.deaths = self._suspects.deaths(job.crash_key)
        if self._is_inline and all(map(self._is_instant, jobs)):
            self._is_report_due = True  # at once, without a wake-up
            self._pool.run_here(jobs)
            self._report()
        else:
            self._gathering.add(jobs, self._loop)

    def _is_instant(self, job: Job) -> bool:
        return not job.deaths and self._costs.is_instant(job)

    def _hand_over(self, arrived: Sequence[Job]) -> None:
        """Give what arrived to the threads: quick handlers together."""
        together: list[Job] = []
        if self._suspects is not None:
            self._suspects.refresh()
            for job in arrived:
                job.deaths = self._suspects.deaths(job.crash_key)
        for job in arrived:
            if not job.deaths and self._costs.is_quick(job):
                together.append(job)
            else:
                self._pool.put([job], is_quick=False)
        if together:
            self._pool.put(together, is_quick=True)

    def _run(self, batch: Sequence[Work]) -> None:
        """On a thread of the pool: run a batch, and hand the replies to the loop."""
        try:
            if isinstance(batch[0], Chore):  # is alone
                batch[0].run()
            else:
                self._batches.run(cast("Sequence[Job]", batch))
        finally:
            self._finished.extend(batch)
            if not self._is_report_due and self._loop is not None:
                self._is_report_due = True
                with suppress(RuntimeError):  # the loop is closed: nobody waits for the reply
                    self._loop.call_soon_threadsafe(self._report)

    def _report(self) -> None:
        """On the loop: give the outlet its work, and then the replies, whatever comes of that."""
        self._is_report_due = False
        try:
            self._hand_on()
        except Exception:  # noqa: BLE001 - these rows are claimed once their lease is over
            log.logger.exception("mail that was committed is not taken on for now")
        finished = self._finished
        for _ in range(len(finished)):
            job = finished.popleft()
            if isinstance(job, Chore):
                self._chores.discard(job)
                job.done()
                continue
            if job.key is not None:
                self._running.discard(job.key)
            self._answer(job, job.reply or LOCAL_ERROR)

    def _hand_on(self) -> None:
        """What is in doubt first: later mail of its conversation must not leave before it."""
        if self._outlet is None:
            return
        outgoing, doubtful = self._transactions.outgoing, self._transactions.doubtful
        rows = [outgoing.popleft() for _ in range(len(outgoing))]
        if doubtful:
            self._outlet.give_back([doubtful.popleft() for _ in range(len(doubtful))])
        if rows:
            self._outlet.submit(rows)

    def _answer(self, job: Job, reply: Reply) -> None:
        if job in self._pending:
            self._pending.remove(job)
            metrics.count_reply(reply.code, len(job.indexes))
            if job.span is not None:
                spans.answered(job, reply)
            for index in job.indexes:
                try:
                    job.done(index, reply)
                except Exception:  # noqa: BLE001 - the others wait for their replies too
                    log.logger.exception("id=%s: cannot reply", job.message.envelope.id)

    def _watch(self) -> None:
        """Once a second: answer for handlers that passed their deadline."""
        assert self._loop is not None
        self._watchdog = self._loop.call_later(1.0, self._watch)
        if self._suspects is not None:
            self._suspects.refresh()
        self._ticked = time.monotonic()
        limit = self._ticked - self._deadline
        late = [job for job in self._pending if job.started < limit]
        for job in late:
            message = job.message
            log.event(
                "late", message.envelope.id, recipient=message.recipient, seconds=self._deadline
            )
            self._answer(job, LOCAL_ERROR)
        if self._are_late(limit) or late:
            self._on_stuck()
        log.flush()

    def _are_late(self, limit: float) -> bool:
        """Whether a chore has passed its deadline since this was asked last."""
        late = [one for one in self._chores if 0 < one.started < limit and not one.is_late]
        for chore in late:
            chore.is_late = True
            log.logger.error("%s passed its deadline of %g s", chore.name, self._deadline)
        return bool(late)

    def _guard_loop(self) -> None:
        """End the process when a handler on the loop passes its deadline: nothing else can.

        The supervisor replaces it, and suspects that delivery: it will have a thread next time.
        """
        while not self._is_stopped.wait(1.0):
            if time.monotonic() - self._ticked > self._deadline:
                log.logger.error("a handler holds up the loop beyond its deadline: ending")
                os.kill(os.getpid(), signal.SIGKILL)
