"""The server on real sockets: loopback TCP and a unix socket."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest

from lamson.net.listen import bind
from lamson.smtp import reply as replies
from lamson_lmtp.connection import Limits
from lamson_lmtp.server import LINGER, MAX_UNREAD, LmtpServer
from tests.unit.lmtp.fakes import FakeDispatcher

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

HELLO = b"LHLO client.example\r\n"
ENVELOPE = b"MAIL FROM:<zed@example.com>\r\nRCPT TO:<one@test.example>\r\nDATA\r\n"
ACCEPTED = bytes(replies.SENDER_OK) + bytes(replies.RECIPIENT_OK) + bytes(replies.START_DATA)
OK = bytes(replies.OK)


class Client:
    """An LMTP client that knows nothing: it sends octets and reads what is expected."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def expect(self, data: bytes) -> None:
        async with asyncio.timeout(10):
            assert await self.reader.readexactly(len(data)) == data

    async def expect_end(self) -> None:
        async with asyncio.timeout(10):
            assert await self.reader.read() == b""

    async def hello(self) -> Client:
        await self.expect(b"220 mail.example LMTP ready\r\n")
        self.send(HELLO)
        async with asyncio.timeout(10):
            await self.reader.readuntil(b"250 XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE\r\n")
        return self


class Running:
    """A server that runs, and the clients that the test made."""

    def __init__(self, server: LmtpServer, address: Any) -> None:
        self.server, self.address = server, address
        self._writers: list[asyncio.StreamWriter] = []

    async def connect(self) -> Client:
        if isinstance(self.address, str):
            pair = await asyncio.open_unix_connection(self.address)
        else:
            pair = await asyncio.open_connection(*self.address)
        self._writers.append(pair[1])
        return Client(*pair)

    async def client(self) -> Client:
        return await (await self.connect()).hello()

    async def close(self) -> None:
        for writer in self._writers:
            writer.close()
        for writer in self._writers:
            with contextlib.suppress(OSError):
                await writer.wait_closed()


@contextlib.asynccontextmanager
async def serving(
    dispatcher: FakeDispatcher, *, listen: str = "127.0.0.1:0", **options: Any
) -> AsyncIterator[Running]:
    sock = bind(listen)
    server = LmtpServer(dispatcher, hostname="mail.example", **options)
    running = Running(server, sock.getsockname())
    await server.start([sock])
    try:
        yield running
    finally:
        await server.drain(0.0)
        await running.close()
        assert not server.connections


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


