"""A socketmap server for tests, which knows some recipients and says who was asked for."""

from __future__ import annotations

import socket
import socketserver
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType


class SocketmapServer:
    """Answers OK for these addresses at ``port``, until it is closed."""

    def __init__(self, *known: str) -> None:
        self.asked: list[str] = []
        asked = self.asked
        self._connections: list[socket.socket] = []
        connections = self._connections

        class Answering(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                connections.append(self.connection)
                while length := self._read_until(b":"):
                    _, _, key = self.rfile.read(int(length) + 1)[:-1].decode().partition(" ")
                    asked.append(key)
                    answer = b"OK routed" if key in known else b"NOTFOUND "
                    self.wfile.write(b"%d:%s," % (len(answer), answer))

            def _read_until(self, end: bytes) -> bytes:
                text = b""
                while (octet := self.rfile.read(1)) not in (b"", end):
                    text += octet
                return text

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answering)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Nobody answers any more."""
        self._server.shutdown()
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._server.server_close()

    def __enter__(self) -> SocketmapServer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
