"""A client of Postfix's smtpd, for tests: one message in, every reply back."""

from __future__ import annotations

import re
import smtplib
from dataclasses import dataclass, field
from email.utils import formatdate, make_msgid


@dataclass
class Sent:
    """What Postfix said. ``queue_id`` is "" where the message was not queued."""

    sender: tuple[int, str] = (0, "")
    recipients: dict[str, tuple[int, str]] = field(default_factory=dict)
    data: tuple[int, str] = (0, "")

    @property
    def queue_id(self) -> str:
        found = re.search(r"queued as (\w+)", self.data[1]) if self.data[0] == 250 else None
        return found[1] if found else ""


def letter(
    sender: str, recipient: str, subject: str = "Hello", body: str = "Hi there.\r\n"
) -> bytes:
    """A plain message in UTF-8, headers included (RFC 6532)."""
    return (
        f"From: {sender}\r\nTo: {recipient}\r\nSubject: {subject}\r\n"
        f"Date: {formatdate()}\r\n"
        f"Message-ID: {make_msgid(domain='sender.test')}\r\n"
        f"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Transfer-Encoding: 8bit\r\n\r\n{body}"
    ).encode()


def send(
    port: int,
    sender: str,
    *recipients: str,
    content: bytes | None = None,
    subject: str = "Hello",
    body: str = "Hi there.\r\n",
    options: str = "",
) -> Sent:
    """Hand one message to the smtpd on ``port``; refusals are returned, never raised.

    ``options`` go behind MAIL FROM (``"SMTPUTF8 BODY=8BITMIME"``). Without ``content``, a `letter`
    is made of ``subject`` and ``body``.
    """
    if content is None:
        content = letter(sender, ", ".join(recipients), subject, body)
    sent = Sent()
    with smtplib.SMTP("127.0.0.1", port, local_hostname="client.test", timeout=60) as client:
        client.ehlo()
        client.command_encoding = "utf-8"
        sent.sender = _said(client.docmd("MAIL", f"FROM:<{sender}> {options}".rstrip()))
        for recipient in recipients:
            sent.recipients[recipient] = _said(client.docmd("RCPT", f"TO:<{recipient}>"))
        if any(code == 250 for code, _ in sent.recipients.values()):
            sent.data = _said(client.data(content))
    return sent


def _said(reply: tuple[int, bytes]) -> tuple[int, str]:
    return reply[0], reply[1].decode("utf-8", "replace")
