"""The parts of the benchmark: which peers under which loads, and what was promised of them."""

from __future__ import annotations

import statistics
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench import command, measure, routing
from tests.bench.peers import Aiosmtpd, Lamson, LamsonDurable, Obvious, Peer, Salmon, SmtpSink
from tests.bench.report import Goal, Section, ratio_goal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.load import Load
    from tests.bench.measure import Result


@dataclass(frozen=True)
class Effort:
    """How long to measure: rounds, and seconds of one peer's run in a round."""

    rounds: int = 7
    seconds: float = 1.0


# peer, the peer it is compared with, at least
_ACCEPT = ((Lamson, SmtpSink, 0.5), (Lamson, Aiosmtpd, 5.0))


def accept(loads: Sequence[Load], effort: Effort) -> list[Section]:
    """Lamson with a handler that does nothing, beside servers that do nothing either."""
    sections = _compare(
        "Accepting mail (LMTP, empty handler, no database)",
        [SmtpSink, Aiosmtpd, Salmon, Lamson],
        loads,
        effort,
    )
    for section in sections:
        found = {result.peer: result for result in section.results}
        section.goals += [
            ratio_goal(found[peer.name], found[base.name], goal)
            for peer, base, goal in _ACCEPT
            if {peer.name, base.name} <= found.keys()
        ]
    return sections


def durable(loads: Sequence[Load], effort: Effort) -> list[Section]:
    """Lamson with everything on disk and a reply for each message, beside the obvious program."""
    sections = _compare(
        "Handling mail durably (SQLite, synchronous=FULL)",
        [SmtpSink, Obvious, LamsonDurable],
        [replace(load, sender="source") for load in loads],
        effort,
    )
    for section in sections:
        found = {result.peer: result for result in section.results}
        if LamsonDurable.name in found:
            mine = found[LamsonDurable.name]
            section.remarks += [
                f"{mine.peer} / {base.peer}: {measure.median_ratio(mine, base):.2f}"
                for base in section.results
                if base is not mine
            ]
    return sections


def routes(loads: Sequence[Load], effort: Effort) -> list[Section]:
    """One address among few routes and among many."""
    costs = routing.measure()
    ratio = costs.pop("router ratio")
    few, many = routing.SIZES[0], routing.SIZES[-1]
    section = Section("Routing one address")
    section.remarks = [f"{name} routes: {us:,.1f} µs" for name, us in costs.items()]
    section.goals = [
        Goal(f"{many:,} routes / {few:,} routes", ratio, goal=routing.GOAL, at_least=False)
    ]
    return [section]


def help_command(loads: Sequence[Load], effort: Effort) -> list[Section]:
    """The start of a command that needs none of the heavy libraries."""
    seconds = command.measure(runs=max(3, effort.rounds))
    goal = Goal(
        "CPU seconds of `lamson help`",
        statistics.median(seconds),
        goal=0.3,
        at_least=False,
        spread=(min(seconds), max(seconds)),
    )
    return [Section("The command", goals=[goal])]


SECTIONS = {"accept": accept, "durable": durable, "routing": routes, "command": help_command}


def _compare(
    title: str, kinds: Sequence[type[Peer]], loads: Sequence[Load], effort: Effort
) -> list[Section]:
    remarks = [
        f"{kind.name} was left out: {reason}" for kind in kinds if (reason := kind.unavailable())
    ]
    with ExitStack() as running:
        base = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="lamson-bench-")))
        base.chmod(0o755)
        peers = []
        for number, kind in enumerate(kinds):
            if not kind.unavailable():
                peer = kind(base / str(number))
                peer.start()
                running.callback(peer.stop)
                peers.append(peer)
        sections = []
        for load in loads:
            results: list[Result] = measure.compare(
                peers, load, rounds=effort.rounds, seconds=effort.seconds
            )
            sections.append(Section(f"{title}: {load}", results=results, remarks=list(remarks)))
    return sections
