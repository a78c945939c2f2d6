"""The dispatcher: deliveries in from the event loop, batches through worker threads, replies out.

`deliver` and every reply happen on the loop's thread; handlers and SQL happen on the dispatcher's
threads. A thread takes one delivery and, when its handlers are known to be quick, what else waits:
that batch shares one transaction (see lamson/delivery/transaction.py). A handler not yet known, or
known to be slow, runs alone.

When things go wrong every recipient still gets a reply: 451 when the database failed, when a
handler passed its deadline, and for a message that is being handled at this moment already.
"""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
import zlib
from collections import deque
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING

from sqlalchemy import exc

from lamson import log
from lamson.delivery.transaction import Batcher, Job
from lamson.message.parsed import ParsedMessage
from lamson.message.request import MailRequest
from lamson.smtp import address
from lamson.smtp.envelope import Recipient
from lamson.smtp.reply import BUSY, LOCAL_ERROR, Reply
from lamson.storage import failure, seen
from lamson.storage.suspects import TOO_OFTEN, InFlight, Suspects

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from lamson.message.notes import Notary
    from lamson.routing.decorators import Handler, Match, Router
    from lamson.smtp.envelope import Envelope
    from lamson.storage.outbox import Outgoing

QUICK = 0.005  # seconds: handlers faster than this may share a transaction
INSTANT = 0.0001  # seconds: handlers faster than this may run without a thread
GATHER = 0.001  # seconds that a delivery may wait for others to share its transaction
ATTEMPTS = 3  # runs of a delivery by itself, after a conflict with others
RERUN = 30.0  # seconds after which no more of a batch is run again
_CRASH_KEY_PREFIX = 1024  # octets that are summed up; that of 50 MB would hold up the loop

_Work = tuple[
    bool, list[Job]
]  # whether more may be added, and what runs together; [] ends a thread


