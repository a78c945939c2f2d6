"""The mailroom: one application under test, whose mail goes nowhere.

Its deliveries are transactions like those of the service, on a database in memory; what is due is
done when the test lets time pass. Nothing of the framework is imported before a test wants it.
"""

from __future__ import annotations

import importlib
import sys
import time
from functools import cached_property
from itertools import count
from typing import TYPE_CHECKING, Any

from lamson.errors import LamsonError
from lamson.testing.chaos import Chaos
from lamson.testing.clock import Clock
from lamson.testing.messages import Refused, Sent, sent_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sqlalchemy.orm import Session

    from lamson.app import Application
    from lamson.mailer import Mailer
    from lamson.smtp.envelope import Peer
    from lamson_milter.offer import Offer

_REPORT = """\
From: MAILER-DAEMON@mx.test.invalid
Subject: Delivery Status Notification
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b

This is what became of your mail.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.test.invalid

Final-Recipient: rfc822; {who}
Action: {action}
Status: {status}
Diagnostic-Code: smtp; {said}

--b--
"""


class Mailroom:
    """One application under test, with a database in memory that is thrown away.

    ``sent`` is all that it sent, also what is to leave later; ``clock`` is its time.
    """

    def __init__(self, project: Path, run_dir: Path, *, chaos: bool = False) -> None:
        """With ``chaos`` each delivery fails once, and comes twice (`lamson.testing.chaos`). Raises
        what `lamson.settings.loading.load` and `Application` raise."""
        from lamson.app import Application
        from lamson.settings import loading
        from lamson.storage.service_clock import ServiceClock

        self.clock = Clock()
        # pytest has run code of this project already, whosever it is, as in a container of a CI.
        settings = loading.load(project, is_trusted=True).model_copy(
            update={"database": "sqlite://", "run_dir": run_dir}
        )
        # A message to many is one in ``sent``.
        submission = settings.submission.model_copy(update={"max_recipients": sys.maxsize})
        settings = settings.model_copy(update={"submission": submission})
        self.application: Application = Application(
            project,
            settings,
            raise_errors=True,
            time=self.clock,
            clock=ServiceClock(self.clock.monotonic),
        )
        assert self.application.database is not None
        self.application.make_key()
        self.database = self.application.database
        self.database.create_all()
        if settings.metadata is not None:
            module, _, name = settings.metadata.partition(":")
            base = getattr(importlib.import_module(module), name)
            getattr(base, "metadata", base).create_all(self.database.engine)
        self.sent: list[Sent] = []
        self.sessions: list[Session] = []  # of the test: what they know is old after a delivery
        self._numbers = count(1)
        self._planned: dict[int, Sent] = {}  # by their rows in the outbox
        with self.database.begin() as connection:
            self.application.schedules.take_up(connection, self.clock())
        self._chaos = Chaos(self.application) if chaos else None

    def takes(self, recipient: str) -> bool:
        """Whether the application has a route for an address."""
        from lamson.smtp import address

        return bool(self.application.router.match(address.parse_mailbox(recipient, smtputf8=True)))

    def deliver(
        self,
        sender: str,
        recipient: str,
        content: bytes,
        *,
        queue_id: str = "",
        spam: bool | None = None,
    ) -> list[Sent]:
        """Deliver ``content`` as Postfix would; gives what was sent because of it.

        With the queue id of an `offer` the handler finds the notes of the filters. ``spam`` says
        whether it is spam, to handlers with `@spam_filter`; by default the judges do that ask no
        server. Raises Refused, or whatever the handler raised.
        """
        from lamson.delivery.job import Job
        from lamson.delivery.spam.opinion import Opinion
        from lamson.message.parsed import ParsedMessage
        from lamson.message.request import MailRequest
        from lamson.smtp import address
        from lamson.smtp import reply as replies
        from lamson.smtp.envelope import Envelope, Peer, QueueId, Recipient
        from lamson.storage.seen_key import Source

        if not isinstance(content, bytes):
            raise TypeError(f"a message is bytes, not {type(content).__name__}")
        recipient = address.parse_mailbox(recipient, smtputf8=True)
        matches = self.application.router.match(recipient)
        if not matches:
            raise Refused(replies.NO_SUCH_RECIPIENT)
        envelope = Envelope(
            sender,
            (recipient,),
            Peer(ident=QueueId(queue_id)),
            received=self.clock(),
            id=queue_id or f"test-{next(self._numbers)}",
        )
        source = Source(b"test:" + envelope.id.encode(), int(envelope.received * 1e6), b"")

        def make() -> Job:
            shared = ParsedMessage(content, self.application.notary, self.application.witness)
            message = MailRequest(shared, envelope, Recipient(recipient))
            key = source.key(sender, address.normalise(recipient)) if self._chaos else None
            job = Job(message, matches, key)
            if spam is not None:
                job.opinion = Opinion(spam, "says the test")
            elif self.application.panel is not None:
                (job.opinion,) = self.application.panel.opinions([job.message], is_alone=True)
            return job

        if self._chaos is not None:
            job = self._chaos.run(make)
        else:
            job = make()
            self.application.transactions.run([job], lambda job, seconds: None)
        sent = self._collect()
        if job.reply is not None and not job.reply.is_positive:
            raise Refused(job.reply)
        return sent

    def wait(
        self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0
    ) -> list[Sent]:
        """Let so much time pass, and do what is due by then, each at its time.

        Gives what was sent by that. Without any time it does what is due now, such as work after a
        commit. What a function raises reaches the test; the rest is done by another `wait`, and
        what failed when it is to be tried again.
        """
        until = self.clock() + ((days * 24 + hours) * 60 + minutes) * 60 + seconds
        sent: list[Sent] = []
        while self._advance(until):
            sent += self._collect()
            if errors := self.application.task_errors:
                error = errors.pop(0)
                errors.clear()
                raise error
        self.clock.go_to(until)
        return sent + self._collect()

    def _advance(self, until: float) -> bool:
        """Let time pass until the next task is due, and do it; False where that is later."""
        from lamson.storage import tasks

        errands = self.application.errands
        assert errands is not None
        with self.database.read() as connection:
            due_at = tasks.next_due(connection)
            if due_at is None or due_at > until:
                return False
            self.clock.go_to(due_at)
            found = tasks.due(connection, self.clock(), 1)
        for task in found:
            errands.run(task)
        return True

    def _collect(self) -> list[Sent]:
        """What was sent since: it has left, but for what is to leave later."""
        from lamson.storage import scheduled

        transactions, outbox = self.application.transactions, self.application.outbox
        assert outbox is not None
        outgoing = [transactions.outgoing.popleft() for _ in range(len(transactions.outgoing))]
        outbox.delete([row.id for row in outgoing])
        if "mailer" in self.__dict__:
            others = outbox.all()
            for row in others:
                row.content = outbox.content(row.id) or b""
            outbox.delete([row.id for row in others])
            outgoing += others
        now = self.clock()
        sent = [sent_of(row, now) for row in outgoing]
        waiting = {row.id: row for row in outbox.scheduled()}
        for id, row in waiting.items():
            if id not in self._planned:
                row.content = outbox.content(id) or b""
                self._planned[id] = sent_of(row, max(row.due_at, now))
                sent.append(self._planned[id])
        for id in self._planned.keys() - waiting.keys():  # cancelled
            cancelled = self._planned.pop(id)
            self.sent[:] = [one for one in self.sent if one is not cancelled]
        if left := [id for id, row in waiting.items() if row.due_at <= now]:
            with self.database.begin() as connection:
                scheduled.promote(connection, now, len(left), lambda number: time.time_ns())
            outbox.delete([row.id for row in outbox.all()])
            for id in left:
                del self._planned[id]
        self.sent += sent
        for session in self.sessions:
            session.expire_all()
        return sent

    @cached_property
    def mailer(self) -> Mailer:
        """A Mailer on the database of the test, for what runs beside the service.

        What is committed with it is in ``sent`` after the next mail, or `wait`.
        """
        from lamson.testing.beside import MailerBeside

        return MailerBeside(self.application.settings, self.database, self.sessions)

    def report(
        self,
        sent: Sent,
        *,
        action: str = "failed",
        status: str = "5.1.1",
        diagnostic: str = "550 5.1.1 no such user",
        recipient: str | None = None,
    ) -> list[Sent]:
        """Have a mail server report what became of ``sent`` (RFC 3464), by default that its first
        recipient does not exist; gives what was sent because of it.

        Raises Refused for an envelope sender that is no bounce address, LamsonError for the null
        one, as what is not tracked has, or whatever the `@outcome` function raised.
        """
        if not sent.sender:
            raise LamsonError(
                "nothing is reported about it, as its envelope sender is null: send it with"
                " track=True"
            )
        who = recipient or sent.recipients[0]
        content = _REPORT.format(who=who, action=action, status=status, said=diagnostic)
        return self.deliver("", sent.sender, content.replace("\n", "\r\n").encode())

    def offer(
        self, sender: str, recipients: Sequence[str], content: bytes, *, client: Peer | None = None
    ) -> Offer:
        """Offer ``content`` to the filters, as Postfix does at SMTP time; nothing is delivered.

        ``client`` is who connects. Raises whatever a filter raises.
        """
        from lamson.smtp.envelope import NOBODY
        from lamson_milter import offer as offering

        return offering.offer(
            self._rules,
            sender,
            recipients,
            content,
            peer=client or NOBODY,
            queue_id=f"4tst{next(self._numbers):06}z1",
        )

    @cached_property
    def _rules(self) -> Any:
        """Those of the filters: one for all offers of a test, as filters remember things."""
        from lamson_milter import offer as offering

        return offering.rules_for_offers(self.application)

    def close(self) -> None:
        """Throw the database away; the fixture ``mailroom`` does it after the test."""
        self.database.close()
