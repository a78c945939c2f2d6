"""Serves the window over HTTP, by uvicorn, to no more connections than it has room for.

For `lamson web` and `lamson dev`. Whoever is one too many is told to come again, so a connection
must not be had for nothing: one on which no whole request has come for some seconds is closed,
whatever was sent of one, and so is one whose client takes nothing of an answer. (What follows the
header has its own time, in `lamson.web.guard`.)
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from lamson.net.quiet import Quiet

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

CONCURRENT = 100  # connections, and requests at a time; those beyond are told to come again (503)
PATIENCE = 10.0  # seconds for the header of a request to come in
TAKING = 60.0  # seconds in which a client may take nothing of what is there for it
_LOOK = 10  # times within the shorter of these


class _Visitor(H11Protocol):
    """One connection, which is closed where it is not used."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._unused_since = self.loop.time()
        self._last: object = None  # the request that came last
        self._unsent = 0  # octets
        self._watch()

    def _watch(self) -> None:
        unsent = self.transport.get_write_buffer_size()
        if self.transport.is_closing() and not unsent:
            return
        now = self.loop.time()
        is_used = self.cycle is not None and not self.cycle.response_complete  # it is answered
        is_used = is_used or self.cycle is not self._last
        if unsent != self._unsent or (is_used and not unsent):
            self._unused_since, self._last, self._unsent = now, self.cycle, unsent
        if now - self._unused_since <= (TAKING if unsent else PATIENCE):
            self.loop.call_later(min(PATIENCE, TAKING) / _LOOK, self._watch)
        elif unsent:
            self.transport.abort()  # close() would wait until it is sent
        else:
            self.transport.close()


async def serve(application: Any, sock: socket.socket, leaving: asyncio.Event) -> None:
    """Serve the window until ``leaving`` is set."""
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    quiet = Quiet()
    own = logging.getLogger("uvicorn.error")  # of requests that are none, and of too many
    own.addFilter(lambda record: quiet.due(str(record.msg)) is not None)

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:  # they are ours
            yield

    server = Server(
        uvicorn.Config(
            application,
            http=_Visitor,
            log_config=None,
            access_log=False,
            lifespan="off",
            proxy_headers=False,  # whom to believe is in the settings
            server_header=False,
            limit_concurrency=CONCURRENT,
            timeout_keep_alive=10,
            timeout_graceful_shutdown=2,
            ws="none",
        )
    )

    async def end() -> None:
        await leaving.wait()
        server.should_exit = True

    ending = asyncio.create_task(end())
    try:
        await server.serve(sockets=[sock])
    finally:
        ending.cancel()
