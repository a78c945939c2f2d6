"""A worker that answers Postfix's lookups, in a process of its own, until SIGTERM.

The supervisor forks it (see lamson/service/supervisor.py). It needs the routes alone, neither
database nor threads: a handler that computes for seconds, in an LMTP worker, delays no answer here,
and smtpd asks while a stranger waits. Its heartbeat is the loop's: a route that matches for ever
(``engine="re"``) stops it, and the supervisor replaces the worker.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from lamson.net import descriptors
from lamson.routing.bounces import BounceAddresses
from lamson.routing.domains import Domains
from lamson.service.leaving import Leaving
from lamson.service.worker import Group, Listener
from lamson.settings import loading
from lamson.settings.keys import signer_of
from lamson.settings.reserved import reserved_of
from lamson.settings.routes import collect_routes
from lamson_lmtp.socketmap.answers import Socketmap
from lamson_lmtp.socketmap.server import SocketmapServer

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence
    from pathlib import Path

    from lamson.service.worker import Link
    from lamson.settings.model import Settings


def group() -> Group:
    """The group of the socketmap's worker, for the supervisor."""
    return Group(
        "socketmap",
        _listeners,
        lambda settings: int(bool(settings.socketmap.listen)),
        run,
        keeps_to_one=False,  # it has one thread: it runs wherever there is room
    )


def _listeners(settings: Settings) -> list[Listener]:
    own = settings.socketmap
    return [Listener(own.listen, own.mode, own.socket_group)] if own.listen else []


def run(project: Path, sockets: Sequence[socket.socket], link: Link) -> None:
    """Serve until told to stop. Raises SettingsError or RouteError."""
    settings = loading.load(project)
    with loading.placing(project):
        router = collect_routes(settings)
    domains = Domains(router.routes, settings.domains)
    reserved, bounces = reserved_of(settings), BounceAddresses(signer_of(settings))
    has_reserved = settings.database is not None

    def is_reserved(address: str) -> bool:
        return has_reserved and (reserved.takes(address) or bounces.takes(address))

    server = SocketmapServer(
        Socketmap(router.match, domains.holds, settings.next_hop, reserved=is_reserved),
        allow=settings.socketmap.allow,
        max_connections=descriptors.reserve(settings.socketmap.max_connections),
        idle_timeout=settings.socketmap.idle_timeout,
    )
    asyncio.run(_serve(server, sockets, link))


async def _serve(server: SocketmapServer, sockets: Sequence[socket.socket], link: Link) -> None:
    leaving = Leaving(link)
    await server.start(sockets)
    await leaving.wait()
    server.stop()
