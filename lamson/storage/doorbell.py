"""The doorbell of a running service: who has put mail into the outbox rings, and it looks at once.

On PostgreSQL that is a NOTIFY in the transaction of the mail, which the server passes on with its
commit. On SQLite it is a datagram to a socket in the run directory, which is for its user alone. A
ring that nobody hears costs nothing but a few seconds: the relay looks by itself, too.
"""

from __future__ import annotations

import hashlib
import os
import socket
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from sqlalchemy import text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy.engine import Connection

SOCKET = "outbox.bell"
_NOTIFY = text("SELECT pg_notify(:channel, '')")


def ring(run_dir: Path) -> None:
    """Ring at the socket of the service in ``run_dir``, if one is there and lets us."""
    with suppress(OSError), _socket() as bell, within(run_dir, SOCKET) as path:
        bell.sendto(b"", path)


def notify(connection: Connection, schema: str | None) -> None:
    """Ring with the commit of the caller's transaction, on PostgreSQL."""
    connection.execute(_NOTIFY, {"channel": channel(schema)})


def channel(schema: str | None) -> str:
    """What services listen to, and others notify, whose tables are in ``schema``."""
    return f"lamson_{hashlib.sha256((schema or '').encode()).hexdigest()[:16]}"


def listen(run_dir: Path) -> socket.socket:
    """The socket to ring at, in the place of one that a dead process left. Raises OSError."""
    bell = _socket()
    try:
        with within(run_dir, SOCKET) as path:
            with suppress(FileNotFoundError):
                os.unlink(path)
            bell.bind(path)
            os.chmod(path, 0o600)
    except OSError:
        bell.close()
        raise
    return bell


@contextmanager
def within(directory: Path, name: str) -> Iterator[str]:
    """A path of a file in ``directory`` that is short enough for a socket (unix(7): 107 octets)."""
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{name}"
    finally:
        os.close(descriptor)


def _socket() -> socket.socket:
    bell = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    bell.setblocking(False)
    return bell
