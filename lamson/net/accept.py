"""Accepting connections: on a bound socket of either family, from whom the settings allow.

For the servers of this package.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

BACKLOG = 512  # connections that wait to be accepted


async def serve(
    loop: asyncio.AbstractEventLoop, sock: socket.socket, factory: Any
) -> asyncio.Server:
    """Have ``factory`` make the protocol of every connection to ``sock``."""
    # asyncio sets TCP_NODELAY on the connections it accepts.
    if sock.family != socket.AF_UNIX:
        return await loop.create_server(factory, sock=sock, backlog=BACKLOG)
    if sys.version_info >= (3, 13):
        # The socket's file belongs to the supervisor, which other workers may still serve.
        return await loop.create_unix_server(
            factory, sock=sock, backlog=BACKLOG, cleanup_socket=False
        )
    return await loop.create_unix_server(factory, sock=sock, backlog=BACKLOG)


async def stop_accepting(servers: Collection[asyncio.Server]) -> None:
    """Close ``servers``; every connection that was accepted has its protocol then.

    Between the two asyncio takes a turn of the loop, and another one. It would forget a connection
    whose server is closed meanwhile, and not even close it: the client would wait for a greeting.
    """
    loop = asyncio.get_running_loop()
    for server in servers:
        for sock in server.sockets:
            loop.remove_reader(sock.fileno())
    for _ in range(2):
        await asyncio.sleep(0)
    for server in servers:
        server.close()


def client_name(peername: Any) -> str:
    """How the log calls a client of which nothing else is known."""
    return f"[{peername[0]}]" if isinstance(peername, tuple) else "[local]"


class AllowList:
    """Addresses and networks whose clients may connect; those of unix sockets always may.

    An empty one lets everybody connect.
    """

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = [ipaddress.ip_network(network) for network in networks]

    def allows(self, peername: Any) -> bool:
        """Whether the client at this address, as `socket.getpeername` gives it, may."""
        if not self._networks or not isinstance(peername, tuple):
            return True
        client = ipaddress.ip_address(peername[0].partition("%")[0])
        if client.version == 6 and client.ipv4_mapped is not None:
            client = client.ipv4_mapped
        return any(client in network for network in self._networks)
