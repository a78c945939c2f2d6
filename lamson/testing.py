"""Tests of an application, without servers: a pytest plugin and what it is made of.

The fixture ``conversation`` plays a correspondent::

    def test_subscribing(conversation):
        zed = conversation("zed@example.com")
        reply = zed.say("users-subscribe@test.com", "Subscribe", "please")
        assert "confirm" in reply["Subject"]

Mail goes through the real routes, handlers, states and templates, one transaction each, on a
database of its own in memory. What handlers send is kept in ``sent``; nothing leaves. An exception
in a handler reaches the test; a refusal raises `Refused`.

Time is the test's own: ``mailroom.wait(days=3)`` lets it pass, and does what is due meanwhile
(timeouts, schedules, work after a commit, mail that was to leave later), each at its time::

    def test_nobody_answers(conversation, mailroom):
        zed = conversation("zed@example.com")
        zed.say("users-subscribe@test.com")
        mailroom.wait(days=3)
        assert "still" in zed.inbox[-1]["Subject"]

The fixture ``mailer`` is for web applications and scripts, which have no handlers: a
`lamson.Mailer` on a database of its own, which tells what was sent.

The fixture ``mailsystem`` is the project in containers, with a real Postfix and PostgreSQL (see
`lamson.containers`). Importing this module costs nothing but pytest.
"""

from __future__ import annotations

import importlib
import sys
import time
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lamson.errors import LamsonError
from lamson.smtp.reply import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sqlalchemy.orm import Session

    from lamson.app import Application
    from lamson.containers import MailSystem
    from lamson.message.request import MailRequest
    from lamson.smtp.envelope import Peer
    from lamson.storage.outgoing import Outgoing
    from lamson_milter.offer import Offer


__all__ = ["Clock", "Conversation", "Mailroom", "Refused", "Sent"]

HELD = Reply(450, "4.7.1", "The message was discarded or is on hold")


class Refused(LamsonError):
    """The application refused a message; ``reply`` is what Postfix would be told."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply))
        self.reply = reply


@dataclass(frozen=True, slots=True)
class Sent:
    """One message that the application sent: its envelope and, as ``message``, its content.

    ``sent["Subject"]`` and ``sent.body`` are short for the same of ``sent.message``. ``at`` is when
    it leaves, in seconds since the epoch by the test's clock: now, or when it was to be sent.
    """

    sender: str
    recipients: tuple[str, ...]
    message: MailRequest
    at: float = 0.0

    def __getitem__(self, name: str) -> str | None:
        return self.message[name]

    @property
    def body(self) -> str:
        """The text of the message, as `MailRequest.body`."""
        return self.message.body


class Clock:
    """The time of a test, in seconds since the epoch: it goes as ours does, and can be moved on."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self._ahead

    def monotonic(self) -> float:
        """What never goes back, as `time.monotonic`."""
        return time.monotonic() + self._ahead

    def go_to(self, moment: float) -> None:
        """Let time pass until ``moment``; it does not go back."""
        self._ahead += max(0.0, moment - self())


class Mailroom:
    """One application under test, with a database in memory that is thrown away.

    ``sent`` is all that it sent, also what is to leave later; ``clock`` is its time.
    """

    def __init__(self, project: Path, run_dir: Path) -> None:
        """Raises what `lamson.settings.loading.load` and `Application` raise."""
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
        shared = ParsedMessage(content, self.application.notary, self.application.witness)
        job = Job(MailRequest(shared, envelope, Recipient(recipient)), matches, None)
        if spam is not None:
            job.opinion = Opinion(spam, "says the test")
        elif self.application.panel is not None:
            (job.opinion,) = self.application.panel.opinions([job.message], is_alone=True)
        transactions = self.application.transactions
        transactions.run([job], lambda job, seconds: None)
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
        now = self.clock()
        sent = [_sent(row, now) for row in outgoing]
        waiting = {row.id: row for row in outbox.scheduled()}
        for id, row in waiting.items():
            if id not in self._planned:
                row.content = outbox.content(id) or b""
                self._planned[id] = _sent(row, max(row.due_at, now))
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


