"""The whole way: Postfix, LMTP, a stateful handler, its reply's submission, Postfix, the world.

Two lanes, each with a Postfix of its own. In one Lamson takes the mail and submits a reply to each
message. In the other smtp-sink takes it, and the sender in C hands in as many messages of a reply's
size, pipelined, over as many connections, from the start: what Postfix alone can do with this mail.
The clock stops when all mail was taken and the outside world (an smtp-sink) has all replies.

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
_WARM_UP = 300  # messages
_RUN = 3  # times as long as the runs of other sections, as mail stands in queues here


@dataclass
class Lane:
    """One Postfix, the server behind it, and the world that its mail goes out to."""

    name: str
    backend: Peer
    postfix: PostfixInstance
    world: Submission
    reinjects: bool
    rates: list[float] = field(default_factory=list)
    postfix_cpu: list[float] = field(default_factory=list)  # µs for each message
    backend_cpu: list[float] = field(default_factory=list)

    def run(self, messages: int) -> float:
        """Send, note what it cost, and give the messages per second."""
        taken, replied = self.backend.count() + messages, self.world.count() + messages
        cpu = process.cpu_seconds(self.postfix.pid), self.backend.cpu()
        began = time.monotonic()
        with ThreadPoolExecutor() as pool:
            sent = [pool.submit(_INCOMING.run, self.postfix.smtp_port, messages)]
            if self.reinjects:
                sent.append(pool.submit(_REPLIES.run, self.postfix.submission_port, messages))
            for one in sent:
                one.result()
        wait_for(
            lambda: self.backend.count() >= taken and self.world.count() >= replied,
            lambda: f"{self.name}: {messages} messages taken, and as many replies",
            timeout=120,
        )
        self.rates.append(messages / (time.monotonic() - began))
        spent = process.cpu_seconds(self.postfix.pid) - cpu[0], self.backend.cpu() - cpu[1]
        self.postfix_cpu.append(spent[0] / messages * 1e6)
        self.backend_cpu.append(spent[1] / messages * 1e6)
        if (self.backend.count(), self.world.count()) != (taken, replied):
            raise RuntimeError(f"{self.name}: more mail came out than went in")
        return self.rates[-1]

    def forget(self) -> None:
        """Drop what was noted so far."""
        for values in (self.rates, self.postfix_cpu, self.backend_cpu):
            values.clear()


def unavailable() -> str | None:
    """Why this cannot be measured here; None where it can."""
    return why_not() or source.unavailable() or SmtpSink.unavailable()


def measure(effort: Effort) -> Section:
    """Rates of both lanes in turn, and what each costs."""
    with ExitStack() as running:
        base = running.enter_context(scratch())
        lanes = [_lane(running, base, with_lamson) for with_lamson in (True, False)]
        rates = [lane.run(_WARM_UP) for lane in lanes]
        messages = max(_WARM_UP, int(statistics.fmean(rates) * effort.seconds * _RUN))
        for lane in lanes:
            lane.forget()
        for turn in range(effort.rounds):
            for lane in lanes if turn % 2 else lanes[::-1]:
                lane.run(messages)
    ours, theirs = lanes
    return _section(ours, theirs, messages)


def _lane(running: ExitStack, base: Path, with_lamson: bool) -> Lane:
    def started(peer: Peer) -> None:
        running.callback(peer.stop)
        peer.start()

    name = "lamson" if with_lamson else "smtp-sink and source"
    world = Submission(base / f"world of {name}")
    started(world)
    postfix = PostfixInstance(
        sink_port=world.port, routes={}, main={"default_process_limit": "100"}
    )
    running.callback(postfix.close)
    directory = base / name
    backend: Peer
    if with_lamson:
        backend = LamsonBehindPostfix(directory, postfix.submission_port)
    else:
        backend = SmtpSink(directory)
    started(backend)
    postfix.routes[_INCOMING.domain] = f"lmtp:inet:[127.0.0.1]:{backend.port}"
    postfix.write_config()
    postfix.start()
    return Lane(name, backend, postfix, world, reinjects=not with_lamson)


def _section(ours: Lane, theirs: Lane, messages: int) -> Section:
    section = Section(f"Through a real Postfix and back into it, {messages:,} messages of 4 KiB")
    section.remarks = [
        f"{lane.name}: {statistics.median(lane.rates):,.0f} messages/s "
        f"({min(lane.rates):,.0f}-{max(lane.rates):,.0f}); CPU for each: "
        f"{statistics.median(lane.postfix_cpu):,.0f} µs Postfix, "
        f"{statistics.median(lane.backend_cpu):,.0f} µs {lane.backend.name}"
        for lane in (ours, theirs)
    ]
    section.goals = [
        Goal.of_pairs("rate, lamson / smtp-sink and source", ours.rates, theirs.rates, 0.9),
        Goal.of_pairs(
            "CPU per message, lamson / its Postfix",
            ours.backend_cpu,
            ours.postfix_cpu,
            0.25,
            at_least=False,
        ),
    ]
    return section
