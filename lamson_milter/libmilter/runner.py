"""Runs the filters of a stage: on a thread of ours, with the time limit, and says which was late.

For `callbacks`. A stage whose filters all say ``inline=True`` runs in libmilter's own callback:
that saves the hand-over to a thread, and gives up the time limit and all that is bound to a thread
(see `threads`).
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from lamson_milter.filters import MESSAGE, STAGES
from lamson_milter.libmilter.threads import BusyError, TooLateError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lamson_milter.filters import Filters
    from lamson_milter.libmilter.session import Session
    from lamson_milter.libmilter.threads import FilterThreads

    T = TypeVar("T")

NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds for one command and for a whole message."""

    command: float = 25.0
    content: float = 250.0


class Runner:
    """Runs the filters of one process, of whose connections ``sessions`` are the open ones."""

    def __init__(
        self, filters: Filters, threads: FilterThreads, limits: Limits, sessions: Iterable[Session]
    ) -> None:
        self._threads = threads
        self._limits = limits
        self._sessions = sessions
        self._is_inline = {
            stage: all(one.is_inline for one in filters.all if one.stage == stage)
            for stage in STAGES
        }

    def run(self, stage: str, session: Session, work: Callable[[], T]) -> T:
        """What ``work()`` returns or raises. Raises TooLateError, which names the filter."""
        if self._is_inline[stage] or session.is_settled:
            session.since = time.monotonic()
            try:
                return work()
            finally:
                session.since = NEVER
        limit = self._limits.content if stage == MESSAGE else self._limits.command
        try:
            return self._threads.run(work, limit)
        except BusyError as error:
            raise TooLateError(f"filters: {error}{self._busy_with()}") from None
        except TooLateError as error:
            late = session.connection.asking
            raise TooLateError(f"filter {late}: {error}" if late else f"filters: {error}") from None

    @property
    def is_short(self) -> bool:
        """True where half of the threads hang."""
        return self._threads.is_short

    def is_stuck(self) -> bool:
        """True where a filter that runs without a thread has passed its time limit."""
        limit = time.monotonic() - self._limits.content
        return any(session.since < limit for session in list(self._sessions))

    def _busy_with(self) -> str:
        """What holds the threads: `` with app.filters.slow (64)``."""
        asking = [session.connection.asking for session in list(self._sessions)]
        counts = Counter(str(one) for one in asking if one is not None)
        told = ", ".join(f"{name} ({count})" for name, count in counts.most_common(5))
        return f" with {told}" if told else ""
