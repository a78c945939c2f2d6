"""The parts of the benchmark, by name."""

from __future__ import annotations

import shutil
import statistics
from typing import TYPE_CHECKING

from tests.bench import (
    command,
    crowd,
    database,
    endtoend,
    mailer,
    messages,
    milter,
    nodes,
    routing,
    scale,
    socketmap,
    source,
    timers,
)
from tests.bench.comparison import Effort, compare
from tests.bench.dovecot import Dovecot
from tests.bench.lamsons import (
    CountedLamson,
    CountedLamsonDurable,
    Lamson,
    LamsonDurable,
    LamsonHeaders,
    LamsonWhole,
    TwoLamsons,
)
from tests.bench.peers import Aiosmtpd, Obvious, Salmon, SilentSalmon, SmtpSink
from tests.bench.report import Goal, Section

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tests.bench.load import Load


def accept(loads: Sequence[Load], effort: Effort) -> Iterable[Section]:
    """Lamson with a handler that does nothing, beside servers that do nothing either."""
    title = "Accepting mail (LMTP, empty handler, no database)"
    if reason := source.unavailable():
        return [Section(title, remarks=[f"left out: {reason}"])]
    if shutil.which("smtp-source") is None:
        loads = [load for load in loads if load.sender != "smtp-source"]
    peers = [SmtpSink, Aiosmtpd, Salmon, SilentSalmon, Lamson, TwoLamsons]
    return compare(title, peers, loads, effort)


def durable(loads: Sequence[Load], effort: Effort) -> Iterable[Section]:
    """Lamson with everything on disk and a reply for each message, beside the obvious program.

    Not under smtp-source: where all messages are one there is nothing to remember.
    """
    title = "Handling mail durably (SQLite, synchronous=FULL)"
    if reason := source.unavailable():
        return [Section(title, remarks=[f"left out: {reason}"])]
    loads = [load for load in loads if load.sender != "smtp-source"]
    return compare(title, [SmtpSink, Obvious, Dovecot, LamsonDurable], loads, effort)


def journal(loads: Sequence[Load], effort: Effort) -> Iterable[Section]:
    """Lamson with everything on disk, with and without a journal."""
    title = "Keeping a journal (SQLite, synchronous=FULL)"
    if reason := source.unavailable():
        return [Section(title, remarks=[f"left out: {reason}"])]
    loads = [load for load in loads if load.name == "10 sessions"]
    return compare(title, [LamsonDurable, LamsonHeaders, LamsonWhole], loads, effort)


def through_postfix(loads: Sequence[Load], effort: Effort) -> Iterable[Section]:
    """Real Postfix, Lamson, submission, and out again, beside smtp-sink in Lamson's place."""
    if reason := endtoend.unavailable():
        return [Section("End to end", remarks=[f"left out: {reason}"])]
    return [endtoend.measure(effort)]


def crowds(loads: Sequence[Load], effort: Effort) -> Iterable[Section]:
    """Small messages beside a thousand idle connections, and beside a very large message."""
    if reason := crowd.unavailable():
        return [Section("A crowd", remarks=[f"left out: {reason}"])]
    return crowd.measure(effort)


def postgres(loads: Sequence[Load], effort: Effort) -> Iterable[Section]:
    """Lamson on PostgreSQL, beside the same transaction by hand."""
    if reason := database.unavailable():
        return [Section("PostgreSQL", remarks=[f"left out: {reason}"])]
    return database.measure(effort)


def several_nodes(loads: Sequence[Load], effort: Effort) -> Iterable[Section]:
    """One, two and four services on one PostgreSQL."""
    if reason := database.unavailable():
        return [Section("Several services", remarks=[f"left out: {reason}"])]
    return nodes.measure(effort)


