"""lamson.relay with a pace: who has to wait does, in the outbox, and nobody else."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sqlalchemy.exc import OperationalError

from lamson.relay import relay
from lamson.relay import relay as relay_module
from lamson.storage.pace import Pace
from tests.unit.relay.rig import Rig, row, until

if TYPE_CHECKING:
    import pytest

    from lamson.storage.outgoing import Outgoing


def test_what_is_paced_waits_for_its_turn_and_holds_up_nobody(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "SWEEP_INTERVAL", 0.05)
    pace = Pace(rig.database, {"slow.example": 120})

    async def work() -> None:
        async with rig.relay(pace=pace) as relay:
            slow = [row(number, f"z{number}@slow.example") for number in (1, 2, 3)]
            relay.submit(rig.commit(*slow, row(4), row(5)))
            await until(lambda: len(rig.server.taken) == 5)

    asyncio.run(work())
    assert {"<4@test>", "<5@test>"} <= set(rig.server.taken[:3])
    assert len(set(rig.server.taken)) == 5


def test_what_is_paced_waits_for_the_database(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "SWEEP_INTERVAL", 0.05)
    pace = Pace(rig.database, {"*": 600})
    turn, failures = pace.turn, [OperationalError("", {}, Exception("gone"))]

    def fail_once(one: Outgoing) -> tuple[float, str]:
        if failures:
            raise failures.pop()
        return turn(one)

    monkeypatch.setattr(pace, "turn", fail_once)

    async def work() -> None:
        async with rig.relay(pace=pace) as relay:
            relay.submit(rig.commit(row(1)))
            await until(lambda: rig.server.taken == ["<1@test>"])

    asyncio.run(work())


def test_what_was_paced_leaves_when_its_time_comes(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not with the next look that comes anyway."""
    monkeypatch.setattr(relay, "SWEEP_INTERVAL", 3600.0)
    pace = Pace(rig.database, {"*": 240})

    async def story() -> None:
        async with rig.relay(pace=pace) as one:
            rows = [row(number, f"zed{number}@example.com") for number in range(1, 5)]
            one.submit(rig.commit(*rows))
            await until(lambda: len(rig.server.taken) == 4)

    asyncio.run(story())
