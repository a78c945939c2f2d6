"""libmilter on a socket that is not its own: started in a thread, drained by the main one.

For the worker. libmilter insists on opening its socket, but all workers share one, which the
supervisor has bound (mode, group and a check that nobody else is using the path included). So
libmilter opens one of the same family that nobody knows, and the shared one is put in its place.
The main thread stays in Python: it gets SIGTERM, on which libmilter would drop the sessions that it
serves. What fails at the start raises UnavailableError.
"""

from __future__ import annotations

import os
import socket
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import milter

from lamson import log
from lamson.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lamson_milter.libmilter.callbacks import Callbacks

_POLL = 0.05  # seconds between two looks at whether the sessions have ended
_WRITING = 0.5  # seconds that libmilter may take to write an answer after our callback


class MilterServer:
    """Serves the connections of one listening socket, which other processes may share."""

    def __init__(self, callbacks: Callbacks, listener: socket.socket, idle_timeout: int) -> None:
        """``idle_timeout`` is in seconds."""
        self._callbacks = callbacks
        self._idle_timeout = idle_timeout
        self._listener = listener
        self._descriptor = -1

    def start(self, ended: Callable[[], None]) -> None:
        """Start serving. ``ended`` is called, on another thread, if libmilter gives up."""
        if self._listener.family != socket.AF_UNIX:
            # Without, every message that is edited waits 44 ms for a delayed acknowledgement. Linux
            # hands the option on to the connections.
            self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with tempfile.TemporaryDirectory(prefix="lamson-") as directory:
            self._open(directory)
            self._put_in_place(self._listener)

        def run() -> None:
            try:
                milter.main()
            except milter.error as error:
                log.logger.error("libmilter: %s", error)
            ended()

        threading.Thread(target=run, name="libmilter", daemon=True).start()

    def stop_accepting(self) -> None:
        """Leave new connections to the other processes."""
        nobody = socket.socket(self._listener.family)
        if self._listener.family != socket.AF_UNIX:
            nobody.bind(("::1" if self._listener.family == socket.AF_INET6 else "127.0.0.1", 0))
        else:
            nobody.bind("")  # Linux chooses a name
        nobody.listen(0)
        self._put_in_place(nobody)

    def drain(self, patience: float, timeout: float, meanwhile: Callable[[], None]) -> None:
        """Return when no message is under way; ``meanwhile`` is called again and again.

        Sessions between two messages are waited for ``patience`` seconds, messages ``timeout``.
        """
        began = time.monotonic()
        never = threading.Event()
        while True:
            waited = time.monotonic() - began
            sessions = list(self._callbacks.sessions)
            busy = any(session.transaction is not None for session in sessions)
            busy = busy or time.monotonic() - self._callbacks.last_end < _WRITING
            if waited >= timeout or (not busy and (not sessions or waited >= patience)):
                return
            meanwhile()
            never.wait(_POLL)

    def _open(self, directory: str) -> None:
        family = self._listener.family
        if family == socket.AF_UNIX:
            address: object = str(Path(directory, "socket"))
            milter.setconn(f"unix:{address}")
        elif family == socket.AF_INET6:
            milter.setconn("inet6:0@::1")
        else:
            milter.setconn("inet:0@127.0.0.1")
        milter.settimeout(self._idle_timeout)
        self._callbacks.register("lamson")
        before = set(_listening())
        try:
            milter.opensocket(False)
        except milter.error as error:
            raise UnavailableError(f"libmilter cannot start: {error}") from error
        opened = set(_listening()) - before
        if len(opened) != 1:
            raise UnavailableError("libmilter cannot start: its socket is not found")
        (self._descriptor,) = opened

    def _put_in_place(self, sock: socket.socket) -> None:
        os.dup2(sock.fileno(), self._descriptor, inheritable=False)


def _listening() -> list[int]:
    """The descriptors of this process that are listening sockets."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            sock = socket.socket(fileno=os.dup(int(name)))
        except OSError:  # no socket, or the directory itself, which is closed by now
            continue
        with sock:
            if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                found.append(int(name))
    return found
