"""What is sent to a peer: how many sessions, recipients, octets, on kept or new connections.

The sender is source.c, which gives each message a queue id, a Message-ID and an author of its own,
so that remembering them costs what it does cost. It says what smtp-source of Postfix says, one
command after the other, or pipelines, as Postfix's lmtp(8) does. Its clock starts when all kept
connections are open. One load is sent by smtp-source itself, whose messages are all alike.
"""

from __future__ import annotations

import resource
import subprocess
import time
from dataclasses import dataclass

from tests.bench import source


@dataclass(frozen=True)
class Load:
    """One way of sending. ``size`` is the message's, in octets; ``kept`` keeps connections."""

    name: str
    sessions: int = 10
    size: int = 4096
    recipients: int = 1
    kept: bool = True
    sender: str = "source"  # or "smtp-source", which has none of what follows
    pipelined: bool = False
    smtp: bool = False  # instead of LMTP
    domain: str = "bench.test"
    first: int = 0  # the number of the first author: senders at a time have others

    def __str__(self) -> str:
        sessions = "1 session" if self.sessions == 1 else f"{self.sessions} sessions"
        connections = "kept connections" if self.kept else "a new connection for each message"
        people = "1 recipient" if self.recipients == 1 else f"{self.recipients} recipients"
        how = ", pipelined as Postfix does" if self.pipelined else ""
        how += ", by smtp-source" if self.sender == "smtp-source" else ""
        return f"{sessions}, {connections}, {people}, {self.size / 1024:g} KiB{how}"

    def run(self, port: int, messages: int) -> Sent:
        """Send, and return when every message was accepted. Raises RuntimeError if one was not."""
        is_source = self.sender == "source"
        command = self._source(port, messages) if is_source else self._smtp_source(port, messages)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        ended = time.monotonic()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            raise RuntimeError(f"{self.sender}: {done.stderr.strip() or done.stdout.strip()}")
        median = p99 = None
        if is_source:
            began, ended, median, p99 = map(float, done.stdout.split())
        cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
        return Sent(began, ended, cpu, median, p99)

    def _smtp_source(self, port: int, messages: int) -> list[str]:
        options = ["-L", *(["-d"] if self.kept else [])]
        if self.recipients > 1:
            options += ["-r", str(self.recipients)]
        options += ["-s", str(self.sessions), "-l", str(self.size), "-m", str(messages)]
        options += ["-f", "sender@sender.test", "-t", f"someone@{self.domain}"]
        return ["smtp-source", *options, f"127.0.0.1:{port}"]

    def _source(self, port: int, messages: int) -> list[str]:
        numbers = [port, messages, self.sessions, self.size, self.recipients]
        flags = map(int, [self.kept, self.pipelined, self.smtp])
        return [
            source.program(),
            *map(str, numbers),
            self.domain,
            *map(str, flags),
            str(self.first),
        ]


@dataclass(frozen=True)
class Sent:
    """When a load ran (monotonic seconds), and the CPU seconds that its sender used.

    ``median`` and ``p99`` are the seconds that one message took; smtp-source does not measure that.
    """

    began: float
    ended: float
    cpu: float
    median: float | None = None
    p99: float | None = None


LOADS = {
    load.name: load
    for load in (
        Load("smtp-source", sender="smtp-source"),
        Load("10 sessions"),
        Load("1 session", sessions=1),
        Load("50 sessions", sessions=50),
        Load("new connections", kept=False),
        Load("20 recipients", recipients=20),
        Load("64 KiB", size=65536),
        Load("as Postfix", pipelined=True),
    )
}
