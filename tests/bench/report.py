"""The results as text for people and as JSON for programs."""

from __future__ import annotations

import dataclasses
import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.measure import Result

_HEADINGS = (
    "peer",
    "messages",
    "accepted/s",
    "(min-max)",
    "with reply/s",
    "µs CPU",
    "µs sender",
)


@dataclass(frozen=True)
class Goal:
    """One number that was promised. ``at_least`` tells which way is good."""

    what: str
    value: float
    goal: float
    at_least: bool = True
    spread: tuple[float, float] | None = None

    @classmethod
    def of_pairs(
        cls,
        what: str,
        mine: Sequence[float],
        base: Sequence[float],
        goal: float,
        *,
        at_least: bool = True,
    ) -> Goal:
        """The ratio of the medians; its spread is that of the ratios round by round."""
        rounds = [one / other for one, other in zip(mine, base, strict=True)]
        ratio = statistics.median(mine) / statistics.median(base)
        return cls(what, ratio, goal, at_least, (min(rounds), max(rounds)))

    @property
    def reached(self) -> bool:
        return self.value >= self.goal if self.at_least else self.value <= self.goal

    def __str__(self) -> str:
        sign = "≥" if self.at_least else "≤"
        spread = f" ({self.spread[0]:.2f}-{self.spread[1]:.2f})" if self.spread else ""
        verdict = "reached" if self.reached else "NOT REACHED"
        return f"{self.what}: {self.value:.2f}{spread}, goal {sign} {self.goal:g}: {verdict}"


@dataclass
class Section:
    """One table of the report and what follows from it. ``part`` is a name of SECTIONS."""

    title: str
    part: str = ""
    results: list[Result] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def as_text(self) -> str:
        lines = [self.title, "=" * len(self.title)]
        if self.results:
            lines += _table([_HEADINGS, *(_row(result) for result in self.results)])
        lines += [str(goal) for goal in self.goals] + self.remarks
        return "\n".join(lines) + "\n"

    def as_json(self) -> dict[str, Any]:
        whole = dataclasses.asdict(self)
        for goal, entry in zip(self.goals, whole["goals"], strict=True):
            entry["reached"] = goal.reached
        return whole


def ratio_goal(result: Result, base: Result, goal: float) -> Goal:
    """The promise that ``result`` takes at least ``goal`` times what ``base`` takes."""
    what = f"{result.peer} / {base.peer}, {result.load}"
    return Goal.of_pairs(what, result.accepted, base.accepted, goal)


def _row(result: Result) -> tuple[str, ...]:
    rates = result.accepted
    with_reply = "-"
    if result.answers:
        with_reply = f"{statistics.median(result.finished):,.0f}"
    return (
        result.peer,
        f"{result.messages:,}",
        f"{statistics.median(rates):,.0f}",
        f"{min(rates):,.0f}-{max(rates):,.0f}",
        with_reply,
        f"{statistics.median(result.cpu):,.0f}",
        f"{statistics.median(result.sender_cpu):,.0f}",
    )


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if number == 0 else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
