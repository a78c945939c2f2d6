"""Threads of our own that run filters, with a time limit.

For the milter's callbacks. libmilter runs the callbacks of one session on different threads of its
own, with an interpreter state that belongs to the session: whatever is bound to a thread (an SQLite
handle, a lock, a C extension that asks for its state) breaks there. So a callback hands its work to
one of these, and waits. Where the time limit passes it gives up with TooLateError; the work goes on
until it ends by itself, and its thread is used again then.
"""

from __future__ import annotations

import signal
import threading
import time
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_BLOCKED = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


class TooLateError(Exception):
    """The time limit passed before the work was done."""


class BusyError(TooLateError):
    """The time limit passed before a thread was free."""


class FilterThreads:
    """At most ``limit`` threads, started when they are needed."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._idle: SimpleQueue[_Thread] = SimpleQueue()
        self._started = 0
        self._lock = threading.Lock()
        self.stuck = 0  # threads whose work was given up and goes on

    @property
    def is_short(self) -> bool:
        """True where half of the threads hang."""
        return self.stuck * 2 >= self._limit

    def run(self, work: Callable[[], T], timeout: float) -> T:
        """What ``work()`` returns or raises; TooLateError after ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        thread = self._take(timeout)
        thread.start_work(work)
        if not thread.wait(max(0.0, deadline - time.monotonic())):
            with self._lock:
                self.stuck += 1
            raise TooLateError(f"not done within {timeout:g} s")
        result, error = thread.result, thread.error
        thread.result = thread.error = None
        self._idle.put(thread)
        if error is not None:
            raise error
        return result  # type: ignore[no-any-return]

    def _take(self, timeout: float) -> _Thread:
        try:
            return self._idle.get_nowait()
        except Empty:
            pass
        with self._lock:
            is_allowed = self._started < self._limit
            self._started += is_allowed
        if is_allowed:
            try:
                return _Thread(self._back)
            except BaseException:  # the system has no thread for us now; later it may
                with self._lock:
                    self._started -= 1
                raise
        try:
            return self._idle.get(timeout=timeout)
        except Empty:
            raise BusyError(f"all {self._limit} threads are busy") from None

    def _back(self, thread: _Thread) -> None:
        """A thread has ended what was given up."""
        with self._lock:
            self.stuck -= 1
        self._idle.put(thread)


class _Thread:
    """One thread. Two locks serve as signals: that there is work, and that it is done."""

    def __init__(self, back: Callable[[_Thread], None]) -> None:
        self._back = back
        self._has_work = threading.Lock()
        self._is_done = threading.Lock()
        self._guard = threading.Lock()
        self._is_given_up = False
        self._work: Callable[[], Any] | None = None
        self.result: Any = None
        self.error: BaseException | None = None
        self._has_work.acquire()
        self._is_done.acquire()
        threading.Thread(target=self._run, name="lamson-filter", daemon=True).start()

    def start_work(self, work: Callable[[], Any]) -> None:
        self._work = work
        self._has_work.release()

    def wait(self, timeout: float) -> bool:
        """True once the work is done; False where it is given up after ``timeout`` seconds."""
        if self._is_done.acquire(timeout=timeout):
            return True
        with self._guard:
            if self._is_done.acquire(blocking=False):
                return True
            self._is_given_up = True
            return False

    def _run(self) -> None:
        # libmilter blocks these in the threads that start ours, and a program that a filter starts
        # inherits that: nobody could end it by SIGTERM.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _BLOCKED)
        while True:
            self._has_work.acquire()
            assert self._work is not None
            try:
                self.result = self._work()
            except BaseException as error:  # noqa: BLE001 - the callback raises it
                self.error = error
            self._work = None
            with self._guard:
                is_given_up, self._is_given_up = self._is_given_up, False
                if not is_given_up:
                    self._is_done.release()
            if is_given_up:
                self.result = self.error = None
                self._back(self)
