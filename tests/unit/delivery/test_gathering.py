"""lamson.delivery.gathering"""

import asyncio
from collections.abc import Sequence

from lamson.delivery.gathering import Gathering
from lamson.delivery.job import Job
from lamson.delivery.traffic import Traffic
from tests.unit.support import make_message


class Clients:
    """Several of them: what they send is noted with what it was handed over with."""

    def __init__(self, limit: int = 100) -> None:
        self.traffic = Traffic()
        self.batches: list[int] = []
        self._gathering = Gathering(self.traffic, limit, self._take)

    def _take(self, jobs: Sequence[Job]) -> None:
        self.batches.append(len(jobs))

    def send(self, count: int = 1) -> None:
        jobs = [Job(make_message(), [], None) for _ in range(count)]
        self.traffic.pending.update(jobs)
        self._gathering.add(jobs, asyncio.get_running_loop())

    async def settle(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.batches) < count:
                await asyncio.sleep(0.001)


def test_whoever_sends_alone_need_not_wait() -> None:
    async def story() -> None:
        clients = Clients()
        for _ in range(3):
            clients.send()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            clients.traffic.pending.clear()
        assert clients.batches == [1, 1, 1]

    asyncio.run(story())


def test_what_comes_in_one_turn_of_the_loop_goes_together() -> None:
    async def story() -> None:
        clients = Clients()
        clients.send()
        clients.send(2)
        await clients.settle(1)
        assert clients.batches == [3]

    asyncio.run(story())


def test_as_many_are_waited_for_as_were_under_way() -> None:
    async def story() -> None:
        clients = Clients()
        clients.send(3)
        await clients.settle(1)
        clients.traffic.pending.clear()
        clients.send()
        clients.send()
        assert clients.batches == [3]
        await clients.settle(2)  # the third does not come
        clients.send()
        clients.send()
        await clients.settle(3)
        assert clients.batches == [3, 2, 2]

    asyncio.run(story())
