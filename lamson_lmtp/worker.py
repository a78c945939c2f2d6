"""A worker: the application and its LMTP server on one event loop, until SIGTERM.

The supervisor forks it (see lamson/service/supervisor.py). On SIGTERM, or when the supervisor is
gone, it stops accepting, lets running transactions get their replies, submits what waits in memory,
and ends. Its heartbeat is the loop's: what holds the loop, or the interpreter with it, stops it.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from lamson import log
from lamson.app import Application
from lamson.net import descriptors
from lamson.net.tls import server_context
from lamson.service import cpu
from lamson.service.leaving import Leaving
from lamson.service.worker import DRAIN, Group, Listener
from lamson_lmtp.connection import Limits
from lamson_lmtp.server import LmtpServer

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence
    from pathlib import Path

    from lamson.service.worker import Link

# The loop and the dispatcher's threads share the interpreter. The default of 5 ms would let a
# handler that computes keep every session waiting that long, each time.
_SWITCH_INTERVAL = 0.001  # seconds
_FILES_OF_THREAD = 10


def group() -> Group:
    """The group of the LMTP workers, for the supervisor."""
    return Group(
        "LMTP",
        lambda settings: [
            Listener(settings.lmtp.listen, settings.lmtp.mode, settings.lmtp.socket_group)
        ],
        lambda settings: settings.workers,
        run,
    )


def run(project: Path, sockets: Sequence[socket.socket], link: Link) -> None:
    """Serve until told to stop. Raises what `Application.load` raises."""
    sys.setswitchinterval(_SWITCH_INTERVAL)
    application = Application.load(project, is_patient=link.is_patient, on_stuck=link.recycle)
    # Where there are filters, Lamson may be there for their sake alone.
    if link.number == 0 and not application.router.routes and not application.settings.filters:
        log.logger.warning("no route in any handler module: all mail is refused with 550 5.1.1")
    if application.settings.one_processor:
        cpu.keep_to_one(link.slot)
    asyncio.run(_serve(application, sockets, link))


async def _serve(application: Application, sockets: Sequence[socket.socket], link: Link) -> None:
    leaving = Leaving(link)
    if application.outbox is not None:
        release = application.lease_owners.release_dead
        await asyncio.to_thread(release, application.outbox)
    server = _server(application)
    await application.start()
    await server.start(sockets)
    await leaving.wait()
    await server.drain(DRAIN * 2 / 3)
    await application.stop(DRAIN / 3)


def _server(application: Application) -> LmtpServer:
    settings = application.settings
    lmtp = settings.lmtp
    # A thread has a connection to the database, and what its handler opens.
    beside = descriptors.BESIDE + _FILES_OF_THREAD * settings.threads
    beside += settings.submission.connections
    tls = None
    if lmtp.tls_certificate is not None and lmtp.tls_key is not None:
        tls = server_context(lmtp.tls_certificate, lmtp.tls_key, lmtp.client_ca_file)
    return LmtpServer(
        application.dispatcher,
        limits=Limits(
            max_line=lmtp.max_line, max_size=lmtp.max_size, max_recipients=lmtp.max_recipients
        ),
        hostname=application.hostname,
        max_connections=descriptors.reserve(lmtp.max_connections, beside),
        max_buffered=lmtp.max_buffered,
        idle_timeout=lmtp.idle_timeout,
        transaction_timeout=lmtp.transaction_timeout,
        tls=tls,
        allow=lmtp.allow,
    )
