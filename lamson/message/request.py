"""MailRequest: one message as one recipient got it.

For handlers and filters. The envelope says who sent it and to whom; the content is kept byte for
byte and read only when something is asked. Every attribute is total: a stranger's mail, however
broken or hostile, gives the best text that can be had, and `MailRequest.defects` says what is
wrong.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal

from lamson.message import address_list, autoreply, notes, report
from lamson.message.message import Message
from lamson.smtp import address

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lamson.message.notes import Note
    from lamson.message.parsed import ParsedMessage
    from lamson.message.report import Report
    from lamson.message.witness import Proof
    from lamson.smtp.envelope import Envelope, Peer, QueueId, Recipient


class MailRequest(Message):
    """One message as one recipient got it; the other recipients' share its content."""

    __slots__ = ("_report", "envelope", "recipient")

    def __init__(
        self, content: bytes | ParsedMessage, envelope: Envelope, recipient: Recipient
    ) -> None:
        super().__init__(content)
        self.envelope = envelope
        self.recipient = recipient
        self._report: Report | Literal["unread"] | None = "unread"

    def __repr__(self) -> str:
        size = len(self.raw)
        return f"<MailRequest from {self.sender or '<>'} to {self.recipient}, {size} octets>"

    # The envelope

    @property
    def sender(self) -> str:
        """The envelope sender (MAIL FROM); "" is the null reverse-path."""
        return self.envelope.sender

    @property
    def peer(self) -> Peer:
        """The client that handed the message to Postfix."""
        return self.envelope.peer

    @property
    def queue_id(self) -> QueueId:
        """Postfix's queue id, "" where unknown."""
        return self.envelope.queue_id

    @property
    def author(self) -> str:
        """Whose message it is: the single address in From, else the envelope sender.

        In the form in which addresses are compared: lower case, the domain in A-labels. Neither is
        proven: anybody may write anything there. `author_source` tells which of the two it is.
        """
        if found := self.content.from_address:
            return address.normalise(found)
        return address.normalise(address_list.usable(self.sender)) or self.sender

    @property
    def author_source(self) -> Literal["From", "envelope"]:
        """Where `author` was taken from.

        "envelope" where the message has no From field, several, or one without a single valid
        address: what readers show as its author then is not `author`.
        """
        return "From" if self.content.from_address else "envelope"

    @property
    def proof(self) -> Proof | None:
        """What proves `author`: "dmarc", "dkim" or "token"; None where nothing does.

        "dmarc" and "dkim" are said by our own server (the setting `authserv_id`) of the domain of
        the From address. "token": the route that took the message has a `Signed` capture, so
        whoever wrote it has the address that the application gave somebody. That speaks for whom
        the token was made for, its payload, and not for what From says. SPF, a login (SASL) and
        the filters' notes prove no author.
        """
        witness = self.content.witness
        found = None if witness is None else witness.author(self)
        if found is None and self.recipient.is_signed:
            return "token"
        return found

    # What the filters found

    @property
    def notes(self) -> Mapping[str, Note]:
        """What the application's filters noted at SMTP time (see docs/milter.md); {} without."""
        notary = self.content.notary
        if notary is None:
            return {}
        fields = (raw.decode("ascii", "replace") for raw in self.content.header.raw(notes.HEADER))
        # One that was kept, and is handled again after a month, has them still.
        came = self.envelope.received or time.time()
        return notary.read(fields, self.queue_id, self.recipient.address, came)

    # What kind of mail it is

    @property
    def report(self) -> Report | None:
        """What a machine reports by this message, None where it is no report.

        Proves nothing: anybody can write one. Mail of people costs a look at the header.
        """
        found = self._report
        if found == "unread":
            found = self._report = report.read(
                self.content, self.sender, self.author, self.recipient.address
            )
        return found

    @property
    def is_bounce(self) -> bool:
        """True where a mail is reported to have failed for good, for one recipient at least.

        No vacation notice, read receipt, complaint or word of a delay is one, whatever its sender.
        """
        return self.report is not None and self.report.kind == "failed"

    @property
    def automatic_kind(self) -> autoreply.Kind | None:
        """What kind of mail it is that no program may answer; None where one may."""
        found = self._automatic()
        return found.kind if found else None

    @property
    def automatic_reason(self) -> str | None:
        """Why no program may answer this message, in words (RFC 3834); None where one may."""
        found = self._automatic()
        return found.reason if found else None

    @property
    def is_automatic(self) -> bool:
        """True where no program may answer this message."""
        return self._automatic() is not None

    def _automatic(self) -> autoreply.Automatic | None:
        return autoreply.automatic(
            self.content.header, self.sender, self.author, self.recipient.address
        )
