"""lamson_milter.libmilter.budget: the memory of all sessions together is bounded."""

from __future__ import annotations

import threading

import pytest

from lamson_milter.libmilter.budget import Budget, FullError, Share


def test_no_more_is_taken_than_there_is() -> None:
    budget = Budget(100)
    budget.take(60)
    with pytest.raises(FullError):
        budget.take(41)
    budget.take(40)
    budget.give(100)
    assert budget.used == 0


def test_a_share_takes_what_adds_up_and_gives_all_of_it_back() -> None:
    budget = Budget(200_000)
    one, other = Share(budget), Share(budget)
    for _ in range(100):
        one.add(1_000)
    assert 0 < budget.used <= 100_000
    other.add(100_000)
    with pytest.raises(FullError):
        one.add(100_000)
    one.clear()
    one.clear()
    assert budget.used == 100_000
    other.clear()
    assert budget.used == 0


def test_threads_at_once() -> None:
    budget = Budget(1 << 30)

    def work() -> None:
        share = Share(budget)
        for _ in range(2_000):
            share.add(70_000)
            share.clear()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert budget.used == 0
