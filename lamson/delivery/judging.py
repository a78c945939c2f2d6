"""Has mail judged before its transaction begins: nothing that others wait for waits for a judge.

For the dispatcher, on whose loop the methods are called. A message that one of its handlers wants
judged (`@spam_filter`) goes to a thread, and comes back with opinions on its deliveries. Where that
takes too long, whatever holds it up, it comes back without; nothing is refused or lost for that.
"""

from __future__ import annotations

import queue
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from lamson import log

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from lamson.delivery.job import Job
    from lamson.delivery.spam.opinion import Opinion
    from lamson.delivery.spam.panel import Panel


class _Case:
    """The deliveries of one message, on their way to the judges and back."""

    __slots__ = ("is_over", "jobs", "timer")

    def __init__(self, jobs: list[Job]) -> None:
        self.jobs = jobs
        self.is_over = False
        self.timer: asyncio.TimerHandle | None = None


class Judging:
    """``threads`` threads that ask the ``panel``, made when they are first needed."""

    def __init__(self, panel: Panel, *, threads: int) -> None:
        self._panel = panel
        self._threads = threads
        self._cases: queue.SimpleQueue[_Case | None] = queue.SimpleQueue()
        self._started = 0

    @staticmethod
    def wants(job: Job) -> bool:
        """Whether a delivery is to be judged. What a person has run again is none to him."""
        if job.is_again:
            return False
        return any(match.handler.spam_filter is not None for match in job.matches)

    def judge(
        self,
        jobs: Sequence[Job],
        loop: asyncio.AbstractEventLoop,
        go_on: Callable[[list[Job]], None],
    ) -> None:
        """Have the deliveries of one message judged; ``go_on`` is called with them, on the loop."""
        case = _Case(list(jobs))
        if self._started < self._threads:
            self._started += 1
            threading.Thread(target=self._work, args=(loop, go_on), daemon=True).start()
        case.timer = loop.call_later(self._panel.timeout, self._give_up, case, go_on)
        self._cases.put(case)

    def stop(self) -> None:
        """End the threads once they have done what waits. Does not wait for them."""
        for _ in range(self._started):
            self._cases.put(None)

    def _work(self, loop: asyncio.AbstractEventLoop, go_on: Callable[[list[Job]], None]) -> None:
        while (case := self._cases.get()) is not None:
            if case.is_over:
                continue
            opinions = self._panel.opinions([job.message for job in case.jobs])
            with suppress(RuntimeError):  # the loop is closed: nobody waits for the reply
                loop.call_soon_threadsafe(self._return, case, opinions, go_on)

    def _return(
        self,
        case: _Case,
        opinions: Sequence[Opinion | None],
        go_on: Callable[[list[Job]], None],
    ) -> None:
        if case.is_over:
            return
        self._end(case)
        for job, opinion in zip(case.jobs, opinions, strict=True):
            job.opinion = opinion
        go_on(case.jobs)

    def _give_up(self, case: _Case, go_on: Callable[[list[Job]], None]) -> None:
        if not case.is_over:
            self._end(case)
            log.logger.warning(
                "%s: not judged in %g s: it passes", case.jobs[0], self._panel.timeout
            )
            go_on(case.jobs)

    @staticmethod
    def _end(case: _Case) -> None:
        case.is_over = True
        if case.timer is not None:
            case.timer.cancel()
