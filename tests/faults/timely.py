"""Faults of what runs by time, how one is run, and what came of it: for the table and the tests.

Each strikes while timers, slots and work after a commit are due; and once more with a Lamson that
was made wrong, so that the count is known to notice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lamson import failpoint
from tests.faults.fault import BOTH, POSTGRES
from tests.faults.time_rig import Count, TimeRig

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.faults.fault import Kind
    from tests.postgres import PostgresInstance

EARLY, LATE, UNMENDED = "taken-early", "deleted-late", "never-mended"
DAY = 86400.0
ATTEMPTS = 4  # whether a mistake does harm may be a matter of chance
SHORT = 60  # timers
WRONG_SETTLES = 8.0  # seconds


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
    rig.wait_for_a_slot()  # the next one is a day away now
    rig.jump(0.0)


def _jump_back(rig: TimeRig) -> None:
    rig.wait_for_some()
    rig.jump(-DAY)
    rig.wait_until_idle()
    rig.jump(0.0)


def _nothing(rig: TimeRig) -> None:
    """Two nodes are enough."""


@dataclass(frozen=True)
class TimeFault:
    """``shows`` are the parts of the count of which one must tell that Lamson was made wrong.

    Without a ``weakness`` none is known that only this fault would show.
    """

    name: str
    title: str
    strike: Callable[[TimeRig], None]
    weakness: str = ""
    shows: tuple[str, ...] = ()
    failpoint: str = ""
    nodes: int = 1
    databases: tuple[Kind, ...] = BOTH


FAULTS = [
    TimeFault(
        "time-killed-after-take",
        "`kill -9` of a worker after it took a task",
        _kill,
        EARLY,
        ("lost", "undone"),
        failpoint.AFTER_TAKE,
        nodes=2,
    ),
    TimeFault(
        "time-killed-before-commit",
        "`kill -9` of a worker before the COMMIT of tasks",
        _kill,
        EARLY,
        ("lost", "undone"),
        failpoint.BEFORE_COMMIT,
        nodes=2,
    ),
    TimeFault(
        "time-killed-after-commit",
        "`kill -9` of a worker after the COMMIT of tasks",
        _kill,
        LATE,
        ("twice",),
        failpoint.AFTER_COMMIT,
        nodes=2,
    ),
    TimeFault(
        "time-all-killed",
        "`kill -9` of supervisor and workers, then a new start",
        _kill_all,
        EARLY,
        ("lost", "undone"),
    ),
    TimeFault(
        "time-database-gone",
        "sessions ended for three seconds; on SQLite a lock for five",
        _lose_database,
        EARLY,
        ("lost", "undone"),
    ),
    TimeFault(
        "time-two-nodes",
        "nothing: two nodes look at the same tasks",
        _nothing,
        LATE,
        ("twice",),
        nodes=2,
        databases=POSTGRES,
    ),
    TimeFault(
        "time-clock-jumps",
        "all clocks jump a day ahead, and back",
        _jump,
        UNMENDED,
        ("is_standing",),
    ),
    TimeFault(
        "time-clock-jumps-back",
        "all clocks jump a day back, and ahead again",
        _jump_back,
    ),
]


@dataclass
class TimeOutcome:
    """What runs of one fault came to, one strike each."""

    fault: TimeFault
    kind: Kind
    weakness: str = ""
    timers: int = 0
    injected: int = 0
    survived: int = 0
    found: dict[str, int] = field(default_factory=dict)
    """How many of each kind in `Count`, over all runs."""

    def add(self, count: Count, timers: int) -> None:
        self.timers += timers
        self.injected += 1
        self.survived += count.is_clean
        for name, value in vars(count).items():
            number = int(value) if isinstance(value, bool) else len(value)
            self.found[name] = self.found.get(name, 0) + number

    @property
    def is_clean(self) -> bool:
        return not any(self.found.values())

    @property
    def is_noticed(self) -> bool:
        return any(self.found[name] for name in self.fault.shows)

    def __str__(self) -> str:
        told = ", ".join(f"{name} {number}" for name, number in self.found.items() if number)
        return (
            f"{self.fault.name} on {self.kind}: {self.survived} of {self.injected} survived,"
            f" {self.timers} timers{', ' if told else ''}{told}"
        )


def run(
    fault: TimeFault,
    directory: Path,
    server: PostgresInstance | None,
    *,
    timers: int = SHORT,
    rounds: int = 1,
) -> TimeOutcome:
    """Strike so many times, each a rig with so many timers."""
    outcome = TimeOutcome(fault, "sqlite" if server is None else "postgres")
    for number in range(rounds):
        place = directory / str(number)
        place.mkdir()
        with _rig(fault, place, server, timers=timers) as rig:
            try:
                fault.strike(rig)
                rig.settle()
            except AssertionError:
                print(rig.log())
                raise
            count = rig.count()
            if not count.is_clean:
                print(count, rig.log())
        outcome.add(count, timers)
    return outcome


def run_wrong(fault: TimeFault, directory: Path, server: PostgresInstance | None) -> TimeOutcome:
    """Strike a Lamson that is made wrong, a few times if need be, until the count notices it."""
    kind: Kind = "sqlite" if server is None else "postgres"
    for attempt in range(ATTEMPTS):
        place = directory / str(attempt)
        place.mkdir()
        with _rig(fault, place, server, timers=SHORT, weakness=fault.weakness) as rig:
            try:
                fault.strike(rig)
                rig.settle(WRONG_SETTLES)
            except AssertionError:
                pass  # it is wrong
            outcome = TimeOutcome(fault, kind, fault.weakness)
            outcome.add(rig.count(), SHORT)
        if outcome.is_noticed:
            break
    return outcome


def _rig(
    fault: TimeFault,
    place: Path,
    server: PostgresInstance | None,
    *,
    timers: int,
    weakness: str = "",
) -> TimeRig:
    return TimeRig(
        place,
        server,
        timers=timers,
        nodes=fault.nodes,
        weakness=weakness,
        failpoint=fault.failpoint,
    )