class Dispatcher:
    """Runs deliveries for one process."""

    def __init__(
        self,
        router: Router,
        batcher: Batcher,
        *,
        threads: int = 8,
        batch_limit: int = 256,
        deadline: float = 300.0,
        run_dir: Path | None = None,
        is_inline: bool = False,
    ) -> None:
        """``deadline``: seconds after which a delivery is answered 451 whatever its handler does.

        With SQLite one thread is right: it has one writer. In ``run_dir`` each thread notes what it
        runs, for the case that the process dies over it; None notes nothing. With ``is_inline``
        handlers that have always been instantaneous run on the loop: right where no database is.
        Those with states do not: the states are locked while the handler of another thread runs.
        """
        # The same few addresses are written to over and over.
        self._match = lru_cache(maxsize=1024)(router.match)
        self._batcher = batcher
        self._batch_limit = batch_limit
        self._deadline = deadline
        self._run_dir = run_dir
        self._is_inline = is_inline
        self._loop_notes: InFlight | None = None
        self._ticked = time.monotonic()
        self._is_stopped = threading.Event()
        self._suspects = Suspects(run_dir) if run_dir is not None else None
        self._arrived: list[Job] = []
        self._expected = 1  # deliveries to wait for, as so many were under way the last time
        self._gathering: asyncio.TimerHandle | None = None
        self._is_hand_over_due = False
        self._queue: queue.SimpleQueue[_Work] = queue.SimpleQueue()
        self._suspected: deque[list[Job]] = deque()  # each waits for its turn to run alone
        self._suspect_turn = threading.Lock()
        self._threads = [
            threading.Thread(target=self._work, args=(str(number),), daemon=True)
            for number in range(threads)
        ]
        self._cost: dict[Handler, float] = {}
        self._delivered_at = 0.0  # when the last message came (monotonic)
        self._pending: set[Job] = set()
        self._running: set[bytes] = set()
        self._finished: deque[Job] = deque()
        self._outgoing: deque[Outgoing] = deque()
        self._is_report_due = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watchdog: asyncio.TimerHandle | None = None
        self.on_outgoing: Callable[[Sequence[Outgoing]], None] = lambda rows: None
        self.on_doubtful: Callable[[Sequence[int]], None] = lambda ids: None
        self.on_stuck: Callable[[], None] = lambda: None
        self.notary: Notary | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the threads; replies are given on ``loop``."""
        self._loop = loop
        if self._run_dir is not None:
            self._loop_notes = InFlight(self._run_dir, "loop")
        if self._is_inline:
            threading.Thread(target=self._guard_loop, daemon=True).start()
        for thread in self._threads:
            thread.start()
        self._watch()

    def stop(self) -> None:
        """End the threads once they have done what waits. Does not wait for them."""
        self._is_stopped.set()
        for _ in self._threads:
            self._queue.put((False, []))
        if self._watchdog is not None:
            self._watchdog.cancel()

    @property
    def pending(self) -> int:
        """Deliveries that have no reply yet."""
        return len(self._pending)

    def is_busy(self, seconds: float) -> bool:
        """Whether deliveries are under way, or one came within these last ``seconds``."""
        return bool(self._pending) or time.monotonic() - self._delivered_at < seconds

    def route(self, recipient: str) -> Sequence[Match]:
        """The routes that ``recipient`` matches; none means that it must be refused."""
        return self._match(recipient)

    def deliver(
        self,
        envelope: Envelope,
        content: bytes,
        routed: Sequence[Sequence[Match]],
        done: Callable[[int, Reply], None],
        *,
        again: str = "",
    ) -> None:
        """Take a message over: ``done(index, reply)`` is called once for each recipient.

        ``routed`` holds what `route` gave for each of ``envelope.recipients``. A recipient that
        stands there twice is handled once and answered twice.

        ``again`` is for a message that was kept: the name that it is kept under. It is run whatever
        was handled before, but once under that name, and a failure is a reply like any other: the
        message is not kept once more.
        """
        shared = ParsedMessage(content, self.notary)
        source = seen.kept_id(again) if again else seen.source_id(envelope, content)
        jobs: dict[str, Job] = {}
        now = self._delivered_at = time.monotonic()
        for index, recipient in enumerate(envelope.recipients):
            identity = address.normalise(recipient)
            job = jobs.get(identity)
            if job is None:
                key = None
                if source is not None:
                    key = seen.digest(source, envelope.sender, identity)
                    if key in self._running:
                        done(index, BUSY)
                        continue
                    self._running.add(key)
                message = MailRequest(shared, envelope, Recipient(recipient))
                job = jobs[identity] = Job(message, routed[index], key, done)
                job.is_again = bool(again)
                job.started = now
                handlers = ",".join([match.handler.full_name for match in job.matches])
                log.event("routed", envelope.id, recipient=identity, handlers=handlers)
            job.indexes.append(index)
        if jobs:
            self._take(list(jobs.values()))

    def _take(self, jobs: list[Job]) -> None:
        """Run the deliveries of one message here and now, or let them wait for a thread."""
        self._pending.update(jobs)
        if self._suspects is not None:
            for job in jobs:
                job.crash_key = job.key or _crash_key(job.message)
                job.deaths = self._suspects.deaths(job.crash_key)
        if self._is_inline and all(map(self._is_instant, jobs)):
            self._is_report_due = True  # at once, without a wake-up
            self._run_noted(jobs, self._loop_notes)
            self._report()
            return
        self._arrived += jobs
        if self._is_hand_over_due or self._loop is None:
            return
        if len(self._arrived) >= self._expected:
            self._is_hand_over_due = True
            self._loop.call_soon(self._hand_over)
        elif self._gathering is None:
            self._gathering = self._loop.call_later(GATHER, self._hand_over)

    def _is_instant(self, job: Job) -> bool:
        for match in job.matches:
            handler = match.handler
            if not handler.is_stateless or self._cost.get(handler, QUICK) >= INSTANT:
                return False
        return not job.deaths

    def _hand_over(self) -> None:
        """Give what arrived to the threads: quick handlers together.

        Where several clients send at a time, what they send after the replies to one batch arrives
        within a moment. To wait for that saves a transaction; whoever sends alone need not wait.
        """
        arrived, self._arrived = self._arrived, []
        self._is_hand_over_due = False
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None
        if len(arrived) < self._expected:
            self._expected = max(1, len(arrived))
        else:
            self._expected = min(len(self._pending), self._batch_limit)
        together: list[Job] = []
        if self._suspects is not None:
            self._suspects.refresh()
            for job in arrived:
                job.deaths = self._suspects.deaths(job.crash_key)
        for job in arrived:
            cost = max([self._cost.get(match.handler, QUICK) for match in job.matches])
            if cost < QUICK and not job.deaths:
                together.append(job)
            else:
                self._queue.put((False, [job]))
        if together:
            self._queue.put((True, together))

    def _work(self, name: str) -> None:
        """What a thread does: take what may run together, run it, hand the replies to the loop."""
        notes = InFlight(self._run_dir, name) if self._run_dir is not None else None
        held: _Work | None = None
        while True:
            is_quick, batch = held or self._queue.get()
            held = None
            if not batch:
                return
            while is_quick and len(batch) < self._batch_limit:
                try:
                    held = self._queue.get_nowait()
                except queue.Empty:
                    break
                if not held[0]:
                    break
                batch += held[1]
                held = None
            if batch[0].deaths:
                self._run_suspects(batch, notes)
            else:
                self._run_noted(batch, notes)

    def _run_suspects(self, batch: list[Job], notes: InFlight | None) -> None:
        """Run a suspect while no other thread runs one, else leave it to the thread that does.

        Those that came back together would be under way together again, and should one of them
        kill the process, be counted with it each time.
        """
        self._suspected.append(batch)
        while self._suspected and self._suspect_turn.acquire(blocking=False):
            try:
                if self._suspected:  # another thread may have had its turn just before
                    self._run_noted(self._suspected.popleft(), notes)
            finally:
                self._suspect_turn.release()

    def _record(self, job: Job, seconds: float) -> None:
        """Learn how long handlers take: slowness at once, quickness little by little."""
        for match in job.matches:
            known = self._cost.get(match.handler, 0.0)
            self._cost[match.handler] = max(seconds, 0.9 * known + 0.1 * seconds)

    def _run_noted(self, batch: Sequence[Job], notes: InFlight | None) -> None:
        if notes is None:
            self._run(batch)
        else:
            notes.begin([job.crash_key for job in batch])
            self._run(batch)
            notes.end()

    def _run(self, batch: Sequence[Job]) -> None:
        try:
            if batch[0].deaths >= TOO_OFTEN:  # a suspect is alone
                self._batcher.give_up(batch[0])
                return
            try:
                self._outgoing.extend(self._batcher.run(batch, self._record))
            except exc.SQLAlchemyError as error:
                if len(batch) == 1 or not failure.is_one_deliverys(error):
                    raise
                log.logger.warning(
                    "%d deliveries are run again one by one: %s", len(batch), failure.brief(error)
                )
            undone = [job for job in batch if job.reply is None]
            limit = time.monotonic() + RERUN if undone else 0.0
            for job in undone:
                if time.monotonic() < limit:
                    self._run_again(job)
        except BaseException as error:  # noqa: BLE001 - a thread that dies would answer nobody
            self._explain(error, [job for job in batch if job.reply is None])
        finally:
            for job in batch:
                if job.reply is None:
                    job.reply = LOCAL_ERROR
            self._finished.extend(batch)
            if not self._is_report_due and self._loop is not None:
                self._is_report_due = True
                with suppress(RuntimeError):  # the loop is closed: nobody waits for the reply
                    self._loop.call_soon_threadsafe(self._report)

    def _run_again(self, job: Job) -> None:
        """Run one delivery alone that was undone by a conflict, or by a neighbour's failure."""
        for _ in range(ATTEMPTS):
            try:
                self._outgoing.extend(self._batcher.run([job], self._record))
            except exc.SQLAlchemyError as error:
                if not failure.is_conflict(error):
                    self._explain(error, [job])
                    job.reply = LOCAL_ERROR
            if job.reply is not None:
                return
        message = job.message
        log.logger.error(
            "id=%s recipient=%s: answered 451: in conflict with other deliveries %d times",
            message.envelope.id,
            message.recipient,
            ATTEMPTS,
        )

    def _report(self) -> None:
        """On the loop: give the replies, and the relay its work."""
        self._is_report_due = False
        if self._outgoing:
            rows = [self._outgoing.popleft() for _ in range(len(self._outgoing))]
            self.on_outgoing(rows)
        if doubtful := self._batcher.doubtful:
            self.on_doubtful([doubtful.popleft() for _ in range(len(doubtful))])
        finished = self._finished
        for _ in range(len(finished)):
            job = finished.popleft()
            if job.key is not None:
                self._running.discard(job.key)
            self._answer(job, job.reply or LOCAL_ERROR)

    def _answer(self, job: Job, reply: Reply) -> None:
        if job in self._pending:
            self._pending.remove(job)
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
        if late:
            self.on_stuck()
        log.flush()

    def _guard_loop(self) -> None:
        """End the process when a handler on the loop passes its deadline: nothing else can.

        The supervisor replaces it, and suspects that delivery: it will have a thread next time.
        """
        while not self._is_stopped.wait(1.0):
            if time.monotonic() - self._ticked > self._deadline:
                log.logger.error("a handler holds up the loop beyond its deadline: ending")
                os.kill(os.getpid(), signal.SIGKILL)

    def _explain(self, error: BaseException, batch: Sequence[Job]) -> None:
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


def _crash_key(message: MailRequest) -> bytes:
    """What a crash is counted against where nothing identifies the queue entry; 32 octets."""
    envelope = f"{message.envelope.sender} {message.recipient.address}".encode()
    content = message.raw
    return b"%08x%08x%016x" % (
        zlib.crc32(content[:_CRASH_KEY_PREFIX]),
        zlib.crc32(envelope),
        len(content),
    )
