"""lamson.relay.relay, at its end: what is under way ends, and all else is given back."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
from sqlalchemy.engine import Connection
from sqlalchemy.exc import OperationalError

from lamson.relay.relay import IN_FLIGHT, Relay
from lamson.storage.outbox import Outbox
from lamson.storage.outgoing import Outgoing
from tests.unit.relay.rig import GatedOutbox, Rig, row, until


def test_drain_gives_back_what_it_could_not_submit(rig: Rig) -> None:
    async def story() -> None:
        rig.server.gate = asyncio.Event()
        relay = Relay(rig.outbox, rig.undeliverable, lambda: rig.server)  # type: ignore[arg-type, return-value]
        await relay.start()
        relay.submit(rig.commit(row()))
        await until(lambda: rig.server.under_way == 1)
        await relay.drain(0.01)

    asyncio.run(story())
    assert len(Outbox(rig.database, "other").claim(10)) == 1


def test_drain_ends_however_near_news_came_before_it(rig: Rig) -> None:
    """Whoever waits for news is told to end in the same breath, which it must not overhear."""

    async def story(steps: int) -> None:
        relay = rig.make_relay()
        await relay.start()
        await until(lambda: relay._sweeps_at > 0)  # it waits for the next sweep
        draining = asyncio.create_task(relay.drain(1.0))
        for _ in range(steps):
            await asyncio.sleep(0)
        relay.wake()
        async with asyncio.timeout(10):
            await draining

    for steps in range(16):
        asyncio.run(story(steps))


@pytest.mark.parametrize("way", ["claim", "commit"])
def test_drain_waits_for_what_is_being_given_back(rig: Rig, way: str) -> None:
    """What a failed claim may have leased, or a failed commit; both rows are free in the end."""
    rig.outbox = slow = GatedOutbox(rig.database, "test")
    slow.after.set()

    async def story() -> None:
        relay = rig.make_relay()
        first, second = rig.commit(row(1)), rig.commit(row(2, "ann@example.com"))
        if way == "claim":
            rig.outbox.held.doubt(first)
            await relay.start()  # the sweep releases it
            await until(lambda: slow.asked == 1)
        else:
            relay.give_back(first)
            await relay.start()
        draining = asyncio.create_task(relay.drain(0.1))
        await until(lambda: relay._is_stopping)
        relay.give_back(second)
        await asyncio.sleep(0.05)
        slow.before.set()
        await draining
        assert rig.outbox.held.known() == set()

    asyncio.run(story())
    assert len(Outbox(rig.database, "other").claim(10)) == 2


def test_what_is_reported_while_connections_are_closed_is_given_back_too(rig: Rig) -> None:
    rig.outbox = slow = GatedOutbox(rig.database, "test")
    slow.after.set()

    async def story() -> None:
        relay = rig.make_relay(connections=1)
        await relay.start()
        await until(lambda: bool(relay._submitters))
        rows = rig.commit(row())
        really_close = rig.server.close

        async def close() -> None:
            await really_close()
            relay.give_back(rows)
            await until(lambda: slow.asked == 1)
            asyncio.get_running_loop().call_later(0.1, slow.before.set)

        rig.server.close = close  # type: ignore[method-assign]
        await relay.drain(0.1)
        assert rig.outbox.held.known() == set()

    asyncio.run(story())
    assert len(Outbox(rig.database, "other").claim(10)) == 1


@asynccontextmanager
async def draining(relay: Relay) -> AsyncIterator[None]:
    """The end of the relay has begun, while entered; behind it, it is over."""
    task = asyncio.create_task(relay.drain(10.0))
    await until(lambda: relay._is_stopping)
    yield
    await task


@pytest.fixture
def long_last_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draining for ten seconds waits a tenth of one for work, the rest for what is under way."""
    monkeypatch.setattr("lamson.relay.relay.LAST_PART", 0.99)


