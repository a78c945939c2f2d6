"""lamson.relay.bell: whoever puts mail into the outbox is heard at once."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from lamson.relay import bell as module
from lamson.relay import relay as relay_module
from lamson.relay.bell import Bell
from lamson.storage import doorbell
from tests.unit.relay.rig import Rig, row, until

if TYPE_CHECKING:
    from pathlib import Path

    from lamson.storage.database import Database


class Hearing:
    """A bell in a run directory of the test's own."""

    def __init__(self, database: Database, run_dir: Path) -> None:
        self.heard = 0
        self._database, self._run_dir = database, run_dir
        self.bell = Bell(database, run_dir, self._hear)

    def _hear(self) -> None:
        self.heard += 1

    def ring(self) -> None:
        if self._database.is_sqlite:
            doorbell.ring(self._run_dir)
            return
        with self._database.begin() as connection:
            schema = connection.execute(text("SELECT current_schema()")).scalar()
            doorbell.notify(connection, schema)

    async def start(self) -> None:
        self.bell.start()

    async def up(self) -> None:
        await until(lambda: self.heard == 1)  # for what was rung before


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN", 0.02)


async def rung(hearing: Hearing) -> None:
    before = hearing.heard
    await asyncio.to_thread(hearing.ring)
    await until(lambda: hearing.heard > before)


def test_a_ring_is_heard(database: Database, tmp_path: Path) -> None:
    async def work() -> None:
        hearing = Hearing(database, tmp_path)
        await hearing.start()
        await hearing.up()
        await rung(hearing)
        await rung(hearing)
        await hearing.bell.stop()

    asyncio.run(work())


def test_one_listens_and_another_one_after_it(database: Database, tmp_path: Path) -> None:
    async def work() -> None:
        first, second = Hearing(database, tmp_path), Hearing(database, tmp_path)
        await first.start()
        await first.up()
        await second.start()
        await rung(first)
        assert second.heard == 0
        await first.bell.stop()
        await second.up()
        await rung(second)
        await second.bell.stop()

    asyncio.run(work())


def test_a_connection_that_is_lost_is_made_anew(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    if database.is_sqlite:
        pytest.skip("has no connection")

    def end_it() -> int:
        with database.begin() as connection:
            ended = connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE query LIKE 'LISTEN lamson%' AND pid <> pg_backend_pid()"
                )
            )
            return len(ended.all())

    async def work() -> None:
        hearing = Hearing(database, tmp_path)
        await hearing.start()
        await hearing.up()
        assert await asyncio.to_thread(end_it) == 1
        await until(lambda: hearing.heard >= 3)  # it is lost, and it is back
        await rung(hearing)
        await hearing.bell.stop()

    asyncio.run(work())
    assert "listening anew" in caplog.text


def test_nobody_listens_without_a_place_or_tables(
    empty_database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        lost = Hearing(empty_database, tmp_path / "missing")
        await lost.start()
        early = Hearing(empty_database, tmp_path)
        await early.start()
        if not empty_database.is_sqlite:
            await until(lambda: "nobody can ring" in caplog.text)
            empty_database.create_all()
        await early.up()
        assert lost.heard == 0
        await early.bell.stop()
        await lost.bell.stop()

    asyncio.run(work())
    assert caplog.text.count("nobody can ring") <= 1


def test_a_path_may_be_longer_than_a_socket_takes(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    with doorbell.listen(deep) as heard:
        doorbell.ring(deep)
        assert heard.recv(1) == b""
    with doorbell.listen(deep):  # in the place of the one that is closed
        assert (deep / doorbell.SOCKET).stat().st_mode & 0o777 == 0o600


def test_the_relay_looks_when_somebody_rings_and_when_mail_is_due(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "SWEEP_INTERVAL", 60.0)
    monkeypatch.setattr(relay_module, "SWEEP_PAUSE", 0.01)
    rig = Rig(database, tmp_path)

    def put(number: int, seconds: float = 0.0) -> None:
        one: Any = row(number)
        one.due_at = time.time() + seconds
        for mine in rig.commit(one):
            rig.outbox.release([mine.id])

    async def work() -> None:
        async with rig.relay() as relay:
            await asyncio.to_thread(put, 1)
            relay.wake()
            await until(lambda: rig.server.taken == ["<1@test>"])
            await asyncio.to_thread(put, 2, 0.3)
            await asyncio.to_thread(put, 3, 3600.0)
            relay.wake()
            await until(lambda: rig.server.taken == ["<1@test>", "<2@test>"])
        assert len(rig.outbox.scheduled()) == 1

    asyncio.run(work())
