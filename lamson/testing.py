"""Tests of an application, without servers: a pytest plugin and what it is made of.

The fixture ``conversation`` plays a correspondent::

    def test_subscribing(conversation):
        zed = conversation("zed@example.com")
        reply = zed.say("users-subscribe@test.com", "Subscribe", "please")
        assert "confirm" in reply["Subject"]

Mail goes through the real routes, handlers, states and templates, one transaction each, on a
database of its own in memory. What handlers send is kept in ``sent``; nothing leaves. An exception
in a handler reaches the test; a refusal raises `Refused`. Importing this module costs nothing but
pytest.
"""

from __future__ import annotations

import importlib
import time
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lamson.errors import LamsonError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sqlalchemy.orm import Session

    from lamson.app import Application
    from lamson.mail import MailRequest
    from lamson.outbox import Outgoing
    from lamson.reply import Reply


class Refused(LamsonError):
    """The application refused a message; ``reply`` is what Postfix would be told."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply))
        self.reply = reply


@dataclass(frozen=True, slots=True)
class Sent:
    """One message that the application sent: its envelope and, as ``message``, its content.

    ``sent["Subject"]`` and ``sent.body`` are short for the same of ``sent.message``.
    """

    sender: str
    recipients: tuple[str, ...]
    message: MailRequest

    def __getitem__(self, name: str) -> str | None:
        return self.message[name]

    @property
    def body(self) -> str:
        return self.message.body


class Mailroom:
    """One application under test, with a database in memory that is thrown away."""

    def __init__(self, project: Path, run_dir: Path) -> None:
        """Raises what `lamson.config.load` and `Application` raise."""
        from lamson import config
        from lamson.app import Application

        settings = config.load(project).model_copy(
            update={"database": "sqlite://", "run_dir": run_dir}
        )
        self.application: Application = Application(project, settings, raise_errors=True)
        assert self.application.database is not None
        self.database = self.application.database
        self.database.create_all()
        if settings.metadata is not None:
            module, _, name = settings.metadata.partition(":")
            base = getattr(importlib.import_module(module), name)
            getattr(base, "metadata", base).create_all(self.database.engine)
        self.sent: list[Sent] = []
        self.sessions: list[Session] = []  # of the test: what they know is old after a delivery
        self._numbers = count(1)

    def deliver(self, sender: str, recipient: str, content: bytes) -> list[Sent]:
        """Deliver ``content`` as Postfix would; gives what was sent because of it.

        Raises Refused, or whatever the handler raised.
        """
        from lamson import address
        from lamson import reply as replies
        from lamson.batch import Job
        from lamson.envelope import Envelope, Recipient
        from lamson.mail import MailRequest

        recipient = address.parse_mailbox(recipient, smtputf8=True)
        matches = self.application.router.match(recipient)
        if not matches:
            raise Refused(replies.NO_SUCH_RECIPIENT)
        envelope = Envelope(
            sender, (recipient,), received=time.time(), id=f"test-{next(self._numbers)}"
        )
        job = Job(MailRequest(content, envelope, Recipient(recipient)), matches, None)
        outgoing = self.application.batcher.run([job], lambda job, seconds: None)
        if job.reply is not None and not job.reply.is_positive:
            raise Refused(job.reply)
        sent = [_sent(row) for row in outgoing]
        if outgoing:
            assert self.application.outbox is not None
            self.application.outbox.delete([row.id for row in outgoing])
        self.sent += sent
        for session in self.sessions:
            session.expire_all()
        return sent

    def close(self) -> None:
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
    ) -> Sent | None:
        """Write to the application; gives its answer to this correspondent, None without one.

        ``sender`` is the envelope sender (default: the author; "" for a bounce), ``headers`` are
        further header fields. Raises Refused, or what a handler raised.
        """
        from email.utils import formatdate, make_msgid

        from lamson.mail import MailResponse

        message = MailResponse(
            to=to, sender=self.author, subject=subject, body=body, headers=headers
        )
        for name, value in (
            ("Message-ID", make_msgid(domain="test.invalid")),
            ("Date", formatdate()),
        ):
            if message[name] is None:
                message[name] = value
        return self.offer(to, message.to_bytes(), sender=sender)

    def offer(self, to: str, content: bytes, *, sender: str | None = None) -> Sent | None:
        """Like `say`, with a message of the test's own making."""
        envelope_sender = self.author if sender is None else sender
        sent = self._mailroom.deliver(envelope_sender, to, content)
        me = self.author.lower()
        return next((one for one in sent if me in map(str.lower, one.recipients)), None)

    @property
    def inbox(self) -> list[Sent]:
        """All that the application ever sent to this correspondent."""
        return [one for one in self._mailroom.sent if self.author in one.recipients]


def _sent(row: Outgoing) -> Sent:
    from lamson.envelope import Envelope, Recipient
    from lamson.mail import MailRequest

    envelope = Envelope(row.sender, row.recipients, smtputf8=row.smtputf8)
    message = MailRequest(row.content, envelope, Recipient(row.recipients[0]))
    return Sent(row.sender, row.recipients, message)


@pytest.fixture
def mailroom(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Mailroom]:
    """The application of the project that the test stands in."""
    from lamson import config

    made = Mailroom(config.find_project(Path(request.path).parent), tmp_path / "run")
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
