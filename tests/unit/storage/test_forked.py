"""lamson.storage.forked: connections of a worker lead nowhere in what it forks.

What becomes of the worker's transaction is in tests/postgres.
"""

from __future__ import annotations

import os
import socket
from typing import Any

from lamson.storage import forked


class Connection:
    """As one of psycopg, as far as needed."""

    def __init__(self, own: socket.socket) -> None:
        self._own = own

    def fileno(self) -> int:
        if self._own.fileno() < 0:
            raise OSError("the connection is closed")
        return self._own.fileno()


def test_what_a_forked_process_says_does_not_reach_the_server() -> None:
    entry: Any = None
    ours, server = socket.socketpair()
    closed, other = socket.socketpair()
    connections = [Connection(ours), Connection(closed)]
    for one in connections:
        forked.remember(one, entry)
    closed.close()
    pid = os.fork()
    if pid == 0:
        os.write(ours.fileno(), b"from the child")
        os._exit(0)
    os.waitpid(pid, 0)
    ours.send(b"from us")
    assert server.recv(100) == b"from us"
    for one in (ours, server, other):
        one.close()
