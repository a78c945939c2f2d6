"""lamson.net.accept: who may connect, what the log calls a client, and the end of accepting."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest

from lamson.net.accept import AllowList, client_name, serve, stop_accepting
from lamson.net.listen import bind

if TYPE_CHECKING:
    from pathlib import Path

LOCAL = ""  # what getpeername(2) gives for a unix socket


@pytest.mark.parametrize(
    ("networks", "peername", "may"),
    [
        ([], ("192.0.2.1", 25), True),
        (["10.0.0.0/8"], ("10.1.2.3", 25), True),
        (["10.0.0.0/8"], ("11.0.0.1", 25), False),
        (["10.0.0.7"], ("10.0.0.7", 25), True),
        (["10.0.0.7", "fd00::/64"], ("fd00::1", 25, 0, 0), True),
        (["fd00::/64"], ("fd01::1", 25, 0, 0), False),
        (["10.0.0.0/8"], ("::ffff:10.1.2.3", 25, 0, 0), True),  # on a socket of both families
        (["::ffff:0:0/96"], ("::ffff:10.1.2.3", 25, 0, 0), False),  # it is one of IPv4
        (["fe80::/10"], ("fe80::1%eth0", 25, 0, 2), True),
        (["10.0.0.0/8"], LOCAL, True),
        (["10.0.0.0/8"], None, True),
    ],
)
def test_who_may_connect(networks: list[str], peername: Any, may: bool) -> None:
    assert AllowList(networks).allows(peername) == may


def test_a_network_that_is_none_is_refused_at_the_start() -> None:
    with pytest.raises(ValueError, match=r"10\.0\.0\.1/8 has host bits set"):
        AllowList(["10.0.0.1/8"])


@pytest.mark.parametrize(
    ("peername", "name"),
    [(("192.0.2.1", 25), "[192.0.2.1]"), (("::1", 25, 0, 0), "[::1]"), (LOCAL, "[local]")],
)
def test_what_the_log_calls_a_client(peername: Any, name: str) -> None:
    assert client_name(peername) == name


class Greeting(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"hello")
        transport.close()


@pytest.mark.parametrize("turns", [2, 3, 4])
def test_who_was_accepted_is_greeted_though_the_server_stops(turns: int) -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        sock = bind("127.0.0.1:0")
        port = sock.getsockname()[1]
        server = await serve(loop, sock, Greeting)
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.setblocking(False)
            for _ in range(turns):  # accepted in the first, given a protocol later
                await asyncio.sleep(0)
            await stop_accepting([server])
            async with asyncio.timeout(10):
                assert await loop.sock_recv(client, 100) == b"hello"
        with socket.socket() as late:
            assert late.connect_ex(("127.0.0.1", port)) != 0

    asyncio.run(story())


def test_the_file_of_a_unix_socket_stays_for_other_workers(tmp_path: Path) -> None:
    async def story() -> None:
        server = await serve(asyncio.get_running_loop(), bind(f"unix:{tmp_path}/s"), Greeting)
        reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
        async with asyncio.timeout(10):
            assert await reader.read() == b"hello"
        writer.close()
        await stop_accepting([server])

    asyncio.run(story())
    assert (tmp_path / "s").exists()
