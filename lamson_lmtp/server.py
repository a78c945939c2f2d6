"""The LMTP server: asyncio transports for sessions, limits on all of them, and the drain.

For a worker process, which gives it bound sockets (see `lamson.net.listen`) and the dispatcher. Too
many connections, a client that is silent for too long and one that takes too long for a transaction
are told 421 and closed. Between transactions a client counts as silent whatever it says: NOOPs, or
octets of a line that never ends, must not keep a connection that Postfix may need. So does one that
begins transactions and brings no message. A client that does not read its replies is not read from.
"""

from __future__ import annotations

import asyncio
import socket
import time
from typing import TYPE_CHECKING, cast

from lamson import failpoint, log
from lamson.net.accept import AllowList, client_name, serve, stop_accepting
from lamson.net.quiet import Quiet
from lamson.smtp import reply as replies
from lamson.smtp.reply import Reply
from lamson_lmtp.connection import Connection, Limits
from lamson_lmtp.events import ANSWERED, CLOSED, NEED_DATA, STARTTLS
from lamson_lmtp.session import Budget, Session, make_ids

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Sequence

    from lamson_lmtp.session import Dispatcher

READ_SIZE = 64 * 1024  # octets read from one client at a time
MAX_UNREAD = 64 * 1024  # octets taken from a client ahead of its turn
HANDSHAKE_TIMEOUT = 30.0  # seconds for TLS to be negotiated in
LINGER = 5.0  # seconds to send the last reply in
NEW = 1.0  # seconds that a client has to begin in, where the server stops just then
LOG_DELAY = 0.05  # seconds that log lines are collected for

# RFC 5321 section 3.1: who may not send anything is told 554 instead of the greeting.
NOT_ALLOWED = Reply(554, "5.7.1", "This client may not connect")


