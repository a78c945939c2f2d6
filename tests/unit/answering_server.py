"""A server that says what a test wants, whatever it is asked."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class AnsweringServer:
    """Takes connections one by one: reads ``request`` octets at the least, then calls ``answer``.

    ``answer`` is given the connection; what came is in ``asked``.
    """

    def __init__(self, answer: Callable[[socket.socket], None], *, request: int = 1) -> None:
        self._answer = answer
        self._request = request
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.asked: list[bytes] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):  # closed before
            self._listener.shutdown(socket.SHUT_RDWR)  # close() alone leaves accept() waiting
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                asked = b""
                while len(asked) < self._request:
                    piece = connection.recv(1 << 16)
                    if not piece:
                        break
                    asked += piece
                self.asked.append(asked)
                try:
                    self._answer(connection)
                except OSError:
                    continue


def saying(answer: bytes) -> Callable[[socket.socket], None]:
    """Always the same, and then it closes."""
    return lambda connection: connection.sendall(answer)
