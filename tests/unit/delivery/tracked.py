"""A mailroom for tracked mail: handlers that send it, reports that come of it."""

from __future__ import annotations

import json
import secrets
import sys
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any

from sqlalchemy import select, update

from lamson.delivery.job import Job
from lamson.delivery.outcomes import Outcomes
from lamson.delivery.reports import Reports
from lamson.delivery.run import Handlers
from lamson.delivery.tracking import Tracking
from lamson.delivery.transaction import Transactions
from lamson.routing.bounces import PREFIX, BounceAddresses
from lamson.routing.signing import Signer
from lamson.storage import bounced, suppressed, tasks
from lamson.storage.maildir import Maildir
from lamson.storage.outbox import Outbox
from lamson.storage.tables import outbox, state, tracked
from tests.unit.support import make_key, make_message, make_router

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lamson.storage.bounced import Count
    from lamson.storage.database import Database
    from lamson.storage.outgoing import Outgoing
    from lamson.storage.suppressed import Suppressed
    from lamson.storage.tasks import Task

PEOPLE = ("ann@example.com", "bob@example.org")


class Room:
    """``source`` is the handler module; its list ``told`` has the outcomes."""

    def __init__(
        self,
        directory: Path,
        database: Database,
        source: str,
        *,
        is_default: bool = False,
        clock: Callable[[], float] | None = None,
        **options: Any,
    ) -> None:
        self.database = database
        self.undeliverable = Maildir(directory / "undeliverable")
        self.router = make_router(directory, source)
        clocks: dict[str, Any] = {} if clock is None else {"clock": clock}
        signer = Signer(lambda: [b"k" * 32], **clocks)
        self.addresses = BounceAddresses(signer, **clocks)
        self.outcomes = Outcomes(self.router, **options, **clocks)
        reports = Reports(self.addresses, self.outcomes, self.undeliverable)
        self.router.reserve(PREFIX, self.addresses.takes, reports.take)
        handlers = Handlers(
            self.router,
            hostname="mx.test.com",
            undeliverable=self.undeliverable,
            is_ours={"test.com"}.__contains__,
            tracking=Tracking(
                self.addresses,
                is_ours={"test.com"}.__contains__,
                domains=["test.com"],
                is_default=is_default,
                **clocks,
            ),
        )
        self.outbox = Outbox(database, "test", max_recipients=50)
        self.transactions = Transactions(
            handlers,
            database=database,
            outbox=self.outbox,
            undeliverable=self.undeliverable,
        )

    @property
    def module(self) -> Any:
        return sys.modules[self.router.modules[0]]

    @property
    def told(self) -> list[Any]:
        found: list[Any] = self.module.told
        return found

    def said(self) -> list[tuple[str, str, str]]:
        return [(one.kind, one.recipient, one.status) for one in self.told]

    def deliver(self, *messages: Any, key: str = "") -> list[Job]:
        """Together, as Postfix would; ``key`` names the first one's queue entry."""
        jobs = [
            Job(
                message,
                self.router.match(message.recipient.address),
                make_key((key or secrets.token_hex(8)).encode()),
            )
            for message in messages
        ]
        self.transactions.run(jobs, lambda job, seconds: None)
        return jobs

    def sent(self) -> list[Outgoing]:
        """What went out since it was last asked."""
        waiting = self.transactions.outgoing
        return [waiting.popleft() for _ in range(len(waiting))]

    def send(self, subject: str = "hello", sender: str = "zed@example.com") -> Outgoing:
        """Have the module send a mail; gives its row.

        Where it is to several, each has a row: the first is made known as a mail to all of them, as
        a token that several have seen would be.
        """
        content = f"From: {sender}\r\nSubject: {subject}\r\n\r\nx\r\n".encode()
        (job,) = self.deliver(make_message(content, sender=sender))
        assert str(job.reply).startswith("250"), job.reply
        row, *others = self.sent()
        if others:
            row.recipients += tuple(one for other in others for one in other.recipients)
            known = update(tracked).where(tracked.c.id == row.envid)
            with self.database.begin() as connection:
                connection.execute(known.values(recipients=json.dumps(row.recipients)))
        return row

    def report(self, row: Outgoing, content: bytes, *, sender: str = "", key: str = "") -> int:
        """Something comes to the bounce address of a mail; gives the reply."""
        message = make_message(content, sender=sender, recipient=row.sender)
        (job,) = self.deliver(message, key=key)
        assert job.reply is not None
        return job.reply.code

    def rows(self) -> list[Any]:
        with self.database.read() as connection:
            return list(connection.execute(select(outbox).order_by(outbox.c.id)))

    def states(self) -> dict[str, str]:
        with self.database.read() as connection:
            return {row.author: row.state for row in connection.execute(select(state))}

    def tasks(self) -> list[Task]:
        with self.database.read() as connection:
            return tasks.waiting(connection)

    def count(self, mailbox: str) -> Count:
        with self.database.read() as connection:
            return bounced.of(connection, mailbox)

    def suppressed(self) -> list[Suppressed]:
        with self.database.read() as connection:
            return list(suppressed.listed(connection))

    def kept(self) -> list[bytes]:
        keys = list(self.undeliverable.keys())
        return [entry for one in keys if (entry := self.undeliverable.get(one)) is not None]


def dsn(*groups: dict[str, str], text: str = "It failed.") -> bytes:
    """A report of RFC 3464, with a group of fields for each recipient."""
    fields = "\r\n\r\n".join(
        "\r\n".join(f"{name}: {value}" for name, value in group.items())
        for group in ({"Reporting-MTA": "dns; mx.example.com"}, *groups)
    )
    return (
        "From: MAILER-DAEMON@mx.example.com (Mail Delivery System)\r\n"
        "Subject: Undelivered Mail Returned to Sender\r\n"
        "Auto-Submitted: auto-replied\r\n"
        "MIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
        f"--b\r\n\r\n{text}\r\n"
        f"--b\r\nContent-Type: message/delivery-status\r\n\r\n{fields}\r\n"
        "--b\r\nContent-Type: text/rfc822-headers\r\n\r\nSubject: hello\r\n\r\n--b--\r\n"
    ).encode()


def failed(
    recipient: str, status: str = "5.1.1", said: str = "550 no such user", action: str = "failed"
) -> dict[str, str]:
    return {
        "Final-Recipient": f"rfc822; {recipient}",
        "Action": action,
        "Status": status,
        "Diagnostic-Code": f"smtp; {said}",
    }


def complaint(recipient: str) -> bytes:
    """A report of RFC 5965."""
    message = EmailMessage()
    message["From"], message["Subject"] = "fbl@example.net", "complaint"
    text = message.as_bytes().rstrip(b"\n") + (
        b"\nMIME-Version: 1.0\nContent-Type: multipart/report; report-type=feedback-report;"
        b' boundary="b"\n\n--b\n\nThis is an abuse report.\n'
        b"--b\nContent-Type: message/feedback-report\n\nFeedback-Type: abuse\nVersion: 1\n"
        b"Original-Rcpt-To: " + recipient.encode() + b"\n"
        b"--b\nContent-Type: message/rfc822\n\nSubject: hello\n\nx\n--b--\n"
    )
    return text.replace(b"\n", b"\r\n")


__all__ = ["PEOPLE", "Room", "complaint", "dsn", "failed"]
