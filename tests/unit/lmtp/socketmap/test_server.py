"""lamson_lmtp.socketmap.server on real sockets: order, limits, and what is closed."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from lamson.net.listen import bind
from lamson_lmtp.socketmap.answers import Socketmap
from lamson_lmtp.socketmap.netstring import encode
from lamson_lmtp.socketmap.server import SocketmapServer

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
    socketmap: Socketmap | None = None, **options: Any
) -> AsyncIterator[tuple[SocketmapServer, int]]:
    server = SocketmapServer(socketmap or Answers(), **options)
    sock = bind("127.0.0.1:0")
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


def test_a_client_that_does_not_read_is_not_read_from_and_closed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def story() -> None:
        answers = Answers()
        async with serving(answers, idle_timeout=1.0) as (server, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(OURS * 500_000)
            async with asyncio.timeout(20):
                with contextlib.suppress(ConnectionError):
                    await writer.drain()
                while server.connections or not closed(caplog):
                    await asyncio.sleep(0.01)
            assert closed(caplog) == 1
            assert answers.lookups < 500_000
            writer.transport.abort()
            del reader

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
