"""The status listener: a process that tells how the service is, whatever the others do.

The supervisor forks it (see lamson/service/supervisor.py). It imports no handler: it reads the
memory in which the workers count, asks servers, database and submission as anybody would, and
keeps what it found for a moment. So it answers while workers stand still, and a thousand questions
cost them no more than one.
"""

from __future__ import annotations

import asyncio
import json
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from lamson.net import descriptors
from lamson.service import health
from lamson.service.http_server import Answer, HttpServer
from lamson.service.leaving import Leaving
from lamson.service.looking import look_at
from lamson.service.worker import Group, Listener
from lamson.settings import loading

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence
    from pathlib import Path

    from lamson.metrics import Board
    from lamson.service.health import Health
    from lamson.service.worker import Link
    from lamson.settings.model import Settings

NAME = "status"
FRESH = 5.0  # seconds for which what was found is used again
SECONDS = 6.0  # that a look may take; Prometheus gives up after ten, and has to be answered
_SILENT = 3.0  # heartbeats of a worker that is slow come as seldom, and are at least a second apart


def group() -> Group:
    """The group of the status worker, for the supervisor."""
    return Group(
        NAME,
        _listeners,
        lambda settings: int(bool(settings.status.listen)),
        run,
        keeps_to_one=False,
    )


def _listeners(settings: Settings) -> list[Listener]:
    own = settings.status
    return [Listener(own.listen, own.mode, own.socket_group)] if own.listen else []


def run(project: Path, sockets: Sequence[socket.socket], link: Link) -> None:
    """Serve until told to stop. Raises SettingsError."""
    settings = loading.load(project)
    assert link.board is not None
    pages = Pages(project, settings, link.board)
    server = HttpServer(
        {"/metrics": pages.metrics, "/healthz": pages.healthz, "/readyz": pages.readyz},
        allow=settings.status.allow,
        max_connections=descriptors.reserve(settings.status.max_connections),
        timeout=settings.status.timeout,
    )
    asyncio.run(_serve(server, sockets, link))


async def _serve(server: HttpServer, sockets: Sequence[socket.socket], link: Link) -> None:
    leaving = Leaving(link)
    await server.start(sockets)
    await leaving.wait()
    server.stop()


class Pages:
    """What it has to say."""

    def __init__(self, project: Path, settings: Settings, board: Board) -> None:
        self._settings = settings
        self._board = board
        self._looks = health.looks(project, settings)
        self._looking: asyncio.Task[Health] | None = None

    async def metrics(self) -> Answer:
        """For Prometheus."""
        from lamson.service import exposition  # the one process that needs it

        found = await self._health()
        page = exposition.text(self._board.totals(), self._board.members(), found)
        return Answer(HTTPStatus.OK, exposition.CONTENT_TYPE, page)

    async def healthz(self) -> Answer:
        """Whether the service lives: 503 where no worker of the mail server gives a sign of life.

        Nothing but the workers is looked at: a database that is away is no reason to start anew.
        """
        patience = _SILENT * max(1.0, self._settings.handler_deadline / 10)
        members = [one for one in self._board.members() if one.group == "lmtp"]
        alive = [one for one in members if one.silence < patience]
        reasons = [] if alive else ["no worker of the mail server gives a sign of life"]
        return _json(not reasons, {"alive": not reasons, "workers": len(alive), "reasons": reasons})

    async def readyz(self) -> Answer:
        """Whether it can do its work: 503 where not, and why."""
        found = await self._health()
        told = {"ready": found.state == "healthy", **found.shown()}
        return _json(told["ready"], told)

    async def _health(self) -> Health:
        """One look for all who ask meanwhile."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        return await asyncio.shield(self._looking)

    async def _look(self) -> Health:
        look = partial(look_at, self._looks, SECONDS, FRESH)
        return health.tell(self._settings, await asyncio.to_thread(look))


def _json(is_good: bool, values: dict[str, Any]) -> Answer:
    status = HTTPStatus.OK if is_good else HTTPStatus.SERVICE_UNAVAILABLE
    return Answer(status, "application/json", json.dumps(values, indent=2).encode() + b"\n")
