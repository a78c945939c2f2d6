"""Looking at several things at once, with a deadline for each: what hangs holds up nothing else.

For `health`. Each look runs on a thread of its own, one at a time: where the last one has not come
back, no other is begun, so that a database that hangs takes one thread, however often it is asked
for. What was found is used again for a moment: a thousand questions are one look.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lamson import log
from lamson.errors import LamsonError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True)
class Found:
    """What a look gave, or why it gave nothing."""

    value: Any = None
    problem: str = ""


class Look:
    """One thing to look at. ``work`` gives a value, or raises OSError or LamsonError, which say
    what is wrong."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work = work
        self._done = threading.Event()
        self._found = Found()
        self._found_at = float("-inf")
        self._is_under_way = False

    def begin(self, fresh: float) -> None:
        """Begin, unless one is under way, or was done within ``fresh`` seconds."""
        if self._is_under_way or time.monotonic() - self._found_at < fresh:
            return
        self._is_under_way = True
        self._done.clear()
        try:
            threading.Thread(target=self._run, daemon=True).start()
        except RuntimeError as error:  # the system has no thread for us
            self._end(Found(problem=str(error)))

    def result(self, until: float, seconds: float) -> Found:
        """What was found; waits until that time, by `time.monotonic`, at the most."""
        if not self._done.wait(max(0.0, until - time.monotonic())):
            return Found(problem=f"no answer within {seconds:g} s")
        return self._found

    def _run(self) -> None:
        found = Found(problem="it failed")
        try:
            found = Found(self._work())
        except OSError as error:
            found = Found(problem=error.strerror or str(error))
        except (LamsonError, UnicodeError) as error:  # a name that is none, such as mail..example
            found = Found(problem=str(error))
        except Exception as error:  # noqa: BLE001 - told as a problem, whatever it is
            log.logger.exception("status: a look failed")
            found = Found(problem=log.named(error))
        finally:
            with suppress(Exception):
                self._end(found)

    def _end(self, found: Found) -> None:
        self._found, self._found_at = found, time.monotonic()
        self._is_under_way = False
        self._done.set()


def look_at(looks: Mapping[str, Look], seconds: float, fresh: float = 0.0) -> dict[str, Found]:
    """What all of them find within ``seconds``, or found within the last ``fresh`` seconds."""
    until = time.monotonic() + seconds
    for look in looks.values():
        look.begin(fresh)
    return {name: look.result(until, seconds) for name, look in looks.items()}
