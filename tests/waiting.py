"""Waiting for something to become true, and ports to listen on, for tests with real processes."""

from __future__ import annotations

import random
import socket
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_POLL = 0.02
_RANDOM = random.SystemRandom()  # hypothesis seeds the other: two workers would choose the same


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


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody listens on.

    Taken from below Linux's ephemeral range, so that no outgoing connection is given it meanwhile.
    """
    while True:
        port = _RANDOM.randrange(12000, 32000)
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
