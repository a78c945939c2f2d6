"""lamson.service.cpu, in a real service: each worker keeps to a processor, the next to the next."""

from __future__ import annotations

import os
import signal
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.bench import projects
from tests.milter.projects import FilteringService
from tests.service import LamsonService
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Set

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="there is one processor only"),
]

FILTERS = """
@filter_connection
def anybody(client: Connection) -> Verdict:
    pass
"""
NO_MILTER = "pymilter is not installed (pip install 'lamson-postfix[milter]')"


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
        _spread_stays(service, 2)


def test_workers_of_two_groups_after_a_death_and_a_reload(tmp_path: Path) -> None:
    pytest.importorskip(
        "milter", reason="pymilter is not installed (pip install 'lamson-postfix[milter]')"
    )
    with FilteringService(tmp_path / "project", FILTERS) as service:
        _spread_stays(service, 2)


def test_several_workers_of_two_groups_and_one_that_goes_anywhere(tmp_path: Path) -> None:
    pytest.importorskip(
        "milter", reason="pymilter is not installed (pip install 'lamson-postfix[milter]')"
    )
    service = FilteringService(tmp_path / "project", FILTERS)
    service.environment |= {"LAMSON_WORKERS": "3", "LAMSON_SOCKETMAP__LISTEN": "unix:run/map"}
    with service:
        _spread_stays(service, 4)


def test_the_setting_leaves_them_all_processors(project: Path) -> None:
    with LamsonService(project, LAMSON_ONE_PROCESSOR="false") as service:
        assert not processors(service)


def _spread_stays(service: LamsonService, count: int) -> None:
    """``count`` workers are on as many processors as there are, also after they were replaced."""
    first = wait_for(lambda: _workers(service, count, set()), f"{count} workers")
    killed = min(first)
    os.kill(killed, signal.SIGKILL)
    second = wait_for(lambda: _workers(service, count, {killed}), "another worker")
    os.kill(service.pid, signal.SIGHUP)
    third = wait_for(lambda: _workers(service, count, set(second)), "new workers")
    for workers in (first, second, third):
        busy = Counter(dict.fromkeys(os.sched_getaffinity(service.pid), 0))
        busy.update(workers.values())
        assert max(busy.values()) - min(busy.values()) <= 1, (first, second, third)


def _workers(service: LamsonService, count: int, gone: Set[int]) -> dict[int, int]:
    """The processors of ``count`` workers, none of them ``gone``; nothing where it is not so."""
    found = processors(service)
    return found if len(found) == count and not found.keys() & gone else {}
