"""The mailroom of tests whose mail goes through a running service: see `lamson.testing.running`."""

from __future__ import annotations

import re
import smtplib
import time
from typing import TYPE_CHECKING, NoReturn, cast

import pytest

from lamson.testing.application import Mailroom
from lamson.testing.clock import Clock
from lamson.testing.messages import Refused, Sent, Undeliverable, sent_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from lamson.app import Application
    from lamson.mailer import Mailer
    from lamson.smtp.envelope import Peer
    from lamson.smtp.reply import Reply
    from lamson.storage.journal_rows import JournalRow
    from lamson.storage.outgoing import Outgoing
    from lamson.testing.running import Running

# What our catching server puts on top; the mail itself may begin with such fields as well.
_FIELD = rb":[^\n]*\n(?:[ \t][^\n]*\n)*"
_ON_TOP = re.compile(
    rb"\AReturn-Path" + _FIELD + rb"(?:Delivered-To" + _FIELD + rb"X-Original-To" + _FIELD + rb")*"
)
_MOST = 200  # recipients of one delivery
_FOR_NOW = "due_at < 1e11 AND due_at > :now"


class ThroughMailroom(Mailroom):
    """A `Mailroom` whose mail goes through a service that runs, as a stranger's does.

    It is told of no exception: what a handler raised is a refusal (4xx), or `Undeliverable`.
    """

    def __init__(self, running: Running) -> None:
        from lamson.mailer import Mailer

        self.clock = Clock()
        self.sent: list[Sent] = []
        self.sessions: list[Session] = []
        self.database = running.database
        self.application = cast("Application", running)  # of which tests ask the settings
        self._running = running
        self._seen: set[str] = set()
        self._mailer = Mailer.of(running.project)

    @property
    def mailer(self) -> Mailer:
        return self._mailer

    def takes(self, recipient: str) -> bool:
        with self._lmtp() as client:
            client.ehlo()
            client.mail("")
            return client.rcpt(recipient)[0] == 250

    def deliver(
        self,
        sender: str,
        recipient: str,
        content: bytes,
        *,
        queue_id: str = "",
        spam: bool | None = None,
    ) -> list[Sent]:
        """As that of `Mailroom`. Raises Undeliverable where it was kept as such."""
        if spam is not None:
            pytest.skip("through a service the judges say what is spam, and not the test")
        before = self._newest()
        code, text = self._hand(sender, recipient, content)
        if code != 250:
            raise Refused(_reply(code, text))
        self._running.settle()
        sent = self._collect()
        for row in self._came(before, recipient):
            if row.outcome == "kept":
                raise Undeliverable(f"kept in run/undeliverable: {row.about}")
            if not row.reply.startswith("2"):
                said, _, rest = row.reply.partition(" ")
                raise Refused(_reply(int(said), rest))
        return sent

    def _hand(self, sender: str, recipient: str, content: bytes) -> tuple[int, str]:
        postfix = self._running.postfix
        with self._lmtp() if postfix is None else _smtp(postfix.smtp) as client:
            client.ehlo()
            options = []
            if not (sender + recipient).isascii():
                client.command_encoding = "utf-8"
                options.append("SMTPUTF8")
            code, text = client.mail(sender, options)
            if code == 250:
                code, text = client.rcpt(recipient)
            if code == 250:
                code, text = client.data(content)
        return code, " ".join(text.decode("utf-8", "replace").split())

    def _lmtp(self) -> smtplib.LMTP:
        lmtp = self._running.settings.lmtp
        if lmtp.host_port is None:
            return smtplib.LMTP(str(lmtp.unix_path))
        host, port = lmtp.host_port
        return smtplib.LMTP(host, port)

    def _newest(self) -> int:
        from lamson.storage import journal_rows

        with self.database.read() as connection:
            return journal_rows.newest(connection)

    def _came(self, after: int, recipient: str) -> list[JournalRow]:
        from lamson.storage import journal_rows

        ours = journal_rows.name_of(recipient)
        with self.database.read() as connection:
            rows = journal_rows.page(connection, limit=_MOST)
        return [
            row for row in rows if row.id > after and row.direction == "in" and row.ours == ours
        ]

    def wait(
        self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0
    ) -> list[Sent]:
        """Time passes by what waits in the database being due so much sooner."""
        from sqlalchemy import text

        sent = self._settled()
        passing = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
        if passing:
            self.clock.go_to(self.clock() + passing)
            with self.database.begin() as connection:
                for table in ("lamson_tasks", "lamson_scheduled"):
                    connection.execute(
                        text(f"UPDATE {table} SET due_at = due_at - :by WHERE {_FOR_NOW}"),
                        {"by": passing, "now": time.time()},
                    )
        return sent + self._settled()

    def _settled(self) -> list[Sent]:
        self._running.settle()
        return self._collect()

    def offer(
        self, sender: str, recipients: Sequence[str], content: bytes, *, client: Peer | None = None
    ) -> NoReturn:
        pytest.skip("filters are asked in the process of the test alone")

    def _collect(self) -> list[Sent]:
        from lamson.storage.maildir import Maildir

        box = Maildir(self._running.caught, safe=False)
        new = [key for key in sorted(box.keys()) if key not in self._seen]
        self._seen.update(new)
        rows = [_Row(box.get(key) or b"") for key in new]
        ours = self._submitted() if self._running.postfix is not None else None
        sent = [
            sent_of(cast("Outgoing", row), self.clock())
            for row in rows
            if ours is None or row.message_id in ours
        ]
        self.sent += sent
        for session in self.sessions:
            session.expire_all()
        return sent

    def _submitted(self) -> set[str]:
        """By their Message-IDs; a bounce of Postfix's own is none."""
        from lamson.storage import journal_rows

        with self.database.read() as connection:
            rows = journal_rows.page(connection, limit=journal_rows.MOST, direction="out")
        return {row.message_id for row in rows}

    def close(self) -> None:
        self._mailer.close()
        self._running.empty()


class _Row:
    """What was caught, as a row of the outbox: what `sent_of` asks of one."""

    smtputf8 = False

    def __init__(self, stored: bytes) -> None:
        from lamson.message.message import Message

        found = _ON_TOP.match(stored)
        end = found.end() if found is not None else 0
        top = Message(stored[:end] + b"\n")
        self.sender = (top.get("Return-Path") or "").strip().strip("<>")
        self.recipients = tuple(top.get_all("Delivered-To"))
        self.octets = stored[end:]
        self.message_id = Message(self.octets).message_id or ""


def _smtp(port: int) -> smtplib.SMTP:
    return smtplib.SMTP("127.0.0.1", port)


def _reply(code: int, words: str) -> Reply:
    from lamson.smtp.reply import Reply

    enhanced, _, rest = words.partition(" ")
    return Reply(code, enhanced.strip("<>"), rest or words)
