"""The load: messages with ids of their own, three recipients each, over kept connections.

Postfix takes each message before anything can fail, so what it said 250 to is what must come out.
"""

from __future__ import annotations

import queue
import smtplib
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.postfix.sender import letter
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

DOMAIN = "count.test"
PLACES = "abc"
CONNECTIONS = 4
AUTHORS = 11
EACH = 6
_MORE = 20  # messages at most that `Load.kept_up` adds
_PAUSE = 0.5  # seconds between them


def recipients(number: int) -> list[str]:
    return [f"{place}-{number}@{DOMAIN}" for place in PLACES]


def author(number: int) -> str:
    """Who sends a message. An author has `EACH` of them, and some write at a time.

    Odd many, so that an author's messages are even and odd by turns: each goes to another node.
    """
    return f"m{number // (AUTHORS * EACH) * AUTHORS + number % AUTHORS}@world.test"


def name(number: int) -> str:
    """The id of a message, which is its subject."""
    return f"load-{number:06d}"


class Load:
    """Hands messages to the smtpd on ``port``, from threads of its own."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._numbers: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._send) for _ in range(CONNECTIONS)]
        self._lock = threading.Lock()
        self.asked = 0
        self.accepted: list[int] = []
        """The numbers of the messages that Postfix took."""
        self.errors: list[BaseException] = []

    def begin(self, count: int) -> None:
        """Have ``count`` more messages sent; returns at once. For any thread."""
        with self._lock:
            for _ in range(count):
                self._numbers.put(self.asked)
                self.asked += 1

    @contextmanager
    def kept_up(self) -> Iterator[None]:
        """While this lasts, a few more messages where all have gone: a fault needs some to strike.

        A machine that is quick, or a plan that is small, may be through before it does.
        """
        ended = threading.Event()

        def feed() -> None:
            for _ in range(_MORE):
                if ended.wait(_PAUSE):
                    return
                if len(self.accepted) >= self.asked:
                    self.begin(1)

        feeder = threading.Thread(target=feed)
        feeder.start()
        try:
            yield
        finally:
            ended.set()
            feeder.join()

    def wait(self, count: int | None = None) -> None:
        """Wait until Postfix took ``count`` messages in all, or all that were asked for."""
        wanted = self.asked if count is None else count
        wait_for(
            lambda: self.errors or len(self.accepted) >= wanted,
            lambda: f"Postfix to take {wanted} messages; it took {len(self.accepted)}",
            timeout=120,
        )
        if self.errors:
            raise self.errors[0]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for _ in self._threads:
            self._numbers.put(None)
        for thread in self._threads:
            thread.join(timeout=60)

    def _send(self) -> None:
        try:
            with smtplib.SMTP("127.0.0.1", self._port, local_hostname="load.test") as client:
                while (number := self._numbers.get()) is not None:
                    sender, to = author(number), recipients(number)
                    client.sendmail(sender, to, letter(sender, ", ".join(to), name(number)))
                    self.accepted.append(number)
        except BaseException as error:  # noqa: BLE001 - the test's thread raises it
            self.errors.append(error)
