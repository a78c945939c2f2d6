"""Peers under loads, interleaved, as sections of the report with what was promised of them."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.bench import measure
from tests.bench.dovecot import Dovecot
from tests.bench.lamsons import Lamson, LamsonDurable, LamsonHeaders, LamsonWhole
from tests.bench.peer import scratch
from tests.bench.peers import Aiosmtpd, Obvious, Salmon, SmtpSink
from tests.bench.report import Section, ratio_goal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tests.bench.load import Load
    from tests.bench.peer import Peer


@dataclass(frozen=True)
class Effort:
    """How long to measure: rounds, seconds of one peer's run in a round; peers to leave out."""

    rounds: int = 5
    seconds: float = 1.0
    without: tuple[str, ...] = ()


# load, peer, the peer it is compared with, at least
_PROMISED = (
    ("smtp-source", Lamson, SmtpSink, 0.8),
    ("smtp-source", Lamson, Aiosmtpd, 8.0),
    ("10 sessions", Lamson, Salmon, 8.0),
    ("10 sessions", LamsonDurable, SmtpSink, 0.25),
    ("10 sessions", LamsonDurable, Obvious, 6.0),
    ("10 sessions", LamsonDurable, Dovecot, 4.0),
    ("10 sessions", LamsonHeaders, LamsonDurable, 0.9),
    ("10 sessions", LamsonWhole, LamsonDurable, 0.9),
    ("20 recipients", LamsonDurable, Obvious, 6.0),
    ("new connections", LamsonDurable, SmtpSink, 0.35),
    ("new connections", LamsonDurable, Obvious, 5.0),
)


def compare(
    title: str, kinds: Sequence[Callable[[Path], Peer]], loads: Sequence[Load], effort: Effort
) -> Iterator[Section]:
    """Measure peers, each made in a directory of its own, under each load; a section for each."""
    with ExitStack() as running:
        base = running.enter_context(scratch())
        peers, remarks = [], []
        for number, kind in enumerate(kinds):
            peer = kind(base / str(number))
            if peer.name in effort.without:
                continue
            if reason := peer.unavailable():
                remarks.append(f"{peer.name} was left out: {reason}")
                continue
            running.callback(peer.stop)
            peer.start()
            peers.append(peer)
        for load in loads:
            yield _section(title, peers, load, effort, remarks)


def _section(
    title: str, peers: Sequence[Peer], load: Load, effort: Effort, remarks: Sequence[str]
) -> Section:
    those = [peer for peer in peers if peer.loads is None or load.name in peer.loads]
    results = measure.compare(those, load, rounds=effort.rounds, seconds=effort.seconds)
    section = Section(f"{title}: {load}", results=results, remarks=list(remarks))
    judge(section, load)
    return section


def judge(section: Section, load: Load) -> None:
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
