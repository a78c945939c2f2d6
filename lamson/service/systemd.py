"""systemd: the sockets that it hands over, and telling it how the service is doing.

For the supervisor. Where something else started the service there are no such sockets, and nobody
is told.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress

_FIRST_LISTEN_FD = 3  # sd_listen_fds(3)


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
