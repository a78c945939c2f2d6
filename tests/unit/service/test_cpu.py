"""lamson.service.cpu: a worker keeps to one processor, its neighbour to another."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from lamson.service.cpu import keep_to_one

if TYPE_CHECKING:
    import pytest


def test_each_worker_of_a_group_gets_another(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[set[int]] = []
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {1, 4, 6})
    monkeypatch.setattr(os, "sched_setaffinity", lambda pid, mask: chosen.append(mask))
    for number in range(4):
        keep_to_one(number)
    assert chosen[0] == chosen[3]
    assert set.union(*chosen) == {1, 4, 6}


def test_where_it_may_not_choose_it_runs_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int, mask: set[int]) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    keep_to_one(0)
