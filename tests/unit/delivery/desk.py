"""A helpdesk in one module, and those who write to it as mail programs do."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

from lamson.delivery.job import Job
from lamson.delivery.run import Handlers
from lamson.delivery.thread_finder import ThreadFinder
from lamson.delivery.transaction import Transactions
from lamson.message.parsed import ParsedMessage
from lamson.message.request import MailRequest
from lamson.routing.signing import Signer
from lamson.smtp.envelope import Envelope, Recipient
from lamson.storage.maildir import Maildir
from lamson.storage.outbox import Outbox
from tests.unit.support import Vouching, make_router

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lamson.delivery.tracking import Tracking
    from lamson.routing.router import Router
    from lamson.storage.database import Database
    from lamson.storage.outgoing import Outgoing

SIGNER = Signer(lambda: [b"a key of sixteen characters or more"])

DESK = """
    given = []

    @route("(user)@(host)")
    @route(r"(user)\\+(thread)@(host)", thread=Signed("thread"))
    @stateless
    def ask(message, delivery: Delivery, thread: Thread, user, host):
        given.append(thread)
        if message.subject.startswith("break"):
            raise SMTPError(550, "5.7.1", "broken")
        if message.subject.startswith("ignore"):
            return
        delivery.reply(
            body=f"We read: {message.new_text}",
            sender=f"{user}@{host}",
            headers={"Reply-To": thread.address(f"{user}@{host}")},
        )
"""


@dataclass
class Mail:
    """Mail of the desk, as who got it sees it."""

    row: Outgoing
    message: MailRequest = field(init=False)

    def __post_init__(self) -> None:
        row = self.row
        envelope = Envelope(row.sender, row.recipients)
        self.message = MailRequest(row.content, envelope, Recipient(row.recipients[0]))

    @property
    def id(self) -> str:
        return self.message["Message-ID"] or ""

    @property
    def reply_to(self) -> str:
        return self.message.reply_to[0].address

    @property
    def to(self) -> tuple[str, ...]:
        return self.row.recipients


class Desk:
    """The application of ``source``. ``proven`` is the From domain that our own server proves,
    ``tracking`` as of `Handlers`."""

    def __init__(
        self,
        directory: Path,
        database: Database,
        source: str = DESK,
        *,
        proven: str = "",
        keep_days: float = 365.0,
        tracking: Tracking | None = None,
    ) -> None:
        self.router: Router = make_router(directory, source, signer=SIGNER)
        self.database = database
        self._witness = Vouching(proven) if proven else None
        self.now = 1000.0  # of the service clock
        finder = ThreadFinder(
            self.router,
            clock=lambda: self.now,
            keep_days=keep_days,
        )
        handlers = Handlers(self.router, hostname="mx.test.com", finder=finder, tracking=tracking)
        self.transactions = Transactions(
            handlers,
            database=database,
            outbox=Outbox(database, "test"),
            undeliverable=Maildir(directory / "undeliverable"),
        )
        self._numbers = count(1)

    @property
    def given(self) -> list[Any]:
        """What the handlers were given, in order."""
        found: list[Any] = self.router.routes[0].handler.function.__globals__["given"]
        return found

    def job(
        self,
        author: str,
        to: str = "support@test.com",
        *,
        subject: str = "Printer",
        body: str = "It burns.",
        sender: str | None = None,
        answers: str | None = None,
        references: Sequence[str] = (),
        fields: str = "",
        message_id: str | None = None,
    ) -> Job:
        """One message: ``answers`` is its In-Reply-To, ``fields`` more header fields."""
        number = next(self._numbers)
        lines = [
            f"From: {author}" if author else "",
            f"To: {to}",
            f"Subject: {subject}",
            f"Message-ID: {message_id or f'<mail{number}@client.example>'}",
            "Date: Sat, 28 Nov 2026 10:00:00 +0100",
            f"In-Reply-To: {answers}" if answers else "",
            f"References: {' '.join(references)}" if references else "",
            fields,
        ]
        content = "\r\n".join([*filter(None, lines), "", body, ""]).encode(
            "utf-8", "surrogateescape"
        )
        if sender is None:
            sender = author.rpartition("<")[2].rstrip(">")
        shared = ParsedMessage(content, witness=self._witness)
        message = MailRequest(
            shared, Envelope(sender, (to,), id=f"mail{number}", received=1.8e9), Recipient(to)
        )
        return Job(message, self.router.match(to), None)

    def run(self, *jobs: Job) -> list[Mail]:
        """Handle ``jobs`` in one batch; gives what was sent."""
        self.transactions.run(jobs, lambda job, seconds: None)
        queue = self.transactions.outgoing
        return [Mail(queue.popleft()) for _ in range(len(queue))]

    def say(self, author: str, to: str = "support@test.com", **options: Any) -> Mail:
        """Write to the desk; gives its answer."""
        (answer,) = self.run(self.job(author, to, **options))
        return answer

    def thread_of(self, author: str, to: str = "support@test.com", **options: Any) -> str:
        """The id of the thread that such a mail is in."""
        self.run(self.job(author, to, **options))
        found: str = self.given[-1].id
        return found
