"""A submission server that takes mail as fast as it comes, counts it and throws it away."""

from __future__ import annotations

import socketserver
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


class Drain(socketserver.ThreadingTCPServer):
    """Use as a context manager. ``taken`` are the Message-IDs of what came, in order."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Dialogue)
        self.port: int = self.server_address[1]
        self.taken: list[bytes] = []
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.shutdown()
        self.server_close()


class _Dialogue(socketserver.StreamRequestHandler):
    server: Drain

    def handle(self) -> None:
        self.wfile.write(b"220 drain.test\r\n")
        while line := self.rfile.readline():
            verb = line[:4].upper()
            if verb == b"EHLO":
                self.wfile.write(b"250-drain.test\r\n250-8BITMIME\r\n250 PIPELINING\r\n")
            elif verb == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                self._take()
            elif verb == b"QUIT":
                return
            else:
                self.wfile.write(b"250 ok\r\n")

    def _take(self) -> None:
        name = b""
        while (line := self.rfile.readline()) and line != b".\r\n":
            if not name and line.startswith(b"Message-ID:"):
                name = line.partition(b":")[2].strip()
        if line:
            self.server.taken.append(name)
            self.wfile.write(b"250 taken\r\n")
