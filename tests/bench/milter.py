"""The milter: messages through a real Postfix, and what one costs, beside C and bare pymilter.

Each peer does the same: it looks at the recipient and at one header field, and adds one. Postfix
takes mail from `smtp-source -s 20` and discards it behind the queue. What a message costs is
measured without Postfix, with a client that speaks the protocol on ten connections.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from tests.bench import process
from tests.bench.report import Goal, Section
from tests.milter.client import MilterClient
from tests.milter.projects import FilteringService
from tests.waiting import free_port, wait_for

if TYPE_CHECKING:
    from tests.postfix.instance import PostfixInstance

SERVERS = Path(__file__).parent / "servers"
SESSIONS = 20  # of smtp-source
CONNECTIONS = 10  # of our own client

FILTERS = """
@filter_message("(user)@(host)", body=False)
def tag(message: FilteredMail, user: str, host: str) -> Verdict:
    message.add_header("X-Filtered", "yes" if message["Subject"] is not None else "no")
"""
_FIELDS = tuple(
    (name, b"value of this field")
    for name in ("Received", "Message-ID", "Date", "From", "To", "Subject")
)


class MilterPeer:
    """One milter, on a unix socket or a TCP port. ``name`` is for the report."""

    name: ClassVar[str]

    def __init__(self, directory: Path, *, tcp: bool = False) -> None:
        self.port = free_port() if tcp else 0
        self.path = str(directory / "socket")
        self.directory = directory
        directory.mkdir(mode=0o755)
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str | tuple[str, int]:
        return ("127.0.0.1", self.port) if self.port else self.path

    @property
    def endpoint(self) -> str:
        """As main.cf names it."""
        return f"inet:127.0.0.1:{self.port}" if self.port else f"unix:{self.path}"

    def command(self) -> list[str]:
        raise NotImplementedError

    def conn(self) -> str:
        """As libmilter names it."""
        return f"inet:{self.port}@127.0.0.1" if self.port else f"unix:{self.path}"

    def start(self) -> None:
        self._child = subprocess.Popen(self.command(), umask=0, stderr=subprocess.DEVNULL)
        wait_for(self.answers, f"{self.name} answers")

    def answers(self) -> bool:
        try:
            MilterClient(self.address).quit()
        except OSError:
            return False
        return True

    def stop(self) -> None:
        assert self._child is not None
        self._child.kill()
        self._child.wait()

    def pid(self) -> int:
        assert self._child is not None
        return self._child.pid

    def cpu(self) -> float:
        """CPU seconds used so far."""
        return process.cpu_seconds(self.pid())


class CMilter(MilterPeer):
    name = "C milter"

    def command(self) -> list[str]:
        program = self.directory / "milter"
        source = str(SERVERS / "milter.c")
        subprocess.run(
            ["cc", "-O2", "-o", str(program), source, "-lmilter", "-lpthread"], check=True
        )
        return [str(program), self.conn()]


class BarePymilter(MilterPeer):
    name = "bare pymilter"

    def command(self) -> list[str]:
        return [sys.executable, str(SERVERS / "bare_pymilter.py"), self.conn()]


class QuietPymilter(BarePymilter):
    """Written by somebody who knows which answers Postfix can do without."""

    name = "bare pymilter, noreply"

    def command(self) -> list[str]:
        return [*super().command(), "noreply"]


class LamsonMilter(MilterPeer):
    name = "lamson"
    workers = 1

    def start(self) -> None:
        listen = f"127.0.0.1:{self.port}" if self.port else f"unix:{self.path}"
        milter = f'"{listen}", socket_mode="0666", workers={self.workers}'
        self._service = FilteringService(self.directory / "project", FILTERS, milter)
        self._service.start()

    def stop(self) -> None:
        self._service.stop()

    def pid(self) -> int:
        return self._service.pid


class LamsonTwo(LamsonMilter):
    name = "lamson, 2 workers"
    workers = 2


class NoMilter(MilterPeer):
    name = "no milter"
    endpoint = ""

    def start(self) -> None:
        pass

    stop = start

    def cpu(self) -> float:
        return 0.0


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
        return "pymilter is not installed (pip install 'lamson[milter]')"
    return None


def through_postfix(rounds: int, seconds: float, *, tcp: bool) -> Section:
    """Messages per second through Postfix, each peer in turn, in every round."""
    from tests.postfix.instance import PostfixInstance

    kinds = [NoMilter, CMilter, BarePymilter, LamsonMilter, LamsonTwo]
    rates: dict[str, list[float]] = {kind.name: [] for kind in kinds}
    spent: dict[str, list[float]] = {kind.name: [] for kind in kinds}
    with ExitStack() as running:
        base = _base(running)
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
    for name in (LamsonMilter.name, LamsonTwo.name):
        turns = [mine / its for mine, its in zip(rates[name], rates[CMilter.name], strict=True)]
        section.goals.append(
            Goal(
                f"{name} / C milter, {how}",
                medians[name] / medians[CMilter.name],
                goal=0.9,
                spread=(min(turns), max(turns)),
            )
        )
    pairs = zip(spent[LamsonMilter.name], spent[BarePymilter.name], strict=True)
    turns = [mine / its for mine, its in pairs]
    section.goals.append(
        Goal(
            f"CPU per message, lamson / bare pymilter, {how}",
            statistics.median(turns),
            goal=1.3,
            at_least=False,
            spread=(min(turns), max(turns)),
        )
    )
    return section


def cost(rounds: int, seconds: float) -> Section:
    """CPU per message, and messages per second, spoken to without Postfix."""
    kinds = [CMilter, BarePymilter, QuietPymilter, LamsonMilter]
    spent: dict[str, list[float]] = {kind.name: [] for kind in kinds}
    rates: dict[str, list[float]] = {kind.name: [] for kind in kinds}
    with ExitStack() as running:
        base = _base(running)
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
    for kind in (BarePymilter, QuietPymilter):
        pairs = zip(spent[LamsonMilter.name], spent[kind.name], strict=True)
        turns = [mine / its for mine, its in pairs]
        section.goals.append(
            Goal(
                f"CPU per message, lamson / {kind.name}",
                statistics.median(turns),
                goal=1.3,
                at_least=False,
                spread=(min(turns), max(turns)),
            )
        )
    return section


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


def _base(running: ExitStack) -> Path:
    base = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="lamson-bench-")))
    base.chmod(0o755)
    return base
