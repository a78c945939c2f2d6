"""lamson.delivery.pool"""

import os
import queue
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lamson.delivery.job import Job
from lamson.delivery.pool import Pool
from lamson.storage.suspects import LOOP, ROUTING
from tests.unit.support import make_message


def make_jobs(count: int, *, deaths: int = 0) -> list[Job]:
    return [
        Job(make_message(), [], None, crash_key=b"%032d" % number, deaths=deaths)
        for number in range(count)
    ]


class Runs:
    """What a pool ran. Its first batch waits for the gate."""

    def __init__(self, **options: Any) -> None:
        self.gate = threading.Event()
        self.sizes: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.pool = Pool(self._run, **{"threads": 1, "batch_limit": 4, "run_dir": None, **options})

    def _run(self, batch: Sequence[Job]) -> None:
        self.sizes.put(len(batch))
        assert self.gate.wait(10)

    def all(self, count: int) -> list[int]:
        return [self.sizes.get(timeout=60) for _ in range(count)]


def test_what_is_quick_is_taken_together_up_to_the_limit() -> None:
    runs = Runs()
    runs.pool.start()
    runs.pool.put(make_jobs(1), is_quick=False)
    assert runs.all(1) == [1]
    for _ in range(5):
        runs.pool.put(make_jobs(1), is_quick=True)
    runs.pool.put(make_jobs(1), is_quick=False)
    runs.pool.put(make_jobs(1), is_quick=True)
    runs.gate.set()
    assert runs.all(4) == [4, 1, 1, 1]
    runs.pool.stop()


@pytest.mark.parametrize("where", ["0", "loop"])
def test_what_is_in_flight_is_written_down(tmp_path: Path, where: str) -> None:
    runs = Runs(run_dir=tmp_path)
    runs.pool.start()
    jobs = make_jobs(2)
    if where == "loop":
        threading.Thread(target=runs.pool.run_here, args=(jobs,), daemon=True).start()
    else:
        runs.pool.put(jobs, is_quick=False)
    runs.all(1)
    (file,) = tmp_path.glob(f"running/*/{where}")
    assert file.read_bytes().startswith(b"%032d%032d" % (0, 1))
    runs.gate.set()
    runs.pool.stop()


def test_suspects_have_one_turn_at_a_time(tmp_path: Path) -> None:
    runs = Runs(threads=3, run_dir=tmp_path)
    runs.pool.start()
    for job in make_jobs(2, deaths=1):
        runs.pool.put([job], is_quick=False)
    assert runs.all(1) == [1]
    runs.pool.put(make_jobs(3), is_quick=False)
    assert runs.all(1) == [3]  # the other suspect waits, these do not
    assert runs.sizes.empty()
    runs.gate.set()
    assert runs.all(1) == [1]
    runs.pool.stop()


def test_while_a_route_is_looked_for_that_is_what_the_loop_does(tmp_path: Path) -> None:
    runs = Runs(run_dir=tmp_path)
    runs.pool.start()
    noted = tmp_path / "running" / str(os.getpid()) / LOOP
    with runs.pool.routing():
        assert noted.read_bytes().startswith(ROUTING)
    assert not noted.read_bytes().startswith(ROUTING)
    runs.pool.stop()