class Conversation:
    """One correspondent, who writes to the application and reads its answers."""

    def __init__(self, mailroom: Mailroom, author: str) -> None:
        self._mailroom = mailroom
        self.author = author

    def say(
        self,
        to: str,
        subject: str = "",
        body: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        sender: str | None = None,
        proven: bool = False,
        spam: bool | None = None,
    ) -> Sent | None:
        """Write to the application; gives its answer to this correspondent, None without one.

        ``sender`` is the envelope sender (default: the author; "" for a bounce), ``headers`` are
        further header fields. With ``proven`` our own server says that DMARC proves the author,
        which needs the setting `authserv_id`; ``spam`` says whether it is spam. Raises Refused, or
        what a handler raised.
        """
        if proven:
            headers = {**(headers or {}), "Authentication-Results": self._testimony()}
        content = self._compose([to], subject, body, headers)
        return self.deliver(to, content, sender=sender, spam=spam)

    def _testimony(self) -> str:
        authserv_id = self._mailroom.application.settings.authserv_id
        if authserv_id is None:
            raise LamsonError("nobody is proven: authserv_id is not set")
        return f"{authserv_id}; dmarc=pass header.from={self.author.rpartition('@')[2]}"

    def reply(
        self,
        sent: Sent,
        body: str = "",
        *,
        subject: str | None = None,
        headers: Mapping[str, str] | None = None,
        sender: str | None = None,
    ) -> Sent | None:
        """Answer a mail of the application as mail programs do; gives its answer, as `say` does.

        It goes to the Reply-To of ``sent``, else to its From, says what it answers (In-Reply-To and
        References) and quotes it below ``body``. ``headers`` may say otherwise.
        """
        from datetime import UTC, datetime

        from lamson.message.answering import fields_of_answer, subject_of_answer
        from lamson.message.history import Said, quoted

        message = sent.message
        to = (message.reply_to or message.from_)[0].address
        date = message.date or datetime.now(UTC)
        below = quoted([Said("", message["From"] or "", date, message.body)])
        return self.say(
            to,
            subject_of_answer(message.subject) if subject is None else subject,
            f"{body}\n\n{below}",
            headers={**fields_of_answer(message), **(headers or {})},
            sender=sender,
        )

    def _compose(
        self,
        to: Sequence[str],
        subject: str,
        body: str,
        headers: Mapping[str, str] | None,
    ) -> bytes:
        from email.utils import formatdate, make_msgid

        from lamson.message.response import MailResponse

        message = MailResponse(
            to=to, sender=self.author, subject=subject, body=body, headers=headers
        )
        for name, value in (
            ("Message-ID", make_msgid(domain="test.invalid")),
            ("Date", formatdate(self._mailroom.clock())),
        ):
            if message[name] is None:
                message[name] = value
        return message.to_bytes()

    def deliver(
        self, to: str, content: bytes, *, sender: str | None = None, spam: bool | None = None
    ) -> Sent | None:
        """Like `say`, with a message of the test's own making."""
        envelope_sender = self.author if sender is None else sender
        return self._answer(self._mailroom.deliver(envelope_sender, to, content, spam=spam))

    def offer(
        self,
        to: str | Sequence[str],
        subject: str = "",
        body: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        sender: str | None = None,
        content: bytes | None = None,
        client: Peer | None = None,
    ) -> Offer:
        """Offer a message to the application's filters, as the sender's server does.

        Gives the replies at each stage and, as ``queued``, the message as Postfix would queue it,
        None where it would not; `say_queued` hands that to the handlers. ``content`` is a message
        of the test's own making, ``client`` who connects. Raises what a filter raised.
        """
        recipients = [to] if isinstance(to, str) else list(to)
        if content is None:
            content = self._compose(recipients, subject, body, headers)
        envelope_sender = self.author if sender is None else sender
        return self._mailroom.offer(envelope_sender, recipients, content, client=client)

    def say_queued(self, offer: Offer) -> Sent | None:
        """Deliver what an `offer` came to, notes and all; gives an answer like `say`.

        Raises Refused where it was not queued, or is on hold.
        """
        queued = offer.queued
        if queued is None or queued.on_hold is not None:
            raise Refused(offer.refusal or HELD)
        sent: list[Sent] = []
        for recipient in queued.recipients:
            sent += self._mailroom.deliver(
                queued.sender, recipient, queued.message.raw, queue_id=queued.message.queue_id
            )
        return self._answer(sent)

    def _answer(self, sent: Sequence[Sent]) -> Sent | None:
        return next(filter(self._is_mine, sent), None)

    @property
    def inbox(self) -> list[Sent]:
        """All that the application ever sent to this correspondent."""
        return [one for one in self._mailroom.sent if self._is_mine(one)]

    def _is_mine(self, one: Sent) -> bool:
        from lamson.smtp import address

        return address.normalise(self.author) in map(address.normalise, one.recipients)


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


def _sent(row: Outgoing, at: float = 0.0) -> Sent:
    from lamson.message.request import MailRequest
    from lamson.smtp.envelope import Envelope, Recipient

    envelope = Envelope(row.sender, row.recipients, smtputf8=row.smtputf8)
    message = MailRequest(row.content, envelope, Recipient(row.recipients[0]))
    return Sent(row.sender, row.recipients, message, at)


