"""A correspondent of the application under test: he writes, and reads what comes."""

from __future__ import annotations

import mimetypes
from typing import TYPE_CHECKING

from lamson.errors import LamsonError
from lamson.smtp import address
from lamson.smtp.reply import Reply
from lamson.testing.messages import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lamson.message.mailboxes import Mailbox
    from lamson.smtp.envelope import Peer
    from lamson.testing.application import Mailroom
    from lamson.testing.messages import Sent
    from lamson_milter.offer import Offer

HELD = Reply(450, "4.7.1", "The message was discarded or is on hold")


class Conversation:
    """One correspondent, who writes to the application and reads its answers.

    ``author`` is his address; he may be given with a name, ``"Zed Shaw <zed@example.com>"`` or a
    `Mailbox`, which then stands in his From. Raises AddressError where that is none.
    """

    def __init__(self, mailroom: Mailroom, author: str | Mailbox) -> None:
        from lamson.message import mailboxes

        self._mailroom = mailroom
        self._mailbox = mailboxes.parse_one(author) if isinstance(author, str) else author
        self.author = self._mailbox.address

    def say(
        self,
        to: str | Sequence[str],
        subject: str = "",
        body: str = "",
        *,
        html: str | None = None,
        cc: str | Sequence[str] = (),
        attachments: Mapping[str, bytes | str] | None = None,
        headers: Mapping[str, str] | None = None,
        sender: str | None = None,
        proven: bool = False,
        spam: bool | None = None,
    ) -> Sent | None:
        """Write to the application; gives its answer to this correspondent, None without one.

        ``to`` is one address of it or several, ``cc`` are people, and the application where it has
        a route. ``attachments`` are contents by file name, bytes or a text; their types are what
        their names say. ``sender`` is the envelope sender (default: the author; "" for a bounce),
        ``headers`` are further header fields. With ``proven`` our own server says that DMARC proves
        the author, which needs the setting `authserv_id`; ``spam`` says whether it is spam. Raises
        Refused, or what a handler raised.
        """
        if proven:
            headers = {**(headers or {}), "Authentication-Results": self._testimony()}
        named, copied = _several(to), _several(cc)
        recipients = [*named, *filter(self._mailroom.takes, copied)]
        content = self._compose(named, subject, body, headers, html, copied, attachments)
        return self._send(content, recipients, sender, spam=spam)

    def _send(
        self, content: bytes, recipients: list[str], sender: str | None, spam: bool | None = None
    ) -> Sent | None:
        envelope_sender = self.author if sender is None else sender
        sent: list[Sent] = []
        for recipient in recipients:
            sent += self._mailroom.deliver(envelope_sender, recipient, content, spam=spam)
        return self._answer(sent)

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
        to_all: bool = False,
        html: str | None = None,
        attachments: Mapping[str, bytes | str] | None = None,
        headers: Mapping[str, str] | None = None,
        sender: str | None = None,
    ) -> Sent | None:
        """Answer a mail of the application as mail programs do; gives its answer, as `say` does.

        It goes to the Reply-To of ``sent``, else to its From, and with ``to_all`` in copy to all
        others that it names; it says what it answers (In-Reply-To and References) and quotes it
        below ``body``. ``headers`` may say otherwise. Where it goes to a person as well, as the
        answer to all of who posted to a list does, the application gets what is for it.
        """
        from datetime import UTC, datetime

        from lamson.message.answering import fields_of_answer, subject_of_answer
        from lamson.message.history import Said, quoted

        message = sent.message
        to = list(dict.fromkeys(one.address for one in message.reply_to or message.from_[:1]))
        named = [one.address for one in (*message.to, *message.cc)] if to_all else []
        cc = [one for one in dict.fromkeys(named) if one not in (*to, self.author)]
        date = message.date or datetime.now(UTC)
        below = quoted([Said("", message["From"] or "", date, message.body)])
        content = self._compose(
            to,
            subject_of_answer(message.subject) if subject is None else subject,
            f"{body}\n\n{below}",
            {**fields_of_answer(message), **(headers or {})},
            html,
            cc,
            attachments,
        )
        return self._send(content, self._ours(to, cc), sender)

    def _ours(self, to: list[str], cc: list[str]) -> list[str]:
        """Whom the application gets it for: all of ``to`` where there is nobody else."""
        if len(to) == 1 and not cc:
            return to
        taken = [*filter(self._mailroom.takes, (*to, *cc))]
        domains = {address.split(one)[1] for one in taken}
        refused = [one for one in to if one not in taken and address.split(one)[1] in domains]
        return taken + refused or to

    def _compose(
        self,
        to: Sequence[str],
        subject: str,
        body: str,
        headers: Mapping[str, str] | None,
        html: str | None = None,
        cc: Sequence[str] = (),
        attachments: Mapping[str, bytes | str] | None = None,
    ) -> bytes:
        from email.utils import formatdate, make_msgid

        from lamson.message.response import MailResponse

        message = MailResponse(
            to=to,
            cc=cc or None,
            sender=self._mailbox,
            subject=subject,
            body=body,
            html=html,
            headers=headers,
        )
        for filename, data in (attachments or {}).items():
            kind, encoding = mimetypes.guess_type(filename)
            content_type = kind if kind and not encoding else "application/octet-stream"
            octets = data.encode() if isinstance(data, str) else data  # as a file has them
            message.attach(octets, filename=filename, content_type=content_type)
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
        recipients = _several(to)
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


def _several(addresses: str | Sequence[str]) -> list[str]:
    return [addresses] if isinstance(addresses, str) else list(addresses)
