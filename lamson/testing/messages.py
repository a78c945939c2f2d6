"""What the application sent, as a test sees it, and how it refuses what a test writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lamson.errors import LamsonError

if TYPE_CHECKING:
    from lamson.message.request import MailRequest
    from lamson.smtp.reply import Reply
    from lamson.storage.outgoing import Outgoing


class Refused(LamsonError):
    """The application refused a message; ``reply`` is what Postfix would be told."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply))
        self.reply = reply


class Undeliverable(LamsonError):
    """The application took a message, and kept it in run/undeliverable: no answer comes of it.

    Only through a running service: in the process of the test what a handler raised reaches it.
    """


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


def sent_of(row: Outgoing, at: float = 0.0) -> Sent:
    """What a row of the outbox is to the test; ``at`` is when it leaves."""
    from lamson.message.request import MailRequest
    from lamson.smtp.envelope import Envelope, Recipient

    envelope = Envelope(row.sender, row.recipients, smtputf8=row.smtputf8)
    message = MailRequest(row.octets, envelope, Recipient(row.recipients[0]))
    return Sent(row.sender, row.recipients, message, at)
