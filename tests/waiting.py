"""Waiting for something to become true, and ports to listen on, for tests with real processes."""

from __future__ import annotations

import itertools
import os
import random
import socket
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

_POLL = 0.02


def wait_for(
    condition: Callable[[], T], what: str | Callable[[], str], *, timeout: float = 60.0
) -> T:
    """Return the first true value of ``condition()``.

    ``timeout`` is in seconds. Raises AssertionError, saying what was waited for, when it is over;
    ``what`` may be a function where the message is worth looking up at that moment.
    """
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > deadline:
            text = what() if callable(what) else what
            raise AssertionError(f"not within {timeout:g} s: {text}")
        time.sleep(_POLL)
    return value


def ports_of(worker: str, workers: int) -> Iterator[int]:
    """The ports that a worker of pytest-xdist may give away ("gw0", ...), each in its turn.

    No two workers have one in common, and none gives the same one twice soon: between the choice of
    a port and the start of a server on it another test would find it free as well. From below
    Linux's ephemeral range, so that no outgoing connection is given it meanwhile.
    """
    own = range(12000 + int(worker.removeprefix("gw")), 32000, workers)
    begin = random.SystemRandom().randrange(len(own))  # hypothesis seeds the other generator
    return itertools.cycle([*own[begin:], *own[:begin]])


_PORTS = ports_of(
    os.environ.get("PYTEST_XDIST_WORKER", "gw0"),
    int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")),
)


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody listens on, and that no other test is about to take."""
    while True:
        port = next(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def listening(port: int, host: str = "127.0.0.1") -> bool:
    """True where something accepts connections on the port."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((host, port)) == 0
