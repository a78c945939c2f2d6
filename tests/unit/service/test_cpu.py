"""lamson.service.cpu: a worker keeps to one processor, its neighbour to another."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from lamson.service.cpu import free_slot, keep_to_one

if TYPE_CHECKING:
    import pytest


def test_a_new_worker_gets_the_place_with_the_fewest_workers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {1, 4, 6})
    taken: list[int] = []
    for _ in range(6):
        taken.append(free_slot(taken, taken))
    assert taken == [0, 1, 2, 0, 1, 2]
    for gone in range(6):
        others = taken[:gone] + taken[gone + 1 :]
        assert free_slot(others, []) == taken[gone]


def test_where_several_places_have_so_few_it_is_where_its_own_group_has_the_fewest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {1, 4, 6})
    assert free_slot([0, 1, 2, 0], [0, 1]) == 2
    assert free_slot([0, 1, 2], [0, 2]) == 1


def test_each_place_has_a_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[set[int]] = []
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {1, 4, 6})
    monkeypatch.setattr(os, "sched_setaffinity", lambda pid, mask: chosen.append(mask))
    for slot in range(4):
        keep_to_one(slot)
    assert chosen[0] == chosen[3]
    assert set.union(*chosen) == {1, 4, 6}


def test_containers_whose_supervisors_have_one_process_id_spread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chosen: list[set[int]] = []
    monkeypatch.setattr(os, "getppid", lambda: 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {1, 4, 6})
    monkeypatch.setattr(os, "sched_setaffinity", lambda pid, mask: chosen.append(mask))
    for number in range(3):
        monkeypatch.setattr(socket, "gethostname", lambda number=number: f"lamson-{number}")
        keep_to_one(0)
    assert set.union(*chosen) == {1, 4, 6}


def test_where_it_may_not_choose_it_runs_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int, mask: set[int]) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    keep_to_one(0)
