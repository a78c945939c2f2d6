"""lamson.service.cpu, in a real service: each worker keeps to a processor, the next to the next."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.bench import projects
from tests.service import LamsonService
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Set

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="there is one processor only"),
]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return projects.write(tmp_path / "project", projects.NOTHING, None)


def processors(service: LamsonService) -> dict[int, int]:
    """The processor of each worker that keeps to one."""
    found = {}
    for pid in Path(f"/proc/{service.pid}/task/{service.pid}/children").read_text().split():
        with suppress(ProcessLookupError):
            allowed = os.sched_getaffinity(int(pid))
            if len(allowed) == 1:
                found[int(pid)] = min(allowed)
    return found


def test_two_workers_after_a_death_and_a_reload(project: Path) -> None:
    with LamsonService(project, LAMSON_WORKERS="2") as service:
        first = wait_for(lambda: _two(service, set()), "two workers")
        killed = {min(first)}
        os.kill(min(killed), signal.SIGKILL)
        second = wait_for(lambda: _two(service, killed), "another worker")
        os.kill(service.pid, signal.SIGHUP)
        third = wait_for(lambda: _two(service, set(second)), "new workers")
        for workers in (first, second, third):
            assert len(set(workers.values())) == 2, (first, second, third)


def test_the_setting_leaves_them_all_processors(project: Path) -> None:
    with LamsonService(project, LAMSON_ONE_PROCESSOR="false") as service:
        assert not processors(service)


def _two(service: LamsonService, gone: Set[int]) -> dict[int, int]:
    """Two workers of which none is ``gone``; nothing where it is not so yet."""
    found = processors(service)
    return found if len(found) == 2 and not found.keys() & gone else {}
