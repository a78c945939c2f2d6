"""lamson_lmtp.socketmap.server on real sockets: order, limits, and what is closed."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest

from lamson.net.listen import bind
from lamson_lmtp.socketmap.answers import Socketmap
from lamson_lmtp.socketmap.netstring import encode
from lamson_lmtp.socketmap.server import MAX_TURN, SocketmapServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

OURS = encode(b"recipient one@test.com")
FOUND = encode(b"OK routed")
NOT_FOUND = encode(b"NOTFOUND ")


class Answers(Socketmap):
    """Knows how often it was asked."""

    def __init__(self) -> None:
        super().__init__({"one@test.com"}.__contains__, {"test.com"}.__contains__, "lmtp:inet:x:1")
        self.lookups = 0

    def answer(self, request: bytes) -> bytes:
        self.lookups += 1
        return super().answer(request)


@contextlib.asynccontextmanager
async def serving(
    socketmap: Socketmap | None = None, *, buffer: int | None = None, **options: Any
) -> AsyncIterator[tuple[SocketmapServer, int]]:
    server = SocketmapServer(socketmap or Answers(), **options)
    sock = bind("127.0.0.1:0")
    if buffer is not None:  # in the system, of what a client has not read
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
    port = sock.getsockname()[1]
    await server.start([sock])
    try:
        yield server, port
    finally:
        server.stop()


def closed(caplog: pytest.LogCaptureFixture) -> int:
    """How many connections the server has closed, and said so."""
    return sum("closed the connection of" in line for line in caplog.messages)


async def said(reader: asyncio.StreamReader, expected: bytes) -> None:
    async with asyncio.timeout(10):
        assert await reader.readexactly(len(expected)) == expected


async def ended(reader: asyncio.StreamReader) -> bytes:
    """What is still said until the server closes."""
    async with asyncio.timeout(10):
        with contextlib.suppress(ConnectionError):
            return await reader.read()
        return b""


def test_pipelined_requests_are_answered_in_order() -> None:
    async def story() -> None:
        answers = Answers()
        async with serving(answers) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write((OURS + encode(b"recipient two@test.com")) * 1000)
            await said(reader, (FOUND + NOT_FOUND) * 1000)
            writer.write(OURS[:5])
            await writer.drain()
            writer.write(OURS[5:])
            await said(reader, FOUND)
            assert answers.lookups == 2001
            writer.close()

    asyncio.run(story())


def test_a_unix_socket(tmp_path: Path) -> None:
    async def story() -> None:
        async with serving() as (server, _):
            await server.start([bind(f"unix:{tmp_path}/s")])
            reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
            writer.write(OURS)
            await said(reader, FOUND)
            writer.close()

    asyncio.run(story())


@pytest.mark.parametrize("garbage", [b"EHLO x\r\n", b"100001:", b"3:abcd", b"\0" * 99])
def test_garbage_is_closed_and_logged_and_nobody_else_notices(
    caplog: pytest.LogCaptureFixture, garbage: bytes
) -> None:
    async def story() -> None:
        async with serving() as (_, port):
            good_reader, good = await asyncio.open_connection("127.0.0.1", port)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(OURS + garbage)
            assert await ended(reader) == FOUND, "what came before is answered"
            good.write(OURS)
            await said(good_reader, FOUND)
            assert closed(caplog) == 1
            for one in (good, writer):
                one.close()

    asyncio.run(story())


def test_the_longest_request_is_answered() -> None:
    async def story() -> None:
        async with serving() as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(encode(b"recipient ".ljust(100_000, b"a")))
            await said(reader, NOT_FOUND)
            writer.close()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("options", "sent", "logged"),
    [
        ({"request_timeout": 0.05}, b"22:reci", 1),
        ({"idle_timeout": 0.05}, b"", 0),  # Postfix is done: nothing is wrong
    ],
)
def test_slow_and_silent_clients_are_closed(
    caplog: pytest.LogCaptureFixture, options: dict[str, Any], sent: bytes, logged: int
) -> None:
    async def story() -> None:
        async with serving(**options) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            assert await ended(reader) == b""
            assert closed(caplog) == logged
            writer.close()

    asyncio.run(story())


def test_a_client_that_waits_for_its_answers_is_neither_slow_nor_silent() -> None:
    class Slow(Answers):
        def answer(self, request: bytes) -> bytes:
            time.sleep(0.0005)
            return super().answer(request)

    async def story() -> None:
        async with serving(Slow(), idle_timeout=0.05, request_timeout=0.05) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(OURS * 3 * MAX_TURN + OURS[:5])
            await said(reader, FOUND * 3 * MAX_TURN)
            writer.close()

    asyncio.run(story())


def test_a_client_that_does_not_read_is_not_read_from_and_closed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    requests = 20_000  # far more than those whose answers fit into the buffers below

    async def story() -> None:
        answers = Answers()
        async with serving(answers, buffer=4096, idle_timeout=0.3) as (server, port):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", port))
            _, writer = await asyncio.open_connection(sock=client, limit=1)
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(OURS * requests)
            async with asyncio.timeout(60):
                while server.connections or not answers.lookups:
                    await asyncio.sleep(0.01)
            assert closed(caplog) == 1
            assert "it does not read our replies" in caplog.text
            assert answers.lookups < requests
            writer.transport.abort()

    asyncio.run(story())


def test_one_connection_too_many(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        async with serving(max_connections=1) as (_, port):
            first_reader, first = await asyncio.open_connection("127.0.0.1", port)
            first.write(OURS)
            await said(first_reader, FOUND)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert await ended(reader) == b""
            assert closed(caplog) == 1
            for one in (first, writer):
                one.close()

    asyncio.run(story())


def test_who_is_not_allowed(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        async with serving(allow=["10.0.0.0/8"]) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert await ended(reader) == b""
            assert closed(caplog) == 1
            writer.close()

    asyncio.run(story())
