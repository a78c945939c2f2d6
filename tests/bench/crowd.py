"""Small messages among many: beside a thousand idle connections, and beside a very large message.

What is told is the time of one message, from its MAIL to the last reply, of which the 99th
percentile counts, and the memory of the worker. The service is durable and answers each message.
"""

from __future__ import annotations

import resource
import socket
import statistics
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from threading import Event
from typing import TYPE_CHECKING

from tests.bench import process, source
from tests.bench.lamsons import LamsonDurable
from tests.bench.load import Load
from tests.bench.peer import scratch
from tests.bench.peers import SmtpSink
from tests.bench.report import Goal, Section
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from tests.bench.comparison import Effort
    from tests.bench.load import Sent

IDLE = 1000
_BUSY = Load("50 sessions", sessions=50, pipelined=True)
_FEW = Load("10 sessions", pipelined=True)
_LARGE = Load("large", sessions=1, size=50_000_000, pipelined=True)


class Crowded(LamsonDurable):
    """Lamson with room for more connections than it has by default."""

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "LAMSON_LMTP__MAX_CONNECTIONS": str(2 * IDLE)}

    def resident(self) -> float:
        """The largest resident memory that a worker has had so far, MiB."""
        workers = process.children(self.pid())
        return max(process.peak_memory(worker) for worker in workers) / 1024**2


def unavailable() -> str | None:
    """Why this cannot be measured here; None where it can."""
    needed = 2 * IDLE
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < needed:
        return f"no process may have {needed} open files (ulimit -n)"
    return source.unavailable() or SmtpSink.unavailable()


def measure(effort: Effort) -> Iterator[Section]:
    """Small messages alone and in company, in turn."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(limits[0], 2 * IDLE), limits[1]))
    try:
        yield _idle(effort)
        yield _large(effort)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def _idle(effort: Effort) -> Section:
    with _service() as lamson:
        alone, beside = _in_turn(lamson, _BUSY, effort, _idle_connections)
        resident = lamson.resident()
    section = Section(f"{IDLE:,} idle connections beside {_BUSY}")
    section.remarks = _remarks(alone, beside)
    section.goals = [
        Goal("MiB resident in a worker, at most", resident, 60.0, at_least=False),
        Goal.of_pairs("p99, with / without them", _p99(beside), _p99(alone), 1.5, at_least=False),
    ]
    return section


def _large(effort: Effort) -> Section:
    with _service() as lamson:
        alone, beside = _in_turn(lamson, _FEW, effort, _large_messages)
        resident = lamson.resident()
    section = Section(f"Messages of 50 MB, one after the other, beside {_FEW}")
    section.remarks = [*_remarks(alone, beside), f"MiB resident, at most: {resident:.0f}"]
    return section


@contextmanager
def _service() -> Iterator[Crowded]:
    with scratch() as base:
        lamson = Crowded(base / "lamson")
        try:
            lamson.start()
            yield lamson
        finally:
            lamson.stop()


def _in_turn(
    lamson: Crowded,
    load: Load,
    effort: Effort,
    company: Callable[[int], AbstractContextManager[None]],
) -> tuple[list[Sent], list[Sent]]:
    """Runs without and with ``company``, which is given the port."""
    few = load.run(lamson.port, 1000)
    messages = int(1000 / (few.ended - few.began) * effort.seconds)
    alone, beside = [], []
    for _ in range(effort.rounds):
        alone.append(_run(lamson, load, messages))
        with company(lamson.port):
            beside.append(_run(lamson, load, messages))
    return alone, beside


def _run(lamson: Crowded, load: Load, messages: int) -> Sent:
    """One run, and what it left to do."""
    sent = load.run(lamson.port, messages)
    wait_for(lambda: lamson.replies() >= lamson.count(), "all replies to be submitted", timeout=120)
    return sent


@contextmanager
def _idle_connections(port: int) -> Iterator[None]:
    with ExitStack() as opened:
        for _ in range(IDLE):
            client = opened.enter_context(socket.create_connection(("127.0.0.1", port)))
            client.recv(1000)
            client.sendall(b"LHLO idle.test\r\n")
            client.recv(1000)
        yield


@contextmanager
def _large_messages(port: int) -> Iterator[None]:
    ending = Event()

    def send() -> None:
        while not ending.is_set():
            _LARGE.run(port, 1)

    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(send)
        try:
            yield
        finally:
            ending.set()
        sending.result()


def _p99(runs: Sequence[Sent]) -> list[float]:
    return [run.p99 for run in runs if run.p99 is not None]


def _remarks(alone: Sequence[Sent], beside: Sequence[Sent]) -> list[str]:
    return [
        f"{name}: median {statistics.median(run.median or 0.0 for run in runs) * 1e3:.1f} ms, "
        f"p99 {statistics.median(_p99(runs)) * 1e3:.1f} ms "
        f"({min(_p99(runs)) * 1e3:.1f}-{max(_p99(runs)) * 1e3:.1f})"
        for name, runs in (("without", alone), ("with", beside))
    ]
