"""Mail that is written in the window, as any mail program would write it.

For the developer who plays a correspondent. A refused text raises ValueError, in words for him.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from email.utils import formatdate, getaddresses, make_msgid, parseaddr
from typing import TYPE_CHECKING, Protocol

from lamson.message.answering import fields_of_answer, subject_of_answer
from lamson.message.history import Said, quoted
from lamson.message.mailboxes import Mailbox
from lamson.message.response import MailResponse
from lamson.smtp.address import parse_mailbox
from lamson.smtp.envelope import Envelope, Recipient

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lamson.message.request import MailRequest

MOST_RECIPIENTS = 50


class Answered(Protocol):
    """What the service says of one recipient."""

    @property
    def recipient(self) -> str: ...

    @property
    def code(self) -> int: ...

    @property
    def text(self) -> str: ...


class Hand(Protocol):
    """Hands a mail to the service, as Postfix does. Raises UnavailableError."""

    def __call__(
        self, sender: str, recipients: Sequence[str], content: bytes, /
    ) -> Sequence[Answered]: ...


@dataclass(slots=True)
class Draft:
    """A mail as it stands in the form. ``files`` are names, types and contents."""

    sender: str = ""
    to: str = ""
    cc: str = ""
    subject: str = ""
    body: str = ""
    html: str = ""
    answers: str = ""  # the id of the mail that it answers
    files: list[tuple[str, str, bytes]] = field(default_factory=list)


def read(content: bytes) -> MailRequest:
    """A mail of which the envelope does not matter."""
    from lamson.message.request import MailRequest

    return MailRequest(content, Envelope(""), Recipient(""))


def answer_to(message: MailRequest, author: str, id: str) -> Draft:
    """What a mail program puts into the form for an answer."""
    to = message.reply_to or message.from_
    date = message.date
    said = [Said("", message["From"] or "", date, message.body)] if date else []
    return Draft(
        sender=author,
        to=to[0].address if to else "",
        subject=subject_of_answer(message.subject),
        body=f"\n\n{quoted(said)}" if said else "",
        answers=id,
    )


def compose(
    draft: Draft, answered: MailRequest | None = None
) -> tuple[str, list[str], list[str], bytes]:
    """Sender and recipients of the envelope, those of them that have a copy, and the message."""
    author = _author(draft.sender)
    sender = author.address
    to, cc = _addresses(draft.to), _addresses(draft.cc)
    if not to:
        raise ValueError("Nobody is named in To")
    if len(to) + len(cc) > MOST_RECIPIENTS:
        raise ValueError(f"More than {MOST_RECIPIENTS} recipients")
    headers: Mapping[str, str] = fields_of_answer(answered) if answered is not None else {}
    message = MailResponse(
        to=to,
        cc=cc or None,
        sender=author,
        subject=" ".join(draft.subject.split()),
        body=draft.body.replace("\r\n", "\n"),
        html=draft.html.replace("\r\n", "\n") or None,
        headers=headers,
    )
    for name, content_type, data in draft.files:
        message.attach(data, filename=name, content_type=content_type)
    message["Date"] = formatdate(localtime=True)
    domain = sender.rpartition("@")[2]
    message["Message-ID"] = make_msgid(domain=domain if domain.isascii() else "localhost")
    return sender, [*to, *cc], cc, message.to_bytes()


def _author(text: str) -> Mailbox:
    """An address, or a name and an address."""
    name, found = parseaddr(text)
    mailbox = parse_mailbox(found if name else text.strip(), smtputf8=True)
    return Mailbox(name, mailbox)


def _addresses(text: str) -> list[str]:
    found = [address for _, address in getaddresses([text]) if address]
    return [parse_mailbox(one, smtputf8=True) for one in found]
