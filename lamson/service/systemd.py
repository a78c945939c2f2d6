"""systemd: the sockets that it hands over, and telling it how the service is doing.

For the supervisor. Where something else started the service there are no such sockets, and nobody
is told or waits for a sign of life.
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress

_FIRST_LISTEN_FD = 3  # sd_listen_fds(3)
_SIGNS = 4  # of life, within the time that systemd waits for one


def inherited_sockets() -> list[tuple[str, socket.socket]]:
    """Listening sockets that systemd passed (sd_listen_fds(3)) and their names; else none."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = int(os.environ.get("LISTEN_FDS", "0"))
    names = [*os.environ.get("LISTEN_FDNAMES", "").split(":"), *[""] * count]
    found = []
    for number in range(count):
        os.set_inheritable(_FIRST_LISTEN_FD + number, False)  # programs of handlers have no use
        found.append((names[number], socket.socket(fileno=_FIRST_LISTEN_FD + number)))
    return found


def notify(state: str) -> None:
    """Tell systemd how the service is doing (sd_notify(3)). Does nothing elsewhere."""
    path = os.environ.get("NOTIFY_SOCKET")
    if path:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender, suppress(OSError):
            sender.connect("\0" + path[1:] if path.startswith("@") else path)
            sender.send(state.encode())


class Watchdog:
    """Signs of life for systemd, which ends the service where none came for `seconds`.

    That is ``WatchdogSec=`` of the unit (sd_watchdog_enabled(3)), None where it waits for none.
    """

    def __init__(self) -> None:
        self.seconds = _watchdog_seconds()
        self._next = 0.0

    def due(self) -> float | None:
        """Seconds until the next sign is due; None where none ever is."""
        if self.seconds is None:
            return None
        return max(0.0, self._next - time.monotonic())

    def sign(self) -> None:
        """Give one, where it is due."""
        if self.seconds is not None and self.due() == 0.0:
            self._next = time.monotonic() + self.seconds / _SIGNS
            notify("WATCHDOG=1")


def _watchdog_seconds() -> float | None:
    text = os.environ.get("WATCHDOG_USEC", "")
    is_for_us = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    if not (is_for_us and text.isascii() and text.isdigit()):
        return None
    return int(text) / 1e6 or None