class LmtpServer:
    """Serves LMTP on any number of sockets, on the running event loop.

    ``idle_timeout`` and ``transaction_timeout`` are in seconds, ``max_buffered`` is in octets of
    message content, that of deliveries included. With ``tls`` clients have to say STARTTLS first;
    ``allow`` names the networks of the clients, where not everybody may connect.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        *,
        limits: Limits | None = None,
        hostname: str | None = None,
        max_connections: int = 1000,
        max_buffered: int = 512 * 1024 * 1024,
        idle_timeout: float = 300.0,
        transaction_timeout: float = 600.0,
        tls: ssl.SSLContext | None = None,
        allow: Iterable[str] = (),
    ) -> None:
        self.dispatcher = dispatcher
        self.tls = tls
        self.allow_list = AllowList(allow)
        self.limits = limits or Limits()
        self.hostname = hostname or socket.gethostname()
        self.max_connections = max_connections
        self.idle_timeout = idle_timeout
        self.transaction_timeout = transaction_timeout
        self.budget = Budget(max_buffered)
        self.ids = make_ids()
        self.quiet = Quiet()
        self.buffer = memoryview(bytearray(READ_SIZE))
        self.draining = False
        self.connections: set[_Connection] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._servers: list[asyncio.Server] = []
        self._sweep_timer: asyncio.TimerHandle | None = None
        self.is_flush_due = False
        self._unsent: list[_Connection] = []
        self._all_gone = asyncio.Event()

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        """Accept connections on these bound sockets, which now belong to the server."""
        loop = self._loop = asyncio.get_running_loop()
        for sock in sockets:
            self._servers.append(await serve(loop, sock, lambda: _Connection(self, loop)))
        # Often enough that a deadline is met within a tenth of it, at most once a second.
        shortest = min(self.idle_timeout, self.transaction_timeout)
        self._sweep_every = min(1.0, max(0.01, shortest / 10))
        self._sweep_timer = loop.call_later(self._sweep_every, self._sweep)

    async def drain(self, deadline: float) -> None:
        """Stop accepting and end all sessions, within ``deadline`` seconds.

        Idle sessions are told 421 at once, the others when the transaction they are in has had its
        replies. A new one may have a first transaction: Postfix takes a server that says 421 to a
        new connection for a sick one, and keeps all mail from it for a while. At the deadline
        recipients that still wait for a reply are told 451.
        """
        await stop_accepting(self._servers)
        self.draining = True
        for connection in list(self.connections):
            connection.drain()
        try:
            async with asyncio.timeout(deadline):
                await self._gone()
        except TimeoutError:
            for connection in list(self.connections):
                connection.end(replies.SHUTTING_DOWN)
                connection.abort_if_stuck()
            await self._gone()
        if self._sweep_timer is not None:
            self._sweep_timer.cancel()
        log.flush()

    def add(self, connection: _Connection) -> bool:
        """Count one more connection; False where it is one too many."""
        if len(self.connections) >= self.max_connections:
            return False
        self.connections.add(connection)
        return True

    def remove(self, connection: _Connection) -> None:
        self.connections.discard(connection)
        if not self.connections:
            self._all_gone.set()

    def flush_log_soon(self) -> None:
        """Write the log lines of this and the next few reads together."""
        if self._loop is not None:
            self.is_flush_due = True
            self._loop.call_later(LOG_DELAY, self._flush_log)

    def send_soon(self, connection: _Connection) -> None:
        """Have ``connection`` send when all that was received in this turn of the loop is handled.

        A client sleeps while it waits for us, and to wake it up costs more than to send: replies
        that go out one behind the other wake it up once.
        """
        if not self._unsent and self._loop is not None:
            self._loop.call_soon(self._send)
        self._unsent.append(connection)

    def _send(self) -> None:
        unsent, self._unsent = self._unsent, []
        for connection in unsent:
            connection.send()

    def _flush_log(self) -> None:
        self.is_flush_due = False
        log.flush()

    async def _gone(self) -> None:
        while self.connections:
            self._all_gone.clear()
            await self._all_gone.wait()

    def _sweep(self) -> None:
        assert self._loop is not None
        self._sweep_timer = self._loop.call_later(self._sweep_every, self._sweep)
        now = time.monotonic()
        for connection in list(self.connections):
            connection.check_deadlines(now)


class _Connection(asyncio.BufferedProtocol):
    """The transport's side of one session: moves bytes, watches the flow and the clock.

    All connections of a server read into one buffer. Where each read makes its own, as with
    `asyncio.Protocol`, the C library maps and unmaps memory each time: three times the whole cost.
    """

    def __init__(self, server: LmtpServer, loop: asyncio.AbstractEventLoop) -> None:
        self._server = server
        self._loop = loop
        self._buffer = server.buffer
        self._can_write = True
        self._is_reading = True
        self._is_turn_due = False
        self._is_tls = False
        self._unsent = b""
        self._active = self._made = time.monotonic()
        self._engaged = self._made  # the client had a transaction, or had just come
        self._transport: asyncio.Transport
        self._session: Session | None = None
        self._handshake: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        server = self._server
        peername = transport.get_extra_info("peername")
        is_allowed = server.allow_list.allows(peername)
        if not is_allowed or server.draining or not server.add(self):
            refusal = replies.SHUTTING_DOWN if server.draining else replies.TOO_MANY_CONNECTIONS
            if not is_allowed:
                refusal = NOT_ALLOWED
                server.quiet.warn(
                    "refused the connection of %s: lmtp.allow does not name it",
                    client_name(peername),
                )
            self._transport.write(bytes(refusal))
            self._transport.close()
            return
        self._session = Session(
            server.dispatcher,
            Connection(server.limits, server.hostname, wants_tls=server.tls is not None),
            budget=server.budget,
            ids=server.ids,
            client=client_name(peername),
            wake=self._wake,
            warn=server.quiet.warn,
        )
        if failpoint.ACTIVE:
            self._session.on_first_reply = self._on_first_reply
        self._transport.write(self._session.data_to_send())

    def get_buffer(self, _sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        session = self._session
        if session is not None:
            self._active = time.monotonic()
            session.receive(bytes(self._buffer[:nbytes]))
            self._turn(session)

    def eof_received(self) -> bool:
        session = self._session
        if session is None:
            return False
        session.receive_eof()
        self._turn(session)
        # True keeps our side open until the replies are out; TLS knows no such thing.
        return self._session is not None and not self._is_tls

    def connection_lost(self, _exc: Exception | None) -> None:
        if self._session is not None:
            self._session.lost()
            self._session = None
        self._unsent = b""
        self._server.remove(self)

    def pause_writing(self) -> None:
        self._can_write = False

    def resume_writing(self) -> None:
        self._can_write = True
        self._active = time.monotonic()
        self._take_turn()

    def drain(self) -> None:
        """The server stops: end the session unless it is in a transaction, or new."""
        session = self._session
        if session is None or session.in_transaction:
            return
        if self._is_new(session):
            self._loop.call_at(self._made + NEW, self.drain)
        else:
            self.end(replies.SHUTTING_DOWN)

    def _is_new(self, session: Session) -> bool:
        """The client has had no time yet to begin its first transaction."""
        return not session.began and time.monotonic() < self._made + NEW

    def end(self, reply: Reply) -> None:
        """End the session with a 421."""
        session = self._session
        if session is not None:
            session.close(reply)
            self._unsent += session.data_to_send()
            self._close()

    def abort_if_stuck(self) -> None:
        """Drop a connection whose client does not take our last replies."""
        if self._transport.get_write_buffer_size():
            self._transport.abort()

    def check_deadlines(self, now: float) -> None:
        """End what is over time: a silent client, a slow transaction, a last reply not taken."""
        session, server = self._session, self._server
        if session is None:
            if now - self._active > LINGER:
                self._transport.abort()
        elif session.delivering and self._can_write:
            # The client waits for us; the dispatcher has its own deadline.
            self._active = self._engaged = now
        elif session.in_transaction:
            self._engaged = now
            if now - self._active > server.idle_timeout:
                self.end(replies.IDLE_TOO_LONG)
            elif now - session.began > server.transaction_timeout:
                self.end(replies.TOOK_TOO_LONG)
        else:
            self._engaged = max(self._engaged, session.began)
            brought = max(self._made, session.last_message)
            fruitless = server.idle_timeout + server.transaction_timeout
            if now - self._engaged > server.idle_timeout or now - brought > fruitless:
                self.end(replies.IDLE_TOO_LONG)

    def _turn(self, session: Session) -> None:
        """Handle what was received, send the replies, and see to the flow."""
        if not self._can_write or self._is_turn_due:
            self._see_to_reading(session)
            return
        signal = session.advance()
        data = session.data_to_send()
        server = self._server
        if data:
            if not self._unsent:
                server.send_soon(self)
            self._unsent += data
            if not server.is_flush_due:
                server.flush_log_soon()
        if signal is CLOSED:
            self._close()
        elif signal is STARTTLS:
            self.send()
            self._transport.pause_reading()  # what comes now is for TLS
            self._handshake = self._loop.create_task(self._start_tls(session))
        elif server.draining and not session.in_transaction and not self._is_new(session):
            self.end(replies.SHUTTING_DOWN)
        elif signal is not NEED_DATA or not self._is_reading:
            if signal is ANSWERED:
                self._is_turn_due = True
                self._loop.call_soon(self._take_turn)
            self._see_to_reading(session)

    async def _start_tls(self, session: Session) -> None:
        server = self._server
        assert server.tls is not None
        plain = self._transport
        try:
            transport = await self._loop.start_tls(
                plain,
                self,
                server.tls,
                server_side=True,
                ssl_handshake_timeout=HANDSHAKE_TIMEOUT,
            )
        except OSError as error:  # ssl.SSLError, ConnectionError and TimeoutError are such
            server.quiet.warn("TLS with a client failed: %s", error)
            self._transport.abort()
            self.connection_lost(error)
            return
        if self._session is None or plain.is_closing():
            # We ended it meanwhile: asyncio takes that for success, and says nothing further.
            plain.abort()
            self.connection_lost(None)
            return
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._is_tls = True
        self._active = time.monotonic()
        if self._session is not None:
            session.secured(server.hostname)
            self._turn(session)

    def send(self) -> None:
        """Send the replies that wait for the end of the turn."""
        data, self._unsent = self._unsent, b""
        if data:
            self._transport.write(data)

    def _take_turn(self) -> None:
        self._is_turn_due = False
        if self._session is not None:
            self._turn(self._session)

    def _see_to_reading(self, session: Session) -> None:
        """Read from the client while what it sent is being used up, else let it wait."""
        should_read = session.unread <= MAX_UNREAD
        if should_read is not self._is_reading:
            self._is_reading = should_read
            if should_read:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    def _wake(self) -> None:
        """A reply became known. Those of one message that come together are sent together."""
        session = self._session
        if session is None:
            return
        if not session.delivering:
            self._turn(session)
        elif not self._is_turn_due:
            self._is_turn_due = True
            self._loop.call_soon(self._take_turn)

    def _on_first_reply(self) -> None:
        """Send it alone, and die once the system has it, if that is where to die."""
        if self._session is not None:
            self._unsent += self._session.data_to_send()
            self.send()
            if not self._transport.get_write_buffer_size():
                failpoint.reach(failpoint.AFTER_FIRST_REPLY)

    def _close(self) -> None:
        """Close once what was written is sent. What the client sends now is not looked at."""
        self.send()
        if self._session is not None:
            self._session.lost()
            self._session = None
        self._active = time.monotonic()
        self._transport.close()
