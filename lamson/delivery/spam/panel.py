"""The judges of an application, asked one after the other: the first that has an opinion decides.

None of them can hold up a mail or have it refused: all together have a number of seconds, and one
that fails, whatever it raises, has no opinion. One that failed three times in a row rests for half
a minute, so that a server that is gone does not cost each mail that time.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from lamson import log
from lamson.delivery.spam.fields import Field, Fields, Noted
from lamson.delivery.spam.opinion import Opinion
from lamson.delivery.spam.rspamd import Rspamd
from lamson.delivery.spam.spamd import Spamd
from lamson.net.endpoint import split_host_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lamson.delivery.spam.opinion import Judge
    from lamson.message.request import MailRequest

FAILURES = 3  # in a row, after which a judge rests
REST = 30.0  # seconds
NOTE = "spam"  # the filters' note that is asked for, unless another is named


class Own:
    """A function of the application: it is given the message, and says True, False or None."""

    is_shared = is_server = False

    def __init__(self, function: Callable[[MailRequest], bool | None]) -> None:
        self.name = getattr(function, "__qualname__", None) or type(function).__qualname__
        self._function = function

    def opinion(self, message: MailRequest, deadline: float) -> Opinion | None:
        found = self._function(message)
        if found is None:
            return None
        if not isinstance(found, bool):
            raise TypeError(f"it returned {found!r}: expected True, False or None")
        return Opinion(found, f"says {self.name}")


def judge_of(named: object, *, max_size: int) -> Judge:
    """The judge that a setting names, or is. Raises ValueError, or TypeError, for what is none."""
    if not isinstance(named, str):
        if not callable(named):
            raise TypeError(f"expected the name of a judge or a function, not {named!r}")
        return Own(named)
    kind, _, where = named.partition(":")
    match kind:
        case "fields" if not where:
            return Fields()
        case "field" if where:
            return Field(where)
        case "notes":
            return Noted(where or NOTE)
        case "rspamd" if where.startswith("http://"):
            host, port = split_host_port(where.removeprefix("http://").rstrip("/"))
            return Rspamd(host, port, max_size=max_size)
        case "spamd":
            return Spamd(*split_host_port(where), max_size=max_size)
    raise ValueError(f"there is no judge {named!r}")


class Panel:
    """All judges. For all threads at once."""

    def __init__(
        self,
        judges: Sequence[Judge],
        *,
        timeout: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``timeout``: seconds that all of them have for one message together."""
        self.timeout = timeout
        self._judges = tuple(judges)
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: dict[Judge, int] = {}
        self._rests_until: dict[Judge, float] = {}

    def opinions(
        self, messages: Iterable[MailRequest], *, is_alone: bool = False
    ) -> list[Opinion | None]:
        """Of one message, as each of its recipients got it; None where nobody has one.

        With ``is_alone`` no server is asked. Raises nothing.
        """
        deadline = self._clock() + self.timeout
        shared: dict[Judge, Opinion | None] = {}
        found: list[Opinion | None] = []
        for message in messages:
            opinion: Opinion | None = None
            for judge in self._judges:
                if is_alone and judge.is_server:
                    continue
                if judge in shared:
                    opinion = shared[judge]
                else:
                    opinion = self._ask(judge, message, deadline)
                    if judge.is_shared:
                        shared[judge] = opinion
                if opinion is not None:
                    break
            found.append(opinion)
        return found

    def _ask(self, judge: Judge, message: MailRequest, deadline: float) -> Opinion | None:
        now = self._clock()
        if now < self._rests_until.get(judge, 0.0) or now >= deadline:
            return None
        try:
            opinion = judge.opinion(message, deadline)
        except BaseException as error:  # noqa: BLE001 - also SystemExit: no mail waits for that
            log.logger.warning(
                "id=%s: %s has no opinion: %s", message.envelope.id, judge.name, log.named(error)
            )
            self._has_failed(judge)
            return None
        if self._failures:
            self._failures.pop(judge, None)
        return opinion

    def _has_failed(self, judge: Judge) -> None:
        with self._lock:
            failures = self._failures.get(judge, 0) + 1
            self._failures[judge] = failures
            if failures < FAILURES:
                return
            self._failures[judge] = 0
            self._rests_until[judge] = self._clock() + REST
        log.logger.error(
            "%s failed %d times in a row: it is not asked for %.0f s, and mail passes unjudged by"
            " it",
            judge.name,
            FAILURES,
            REST,
        )