@pytest.mark.usefixtures("long_last_part")
def test_drain_lets_end_what_is_under_way(rig: Rig) -> None:
    """Cut off, it would be given back although the server may take it."""

    async def story() -> None:
        rig.server.gate = asyncio.Event()
        relay = rig.make_relay(connections=2)
        await relay.start()
        relay.submit(rig.commit(*(row(number, f"{number}@example.com") for number in range(5))))
        await until(lambda: rig.server.under_way == 2 * IN_FLIGHT)
        async with draining(relay):
            rig.server.gate.set()

    asyncio.run(story())
    assert rig.server.taken == [f"<{number}@test>" for number in range(4)]
    assert [one.message_id for one in rig.outbox.all()] == ["<4@test>"]


@pytest.mark.usefixtures("long_last_part")
def test_no_message_is_begun_once_the_end_has_begun(rig: Rig) -> None:
    async def story() -> None:
        rig.server.gate = asyncio.Event()
        relay = rig.make_relay(connections=1)
        await relay.start()
        relay.submit(rig.commit(row(1)))
        await until(lambda: rig.server.under_way == 1)  # and another task waits for work
        async with draining(relay):
            relay.submit(rig.commit(row(2, "ann@example.com")))
            rig.server.gate.set()

    asyncio.run(story())
    assert rig.server.taken == ["<1@test>"]
    assert [one.message_id for one in Outbox(rig.database, "other").claim(10)] == ["<2@test>"]


@pytest.mark.usefixtures("long_last_part")
def test_at_the_end_no_message_is_cut_off_by_another_that_shared_its_connection(rig: Rig) -> None:
    """It would leave twice: the server may have taken it."""

    async def story() -> None:
        rig.server.gate = asyncio.Event()
        relay = rig.make_relay(connections=1)
        await relay.start()
        relay.submit(rig.commit(*(row(number, f"{number}@example.com") for number in range(2))))
        await until(lambda: rig.server.under_way == IN_FLIGHT)
        async with draining(relay):
            first_gate, rig.server.gate = rig.server.gate, None
            first_gate.set()

    asyncio.run(story())
    assert (len(rig.server.taken), rig.server.cut_off) == (2, 0)


@pytest.mark.usefixtures("long_last_part")
def test_what_is_claimed_as_the_end_begins_is_given_back_too(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A claim waits for its turn in the database, on a thread that nobody can cut off."""
    is_asked, may_go = threading.Event(), threading.Event()
    really_claim = rig.outbox.claim

    def claim(limit: int) -> list[Outgoing]:
        is_asked.set()
        may_go.wait(30)
        return really_claim(limit)

    async def story() -> None:
        rig.outbox.release([one.id for one in rig.commit(row())])
        monkeypatch.setattr(rig.outbox, "claim", claim)
        relay = rig.make_relay()
        await relay.start()
        await until(is_asked.is_set)
        async with draining(relay):
            may_go.set()

    asyncio.run(story())
    assert rig.server.taken == []
    assert len(Outbox(rig.database, "other").claim(10)) == 1


@pytest.mark.usefixtures("long_last_part")
def test_what_fails_to_be_deleted_as_the_end_begins_is_deleted_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would leave twice."""
    is_asked, may_go = threading.Event(), threading.Event()
    really_begin = rig.database.begin_forgettable

    @contextmanager
    def begin() -> Iterator[Connection]:
        with really_begin() as connection:
            yield connection
            is_asked.set()
            may_go.wait(30)
            monkeypatch.setattr(rig.database, "begin_forgettable", really_begin)
            raise OperationalError("COMMIT", {}, Exception("database is locked"))

    async def story() -> None:
        monkeypatch.setattr(rig.database, "begin_forgettable", begin)
        relay = rig.make_relay()
        await relay.start()
        relay.submit(rig.commit(row()))
        await until(is_asked.is_set)
        async with draining(relay):
            may_go.set()

    asyncio.run(story())
    assert rig.server.taken == ["<1@test>"]
    assert rig.outbox.all() == []
