"""The parts of the benchmark: which peers under which loads, and what was promised of them."""

from __future__ import annotations

import statistics
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench import command, measure, milter, routing, socketmap
from tests.bench.peers import (
    Aiosmtpd,
    Lamson,
    LamsonDurable,
    Obvious,
    Peer,
    Salmon,
    SilentSalmon,
    SmtpSink,
)
from tests.bench.report import Goal, Section, ratio_goal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.load import Load


@dataclass(frozen=True)
class Effort:
    """How long to measure: rounds, seconds of one peer's run in a round; peers to leave out."""

    rounds: int = 7
    seconds: float = 1.0
    without: tuple[str, ...] = ()


# load, peer, the peer it is compared with, at least
_PROMISED = (
    ("10 sessions", Lamson, SmtpSink, 0.5),
    ("10 sessions", Lamson, Aiosmtpd, 5.0),
)


def accept(loads: Sequence[Load], effort: Effort) -> list[Section]:
    """Lamson with a handler that does nothing, beside servers that do nothing either."""
    return _compare(
        "Accepting mail (LMTP, empty handler, no database)",
        [SmtpSink, Aiosmtpd, Salmon, SilentSalmon, Lamson],
        loads,
        effort,
    )


def durable(loads: Sequence[Load], effort: Effort) -> list[Section]:
    """Lamson with everything on disk and a reply for each message, beside the obvious program."""
    return _compare(
        "Handling mail durably (SQLite, synchronous=FULL)",
        [SmtpSink, Obvious, LamsonDurable],
        [replace(load, sender="source") for load in loads],
        effort,
    )


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


def milters(loads: Sequence[Load], effort: Effort) -> list[Section]:
    """Our milter behind Postfix, beside one in C and one on bare pymilter."""
    if reason := milter.unavailable():
        return [Section("The milter", remarks=[f"left out: {reason}"])]
    return [
        milter.cost(effort.rounds, effort.seconds),
        milter.through_postfix(effort.rounds, effort.seconds, tcp=False),
        milter.through_postfix(effort.rounds, effort.seconds, tcp=True),
    ]


def lookups(loads: Sequence[Load], effort: Effort) -> list[Section]:
    """Postfix asking the socketmap, beside tables of its own."""
    if reason := socketmap.unavailable():
        return [Section("The socketmap", remarks=[f"left out: {reason}"])]
    return list(socketmap.measure(effort.rounds, effort.seconds))


SECTIONS = {
    "accept": accept,
    "durable": durable,
    "routing": routes,
    "command": help_command,
    "milter": milters,
    "socketmap": lookups,
}


def _compare(
    title: str, kinds: Sequence[type[Peer]], loads: Sequence[Load], effort: Effort
) -> list[Section]:
    remarks = [
        f"{kind.name} was left out: {reason}" for kind in kinds if (reason := kind.unavailable())
    ]
    kinds = [kind for kind in kinds if not kind.unavailable() and kind.name not in effort.without]
    with ExitStack() as running:
        base = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="lamson-bench-")))
        base.chmod(0o755)
        peers = []
        for number, kind in enumerate(kinds):
            peer = kind(base / str(number))
            running.callback(peer.stop)
            peer.start()
            peers.append(peer)
        sections = []
        for load in loads:
            results = measure.compare(peers, load, rounds=effort.rounds, seconds=effort.seconds)
            section = Section(f"{title}: {load}", results=results, remarks=list(remarks))
            _judge(section, load)
            sections.append(section)
    return sections


def _judge(section: Section, load: Load) -> None:
    """Hold what was promised against it, and say the other ratios."""
    found = {result.peer: result for result in section.results}
    promised = set()
    for name, peer, base, goal in _PROMISED:
        if name == load.name and {peer.name, base.name} <= found.keys():
            section.goals.append(ratio_goal(found[peer.name], found[base.name], goal))
            promised.add((peer.name, base.name))
    for mine in section.results:
        if mine.peer.startswith(Lamson.name):
            section.remarks += [
                f"{mine.peer} / {base.peer}: {measure.median_ratio(mine, base):.2f}"
                for base in section.results
                if base is not mine and (mine.peer, base.peer) not in promised
            ]
