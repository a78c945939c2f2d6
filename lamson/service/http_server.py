"""A server of a few small pages by HTTP/1.1 (RFC 9112), for GET and HEAD alone.

For the status listener. It is bounded in all that a client decides: the octets of a request, the
time that one and its answer take, and the connections. Each is closed after its answer, so that a
client takes no place for longer than it needs. Who is one too many is told 503, who speaks no HTTP
400. HTTP/1.0 will do. Who comes from this machine has to ask under a name of it (421): else a page
of elsewhere whose name was made to lead here ("DNS rebinding") could have a browser read ours.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from contextlib import suppress
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple, cast

from lamson import log
from lamson.net.accept import AllowList, serve
from lamson.net.quiet import Quiet

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

MOST = 8192  # octets of a request
LINGER = 1.0  # seconds that one who is refused has to take his answer
_LINE = re.compile(rb"([A-Z]{1,20}) ([!-~]{1,2000}) HTTP/1\.[0-9]")
_HOST = re.compile(rb"\n[Hh][Oo][Ss][Tt]:[ \t]*([!-~]*)[ \t]*\r?(?=\n)")
_PORT = re.compile(r":[0-9]*\Z")
_END = re.compile(rb"\r?\n\r?\n")


class Answer(NamedTuple):
    """What a page says."""

    status: HTTPStatus
    kind: str
    body: bytes


def plain(status: HTTPStatus, text: str = "") -> Answer:
    """A line of text."""
    return Answer(status, "text/plain; charset=utf-8", f"{text or status.phrase}\n".encode())


class HttpServer:
    """Serves ``pages``, by path, on any number of sockets. ``timeout`` is in seconds."""

    def __init__(
        self,
        pages: Mapping[str, Callable[[], Awaitable[Answer]]],
        *,
        allow: Iterable[str] = (),
        max_connections: int = 64,
        timeout: float = 10.0,
    ) -> None:
        self.pages = pages
        self.allow_list = AllowList(allow)
        self.max_connections = max_connections
        self.timeout = timeout
        self.connections: set[_Connection] = set()
        self.quiet = Quiet()
        self._servers: list[asyncio.AbstractServer] = []

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        """Accept connections on these bound sockets, which now belong to the server."""
        loop = asyncio.get_running_loop()
        for sock in sockets:
            self._servers.append(await serve(loop, sock, lambda: _Connection(self, loop)))

    def stop(self) -> None:
        """Close everything."""
        for server in self._servers:
            server.close()
        for connection in list(self.connections):
            connection.abort()


class _Connection(asyncio.Protocol):
    def __init__(self, server: HttpServer, loop: asyncio.AbstractEventLoop) -> None:
        self._server = server
        self._loop = loop
        self._received = b""
        self._is_answered = False
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        server = self._server
        if not server.allow_list.allows(transport.get_extra_info("peername")):
            server.quiet.warn("status: refused a connection: status.allow does not name it")
            self._refuse(plain(HTTPStatus.FORBIDDEN))
        elif len(server.connections) >= server.max_connections:
            self._refuse(plain(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections"))
        else:
            server.connections.add(self)
            self._timer = self._loop.call_later(server.timeout, self.abort)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._server.connections.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        if self._is_answered or self._task is not None:
            return  # what comes after the request is nothing to us
        self._received += data
        found = _END.search(self._received)
        if found is None and len(self._received) < MOST:
            if not self._looks_like_http():
                self._answer(plain(HTTPStatus.BAD_REQUEST))
            return
        if found is None or found.end() > MOST:
            self._answer(plain(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE))
            return
        if not self._is_of_here():
            self._answer(plain(HTTPStatus.MISDIRECTED_REQUEST, "ask by address, or as localhost"))
            return
        self._task = self._loop.create_task(self._respond(self._received.splitlines()[0]))

    def abort(self) -> None:
        """Close it, whatever waits to be sent."""
        self._transport.abort()

    def _looks_like_http(self) -> bool:
        """As far as it has come."""
        line, newline, _ = self._received.partition(b"\n")
        if newline:
            return _LINE.fullmatch(line.rstrip(b"\r")) is not None
        return re.fullmatch(rb"[A-Z]{1,20}( [!-~]{0,2000}( [!-~]{0,8}\r?)?)?", line) is not None

    def _is_of_here(self) -> bool:
        """Whether what comes over loopback names this machine, or nothing."""
        peer = self._transport.get_extra_info("peername")
        if not isinstance(peer, tuple):
            return True
        came_from = ipaddress.ip_address(peer[0])
        if not (getattr(came_from, "ipv4_mapped", None) or came_from).is_loopback:
            return True
        return all(map(_is_ours, _HOST.findall(self._received)))

    async def _respond(self, line: bytes) -> None:
        request = _LINE.fullmatch(line)
        if request is None:
            self._answer(plain(HTTPStatus.BAD_REQUEST))
            return
        method, target = request[1], request[2].decode("ascii")
        if method not in (b"GET", b"HEAD"):
            answer = plain(HTTPStatus.METHOD_NOT_ALLOWED)
            self._answer(answer, "Allow: GET, HEAD\r\n")
            return
        page = self._server.pages.get(target.partition("?")[0])
        if page is None:
            known = ", ".join(self._server.pages)
            answer = plain(HTTPStatus.NOT_FOUND, f"there is no such page; there are {known}")
        else:
            try:
                answer = await page()
            except Exception:  # noqa: BLE001 - told to the client, and logged
                log.logger.exception("status: %s failed", target[:100])
                answer = plain(HTTPStatus.INTERNAL_SERVER_ERROR)
        self._answer(answer, has_body=method != b"HEAD")

    def _refuse(self, answer: Answer) -> None:
        self._answer(answer)
        self._timer = self._loop.call_later(LINGER, self.abort)

    def _answer(self, answer: Answer, fields: str = "", *, has_body: bool = True) -> None:
        self._is_answered = True
        status = answer.status
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\n"
            f"Date: {formatdate(usegmt=True)}\r\n"
            f"Content-Type: {answer.kind}\r\n"
            f"Content-Length: {len(answer.body)}\r\n"
            "Cache-Control: no-store\r\n"
            "X-Content-Type-Options: nosniff\r\n"
            f"{fields}Connection: close\r\n\r\n"
        )
        with suppress(OSError):
            self._transport.write(head.encode("ascii") + (answer.body if has_body else b""))
            # Closed at once, what the client is still sending would have the kernel reset the
            # connection, and him lose the answer. He closes it, or the timer does.
            self._transport.write_eof()


def _is_ours(host: bytes) -> bool:
    """An address, a name without a dot, which nobody elsewhere can give out, or this machine's."""
    name = _PORT.sub("", host.decode("ascii").lower())
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return "." not in name or name == socket.gethostname().lower()
    return True
