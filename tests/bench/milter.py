"""The milter: messages through a real Postfix, and what one costs, beside C and bare pymilter.

Postfix takes mail from `smtp-source -s 20` and discards it behind the queue. What a message costs
is measured without Postfix, with a client that speaks the protocol on ten connections.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

from tests.bench.milter_peers import (
    BarePymilter,
    CMilter,
    LamsonMilter,
    LamsonTwo,
    MilterPeer,
    NoMilter,
    QuietPymilter,
)
from tests.bench.peer import scratch
from tests.bench.report import Goal, Section
from tests.milter.client import MilterClient

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.postfix.instance import PostfixInstance

SESSIONS = 20  # of smtp-source
CONNECTIONS = 10  # of our own client

_FIELDS = tuple(
    (name, b"value of this field")
    for name in ("Received", "Message-ID", "Date", "From", "To", "Subject")
)


def unavailable() -> str | None:
    """Why nothing of this can be measured here; None where it can."""
    from tests.postfix.instance import why_not

    if reason := why_not():
        return reason
    for program, package in (("smtp-source", "postfix"), ("cc", "gcc")):
        if shutil.which(program) is None:
            return f"{program} is not installed (Debian: {package})"
    try:
        import milter  # noqa: F401
    except ImportError:
        return "pymilter is not installed (pip install '.[milter]')"
    return None


def measure(rounds: int, seconds: float) -> Iterator[Section]:
    """What one message costs, then through Postfix over a unix socket and over TCP."""
    yield _cost(rounds, seconds)
    yield _through_postfix(rounds, seconds, tcp=False)
    yield _through_postfix(rounds, seconds, tcp=True)


def _through_postfix(rounds: int, seconds: float, *, tcp: bool) -> Section:
    """Messages per second through Postfix, each peer in turn, in every round."""
    from tests.postfix.instance import PostfixInstance

    kinds = [NoMilter, CMilter, BarePymilter, LamsonMilter, LamsonTwo]
    rates: dict[str, list[float]] = {kind.name: [] for kind in kinds}
    spent: dict[str, list[float]] = {kind.name: [] for kind in kinds}
    with ExitStack() as running:
        base = running.enter_context(scratch())
        lanes = []
        for number, kind in enumerate(kinds):
            peer = kind(base / str(number), tcp=tcp)
            peer.start()
            running.callback(peer.stop)
            postfix = running.enter_context(
                PostfixInstance(
                    sink_port=9,
                    routes={"test.com": "discard:"},
                    incoming={"smtpd_milters": peer.endpoint},
                    main={"default_process_limit": "100"},
                )
            )
            lanes.append((peer, postfix))
        messages = 200
        for peer, postfix in lanes:  # to warm up, and to know how many fill the time
            rate = _send(postfix, messages)
            if peer.name == NoMilter.name:
                messages = max(200, int(rate * seconds))
        for turn in range(rounds):
            shift = turn % len(lanes)
            for peer, postfix in lanes[shift:] + lanes[:shift]:
                cpu = peer.cpu()
                rates[peer.name].append(_send(postfix, messages))
                spent[peer.name].append((peer.cpu() - cpu) / messages * 1e6)
    how = "TCP" if tcp else "a unix socket"
    section = Section(f"The milter through Postfix, smtp-source -s {SESSIONS}, over {how}")
    medians = {name: statistics.median(values) for name, values in rates.items()}
    section.remarks = [
        f"{name}: {median:,.0f} messages/s ({min(rates[name]):,.0f}-{max(rates[name]):,.0f}), "
        f"{median / medians[NoMilter.name]:.2f} of no milter, "
        f"{statistics.median(spent[name]):,.0f} µs of the milter's CPU each"
        for name, median in medians.items()
    ]
    section.goals = [
        Goal.of_pairs(f"{name} / C milter, {how}", rates[name], rates[CMilter.name], 0.9)
        for name in (LamsonMilter.name, LamsonTwo.name)
    ]
    section.goals.append(_cpu_goal(spent, BarePymilter.name))
    return section


def _cost(rounds: int, seconds: float) -> Section:
    """CPU per message, and messages per second, spoken to without Postfix."""
    kinds = [CMilter, BarePymilter, QuietPymilter, LamsonMilter]
    spent: dict[str, list[float]] = {kind.name: [] for kind in kinds}
    rates: dict[str, list[float]] = {kind.name: [] for kind in kinds}
    with ExitStack() as running:
        base = running.enter_context(scratch())
        peers = []
        for number, kind in enumerate(kinds):
            peer = kind(base / str(number))
            peer.start()
            running.callback(peer.stop)
            peers.append(peer)
        messages = max(100, int(seconds * 500))  # the kernel counts CPU in hundredths of a second
        for turn in range(rounds + 1):
            shift = turn % len(peers)
            for peer in peers[shift:] + peers[:shift]:
                cpu, began = peer.cpu(), time.monotonic()
                with ThreadPoolExecutor(CONNECTIONS) as pool:
                    list(pool.map(_talk, [peer] * CONNECTIONS, [messages] * CONNECTIONS))
                count = CONNECTIONS * messages
                if turn:  # the first is to warm up
                    rates[peer.name].append(count / (time.monotonic() - began))
                    spent[peer.name].append((peer.cpu() - cpu) / count * 1e6)
    section = Section(f"What one message costs the milter, {CONNECTIONS} connections, unix socket")
    section.remarks = [
        f"{name}: {statistics.median(values):,.0f} µs of CPU "
        f"({min(values):,.0f}-{max(values):,.0f}), {statistics.median(rates[name]):,.0f} messages/s"
        for name, values in spent.items()
    ]
    section.goals = [_cpu_goal(spent, kind.name) for kind in (BarePymilter, QuietPymilter)]
    return section


def _cpu_goal(spent: dict[str, list[float]], base: str) -> Goal:
    ours = LamsonMilter.name
    what = f"CPU per message, {ours} / {base}"
    return Goal.of_pairs(what, spent[ours], spent[base], 1.3, at_least=False)


def _talk(peer: MilterPeer, messages: int) -> None:
    with MilterClient(peer.address) as client:
        client.connect()
        client.helo()
        for _ in range(messages):
            answer = client.message(headers=_FIELDS, body=b"x" * 4096)
            if answer.added().get("X-Filtered", "").strip() != "yes":
                raise RuntimeError(f"{peer.name}: {answer}")


def _send(postfix: PostfixInstance, messages: int) -> float:
    command = ["smtp-source", "-s", str(SESSIONS), "-m", str(messages), "-l", "4096"]
    command += ["-f", "z@sender.test", "-t", "one@test.com", f"127.0.0.1:{postfix.smtp_port}"]
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    taken = time.monotonic() - began
    if done.returncode:
        raise RuntimeError(f"smtp-source: {done.stderr}\n{postfix.log_text()[-2000:]}")
    postfix.wait_empty()
    return messages / taken
