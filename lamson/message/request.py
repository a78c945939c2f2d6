"""MailRequest: one message as one recipient got it.

For handlers and filters. The envelope says who sent it and to whom; the content is kept byte for
byte and read only when something is asked. Every attribute is total: a stranger's mail, however
broken or hostile, gives the best text that can be had, and `MailRequest.defects` says what is
wrong.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Literal

from lamson.message import autoreply, fragments, html_marks, notes, report
from lamson.message.parsed import ParsedMessage
from lamson.smtp import address

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lamson.message.defects import Defects
    from lamson.message.fragments import Fragment
    from lamson.message.notes import Note
    from lamson.message.part import Part
    from lamson.message.report import Report
    from lamson.smtp.envelope import Envelope, Peer, QueueId, Recipient

# RFC 5322 section 3.6.4, and what is sent in practice.
_MESSAGE_ID = re.compile(r"<[^<>\s]{1,900}>")
_SHOWN = ("From", "To", "Cc", "Date", "Subject")


class MailRequest:
    """One message as one recipient got it; the other recipients' share its content.

    ``message["Subject"]`` is the text of the first such field, None where there is none; names
    are matched in any case. Such a text is one line: it holds no CR, LF or NUL.
    """

    __slots__ = ("_report", "content", "envelope", "recipient")

    def __init__(
        self, content: bytes | ParsedMessage, envelope: Envelope, recipient: Recipient
    ) -> None:
        self.content = content if isinstance(content, ParsedMessage) else ParsedMessage(content)
        self.envelope = envelope
        self.recipient = recipient
        self._report: Report | Literal["unread"] | None = "unread"

    def __repr__(self) -> str:
        size = len(self.raw)
        return f"<MailRequest from {self.sender or '<>'} to {self.recipient}, {size} octets>"

    def __str__(self) -> str:
        """The message for people: the usual fields, an empty line, the body."""
        fields = [f"{name}: {self[name]}\n" for name in _SHOWN if name in self]
        return f"{''.join(fields)}\n{self.body}"

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
        """Whose message it is: the single valid From address, else the envelope sender.

        In the form in which addresses are compared: lower case, the domain in A-labels. Neither is
        proven: anybody may write anything there. `author_source` tells which of the two it is.
        """
        return address.normalise(self.content.from_address or self.sender)

    @property
    def author_source(self) -> Literal["From", "envelope"]:
        """Where `author` was taken from.

        "envelope" where the message has no From field, several, or one without a single valid
        address: what readers show as its author then is not `author`.
        """
        return "From" if self.content.from_address else "envelope"

    # The header

    @property
    def raw(self) -> bytes:
        """The message as it arrived, byte for byte."""
        return self.content.raw

    def __getitem__(self, name: str) -> str | None:
        return self.content.header.get(name)

    def get(self, name: str, default: str | None = None) -> str | None:
        """The text of the first field called ``name``, else ``default``."""
        value = self.content.header.get(name)
        return default if value is None else value

    def get_all(self, name: str) -> list[str]:
        """The texts of all fields called ``name``, from the top down; [] where there is none."""
        return self.content.header.get_all(name)

    def raw_header(self, name: str) -> bytes | None:
        """The first field called ``name`` as it came: undecoded, with its folds."""
        return next(self.content.header.raw(name), None)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.raw_header(name) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def keys(self) -> list[str]:
        """The names of the fields from the top down; a repeated field stands there repeatedly."""
        return [name for name, _ in self.content.header.fields()]

    def items(self) -> list[tuple[str, str]]:
        """The fields as (name, text), from the top down."""
        return self.content.header.items()

    @property
    def subject(self) -> str:
        """The text of the Subject field, "" without one."""
        return self["Subject"] or ""

    @property
    def message_id(self) -> str | None:
        """The Message-ID with its angle brackets; None where there is no usable one."""
        found = _MESSAGE_ID.search(self["Message-ID"] or "")
        return found[0] if found else None

    # The body

    @property
    def body(self) -> str:
        r"""The text of the message, lines ending in ``\n``: text/plain, else made from the HTML."""
        return self.content.body

    @property
    def fragments(self) -> list[Fragment]:
        """The parts of `body`, each with a ``kind``; their texts add up to it.

        The kinds are "new", "quote", "signature", "forwarded" and "footer".
        """
        return fragments.split(self.body, self.subject, html_marks.of(self.content))

    @property
    def new_text(self) -> str:
        """What the writer wrote himself: the new fragments, joined."""
        return "".join(text for kind, text in self.fragments if kind == "new")

    @property
    def html(self) -> str | None:
        """The text/html of the message, None where there is none. Not safe to show as it is."""
        return self.content.html

    @property
    def parts(self) -> list[Part]:
        """The parts that hold no further parts, in order, and attached messages.

        An attached message is a part, after which stands what it holds; see `Part.within`.
        """
        return self.content.parts

    @property
    def attachments(self) -> list[Part]:
        """The parts that are not shown as the text of the message.

        An attached message is one of them, and what it holds is none.
        """
        return [part for part in self.parts if part.within is None and part.is_attachment]

    @property
    def defects(self) -> Defects:
        """What is wrong with the message, in words; [] for most mail. Reads all of it.

        ``message.defects.could_hide`` is true where something could not be looked into.
        """
        return self.content.defects

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