def routes(loads: Sequence[Load], effort: Effort) -> Iterable[Section]:
    """One address among few routes and among many."""
    costs = routing.measure()
    section = Section("Routing one address")
    section.remarks = [f"{name} routes: {us:,.1f} µs" for name, us in costs.items()]
    tokens = routing.verification()
    section.remarks += [f"{name}: {us:,.1f} µs" for name, us in tokens.items()]
    few, many = routing.SIZES[0], routing.SIZES[-1]
    ratio = costs[f"router {many}"] / costs[f"router {few}"]
    section.goals = [Goal(f"{many:,} routes / {few:,} routes", ratio, goal=2.0, at_least=False)]
    beside = max(tokens.values()) - tokens["a token, not verified"]
    section.goals.append(Goal("µs to verify a token", beside, goal=10.0, at_least=False))
    if salmon := costs.get(f"salmon {many}"):
        times = salmon / costs[f"router {many}"]
        section.goals.append(Goal(f"times as fast as Salmon, {many:,} routes", times, goal=100.0))
    return [section]


def reading_and_writing(loads: Sequence[Load], effort: Effort) -> Iterable[Section]:
    """A message read and one composed, beside the standard library's package."""
    costs = messages.measure()
    section = Section("Reading and composing")
    section.remarks = [f"{what}, {who}: {us:.1f} µs" for (what, who), us in costs.items()]
    section.goals = [
        Goal(f"{what}, lamson / email", costs[what, "lamson"] / costs[what, "email"], goal, False)
        for what, goal in ((messages.READING, 0.1), (messages.COMPOSING, 0.05))
    ]
    return [section]


def help_command(loads: Sequence[Load], effort: Effort) -> Iterable[Section]:
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


def milters(loads: Sequence[Load], effort: Effort) -> Iterable[Section]:
    """Our milter behind Postfix, beside one in C and one on bare pymilter."""
    if reason := milter.unavailable():
        return [Section("The milter", remarks=[f"left out: {reason}"])]
    return milter.measure(effort.rounds, effort.seconds)


def lookups(loads: Sequence[Load], effort: Effort) -> Iterable[Section]:
    """Postfix asking the socketmap, beside tables of its own."""
    if reason := socketmap.unavailable():
        return [Section("The socketmap", remarks=[f"left out: {reason}"])]
    return socketmap.measure(effort.rounds, effort.seconds)


def from_elsewhere(loads: Sequence[Load], effort: Effort) -> Iterable[Section]:
    """A Mailer beside the running service, and many scheduled messages."""
    return mailer.measure(effort)


def counting(loads: Sequence[Load], effort: Effort) -> Iterable[Section]:
    """What it costs to count for a status listener: the CPU of a message, with one and without."""
    if reason := source.unavailable():
        return [Section("What the numbers cost", remarks=[f"left out: {reason}"])]
    ten = [load for load in loads if load.name == "10 sessions"]
    sections = []
    pairs: list[list[type[Lamson]]]
    pairs = [[Lamson, CountedLamson], [LamsonDurable, CountedLamsonDurable]]
    for pair in pairs:
        for section in compare("What the numbers cost", pair, ten, effort):
            plain, counted = section.results
            what = f"CPU of a message, {counted.peer} / {plain.peer}"
            goal = Goal.of_pairs(what, counted.cpu, plain.cpu, 1.03, at_least=False)
            section.goals, section.remarks = [goal], []
            sections.append(section)
    return sections


def in_time(loads: Sequence[Load], effort: Effort) -> Iterable[Section]:
    """Timers: how many a second, and how late beside mail."""
    if reason := timers.unavailable():
        return [Section("Timers", remarks=[f"left out: {reason}"])]
    return timers.measure(effort)


def at_scale(loads: Sequence[Load], effort: Effort) -> Iterable[Section]:
    """A durable mail where little is in the database, and where much is."""
    if effort.rounds < Effort.rounds:  # --quick
        return scale.measure(effort.seconds, many=scale.SOME)
    return scale.measure(2 * effort.rounds * effort.seconds)


SECTIONS: dict[str, Callable[[Sequence[Load], Effort], Iterable[Section]]] = {
    "accept": accept,
    "durable": durable,
    "journal": journal,
    "postfix": through_postfix,
    "crowd": crowds,
    "postgres": postgres,
    "nodes": several_nodes,
    "routing": routes,
    "messages": reading_and_writing,
    "command": help_command,
    "milter": milters,
    "socketmap": lookups,
    "mailer": from_elsewhere,
    "counting": counting,
    "time": in_time,
    "scale": at_scale,
}
