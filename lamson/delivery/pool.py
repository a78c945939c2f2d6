"""The dispatcher's threads. Each takes a batch, notes what it has in flight, and runs it.

What may share a transaction is taken together, as far as it waits by then. Suspects, whose handling
may kill the process (see lamson/storage/suspects.py), run alone and one at a time.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

from lamson.storage.suspects import LOOP, ROUTING, InFlight

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from lamson.delivery.chore import Chore
    from lamson.delivery.job import Job

Work: TypeAlias = "Job | Chore"

# Whether more may be added, and what runs together; [] ends a thread.
_Work = tuple[bool, list[Work]]


class Pool:
    """``threads`` threads that ``run`` batches of ``batch_limit`` deliveries at most."""

    def __init__(
        self,
        run: Callable[[Sequence[Any]], None],
        *,
        threads: int,
        batch_limit: int,
        run_dir: Path | None,
        name: str = "",
    ) -> None:
        """``run`` must not raise. Without ``run_dir`` nothing is noted. ``name`` tells the threads
        of one pool from those of another; only a pool without one works for the loop, too.
        """
        self._run = run
        self._batch_limit = batch_limit
        self._run_dir = run_dir
        self._loop_in_flight: InFlight | None = None
        self._is_the_loops = not name
        self._queue: queue.SimpleQueue[_Work] = queue.SimpleQueue()
        self._suspected: deque[list[Work]] = deque()  # each waits for its turn to run alone
        self._suspect_turn = threading.Lock()
        self._threads = [
            threading.Thread(target=self._work, args=(f"{name}{number}",), daemon=True)
            for number in range(threads)
        ]

    def start(self) -> None:
        if self._is_the_loops:
            self._loop_in_flight = self._make_in_flight(LOOP)
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End the threads once they have done what waits. Does not wait for them."""
        for _ in self._threads:
            self._queue.put((False, []))

    def put(self, batch: Sequence[Work], *, is_quick: bool) -> None:
        """Have a thread run ``batch``; where ``is_quick``, with what else is quick."""
        self._queue.put((is_quick, list(batch)))

    def run_here(self, batch: Sequence[Work]) -> None:
        """Run ``batch`` on the thread of the caller, which is the loop's."""
        self._run_noted(batch, self._loop_in_flight)

    @contextmanager
    def routing(self) -> Iterator[None]:
        """On the loop: whose message runs on a thread is not to blame where this never ends."""
        in_flight = self._loop_in_flight
        if in_flight is not None:
            in_flight.begin([ROUTING])
        try:
            yield
        finally:
            if in_flight is not None:
                in_flight.end()

    def _make_in_flight(self, name: str) -> InFlight | None:
        return InFlight(self._run_dir, name) if self._run_dir is not None else None

    def _work(self, name: str) -> None:
        """What a thread does: take what may run together, and run it."""
        in_flight = self._make_in_flight(name)
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
                self._run_suspects(batch, in_flight)
            else:
                self._run_noted(batch, in_flight)

    def _run_suspects(self, batch: list[Work], in_flight: InFlight | None) -> None:
        """Run a suspect while no other thread runs one, else leave it to the thread that does.

        Those that came back together would be under way together again, and should one of them
        kill the process, be counted with it each time.
        """
        self._suspected.append(batch)
        while self._suspected and self._suspect_turn.acquire(blocking=False):
            try:
                if self._suspected:  # another thread may have had its turn just before
                    self._run_noted(self._suspected.popleft(), in_flight)
            finally:
                self._suspect_turn.release()

    def _run_noted(self, batch: Sequence[Work], in_flight: InFlight | None) -> None:
        if in_flight is None:
            self._run(batch)
        else:
            in_flight.begin([job.crash_key for job in batch])
            self._run(batch)
            in_flight.end()