@pytest.fixture
def mailroom(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Mailroom]:
    """The application of the project that the test stands in."""
    from lamson.settings import loading

    try:
        project = loading.find_project(Path(request.path).parent, is_trusted=True)
        made = Mailroom(project, tmp_path / "run")
    except LamsonError as error:  # of one line that says it all
        pytest.fail(str(error), pytrace=False)
    yield made
    made.close()


@pytest.fixture
def conversation(mailroom: Mailroom) -> Callable[[str], Conversation]:
    """``conversation("zed@example.com")`` is a correspondent of the application."""
    return lambda author: Conversation(mailroom, author)


@pytest.fixture
def sent(mailroom: Mailroom) -> list[Sent]:
    """All that the application sent during the test, to anybody."""
    return mailroom.sent


@pytest.fixture
def db(mailroom: Mailroom) -> Iterator[Session]:
    """A session on the database of the test, to prepare and to look at."""
    from sqlalchemy.orm import Session

    # Without a lock of its own, so that the application can write in between.
    engine = mailroom.database.engine.execution_options(isolation_level="AUTOCOMMIT")
    with Session(engine) as session:
        mailroom.sessions.append(session)
        yield session


@pytest.fixture
def mailer_settings() -> dict[str, Any]:
    """For a project to override: keys of `lamson.settings.Settings` for the fixture ``mailer``."""
    return {}


@pytest.fixture
def mailer(tmp_path: Path, mailer_settings: dict[str, Any]) -> Iterator[Any]:
    """A `lamson.Mailer` without a project, on a database of the test's own, an SQLite file.

    ``mailer.sent`` are the `Sent` messages that were committed and leave at once,
    ``mailer.scheduled`` pairs of a datetime and a `Sent`; ``mailer.url`` is that of the database,
    for the application's engine. Any envelope sender may be used, unless the settings say else.
    """
    made = _kept_mailer(tmp_path / "mailer", mailer_settings)
    yield made
    made.close()


def _kept_mailer(directory: Path, values: dict[str, Any]) -> Any:
    from datetime import UTC, datetime

    from lamson.mailer import Mailer
    from lamson.message.notes import Notary
    from lamson.settings import Settings, Submission
    from lamson.storage import migrate
    from lamson.storage.database import Database
    from lamson.storage.outbox import Outbox

    class KeptMailer(Mailer):
        def __init__(self) -> None:
            self.url: str = values.get("database") or f"sqlite:///{directory}/lamson.db"
            defaults: dict[str, Any] = {
                "database": self.url,
                "handlers": [],
                "run_dir": directory,
                "submission": Submission(any_sender=True, max_recipients=sys.maxsize),
            }
            settings = Settings(**(defaults | values))
            Notary.of(settings.run_dir, settings.milter.signing_secret())  # makes the key
            super().__init__(settings)
            self._looked_at = Database(self.url)
            migrate.upgrade_ours(self._looked_at)
            self._outbox = Outbox(self._looked_at, "test")

        @property
        def sent(self) -> list[Sent]:
            return [self._whole(row) for row in self._outbox.all()]

        @property
        def scheduled(self) -> list[tuple[datetime, Sent]]:
            waiting = self._outbox.scheduled()
            return [(datetime.fromtimestamp(row.due_at, UTC), self._whole(row)) for row in waiting]

        def _whole(self, row: Outgoing) -> Sent:
            row.content = self._outbox.content(row.id) or b""
            return _sent(row)

        def close(self) -> None:
            super().close()
            self._looked_at.close()

    directory.mkdir()
    return KeptMailer()


@pytest.fixture(scope="session")
def mailsystem_options() -> dict[str, Any]:
    """For a project to override: what `lamson.containers.mail_system` is to be called with."""
    return {}


@pytest.fixture(scope="session")
def mailsystem(
    request: pytest.FixtureRequest, mailsystem_options: dict[str, Any]
) -> Iterator[MailSystem]:
    """The project that pytest runs in, in containers, up; the tests of a run share it.

    Skips where there is no engine to run it, or something cannot be had that it is made of.
    """
    from contextlib import ExitStack

    from lamson.containers import mail_system
    from lamson.errors import UnavailableError
    from lamson.settings import loading

    options = dict(mailsystem_options)
    if "project" not in options:
        options["project"] = loading.find_project(request.config.rootpath, is_trusted=True)
    with ExitStack() as stack:
        try:
            system = stack.enter_context(mail_system(**options))
        except UnavailableError as error:
            pytest.skip(str(error))
        yield system
