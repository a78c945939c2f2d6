"""What a handler gets besides the message: the means to answer, forward and send.

Nothing leaves at once. What a handler sends is final here (bytes, Date and Message-ID) and becomes
rows of the outbox in the transaction of its delivery: if the handler fails, nothing was sent; if
the process dies later, the same bytes go out with the same Message-ID.
"""

from __future__ import annotations

import secrets
import time
from email.utils import formatdate
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from lamson import log
from lamson.delivery.answer_limit import Answer
from lamson.delivery.correspondent import Correspondent, correspondent_of
from lamson.errors import LamsonError, SenderError
from lamson.message import mailboxes
from lamson.message.compose import normalise_newlines, prepend_headers
from lamson.message.notes import without_notes
from lamson.message.response import MailResponse
from lamson.smtp import address
from lamson.smtp.reply import LOOP_DETECTED, SMTPError
from lamson.storage.outgoing import Outgoing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lamson.delivery.answer_limit import AnswerLimit
    from lamson.message.mailboxes import Addresses, Mailbox
    from lamson.message.request import MailRequest
    from lamson.message.templates import Templates

MAX_HOPS = 50  # Received fields; Postfix's own hopcount_limit is 50 as well
LOOP_MARK = "X-Lamson-Forwarded"
TOO_MANY = "too many answers to this correspondent within an hour"


class MailLoop(SMTPError):
    """The message was forwarded from this address before."""

    def __init__(self) -> None:
        super().__init__(LOOP_DETECTED.code, LOOP_DETECTED.enhanced, LOOP_DETECTED.text)


