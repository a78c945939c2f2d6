"""Servers that answer by a script, each on threads of its own: for what asks real sockets."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    Talk = Callable[[socket.socket], None]

USUAL = {
    "EHLO": "250 mail.test",
    "LHLO": "250 mail.test",
    "STARTTLS": "220 2.0.0 Go",
    "AUTH": "235 2.7.0 Welcome",
    "QUIT": "221 2.0.0 Bye",
    "": "250 2.0.0 Ok",
}
"""What a server answers to a command that begins so."""


class _Tcp(socketserver.ThreadingTCPServer):
    allow_reuse_address = True


@contextlib.contextmanager
def answering(talk: Talk, path: Path | None = None) -> Iterator[int]:
    """Listen on loopback, or at ``path``; give each connection to ``talk``. Gives the port."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.settimeout(20)
            with contextlib.suppress(OSError):  # the client is gone
                talk(self.request)

    if path is None:
        server: socketserver.TCPServer = _Tcp(("127.0.0.1", 0), Handler)
    else:
        server = socketserver.ThreadingUnixStreamServer(str(path), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    with server:
        thread.start()
        try:
            yield 0 if path else server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


class Smtp:
    """Talks SMTP, or LMTP: ``replies`` are by the beginning of a command, before the `USUAL` ones;
    an empty one hangs up. ``context`` is for STARTTLS, or with ``is_wrapped`` for the whole of it.

    ``heard`` are the commands of all connections.
    """

    def __init__(
        self,
        replies: Mapping[str, str] | None = None,
        *,
        greeting: str = "220 mail.test ESMTP",
        context: ssl.SSLContext | None = None,
        is_wrapped: bool = False,
    ) -> None:
        own = dict(replies or {})
        self._replies = own | USUAL | own  # its own come first
        self._greeting = greeting
        self._context = context
        self._is_wrapped = is_wrapped
        self.heard: list[str] = []

    def __call__(self, sock: socket.socket) -> None:
        if self._is_wrapped:
            sock = self._wrapped(sock)
        if not self._greeting:
            return
        sock.sendall(f"{self._greeting}\r\n".encode())
        lines = sock.makefile("rb")
        while line := lines.readline():
            command = line.decode().strip()
            self.heard.append(command)
            reply = self.reply(command)
            if not reply:
                break
            sock.sendall(f"{reply}\r\n".encode())
            if command == "QUIT":
                break
            if command == "STARTTLS" and reply.startswith("220"):
                sock = self._wrapped(sock)
                lines = sock.makefile("rb")
        sock.close()

    def reply(self, command: str) -> str:
        """The answer to the command that was heard last."""
        starts = self._replies.items()
        return next(text for start, text in starts if command.upper().startswith(start))

    def _wrapped(self, sock: socket.socket) -> socket.socket:
        assert self._context is not None
        return self._context.wrap_socket(sock, server_side=True)


def silent(sock: socket.socket) -> None:
    """Say nothing until the client goes."""
    while sock.recv(4096):
        pass
