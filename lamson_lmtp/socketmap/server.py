"""The socketmap server: asyncio transports for Postfix's lookups, beside the LMTP server.

For a worker process. smtpd processes keep their connections and send one request after another;
pipelined ones are answered in their order. A client that sends no netstrings, is slow with one, is
silent for too long or is one too many is closed and logged; nobody else notices.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, cast

from lamson.net.accept import AllowList, client_name, serve
from lamson.net.quiet import Quiet
from lamson_lmtp.socketmap.answers import LIMIT
from lamson_lmtp.socketmap.netstring import NetstringError, Netstrings, encode

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Sequence

    from lamson_lmtp.socketmap.answers import Socketmap

MAX_TURN = 200  # requests answered before others have their turn


class SocketmapServer:
    """Serves lookups on any number of sockets. Times are in seconds.

    ``allow`` names the networks of the clients, where not everybody may connect;
    ``request_timeout`` is how long a request may take to arrive, ``idle_timeout`` how long a client
    may be silent between two.
    """

    def __init__(
        self,
        socketmap: Socketmap,
        *,
        allow: Iterable[str] = (),
        max_connections: int = 1000,
        idle_timeout: float = 300.0,
        request_timeout: float = 10.0,
    ) -> None:
        self.socketmap = socketmap
        self.allow_list = AllowList(allow)
        self.max_connections = max_connections
        self.idle_timeout = idle_timeout
        self.request_timeout = request_timeout
        self.connections: set[_Connection] = set()
        self.quiet = Quiet()
        self._servers: list[asyncio.AbstractServer] = []
        self._timer: asyncio.TimerHandle | None = None

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        """Accept connections on these bound sockets, which now belong to the server."""
        loop = asyncio.get_running_loop()
        for sock in sockets:
            self._servers.append(await serve(loop, sock, lambda: _Connection(self, loop)))
        self._sweep()

    def stop(self) -> None:
        """Close everything. Postfix opens a new connection and asks again."""
        for server in self._servers:
            server.close()
        if self._timer is not None:
            self._timer.cancel()
        for connection in list(self.connections):
            connection.close()

    def _sweep(self) -> None:
        shortest = min(self.idle_timeout, self.request_timeout)
        delay = min(1.0, max(0.01, shortest / 10))
        self._timer = asyncio.get_running_loop().call_later(delay, self._sweep)
        now = time.monotonic()
        for connection in list(self.connections):
            connection.check_deadlines(now)


class _Connection(asyncio.Protocol):
    def __init__(self, server: SocketmapServer, loop: asyncio.AbstractEventLoop) -> None:
        self._server = server
        self._loop = loop
        self._netstrings = Netstrings(LIMIT)
        self._problem: NetstringError | None = None
        self._can_write = True
        self._is_turn_due = False
        self._active = self._began = time.monotonic()
        self._transport: asyncio.Transport
        self._client = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        peername = transport.get_extra_info("peername")
        self._client = client_name(peername)
        server = self._server
        if not server.allow_list.allows(peername):
            self._refuse("socketmap.allow does not name it")
        elif len(server.connections) >= server.max_connections:
            self._refuse(f"more than {server.max_connections} connections")
        else:
            server.connections.add(self)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._server.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        self._active = time.monotonic()
        if not self._netstrings.has_part:
            self._began = self._active
        try:
            if self._netstrings.receive(data):
                self._began = self._active  # a new one has begun, if any
        except NetstringError as problem:
            self._problem = problem
        self._take_turn()

    def pause_writing(self) -> None:
        self._can_write = False
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._can_write = True
        self._active = time.monotonic()
        self._take_turn()

    def close(self) -> None:
        self._transport.close()

    def check_deadlines(self, now: float) -> None:
        """Close a connection that is over time, and drop what it did not take of our replies."""
        server = self._server
        if self._is_turn_due:
            return  # it waits for us
        if self._netstrings.has_part and now - self._began > server.request_timeout:
            self._refuse(f"a request takes longer than {server.request_timeout:g} s")
        elif now - self._active > server.idle_timeout:
            if self._can_write:
                self._transport.close()  # Postfix is done with it; nothing is wrong
            else:
                self._refuse("it does not read our replies")

    def _take_turn(self) -> None:
        """Answer what came, some of it: while there is more, nothing is read from this client."""
        self._is_turn_due = False
        if self._transport.is_closing():
            return
        replies: list[bytes] = []
        more = self._can_write
        while more and len(replies) < MAX_TURN:
            request = self._netstrings.take()
            if request is None:
                more = False
            else:
                replies.append(encode(self._server.socketmap.answer(request)))
        if replies:
            self._active = time.monotonic()
            self._transport.write(b"".join(replies))
        if more:
            self._transport.pause_reading()
            if not self._is_turn_due:
                self._is_turn_due = True
                self._loop.call_soon(self._take_turn)
        elif self._problem is not None and self._can_write:
            self._refuse(str(self._problem))
        elif self._can_write and not self._transport.is_reading():
            self._began = time.monotonic()  # nothing was read of what it may have sent meanwhile
            self._transport.resume_reading()

    def _refuse(self, reason: str) -> None:
        warn = self._server.quiet.warn
        warn("socketmap: closed the connection of %s: %s", self._client, reason)
        if self._problem is None:
            self._transport.abort()
        else:
            self._transport.close()  # the replies to what came before are sent
