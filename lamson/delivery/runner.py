"""The runner: finds tasks that are due, and has the dispatcher's threads do them.

One in each process, on its loop; all processes of all nodes look into the same table, and each task
is done once (see lamson/delivery/errands.py). It looks twice a second, and at once when it is told
that something waits: so a timer wakes no earlier than it is due, and within a second. What is quick
it hands over together, to share a transaction, but for no longer than mail that comes meanwhile can
wait; what is slow, one by one.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from lamson import log
from lamson.delivery.chore import Chore
from lamson.delivery.errand import crash_key
from lamson.delivery.errands import LONGEST_PAUSE, Fate
from lamson.storage import failure, tasks
from lamson.storage.leaps import Leaps
from lamson.storage.patience import patience

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy.engine import Connection

    from lamson.delivery.errands import Errands
    from lamson.storage.database import Database
    from lamson.storage.tasks import Task

LOOK = 0.5  # seconds between two looks, where nothing is due before
FOUND = 256  # tasks of one look
WINDOW = 64  # of these, whose order counts for nothing
QUICK = 0.02  # seconds: where tasks take less, more of them are handed over than there are hands:
AHEAD = 2  # so many times as many; of those that share a transaction so many batches
TOGETHER = 0.05  # seconds that tasks which share a transaction may take where mail waits for that,
BATCH = 64  # and how many they are, at most
TAKEN = 0.1  # seconds until the next look, where others were quicker
MEND = 60.0  # seconds between looks for what waits longer than it could
OUTAGE = 1.0  # seconds between two looks while the database does not answer
RESTS = {Fate.GONE: 1.0, Fate.DUE: 5.0}  # seconds before a task is looked at again
AFTER_LEAP = 5.0  # seconds after one of the clock in which all notice it, and lease anew
ASIDE = 8  # tasks outside of a transaction at a time: some wait for a thread


class Hands(Protocol):
    """Who does chores: the dispatcher."""

    def do(self, chore: Chore, *, aside: bool = False) -> None: ...

    def suspected(self, crash_keys: Sequence[bytes]) -> set[bytes]: ...


class Runner:
    """``limit`` chores at a time are handed over, more where they are quick; ``clock`` gives
    seconds since the epoch."""

    def __init__(
        self,
        database: Database,
        errands: Errands,
        hands: Hands,
        *,
        limit: int = 1,
        together: float = TOGETHER,
        clock: Callable[[], float] = time.time,
        prepare: Callable[[Connection], None] = lambda connection: None,
        mend: Callable[[Connection, float], None] = lambda connection, now: None,
    ) -> None:
        """``prepare`` is done in a transaction before anything else, once; ``mend`` is done from
        time to time, and when the clock went back: it is given the time. ``together`` is for how
        many seconds tasks may share a transaction.
        """
        self.errands = errands
        self.register = errands.register
        self._database = database
        self._hands = hands
        self._limit = limit
        self._together = together
        self._clock = clock
        self._prepare: Callable[[Connection], None] | None = prepare
        self._mend = mend
        self._leaps = Leaps(clock)
        self._found: deque[Task] = deque()
        self._under_way: dict[int, Fate] = {}
        self._resting: dict[int, float] = {}
        self._inside = self._outside = 0  # chores
        self._has_news = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._costs: dict[str, float] = {}  # seconds that a task takes, by kind
        self._is_down = False
        self._mended = 0.0

    def start(self) -> None:
        """Begin, on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.create_task(self._run())

    def stop(self) -> None:
        """Hand over no other task."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def poke(self) -> None:
        """Something may be due now. From any thread."""
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._has_news.set)

    async def do(self, task: Task) -> Fate:
        """Have this one done now, whatever else is due; gives what became of it."""
        done = asyncio.Event()
        fates: list[Fate] = []
        self._hands.do(
            _chore([task], lambda deaths: fates.append(self.errands.run(task, deaths)), done.set),
            aside=self.errands.is_outside(task),
        )
        await done.wait()
        return fates[0]

    async def _run(self) -> None:
        while True:
            self._has_news.clear()
            try:
                pause = await self._turn()
            except Exception:  # noqa: BLE001 - were it to end, no task would be done any more
                log.logger.exception("tasks: a failure that was not expected; going on")
                self._found.clear()  # some may be under way; the others are found again
                pause = OUTAGE
            if pause > 0:
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._has_news.wait()

    async def _turn(self) -> float:
        """Hand over what there is; gives the seconds to wait."""
        self._hand_over()
        has_leapt = self._leaps.is_recent(AFTER_LEAP)
        inside = self._inside < self._limit * AHEAD and not self._found
        outside = self._outside < ASIDE and bool(self.errands.kinds_outside) and not has_leapt
        try:
            if has_leapt:
                with patience():
                    await asyncio.to_thread(self.errands.renew_leases)
            if not inside and not outside:
                return LOOK  # a chore that is done wakes it
            with patience():
                found, due_at = await asyncio.to_thread(self._look, inside, outside)
            self._is_down = False
        except Exception as error:  # noqa: BLE001 - the next look comes all the same
            self._explain(error)
            return OUTAGE
        known = self._under_way.keys() | self._at_rest()
        fresh = [task for task in found if task.id not in known]
        for at in range(0, len(fresh), WINDOW):
            window = fresh[at : at + WINDOW]
            random.shuffle(window)  # others look, too: each begins elsewhere
            self._found.extend(window)
        self._hand_over()
        if fresh:
            return LOOK
        if found:
            return TAKEN
        return LOOK if due_at is None else min(max(due_at - self._clock(), 0.001), LOOK)

    def _explain(self, error: Exception) -> None:
        """Once for each outage."""
        if not self._is_down:
            is_known = failure.is_known(error)
            text = failure.brief(error)
            log.logger.error(
                "no task is done for now: %s", text, exc_info=None if is_known else error
            )
        self._is_down = True

    def _look(self, inside: bool, outside: bool) -> tuple[list[Task], float | None]:
        """On a thread: what is due, of those kinds that there are hands for, and the next time."""
        now = self._clock()
        if self._prepare is not None:
            with self._database.begin() as connection:
                self._prepare(connection)
            self._prepare = None
        if not 0 <= now - self._mended < MEND:
            self._mended = now
            with self._database.begin() as connection:
                tasks.hurry(connection, now, 2 * LONGEST_PAUSE)
                # While this waited for its turn, others may have gone on for seconds: by the time
                # from before, it would seem as if the clock had gone back.
                self._mend(connection, self._clock())
        limit = FOUND + len(self._under_way) + len(self._resting)
        kinds = self.errands.kinds_outside
        with self._database.read() as connection:
            due_at = tasks.next_due(connection)
            if due_at is None or due_at > now:
                return [], due_at
            found = tasks.due(
                connection,
                now,
                limit,
                kinds=() if inside else kinds,
                but=() if outside else kinds,
            )
            return found, None

    def _hand_over(self) -> None:
        """What runs in a transaction, as far as there are hands; of the rest what there is now."""
        inside: list[Task] = []
        for task in self._found:
            if not self.errands.is_outside(task):
                inside.append(task)
            elif self._outside < ASIDE:  # else it is found again
                self._begin([task], is_outside=True)
        while inside and self._inside < self._most(inside[0]):
            batch = self._batch(inside)
            begun = {task.id for task in batch}
            inside = [task for task in inside if task.id not in begun]
            self._begin(batch, is_outside=False)
        self._found = deque(inside)

    def _batch(self, waiting: Sequence[Task]) -> list[Task]:
        """The first one, and those that may share its transaction: no suspect, and none for it."""
        first = waiting[0]
        room = self._room(first)
        if room < 2 or not self.errands.shares(first):
            return [first]
        batch = [task for task in waiting if task.kind == first.kind][:room]
        suspected = self._hands.suspected([crash_key(task) for task in batch])
        if suspected and crash_key(first) in suspected:
            return [first]
        return [task for task in batch if not suspected or crash_key(task) not in suspected]

    def _room(self, task: Task) -> int:
        """How many like it may share a transaction."""
        return min(int(self._together / self._cost(task)), BATCH)

    def _cost(self, task: Task) -> float:
        """Seconds that one like it takes, its share of a commit included."""
        return self._costs.get(task.kind, QUICK)

    def _most(self, task: Task) -> int:
        """How many chores may be under way: slow ones leave threads to the mail."""
        if self.errands.shares(task) and self._room(task) > 1:
            return AHEAD  # more of them would only be in each other's way
        return self._limit * (AHEAD if self._cost(task) < QUICK else 1)

    def _begin(self, batch: Sequence[Task], *, is_outside: bool) -> None:
        for task in batch:
            self._under_way[task.id] = Fate.DUE
        self._count(1, is_outside=is_outside)

        def work(deaths: int) -> None:
            began = time.perf_counter()
            if len(batch) == 1:
                fates = [self.errands.run(batch[0], deaths)]
            else:
                fates = self.errands.run_together(batch)
            self._under_way.update(zip((task.id for task in batch), fates, strict=True))
            if not is_outside:
                took = max((time.perf_counter() - began) / len(batch), 1e-4)
                known = self._cost(batch[0])  # slowness is learnt at once
                self._costs[batch[0].kind] = max(took, 0.9 * known + 0.1 * took)

        def done() -> None:
            for task in batch:
                rest = RESTS.get(self._under_way.pop(task.id), 0.0)
                if rest:
                    self._resting[task.id] = time.monotonic() + rest
            self._count(-1, is_outside=is_outside)
            self._has_news.set()

        self._hands.do(_chore(batch, work, done), aside=is_outside)

    def _at_rest(self) -> set[int]:
        """Tasks that it is of no use to look at again at once."""
        now = time.monotonic()
        self._resting = {id: until for id, until in self._resting.items() if until > now}
        return set(self._resting)

    def _count(self, number: int, *, is_outside: bool) -> None:
        if is_outside:
            self._outside += number
        else:
            self._inside += number


def _chore(batch: Sequence[Task], work: Callable[[int], None], done: Callable[[], None]) -> Chore:
    names = ", ".join(f"task {task.id} ({task.kind} {task.name})" for task in batch[:3])
    more = f" and {len(batch) - 3} more" if len(batch) > 3 else ""
    return Chore(names + more, b"".join(map(crash_key, batch)), work, done)
