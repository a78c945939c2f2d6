"""A connection to PostgreSQL: it does not wait for ever, nor more often than it has to.

For `lamson.storage.patience` and `lamson.storage.pipeline`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import psycopg

from lamson.storage import patience

if TYPE_CHECKING:
    from collections.abc import Generator


class PatientConnection(psycopg.Connection[Any]):
    """Closed when the server says nothing for so long: what was under way is in doubt then."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.waiting: list[Any] = []
        """Statements of ours that are to be sent with the next one."""
        self.begins = False
        """Whether the first of those that are being sent is a BEGIN."""

    def rollback(self) -> None:
        super().rollback()
        self.waiting = []

    def _start_query(self) -> Any:
        """Where the driver sends BEGIN: it waits for the answer to that, in a pipeline too."""
        if not self.begins:
            yield from super()._start_query()

    def wait(self, gen: Generator[Any, Any, Any], *arguments: Any, **options: Any) -> Any:
        seconds = patience.limit()
        if seconds is not None:
            gen = self._watched(gen, seconds)
        return super().wait(gen, *arguments, **options)

    def _watched(self, gen: Generator[Any, Any, Any], seconds: float) -> Generator[Any, Any, Any]:
        """``gen`` is sent a 0 several times a second while nothing comes."""
        try:
            wanted = next(gen)
            heard_at = time.monotonic()
            while True:
                ready = yield wanted
                if ready:
                    heard_at = time.monotonic()
                elif time.monotonic() - heard_at > seconds:
                    self.close()
                    raise psycopg.OperationalError(f"the server said nothing for {seconds:g} s")
                wanted = gen.send(ready)
        except StopIteration as end:
            return end.value