@pytest.fixture(params=["tcp", "unix"])
def listen(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "127.0.0.1:0" if request.param == "tcp" else f"unix:{tmp_path}/lmtp.sock"


def test_several_messages_on_one_connection(listen: str) -> None:
    async def story() -> None:
        dispatcher = FakeDispatcher()
        async with serving(dispatcher, listen=listen) as running:
            client = await running.client()
            for number in range(3):
                client.send(ENVELOPE)
                await client.expect(ACCEPTED)
                client.send(b"number %d\r\n.\r\n" % number)
                await client.expect(OK)
                assert len(running.server.connections) == 1
            client.send(b"QUIT\r\n")
            await client.expect(bytes(replies.BYE))
            await client.expect_end()
        assert [message.envelope.recipients for message in dispatcher.messages] == [
            ("one@test.example",)
        ] * 3
        assert [message.content for message in dispatcher.messages] == [
            b"number 0\r\n",
            b"number 1\r\n",
            b"number 2\r\n",
        ]

    asyncio.run(story())


def test_one_server_on_two_sockets(tmp_path: Path) -> None:
    async def story() -> None:
        sockets = [bind("127.0.0.1:0"), bind(f"unix:{tmp_path}/lmtp.sock")]
        addresses = [sock.getsockname() for sock in sockets]
        server = LmtpServer(FakeDispatcher(), hostname="mail.example")
        await server.start(sockets)
        for address in addresses:
            running = Running(server, address)
            await running.client()
            assert len(server.connections) == 1, "it is this server that answers"
            await running.close()
            await until(lambda: not server.connections)
        await server.drain(1.0)

    asyncio.run(story())


def test_nagle_is_off() -> None:
    async def story() -> None:
        async with serving(FakeDispatcher()) as running:
            await running.client()
            [connection] = running.server.connections
            sock = connection._transport.get_extra_info("socket")
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    asyncio.run(story())


def test_replies_are_sent_as_they_become_known() -> None:
    async def story() -> None:
        dispatcher = FakeDispatcher(holds=True)
        async with serving(dispatcher) as running:
            client = await running.client()
            client.send(ENVELOPE.replace(b"DATA", b"RCPT TO:<two@test.example>\r\nDATA"))
            client.send(b"hello\r\n.\r\nNOOP\r\n")
            await until(lambda: dispatcher.messages)
            dispatcher.messages[0].done(0, replies.OK)
            await client.expect(
                ACCEPTED[: -len(bytes(replies.START_DATA))]
                + bytes(replies.RECIPIENT_OK)
                + bytes(replies.START_DATA)
                + OK
            )
            dispatcher.messages[0].done(1, replies.BUSY)
            await client.expect(bytes(replies.BUSY) + OK)

    asyncio.run(story())


def test_a_big_message_in_many_pieces() -> None:
    async def story() -> None:
        dispatcher = FakeDispatcher()
        async with serving(dispatcher) as running:
            client = await running.client()
            client.send(ENVELOPE)
            await client.expect(ACCEPTED)
            line = b".x" * 39 + b"\r\n"
            client.send((b"." + line) * 50_000 + b".\r\n")
            await client.expect(OK)
            assert dispatcher.messages[0].content == line * 50_000
            assert running.server.budget.used == 0

    asyncio.run(story())


def test_too_many_connections() -> None:
    async def story() -> None:
        async with serving(FakeDispatcher(), max_connections=2) as running:
            first = await running.client()
            await running.client()
            third = await running.connect()
            await third.expect(bytes(replies.TOO_MANY_CONNECTIONS))
            await third.expect_end()
            first.send(b"QUIT\r\n")
            await first.expect(bytes(replies.BYE))
            await until(lambda: len(running.server.connections) == 1)
            await running.client()

    asyncio.run(story())


def test_an_idle_client() -> None:
    async def story() -> None:
        async with serving(FakeDispatcher(), idle_timeout=0.05) as running:
            client = await running.connect()
            await client.expect(b"220 mail.example LMTP ready\r\n")
            await client.expect(bytes(replies.IDLE_TOO_LONG))
            await client.expect_end()

    asyncio.run(story())


@pytest.mark.parametrize("drip", [b"N", b"NOOP\r\n", b"LHLO again.example\r\n"])
def test_a_client_that_says_nothing_useful_is_idle(drip: bytes) -> None:
    """Each of its octets would keep it, and a thousand of its kind all others out."""

    async def story() -> None:
        async with serving(FakeDispatcher(), idle_timeout=300.0) as running:
            client = await running.client()
            [connection] = running.server.connections
            now = time.monotonic()
            for second in range(0, 299, 13):
                before = connection._active
                client.send(drip)
                await until(lambda: connection._active > before)  # noqa: B023
                connection.check_deadlines(now + second)
            assert running.server.connections
            connection.check_deadlines(now + 301)
            assert bytes(replies.IDLE_TOO_LONG) in await client.reader.read()

    asyncio.run(story())


def test_a_connection_that_postfix_keeps_is_not_idle_after_a_slow_delivery() -> None:
    async def story() -> None:
        dispatcher = FakeDispatcher(holds=True)
        async with serving(dispatcher, idle_timeout=300.0) as running:
            client = await running.client()
            [connection] = running.server.connections
            now = time.monotonic()
            for number in range(3):
                client.send(ENVELOPE + b".\r\n")
                await until(lambda: len(dispatcher.messages) > number)  # noqa: B023
                now += 280
                connection.check_deadlines(now)
                dispatcher.messages[number].done(0, replies.OK)
                await client.expect(ACCEPTED + OK)
                connection.check_deadlines(now + 299)
            connection.check_deadlines(now + 301)
            await client.expect(bytes(replies.IDLE_TOO_LONG))

    asyncio.run(story())


def test_a_client_that_begins_transactions_and_brings_no_message() -> None:
    async def story() -> None:
        async with serving(
            FakeDispatcher(), idle_timeout=300.0, transaction_timeout=600.0
        ) as running:
            client = await running.client()
            [connection] = running.server.connections
            assert connection._session is not None
            now = time.monotonic()
            for second in (200, 400, 600, 800):
                client.send(b"MAIL FROM:<>\r\nRSET\r\n")
                await client.expect(bytes(replies.SENDER_OK) + OK)
                connection._session.began = now + second
                connection.check_deadlines(now + second + 90)
            connection.check_deadlines(now + 901)
            await client.expect(bytes(replies.IDLE_TOO_LONG))

    asyncio.run(story())


def test_a_client_that_falls_silent_in_the_content() -> None:
    async def story() -> None:
        async with serving(FakeDispatcher(), idle_timeout=300.0) as running:
            client = await running.client()
            client.send(ENVELOPE + b"half a mess")
            await client.expect(ACCEPTED)
            await until(lambda: running.server.budget.used)
            [connection] = running.server.connections
            connection.check_deadlines(time.monotonic() + 299.0)
            assert running.server.budget.used
            connection.check_deadlines(time.monotonic() + 301.0)
            assert running.server.budget.used == 0
            await client.expect(bytes(replies.IDLE_TOO_LONG))
            await client.expect_end()

    asyncio.run(story())


def test_a_client_that_takes_too_long_for_a_transaction() -> None:
    async def story() -> None:
        async with serving(
            FakeDispatcher(), idle_timeout=1e6, transaction_timeout=600.0
        ) as running:
            client = await running.client()
            [connection] = running.server.connections
            connection.check_deadlines(time.monotonic() + 601.0)  # no transaction yet
            client.send(ENVELOPE)
            await client.expect(ACCEPTED)
            connection.check_deadlines(time.monotonic() + 599.0)
            client.send(b"one more line\r\n")
            connection.check_deadlines(time.monotonic() + 601.0)
            await client.expect(bytes(replies.TOOK_TOO_LONG))

    asyncio.run(story())


def test_a_client_that_waits_for_us_is_not_idle() -> None:
    async def story() -> None:
        dispatcher = FakeDispatcher(holds=True)
        async with serving(dispatcher) as running:
            client = await running.client()
            client.send(ENVELOPE + b".\r\n")
            await until(lambda: dispatcher.messages)
            [connection] = running.server.connections
            connection.check_deadlines(time.monotonic() + 1_000_000)
            dispatcher.messages[0].done(0, replies.OK)
            await client.expect(ACCEPTED + OK)

    asyncio.run(story())


def test_half_a_connection_still_gets_its_replies() -> None:
    async def story() -> None:
        dispatcher = FakeDispatcher(holds=True)
        async with serving(dispatcher) as running:
            client = await running.client()
            client.send(ENVELOPE + b".\r\n")
            client.writer.write_eof()
            await until(lambda: dispatcher.messages)
            await asyncio.sleep(0)
            dispatcher.messages[0].done(0, replies.OK)
            await client.expect(ACCEPTED + OK)
            await client.expect_end()

    asyncio.run(story())


def test_a_client_that_goes_away_while_the_dispatcher_works() -> None:
    async def story() -> None:
        dispatcher = FakeDispatcher(holds=True)
        async with serving(dispatcher) as running:
            client = await running.client()
            client.send(ENVELOPE + b"hello\r\n.\r\n")
            await until(lambda: dispatcher.messages)
            client.writer.transport.abort()
            assert running.server.budget.used == 7
            dispatcher.messages[0].done(0, replies.OK)
            await until(lambda: not running.server.connections)
            assert running.server.budget.used == 0
            await running.client()

    asyncio.run(story())


def test_who_does_not_read_is_not_read_from() -> None:
    async def story() -> None:
        async with serving(FakeDispatcher(), idle_timeout=60.0) as running:
            client = await running.client()
            transport = client.writer.transport
            assert isinstance(transport, asyncio.Transport)
            transport.pause_reading()
            [connection] = running.server.connections
            flood = b"HELP\r\n" * 10_000
            sent = 0
            while connection._can_write:
                client.send(flood)
                sent += len(flood)
                assert sent < 100 * 1024 * 1024
                await asyncio.sleep(0)
            await until(lambda: not connection._is_reading)
            assert connection._session is not None
            assert connection._session.unread <= 2 * MAX_UNREAD
            written = connection._transport.get_write_buffer_size()
            for _ in range(20):
                await asyncio.sleep(0)
            assert connection._transport.get_write_buffer_size() <= written
            # It is not waited for either.
            connection.end(replies.IDLE_TOO_LONG)
            connection.check_deadlines(time.monotonic() + LINGER + 1)
            await until(lambda: not running.server.connections)
            client.writer.transport.abort()

    asyncio.run(story())


def test_what_was_held_back_is_read_later() -> None:
    async def story() -> None:
        dispatcher = FakeDispatcher(holds=True)
        async with serving(dispatcher) as running:
            client = await running.client()
            client.send(ENVELOPE + b".\r\n")
            await until(lambda: dispatcher.messages)
            [connection] = running.server.connections
            number = 4 * MAX_UNREAD // 6
            client.send(b"NOOP\r\n" * number)
            await until(lambda: not connection._is_reading)
            assert connection._session is not None
            assert connection._session.unread <= 2 * MAX_UNREAD
            dispatcher.messages[0].done(0, replies.OK)
            await client.expect(ACCEPTED + OK + OK * number)

    asyncio.run(story())


def test_garbage_ends() -> None:
    async def story() -> None:
        async with serving(FakeDispatcher(), limits=Limits(max_errors=3)) as running:
            client = await running.client()
            client.send(b"one\r\ntwo three\r\n\r\n")
            async with asyncio.timeout(10):
                said = await client.reader.read()
            assert said.endswith(b"421 4.7.0 Too many errors; closing the connection\r\n")

    asyncio.run(story())


def test_drain() -> None:
    async def story() -> None:
        dispatcher = FakeDispatcher(holds=True)
        async with serving(dispatcher) as running:
            idle, sending, delivering = [await running.client() for _ in range(3)]
            sending.send(ENVELOPE)
            await sending.expect(ACCEPTED)
            delivering.send(ENVELOPE + b".\r\n")
            await delivering.expect(ACCEPTED)
            await until(lambda: dispatcher.messages)
            drained = asyncio.ensure_future(running.server.drain(10.0))
            await idle.expect(bytes(replies.SHUTTING_DOWN))
            await idle.expect_end()
            with pytest.raises(OSError, match="Connect"):
                await running.connect()
            assert not drained.done()
            dispatcher.messages[0].done(0, replies.OK)
            await delivering.expect(OK + bytes(replies.SHUTTING_DOWN))
            await delivering.expect_end()
            sending.send(b"hello\r\n.\r\n")
            await until(lambda: len(dispatcher.messages) == 2)
            dispatcher.messages[1].done(0, replies.OK)
            await sending.expect(OK + bytes(replies.SHUTTING_DOWN))
            await drained

    asyncio.run(story())


def test_drain_lets_a_new_client_send_what_it_came_for() -> None:
    """To Postfix a server that says 421 to a new connection is a sick one."""

    async def story() -> None:
        dispatcher = FakeDispatcher()
        async with serving(dispatcher) as running:
            connected, greeted = await running.connect(), await running.client()
            drained = asyncio.ensure_future(running.server.drain(10.0))
            while not running.server.draining:
                await asyncio.sleep(0)
            for client in (await connected.hello(), greeted):
                client.send(ENVELOPE + b"hello\r\n.\r\n")
                await client.expect(ACCEPTED + OK + bytes(replies.SHUTTING_DOWN))
                await client.expect_end()
            await drained

    asyncio.run(story())


def test_no_connection_is_forgotten_that_was_accepted_as_the_drain_began() -> None:
    async def story() -> None:
        async with serving(FakeDispatcher()) as running:
            with socket.create_connection(running.address) as late:
                late.setblocking(False)
                await asyncio.sleep(0)  # it is accepted now, and gets its protocol in the next turn
                drained = asyncio.ensure_future(running.server.drain(10.0))
                async with asyncio.timeout(10):
                    loop = asyncio.get_running_loop()
                    assert (await loop.sock_recv(late, 100)).startswith(b"220 ")
                await drained

    asyncio.run(story())


def test_drain_with_a_deadline() -> None:
    async def story() -> None:
        dispatcher = FakeDispatcher(holds=True)
        async with serving(dispatcher) as running:
            sending, delivering = [await running.client() for _ in range(2)]
            sending.send(ENVELOPE)
            await sending.expect(ACCEPTED)
            delivering.send(ENVELOPE + b".\r\n")
            await delivering.expect(ACCEPTED)
            await until(lambda: dispatcher.messages)
            await running.server.drain(0.05)
            await sending.expect(bytes(replies.SHUTTING_DOWN))
            await delivering.expect(bytes(replies.LOCAL_ERROR) + bytes(replies.SHUTTING_DOWN))
            dispatcher.messages[0].done(0, replies.OK)

    asyncio.run(story())


def test_many_connections_at_once() -> None:
    async def story() -> None:
        dispatcher = FakeDispatcher()

        async def one(running: Running, number: int) -> None:
            client = await running.client()
            client.send(ENVELOPE + b"%d\r\n.\r\n" % number)
            await client.expect(ACCEPTED + OK)

        async with serving(dispatcher) as running:
            await asyncio.gather(*(one(running, number) for number in range(200)))
        assert sorted(int(message.content) for message in dispatcher.messages) == list(range(200))

    asyncio.run(story())
