"""How a worker on an event loop lives, and knows when to go: when it is told to, or its supervisor
is gone.

For the workers of the front ends and of the status listener.
"""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

from lamson.net import descriptors

if TYPE_CHECKING:
    from lamson.service.worker import Link


class Leaving:
    """Made on the loop before anything else; from then on the supervisor sees that we live."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._loop = loop = asyncio.get_running_loop()
        self._told = asyncio.Event()
        link.heartbeat.beat_on(loop)
        descriptors.be_quiet(loop)
        loop.add_signal_handler(signal.SIGTERM, self._told.set)
        loop.add_reader(link.alive, self._told.set)

    async def wait(self) -> None:
        """Say that we serve, and do so until it is time to go."""
        self._link.ready()
        await self._told.wait()
        self._loop.remove_reader(self._link.alive)
