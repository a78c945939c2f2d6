"""lamson.service.leaving: a worker goes when it is told to, and when its supervisor is gone."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from lamson.service.leaving import Leaving
from lamson.service.worker import Link

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("is_told", [True, False])
def test_it_serves_until_it_is_told_or_alone(is_told: bool) -> None:
    said, status = os.pipe()
    alive, supervisor = os.pipe()
    beating: list[object] = []

    def end() -> None:
        if is_told:
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            os.close(supervisor)

    async def serve(end: Callable[[], None]) -> None:
        heart: Any = SimpleNamespace(beat_on=beating.append)  # ours would end the tests one day
        link = Link(status, alive, 0, slot=0, is_patient=False, heartbeat=heart)
        leaving = Leaving(link)
        waiting = asyncio.create_task(leaving.wait())
        ready, _ = await asyncio.wait({waiting}, timeout=0.01)
        assert not ready
        assert json.loads(os.read(said, 100)) == {"state": "ready"}
        assert beating == [asyncio.get_running_loop()]
        end()
        async with asyncio.timeout(60):
            await waiting

    try:
        asyncio.run(serve(end))
    finally:
        for one in (said, status, alive, *([supervisor] if is_told else ())):
            os.close(one)
