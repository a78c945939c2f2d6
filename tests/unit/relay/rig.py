"""A relay on a real outbox, with a double for the connection to Postfix."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from lamson.relay.relay import Relay
from lamson.relay.submission import Outcome, Refusal
from lamson.storage.database import Database
from lamson.storage.maildir import Maildir
from lamson.storage.outbox import Outbox
from lamson.storage.outgoing import Outgoing

TAKEN = "250 2.0.0 Ok: queued as 4QzXwN0Jk1z5tVb"


class Server:
    """The submission server, as the double of a connection to it sees it."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.answer: Callable[[Outgoing], list[Refusal]] = lambda row: []
        self.gate: asyncio.Event | None = None
        self.under_way = 0
        self.most_under_way = 0
        self.cut_off = 0  # messages that were under way when the connection was closed

    async def submit(self, row: Outgoing) -> Outcome:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            if self.gate is not None:
                await self.gate.wait()
            refusals = self.answer(row)
            self.taken.append(row.message_id)
            return Outcome(refusals, TAKEN)
        finally:
            self.under_way -= 1

    async def close(self) -> None:
        self.cut_off += self.under_way


class Rig:
    def __init__(self, database: Database, directory: Path) -> None:
        self.database = database
        self.outbox = Outbox(database, "test")
        self.undeliverable = Maildir(directory / "undeliverable")
        self.server = Server()

    def commit(self, *rows: Outgoing) -> list[Outgoing]:
        with self.database.begin() as connection:
            return self.outbox.insert(connection, rows)

    def make_relay(self, **options: Any) -> Relay:
        made: Any = lambda: self.server  # noqa: E731
        return Relay(self.outbox, self.undeliverable, made, **options)

    @asynccontextmanager
    async def relay(self, **options: Any) -> AsyncIterator[Relay]:
        relay = self.make_relay(**options)
        await relay.start()
        yield relay
        await relay.drain(5.0)


def row(number: int = 1, recipient: str = "zed@example.com", *more: str) -> Outgoing:
    return Outgoing("4Qz", f"<{number}@test>", "l@test.com", (recipient, *more), b"x\r\n")


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


class GatedOutbox(Outbox):
    """The outbox of a database that is slow to release rows, or to say that it did."""

    def __init__(self, database: Database, owner: str) -> None:
        super().__init__(database, owner)
        self.before, self.after = threading.Event(), threading.Event()
        self.asked = self.made = 0

    def release(self, ids: Collection[int]) -> None:
        if ids:
            self.asked += 1
            self.before.wait(10)
        super().release(ids)
        if ids:
            self.made += 1
            self.after.wait(10)
