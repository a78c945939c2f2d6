"""How long nobody accepts while a killed worker is replaced, and whether anybody is refused.

The service has one worker. Clients connect all the time, as Postfix does, and wait for the
greeting; meanwhile the worker is killed, as soon as the one before it has been replaced.
"""

from __future__ import annotations

import os
import signal
import socket
import statistics
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from tests.faults.fault import Fault, nothing
from tests.faults.rig import Rig
from tests.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

CLIENTS = 2
PATIENCE = 30.0  # seconds that a client waits for its greeting


@dataclass
class Restarts:
    """What was measured. Times are in seconds."""

    kills: int = 0
    connections: int = 0
    refused: int = 0
    gaps: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.gaps)

    @property
    def longest(self) -> float:
        return max(self.gaps)


class _Clients:
    """Connects again and again, from threads of its own."""

    def __init__(self, port: int) -> None:
        self.connections = self.refused = 0
        self._port = port
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._connect) for _ in range(CLIENTS)]

    def __enter__(self) -> _Clients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join(timeout=PATIENCE + 10)

    def _connect(self) -> None:
        while not self._is_over.wait(0.005):  # as many as matter, not as many as possible
            try:
                with socket.create_connection(("127.0.0.1", self._port), PATIENCE) as client:
                    self.connections += 1
                    with suppress(OSError):  # its worker may be killed before it says anything
                        client.recv(100)
            except ConnectionRefusedError:
                self.refused += 1


def greeted(port: int) -> bool:
    """Whether somebody accepts a connection and says so."""
    try:
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
            return client.recv(100).startswith(b"220 ")
    except OSError:
        return False


def _is_replaced(rig: Rig, old: list[int]) -> bool:
    workers = rig.workers()
    return bool(workers) and not set(workers) & set(old)


def measure(kills: int, directory: Path) -> Restarts:
    """Kill a worker ``kills`` times under load."""
    measured = Restarts()
    idle = Fault(name="restarts", title="", inject=nothing)
    with Rig(idle, directory, None) as rig, _Clients(rig.lamson.port) as clients:
        for _ in range(kills):
            rig.load.begin(2)
            old = wait_for(rig.workers, "a worker")
            for worker in old:
                os.kill(worker, signal.SIGKILL)
            killed_at = time.monotonic()
            wait_for(lambda: greeted(rig.lamson.port), "a greeting")
            measured.gaps.append(time.monotonic() - killed_at)
            measured.kills += 1
            wait_for(partial(_is_replaced, rig, old), "a new worker")
        rig.settle(120)
    measured.connections, measured.refused = clients.connections, clients.refused
    return measured