class Delivery:
    """One message on its way to one recipient, as a handler sees it.

    ``message`` is the message, ``captures`` what the route captured, ``id`` how log lines call the
    mail (Postfix's queue id, where known).
    """

    __slots__ = (
        "_answers",
        "_digest",
        "_hostname",
        "_is_ours",
        "_is_over",
        "_mark",
        "_proves",
        "_templates",
        "answered",
        "captures",
        "message",
        "outgoing",
    )

    def __init__(
        self,
        message: MailRequest,
        *,
        digest: bytes | None,
        hostname: str,
        templates: Templates | None = None,
        answers: AnswerLimit | None = None,
        captures: Mapping[str, str] | None = None,
        is_ours: Callable[[str], bool] | None = None,
        proves: Callable[[MailRequest, str], bool] | None = None,
        mark: Callable[[str], str] | None = None,
    ) -> None:
        """``digest`` names the delivery, None where nothing does: it is then made up when needed.

        ``is_ours`` tells whether a domain is one of ours; None allows any envelope sender.
        ``proves`` tells whether a message is proven to be from a domain; None where nothing is.
        ``mark`` makes the mark that a message forwarded from an address is known by.
        """
        self.message = message
        self.captures: Mapping[str, str] = captures or {}
        self.outgoing: list[Outgoing] = []
        self.answered: list[Answer] = []  # what `answers` has counted
        self._digest = digest
        self._hostname = hostname
        self._templates = templates
        self._answers = answers
        self._is_ours = is_ours
        self._proves = proves
        self._mark = mark
        self._is_over = False

    def end(self) -> None:
        """The handlers have returned: whoever kept it can send nothing more with it."""
        self._is_over = True

    def _check_open(self) -> None:
        if self._is_over:
            raise LamsonError("this delivery is over: a Delivery must not be kept for later")

    @property
    def id(self) -> str:
        """How log lines call the mail: Postfix's queue id, else a name that this process made up.

        With the recipient it names the delivery: give both to whoever must recognise a repetition.
        """
        return self.message.envelope.id

    @property
    def correspondent(self) -> Correspondent:
        """Whom `reply` answers: ``.address``, "" for nobody, and ``.is_proven``.

        The address is spelt as it was written. It is proven where our own server has proved the
        From domain, and the address is in a domain of the same organisation. It may be the Reply-To
        then, who has not written: where that counts compare it with `MailRequest.author`.
        """
        return correspondent_of(self.message, self._proves)

    def reply(
        self,
        template: str | None = None,
        *,
        subject: str | None = None,
        sender: str | None = None,
        to: str | None = None,
        body: str | None = None,
        html: str | None = None,
        envelope_sender: str = address.NULL_PATH,
        **variables: Any,
    ) -> MailResponse | None:
        """Answer the message, as RFC 3834 wants it from a program.

        The answer goes to its Reply-To or From address where that is in a domain of the same
        organisation as the envelope sender, or as a From domain that our own server has proved (see
        the setting `authserv_id`); else to the envelope sender. ``to`` is somebody else: whether
        he wants it is then for the handler to know.

        ``template`` names a template; it sees ``message``, the route's captures and ``variables``.
        Without one, ``body`` (and ``html``) are the text. ``sender`` is the From address (default:
        the address that was written to), ``subject`` by default "Re: " and the old one. Bounces of
        the answer go nowhere unless ``envelope_sender`` is given.

        Gives None, and logs why, where no answer may be given: to a bounce, to mail from a list or
        another program, or beyond the limits per hour (the settings `answers`); one that turns out
        to be beyond them as the transaction ends is not sent. Raises TemplateError, or ValueError
        for a header value or address that cannot be.
        """
        self._check_open()
        message = self.message
        reason = message.automatic_reason
        caps: tuple[tuple[bytes, int], ...] = ()
        if reason is None:
            if to is None:
                found = self.correspondent
            else:
                found = Correspondent(mailboxes.parse_one(to).address, is_proven=False)
            if address.normalise(found.address) == address.normalise(message.recipient.address):
                reason = "the answer would come back here"
            elif self._answers is not None:
                # Who is proven to write may still name somebody else in Reply-To.
                is_writer = address.normalise(found.address) == message.author
                caps = self._answers.caps(found.address, is_proven=found.is_proven and is_writer)
                reason = TOO_MANY if self._answers.is_reached(caps) else None
        if reason is not None:
            log.event("unanswered", self.id, recipient=message.recipient, reason=reason)
            return None
        response = self.compose(
            template,
            to=to or found.address,
            sender=sender or message.recipient.address,
            subject=subject if subject is not None else _answer_to(message.subject),
            body=body,
            html=html,
            **variables,
        )
        response["Auto-Submitted"] = "auto-replied"
        if message_id := _one_line(message.message_id):
            response["In-Reply-To"] = message_id
            response["References"] = f"{_one_line(message['References'])} {message_id}".strip()
        self.send(response, sender=envelope_sender)
        if self._answers is not None:
            self._answers.add(caps)
            self.answered.append(Answer(caps, self.outgoing[-1]))
        return response

    def compose(
        self,
        template: str | None = None,
        *,
        to: Addresses,
        sender: str | Mailbox,
        subject: str,
        body: str | None = None,
        html: str | None = None,
        **variables: Any,
    ) -> MailResponse:
        """Make a message from a template or a text, without sending it (see `reply`).

        ``to`` is one address or several, ``sender`` the From address. Raises TemplateError where
        the template is missing or uses a name that nobody gave, LamsonError where no templates are
        configured, ValueError (AddressError) for a header value or address that cannot be.
        """
        self._check_open()
        if template is None:
            return MailResponse(to=to, sender=sender, subject=subject, body=body, html=html)
        if self._templates is None:
            raise LamsonError(f"template {template!r} asked for, but no templates are configured")
        names = {"message": self.message, "delivery": self, **self.captures, **variables}
        return self._templates.respond(
            template, names, to=to, sender=sender, subject=subject, html=html
        )

    def send(
        self,
        response: MailResponse,
        *,
        sender: str | None = None,
        to: str | Sequence[str] | None = None,
    ) -> str:
        """Send ``response``; gives its Message-ID.

        ``to`` are the envelope recipients (default: those of its To, Cc and Bcc), ``sender`` is the
        envelope sender (default: the response's own, else its From address; "" is the null
        reverse-path). Raises AddressError for an address that is none, SenderError for a sender
        in a domain that is not ours (see the setting `submission.any_sender`).
        """
        message_id = self._next_message_id()
        if response["Message-ID"] is None:
            response["Message-ID"] = message_id
        if response["Date"] is None:
            response["Date"] = _date(int(time.time()))
        if sender is None:
            sender = response.envelope_sender
        recipients = (
            [to] if isinstance(to, str) else list(response.recipients if to is None else to)
        )
        self._post(
            sender=sender,
            recipients=recipients,
            content=response.to_bytes(),
            message_id=message_id,
            smtputf8=response.needs_smtputf8,
        )
        return str(response["Message-ID"])

    def forward(self, to: str | Sequence[str] | None = None, *, sender: str | None = None) -> None:
        """Send the message on as it is, byte for byte, with one Delivered-To field on top.

        Below that stands a mark, by which it is known when it comes back here; nobody else can make
        one, so that no stranger can have his mail taken for a loop. Our own filters' notes are
        taken off: they are nobody else's business.

        ``to`` are the recipients (default: the address that was written to), ``sender`` is the
        envelope sender. By default that is the message's own, where it is the null one or in one of
        our domains, else the address that was written to: bounces then come back here. With the
        setting `submission.any_sender` it is always the message's own. Raises SMTPError (554 5.4.6)
        for a message that was forwarded from here before; where that would bounce to somebody else
        than us, it is kept in `run/undeliverable` instead, and Postfix is told 250.
        """
        message = self.message
        here = message.recipient.address
        mark = None if self._mark is None else self._mark(address.normalise(here))
        hops = message.get_all("Received")
        if (mark and mark in message.get_all(LOOP_MARK)) or len(hops) > MAX_HOPS:
            raise MailLoop
        recipients = [to] if isinstance(to, str) else list(to if to is not None else [here])
        if sender is None:
            own = message.sender
            sender = own if own == address.NULL_PATH or self._may_send(own) else here
        self._post(
            sender=sender,
            recipients=recipients,
            content=prepend_headers(
                without_notes(message.raw),
                [("Delivered-To", here), *([(LOOP_MARK, mark)] if mark else [])],
            ),
            message_id=message.message_id or self._next_message_id(),
            smtputf8=message.envelope.smtputf8,
        )

    def _may_send(self, sender: str) -> bool:
        return self._is_ours is None or self._is_ours(address.split(sender)[1])

    def _next_message_id(self) -> str:
        if self._digest is None:
            self._digest = secrets.token_bytes(32)
        return f"<{self._digest.hex()[:32]}.{len(self.outgoing) + 1}@{self._hostname}>"

    def _post(
        self,
        *,
        sender: str,
        recipients: Sequence[str],
        content: bytes,
        message_id: str,
        smtputf8: bool,
    ) -> None:
        self._check_open()
        checked = [address.parse_mailbox(one, smtputf8=True) for one in recipients]
        if not checked:
            raise ValueError("a message needs at least one recipient")
        if sender != address.NULL_PATH:
            sender = address.parse_mailbox(sender, smtputf8=True)
            if not self._may_send(sender):
                raise SenderError(
                    f"the envelope sender {sender} is in none of our domains; give sender=, or"
                    " name its domain in the setting domains, or set submission.any_sender"
                )
        self.outgoing.append(
            Outgoing(
                source=self.id,
                message_id=message_id,
                sender=sender,
                recipients=tuple(checked),
                content=normalise_newlines(content),
                smtputf8=smtputf8 or not all(map(str.isascii, (sender, *checked))),
            )
        )


@lru_cache(maxsize=8)
def _date(seconds: int) -> str:
    """The value of a Date field."""
    return formatdate(seconds, localtime=True)


def _answer_to(subject: str) -> str:
    text = _one_line(subject)
    return text if text[:3].lower() == "re:" else f"Re: {text}"


def _one_line(value: str | None) -> str:
    """A header value of a stranger's message, made safe to stand in one of ours."""
    return " ".join((value or "").replace("\0", " ").split())[:900]
