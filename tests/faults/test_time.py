"""Faults of what runs by time: nothing is lost, and nothing happens twice.

Each fault strikes while timers, slots and work after a commit are due; and once more with a Lamson
that was made wrong, so that the count is known to notice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from lamson import failpoint
from tests.faults.time_rig import TimeRig

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.postgres import PostgresInstance

EARLY, LATE, NEVER = "taken-early", "deleted-late", "never-mended"
DAY = 86400.0
ATTEMPTS = 4  # whether a mistake does harm may be a matter of chance

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.usefixtures("_unmeasured"),
]


def _kill(rig: TimeRig) -> None:
    rig.wait_for_some()
    rig.kill_at_failpoint()


def _kill_all(rig: TimeRig) -> None:
    rig.wait_for_some()
    rig.kill_all()


def _lose_database(rig: TimeRig) -> None:
    rig.wait_for_some()
    rig.lose_database()


def _jump(rig: TimeRig) -> None:
    rig.jump(DAY)
    rig.wait_for_some()
    rig.jump(0.0)


def _nothing(rig: TimeRig) -> None:
    """Two nodes are enough."""


@dataclass(frozen=True)
class TimeFault:
    strike: Callable[[TimeRig], None]
    weakness: str
    shows: tuple[str, ...]
    failpoint: str = ""
    nodes: int = 1
    databases: tuple[str, ...] = ("sqlite", "postgres")


FAULTS = {
    "killed-after-take": TimeFault(_kill, EARLY, ("lost", "undone"), failpoint.AFTER_TAKE, nodes=2),
    "killed-before-commit": TimeFault(
        _kill, EARLY, ("lost", "undone"), failpoint.BEFORE_COMMIT, nodes=2
    ),
    "killed-after-commit": TimeFault(_kill, LATE, ("twice",), failpoint.AFTER_COMMIT, nodes=2),
    "all-killed": TimeFault(_kill_all, EARLY, ("lost", "undone")),
    "database-gone": TimeFault(_lose_database, EARLY, ("lost", "undone")),
    "two-nodes": TimeFault(_nothing, LATE, ("twice",), nodes=2, databases=("postgres",)),
    "clock-jumps": TimeFault(_jump, NEVER, ("is_standing",)),
}


def _cases(*, wrong: bool = False) -> list[object]:
    """A wrong Lamson is found out on one database: what it does wrong is the same on the other."""
    return [
        pytest.param(
            fault,
            kind,
            id=f"{name}-{kind}",
            marks=[pytest.mark.postgres] if kind == "postgres" else [],
        )
        for name, fault in FAULTS.items()
        for kind in (fault.databases[:1] if wrong else fault.databases)
    ]


def _server(kind: str, request: pytest.FixtureRequest) -> PostgresInstance | None:
    return request.getfixturevalue("postgres") if kind == "postgres" else None


@pytest.mark.parametrize(("fault", "kind"), _cases())
def test_nothing_is_lost_and_nothing_happens_twice(
    fault: TimeFault, kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    server = _server(kind, request)
    with TimeRig(tmp_path, server, nodes=fault.nodes, failpoint=fault.failpoint) as rig:
        try:
            fault.strike(rig)
            rig.settle()
        except AssertionError:
            print(rig.log())
            raise
        count = rig.count()
        assert count.is_clean, (count, rig.log())


@pytest.mark.parametrize(("fault", "kind"), _cases(wrong=True))
def test_the_count_notices_a_lamson_that_is_wrong(
    fault: TimeFault, kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    server = _server(kind, request)
    for attempt in range(ATTEMPTS):
        place = tmp_path / str(attempt)
        place.mkdir()
        with TimeRig(
            place,
            server,
            nodes=fault.nodes,
            weakness=fault.weakness,
            failpoint=fault.failpoint,
        ) as rig:
            try:
                fault.strike(rig)
                rig.settle(8.0)
            except AssertionError:
                pass  # it is wrong
            count = rig.count()
        if any(getattr(count, name) for name in fault.shows):
            return
    pytest.fail(f"{fault.weakness} did not show: {count}")
