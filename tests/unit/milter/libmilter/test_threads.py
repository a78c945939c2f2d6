"""lamson_milter.libmilter.threads: work on our own threads, within a time."""

from __future__ import annotations

import threading
import time
from functools import partial

import pytest

from lamson_milter.libmilter.threads import FilterThreads, TooLateError
from tests.waiting import wait_for


def test_results_and_exceptions_come_back() -> None:
    threads = FilterThreads(2)
    assert threads.run(threading.get_ident, 5) != threading.get_ident()
    assert threads.run(threading.get_ident, 5) == threads.run(threading.get_ident, 5)
    with pytest.raises(SystemExit):
        threads.run(lambda: (_ for _ in ()).throw(SystemExit(1)), 5)
    assert threads.run(lambda: 5, 5) == 5


def test_what_takes_too_long_is_given_up_and_its_thread_used_again() -> None:
    threads = FilterThreads(1)
    go = threading.Event()
    with pytest.raises(TooLateError, match=r"within 0\.05 s"):
        threads.run(go.wait, 0.05)
    assert threads.stuck == 1
    assert threads.is_short
    with pytest.raises(TooLateError, match="all 1 threads are busy"):
        threads.run(lambda: 1, 0.05)
    go.set()
    wait_for(lambda: not threads.stuck, "the thread to come back")
    assert threads.run(lambda: 1, 5) == 1


def test_a_thread_that_could_not_start_is_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = FilterThreads(1)

    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        with pytest.raises(RuntimeError):
            threads.run(lambda: 1, 5)
    assert threads.run(lambda: 1, 0.5) == 1


def test_the_wait_for_a_thread_is_part_of_the_time() -> None:
    threads = FilterThreads(1)
    gone, go = threading.Event(), threading.Event()
    first = threading.Thread(target=lambda: threads.run(lambda: gone.wait(1), 9))
    first.start()
    began = time.monotonic()
    with pytest.raises(TooLateError, match="within 2 s"):
        threads.run(lambda: go.wait(9), 2)
    assert time.monotonic() - began < 2.9
    go.set()
    first.join()


def test_many_at_once() -> None:
    threads = FilterThreads(8)
    results: list[int] = []
    callers = [
        threading.Thread(
            target=lambda: results.extend(threads.run(partial(int, n), 30) for n in range(200))
        )
        for _ in range(20)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert sorted(results) == sorted(list(range(200)) * 20)
