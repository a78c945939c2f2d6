"""A node in the test's own process: dispatcher and transactions over one database, without LMTP.

For tests of what several of them do to one database, and of what they answer when it fails.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from lamson.delivery.dispatcher import Dispatcher
from lamson.delivery.run import Handlers
from lamson.delivery.transaction import Transactions
from lamson.smtp.envelope import Envelope, Peer, QueueId
from lamson.storage.database import Database
from lamson.storage.maildir import Maildir
from lamson.storage.outbox import Outbox

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from lamson.routing.router import Router
    from lamson.smtp.reply import Reply
    from lamson.storage.outgoing import Outgoing

_numbers = count(1)


def queue_id() -> str:
    """A long queue id that was never used."""
    return f"4QzXwN{next(_numbers):04d}z5tVb"


class Node:
    """Use as a context manager. ``replies`` come in whatever order the dispatcher gives them."""

    def __init__(
        self, router: Router, url: str, directory: Path, *, name: str = "node", **options: Any
    ) -> None:
        """``options`` are the dispatcher's, such as ``threads``."""
        self.database = Database(url)
        self.outbox = Outbox(self.database, name)
        self.undeliverable = Maildir(directory / "undeliverable")
        transactions = Transactions(
            Handlers(router, hostname="mx.test.com", undeliverable=self.undeliverable),
            database=self.database,
            outbox=self.outbox,
            undeliverable=self.undeliverable,
        )
        self.dispatcher = Dispatcher(
            router,
            transactions,
            **{"threads": 4, "run_dir": directory, "outlet": self, **options},
        )
        self.outgoing: list[Outgoing] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def submit(self, rows: Sequence[Outgoing]) -> None:
        """As the dispatcher's outlet: nothing leaves."""
        self.outgoing += rows

    def give_back(self, rows: Sequence[Outgoing]) -> None:
        """As the dispatcher's outlet."""

    def begin(
        self,
        *subjects: str,
        recipient: str = "list@test.com",
        author: str = "zed@example.com",
        id: str = "",
    ) -> list[Future[Reply]]:
        """Deliver messages, all in one turn of the loop; gives a future reply for each.

        In ``author`` a %s stands for the subject.
        """
        replies: list[Future[Reply]] = [Future() for _ in subjects]

        def deliver() -> None:
            for subject, reply in zip(subjects, replies, strict=True):
                sender = author.replace("%s", subject)
                content = f"From: {sender}\r\nSubject: {subject}\r\n\r\n{subject}\r\n".encode()
                mail_id = id or queue_id()
                envelope = Envelope(sender, (recipient,), Peer(ident=QueueId(mail_id)), id=mail_id)
                routed = [self.dispatcher.route(recipient)]
                self.dispatcher.deliver(envelope, content, routed, partial(_answer, reply))

        self._loop.call_soon_threadsafe(deliver)
        return replies

    def send(self, *subjects: str, timeout: float = 60.0, **options: str) -> list[int]:
        """Deliver messages; gives the code of each one's reply."""
        return codes(self.begin(*subjects, **options), timeout=timeout)

    def __enter__(self) -> Node:
        self._thread.start()

        async def start() -> None:
            self.dispatcher.start(self._loop)

        asyncio.run_coroutine_threadsafe(start(), self._loop).result(10)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self.dispatcher.stop)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        self.database.close()


def _answer(reply: Future[Reply], _: int, given: Reply) -> None:
    reply.set_result(given)


def codes(replies: list[Future[Reply]], *, timeout: float = 60.0) -> list[int]:
    """Wait for replies; gives their codes."""
    return [reply.result(timeout).code for reply in replies]
