"""The whole way: Postfix, LMTP, a stateful handler, its reply's submission, Postfix, the world.

Three lanes, each with a Postfix of its own. In one Lamson takes the mail and submits a reply to
each message. In the next smtp-sink takes it, and the sender in C hands in as many messages of a
reply's size, pipelined, over as many connections, from the start: what Postfix alone can do with
this mail. In the last there are no replies: it tells what the messages alone cost Postfix. The
clock stops when all mail was taken and the outside world (an smtp-sink) has all replies.

CPU is that of all processes of a lane's Postfix, ended ones included: its master waits for them.
"""

from __future__ import annotations

import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.bench import process, source
from tests.bench.lamsons import LamsonBehindPostfix
from tests.bench.load import Load
from tests.bench.peer import scratch
from tests.bench.peers import SmtpSink, Submission
from tests.bench.report import Goal, Section
from tests.postfix.instance import PostfixInstance, why_not
from tests.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.bench.comparison import Effort
    from tests.bench.peer import Peer

_INCOMING = Load("incoming", pipelined=True, smtp=True)
# Of a size with our replies, over the connections that Lamson keeps (`submission.connections`).
_REPLIES = Load("replies", sessions=4, size=1024, pipelined=True, smtp=True, domain="world.test")
_LANES = _LAMSON, _SINK, _ALONE = "lamson", "smtp-sink and source", "smtp-sink, no replies"
_WARM_UP = 300  # messages
_RUN = 3  # times as long as the runs of other sections, as mail stands in queues here


@dataclass
class Lane:
    """One Postfix, the server behind it, and the world that its mail goes out to."""

    name: str
    backend: Peer
    postfix: PostfixInstance
    world: Submission
    replies: Load | None  # that is sent beside the mail
    answers: bool = True
    rates: list[float] = field(default_factory=list)
    postfix_cpu: list[float] = field(default_factory=list)  # µs for each message
    backend_cpu: list[float] = field(default_factory=list)

    def run(self, messages: int) -> float:
        """Send, note what it cost, and give the messages per second."""
        taken = self.backend.count() + messages
        replied = self.world.count() + (messages if self.answers else 0)
        cpu = process.cpu_seconds(self.postfix.pid), self.backend.cpu()
        began = time.monotonic()
        with ThreadPoolExecutor() as pool:
            sent = [pool.submit(_INCOMING.run, self.postfix.smtp_port, messages)]
            if self.replies is not None:
                sent.append(pool.submit(self.replies.run, self.postfix.submission_port, messages))
            for one in sent:
                one.result()
        wait_for(
            lambda: self.backend.count() >= taken and self.world.count() >= replied,
            lambda: f"{self.name}: {taken} messages taken and {replied} replies",
            timeout=120,
        )
        self.rates.append(messages / (time.monotonic() - began))
        spent = process.cpu_seconds(self.postfix.pid) - cpu[0], self.backend.cpu() - cpu[1]
        self.postfix_cpu.append(spent[0] / messages * 1e6)
        self.backend_cpu.append(spent[1] / messages * 1e6)
        if (self.backend.count(), self.world.count()) != (taken, replied):
            raise RuntimeError(f"{self.name}: more mail came out than went in")
        return self.rates[-1]

    def __str__(self) -> str:
        return (
            f"{self.name}: {statistics.median(self.rates):,.0f} messages/s "
            f"({min(self.rates):,.0f}-{max(self.rates):,.0f}); CPU for each: "
            f"{statistics.median(self.postfix_cpu):,.0f} µs Postfix, "
            f"{statistics.median(self.backend_cpu):,.0f} µs {self.backend.name}"
        )

    def forget(self) -> None:
        """Drop what was noted so far."""
        for values in (self.rates, self.postfix_cpu, self.backend_cpu):
            values.clear()


def unavailable() -> str | None:
    """Why this cannot be measured here; None where it can."""
    return why_not() or source.unavailable() or SmtpSink.unavailable()


def measure(effort: Effort) -> Section:
    """Rates of the lanes in turn, and what each costs."""
    with ExitStack() as running:
        base = running.enter_context(scratch())
        lanes = [_lane(running, base / name, name) for name in _LANES]
        rates = [lane.run(_WARM_UP) for lane in lanes]
        messages = max(_WARM_UP, int(statistics.fmean(rates) * effort.seconds * _RUN))
        for lane in lanes:
            lane.forget()
        for turn in range(effort.rounds):
            shift = turn % len(lanes)
            for lane in lanes[shift:] + lanes[:shift]:
                lane.run(messages)
    section = Section(f"Through a real Postfix and back into it, {messages:,} messages of 4 KiB")
    section.goals = _goals(*lanes)
    section.remarks = [str(lane) for lane in lanes]
    return section


def _lane(running: ExitStack, base: Path, name: str) -> Lane:
    def started(peer: Peer) -> None:
        running.callback(peer.stop)
        peer.start()

    base.mkdir()
    world = Submission(base / "world")
    started(world)
    postfix = PostfixInstance(
        sink_port=world.port, routes={}, main={"default_process_limit": "100"}
    )
    running.callback(postfix.close)
    backend: Peer
    if name == _LAMSON:
        backend = LamsonBehindPostfix(base / "lamson", postfix.submission_port)
    else:
        backend = SmtpSink(base / "sink")
    started(backend)
    postfix.routes[_INCOMING.domain] = f"lmtp:inet:[127.0.0.1]:{backend.port}"
    postfix.write_config()
    postfix.start()
    replies = _REPLIES if name == _SINK else None
    return Lane(name, backend, postfix, world, replies, answers=name != _ALONE)


def _goals(ours: Lane, sink: Lane, alone: Lane) -> list[Goal]:
    return [
        Goal.of_pairs(f"rate, {ours.name} / {sink.name}", ours.rates, sink.rates, 0.9),
        Goal.of_pairs(
            "CPU per message, lamson / Postfix without any reply",
            ours.backend_cpu,
            alone.postfix_cpu,
            0.25,
            at_least=False,
        ),
    ]
