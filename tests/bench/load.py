"""What is sent to a peer: how many sessions, recipients, octets, on kept or new connections.

Two senders: Postfix's smtp-source, and source.py, which speaks as Postfix's lmtp(8) does
(pipelined, with XFORWARD, an author and a queue id of its own for each message).
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Load:
    """One way of sending. ``size`` is the message's, in octets; ``kept`` keeps connections."""

    name: str
    sender: str = "smtp-source"
    sessions: int = 10
    size: int = 4096
    recipients: int = 1
    kept: bool = True

    def __str__(self) -> str:
        connections = "kept connections" if self.kept else "a new connection for each message"
        people = "1 recipient" if self.recipients == 1 else f"{self.recipients} recipients"
        return (
            f"{self.sessions} sessions, {connections}, {people}, {self.size / 1024:g} KiB, "
            f"by {self.sender}"
        )

    def run(self, port: int, messages: int) -> Sent:
        """Send, and return when every message was accepted. Raises RuntimeError if one was not."""
        command = self._source(port, messages)
        if self.sender == "smtp-source":
            command = self._smtp_source(port, messages)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.monotonic()
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        ended = time.monotonic()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            raise RuntimeError(f"{self.sender}: {done.stderr.strip() or done.stdout.strip()}")
        if self.sender == "source":
            began, ended = map(float, done.stdout.split())
        cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
        return Sent(began=began, ended=ended, cpu=cpu)

    def _smtp_source(self, port: int, messages: int) -> list[str]:
        options = ["-L", *(["-d"] if self.kept else [])]
        if self.recipients > 1:
            options += ["-r", str(self.recipients)]
        options += ["-s", str(self.sessions), "-l", str(self.size), "-m", str(messages)]
        options += ["-f", "sender@sender.test", "-t", "someone@bench.test"]
        return ["smtp-source", *options, f"127.0.0.1:{port}"]

    def _source(self, port: int, messages: int) -> list[str]:
        numbers = [port, messages, self.sessions, self.size, self.recipients, int(self.kept)]
        return [sys.executable, "-m", "tests.bench.source", *map(str, numbers)]


@dataclass(frozen=True)
class Sent:
    """When a load ran (monotonic seconds), and the CPU seconds that its sender used."""

    began: float
    ended: float
    cpu: float


LOADS = {
    load.name: load
    for load in (
        Load("10 sessions"),
        Load("1 session", sessions=1),
        Load("50 sessions", sessions=50),
        Load("new connections", kept=False),
        Load("20 recipients", recipients=20),
        Load("64 KiB", size=65536),
    )
}
