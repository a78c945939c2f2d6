"""tests.waiting: no two tests are given one port."""

from __future__ import annotations

from itertools import islice

from tests.waiting import free_port, ports_of


def test_the_workers_have_no_port_in_common() -> None:
    taken = [set(islice(ports_of(f"gw{number}", 3), 20_000)) for number in range(3)]
    assert set.union(*taken) == set(range(12000, 32000))
    assert sum(map(len, taken)) == 20_000


def test_a_port_is_not_given_twice_soon() -> None:
    assert len({free_port() for _ in range(1000)}) == 1000
