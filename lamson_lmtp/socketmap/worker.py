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
from lamson.routing.bounces import PREFIX as BOUNCES
from lamson.routing.bounces import BounceAddresses
from lamson.routing.domains import Domains
from lamson.routing.reserved import PREFIX as PROBES
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
    if settings.database is not None:
        router.reserve(PROBES, reserved_of(settings).takes, _elsewhere)
        router.reserve(BOUNCES, BounceAddresses(signer_of(settings)).takes, _elsewhere)
    server = SocketmapServer(
        Socketmap(router.match, domains.holds, settings.next_hop),
        allow=settings.socketmap.allow,
        max_connections=descriptors.reserve(settings.socketmap.max_connections),
        idle_timeout=settings.socketmap.idle_timeout,
    )
    asyncio.run(_serve(server, sockets, link))


def _elsewhere(message: object) -> None:
    """What comes to reserved addresses is for the LMTP workers; here they are only known."""


async def _serve(server: SocketmapServer, sockets: Sequence[socket.socket], link: Link) -> None:
    leaving = Leaving(link)
    await server.start(sockets)
    await leaving.wait()
    server.stop()
