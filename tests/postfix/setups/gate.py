"""A gate before a server: while it is closed, nobody can tell that the server still runs.

For tests in which an application is stopped and started many times, without starting it.
"""

from __future__ import annotations

import os
import select
import socket
import socketserver
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self


class Gate:
    """Passes connections on to ``port``; where it listens stays the same.

    With a ``path`` it is a unix socket that everybody may open, else a port of its own.
    """

    def __init__(self, port: int, path: Path | None = None) -> None:
        self._behind = port
        self._path = path
        self.port = 0
        self._server: socketserver.BaseServer | None = None
        self._connections: list[socket.socket] = []
        self.open()

    @property
    def place(self) -> str:
        """As ``listen`` of a server has it."""
        return f"unix:{self._path}" if self._path else f"127.0.0.1:{self.port}"

    def open(self) -> None:
        """Who connects is let through from now on."""
        gate = self

        class Passing(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with suppress(OSError), socket.create_connection(("127.0.0.1", gate._behind)) as on:
                    gate._connections += [self.request, on]
                    _pass(self.request, on)

        if self._path is not None:
            self._path.unlink(missing_ok=True)
            server: socketserver.BaseServer = _Unix(str(self._path), Passing)
            os.chmod(self._path, 0o666)
        else:
            server = _Tcp(("127.0.0.1", self.port), Passing)
            self.port = server.server_address[1]
        self._server = server
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        """Nobody is let through, and nobody is inside any more."""
        if self._server is None:
            return
        self._server.shutdown()
        self._server.server_close()
        self._server = None
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._connections.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Tcp(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


class _Unix(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


def _pass(one: socket.socket, other: socket.socket) -> None:
    """Both ways, until one of them hangs up."""
    while True:
        ready, _, _ = select.select([one, other], [], [])
        for source in ready:
            data = source.recv(65536)
            if not data:
                return
            (other if source is one else one).sendall(data)
