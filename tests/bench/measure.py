"""Runs loads against peers in turn, and makes medians of what it cost.

Each round gives every peer the same load once, in an order that rotates, so that what else the
machine does meanwhile hits them all. The number of messages is chosen for each peer so that a run
takes about as long as for the others. After a run the peer's own count has to be what was sent.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.load import Load
    from tests.bench.peer import Peer

_LIMITS = (50, 60_000)  # messages of one run


@dataclass
class Result:
    """One peer under one load; a list has one value for each round.

    Rates are deliveries (recipients) per second: ``accepted`` until the last one was answered,
    ``finished`` until also its reply had arrived at the submission server. ``cpu`` and
    ``sender_cpu`` are microseconds per delivery.
    """

    peer: str
    load: str
    answers: bool = False
    messages: int = 0
    accepted: list[float] = field(default_factory=list)
    finished: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    sender_cpu: list[float] = field(default_factory=list)


def median_ratio(result: Result, base: Result) -> float:
    """The ratio of the medians of the rates."""
    return statistics.median(result.accepted) / statistics.median(base.accepted)


def compare(peers: Sequence[Peer], load: Load, *, rounds: int, seconds: float) -> list[Result]:
    """Measure every peer under one load; a run takes about ``seconds``. The peers are running."""
    results = [Result(peer.name, load.name, peer.answers) for peer in peers]
    for peer, result in zip(peers, results, strict=True):
        messages = int(_probe(peer, load, seconds / 4) * seconds)
        result.messages = min(max(messages, _LIMITS[0]), _LIMITS[1])
    pairs = list(zip(peers, results, strict=True))
    for number in range(rounds):
        shift = number % max(1, len(pairs))
        for peer, result in pairs[shift:] + pairs[:shift]:
            _run(peer, load, result.messages, result)
    return results


def _probe(peer: Peer, load: Load, seconds: float) -> float:
    """About how many messages per second, once the sender has started and connected.

    From two runs, the longer one by at least ``seconds``.
    """
    few = _LIMITS[0]
    short = _seconds(peer, load, few)
    while True:
        many = few * 5
        long = _seconds(peer, load, many)
        if long - short >= seconds or many * 5 > _LIMITS[1]:
            return (many - few) / max(long - short, 0.01)
        few, short = many, long


def _seconds(peer: Peer, load: Load, messages: int) -> float:
    result = Result(peer.name, load.name)
    _run(peer, load, messages, result)
    return messages * load.recipients / result.finished[0]


def _run(peer: Peer, load: Load, messages: int, result: Result) -> None:
    deliveries = messages * load.recipients
    expected = peer.count() + (messages if peer.counts == "messages" else deliveries)
    replies = peer.replies() + (deliveries if peer.answers else 0)
    cpu = peer.cpu()
    sent = load.run(peer.port, messages)
    ended = sent.ended
    if peer.answers:
        wait_for(
            lambda: peer.replies() >= replies,
            lambda: f"{peer.name} submits {replies} replies; it did {peer.replies()}",
            timeout=120,
        )
        ended = time.monotonic()
    wait_for(
        lambda: peer.count() >= expected,
        lambda: f"{peer.name} counts {expected}; it has {peer.count()}",
    )
    if (peer.count(), peer.replies()) != (expected, replies):
        raise RuntimeError(
            f"{peer.name} under {load.name}: {peer.count()} accepted where {expected} were sent, "
            f"{peer.replies()} replies where there should be {replies}"
        )
    result.accepted.append(deliveries / (sent.ended - sent.began))
    result.finished.append(deliveries / (ended - sent.began))
    result.cpu.append((peer.cpu() - cpu) / deliveries * 1e6)
    result.sender_cpu.append(sent.cpu / deliveries * 1e6)
