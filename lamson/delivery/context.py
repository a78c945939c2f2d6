"""What a handler gets besides the message: the means to answer, forward and send.

Nothing leaves at once. What a handler sends is final here (bytes, Date and Message-ID) and becomes
rows of the outbox in the transaction of its delivery: if the handler fails, nothing was sent; if
the process dies later, the same bytes go out with the same Message-ID.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from email.utils import formatdate
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from lamson import log
from lamson.delivery.answer_limit import Answer
from lamson.delivery.correspondent import Correspondent, correspondent_of
from lamson.delivery.tokens import holds_token
from lamson.errors import LamsonError, SenderError
from lamson.message import mailboxes
from lamson.message.answering import fields_of_answer, one_line, subject_of_answer
from lamson.message.compose import normalise_newlines
from lamson.message.notes import without_notes
from lamson.message.passing_on import with_fields
from lamson.message.response import MailResponse
from lamson.smtp import address
from lamson.smtp.folding import written_domain
from lamson.smtp.reply import LOOP_DETECTED, SMTPError
from lamson.storage.outgoing import Outgoing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lamson.delivery.answer_limit import AnswerLimit
    from lamson.delivery.signing import Desk
    from lamson.message.attachment import Attachable
    from lamson.message.mailboxes import Addresses, Mailbox
    from lamson.message.passing_on import Fields
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
        "_desk",
        "_digest",
        "_hostname",
        "_is_ours",
        "_is_over",
        "_mark",
        "_passed",
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
        desk: Desk | None = None,
    ) -> None:
        """``digest`` names the delivery, None where nothing does: it is then made up when needed.

        ``is_ours`` tells whether a domain is one of ours; None allows any envelope sender.
        ``proves`` tells whether a message is proven to be from a domain; None where nothing is.
        ``mark`` makes the mark that a message forwarded from an address is known by. ``desk`` makes
        tokens; None where there are no routes that take one.
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
        self._desk = desk
        self._is_over = False
        self._passed: tuple[object, bytes] | None = None  # as it was forwarded last

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
        sender: str | Mailbox | None = None,
        to: Addresses | None = None,
        cc: Addresses | None = None,
        body: str | None = None,
        html: str | None = None,
        headers: Mapping[str, Addresses] | None = None,
        attachments: Sequence[Attachable] = (),
        language: str | None = None,
        envelope_sender: str = address.NULL_PATH,
        **variables: Any,
    ) -> MailResponse | None:
        """Answer the message, as RFC 3834 wants it from a program.

        The answer goes to its Reply-To or From address where that is in a domain of the same
        organisation as the envelope sender, or as a From domain that our own server has proved (see
        the setting `authserv_id`); else to the envelope sender. ``to`` is somebody else: whether
        he wants it is then for the handler to know, and so it is with ``cc``.

        ``sender`` is the From address (default: the address that was written to), ``subject`` by
        default "Re: " and the old one. Bounces of the answer go nowhere unless ``envelope_sender``
        is given. The rest is as in `compose`.

        Gives the message, which has left and cannot be changed; or None, and logs why, where no
        answer may be given: to a bounce, to mail from a list or another program, or beyond the
        limits per hour (the settings `answers`); one that turns out to be beyond them as the
        transaction ends is not sent. Raises what `compose` raises.
        """
        self._check_open()
        _check_names("reply", template, body, variables)
        message = self.message
        reason = message.automatic_reason
        caps: tuple[tuple[bytes, int], ...] = ()
        if reason is None:
            given = mailboxes.of(to) if to else ()
            asked = [Correspondent(one.address, is_proven=False) for one in given]
            found = asked or [self.correspondent]
            ours = address.normalise(message.recipient.address)
            if any(address.normalise(one.address) == ours for one in found):
                reason = "the answer would come back here"
            elif self._answers is not None:
                caps = self._caps(self._answers, found)
                reason = TOO_MANY if self._answers.is_reached(caps) else None
        if reason is not None:
            log.event("unanswered", self.id, recipient=message.recipient, reason=reason)
            return None
        response = self.compose(
            template,
            to=to or found[0].address,
            sender=sender or message.recipient.address,
            subject=subject if subject is not None else subject_of_answer(message.subject),
            cc=cc,
            body=body,
            html=html,
            headers=headers,
            attachments=attachments,
            language=language,
            **variables,
        )
        for name, value in {"Auto-Submitted": "auto-replied", **fields_of_answer(message)}.items():
            if name not in response:
                response[name] = value
        self.send(response, sender=envelope_sender)
        if self._answers is not None:
            self._answers.add(caps)
            self.answered.append(Answer(caps, self.outgoing[-1]))
        return response

    def _caps(
        self, answers: AnswerLimit, found: Sequence[Correspondent]
    ) -> tuple[tuple[bytes, int], ...]:
        """The limits that count; who is proven to write may still name another in Reply-To."""
        author = self.message.author
        caps: dict[bytes, int] = {}
        for one in found:
            is_writer = address.normalise(one.address) == author
            caps.update(answers.caps(one.address, is_proven=one.is_proven and is_writer))
        return tuple(caps.items())

    def compose(
        self,
        template: str | None = None,
        *,
        to: Addresses,
        sender: str | Mailbox,
        subject: str,
        cc: Addresses | None = None,
        body: str | None = None,
        html: str | None = None,
        headers: Mapping[str, Addresses] | None = None,
        attachments: Sequence[Attachable] = (),
        language: str | None = None,
        **variables: Any,
    ) -> MailResponse:
        """Make a message from a template or a text, without sending it (see `send`).

        ``template`` names a template; it sees ``message``, ``delivery``, the route's captures and
        ``variables``. ``html`` names the template of the HTML then; ``language`` ("de") prefers
        those of its name, such as ``welcome.de.txt``. Without a template, ``body`` is the text and
        ``html`` the HTML.

        ``to`` and ``cc`` are one address or several, ``sender`` the From address, ``headers``
        further fields, ``attachments`` `Attachment` objects, parts of a message that came
        (``message.attachments``) or whole ones.

        Raises TypeError for a name that nothing takes: variables are for templates alone, and a
        template has no ``body``. Raises TemplateError where the template is missing or uses a name
        that nobody gave, LamsonError where no templates are configured, ValueError (AddressError)
        for a header value or address that cannot be.
        """
        self._check_open()
        _check_names("compose", template, body, variables)
        if template is None:
            return MailResponse(
                to=to,
                sender=sender,
                subject=subject,
                cc=cc,
                body=body,
                html=html,
                headers=headers,
                attachments=attachments,
            )
        if self._templates is None:
            raise LamsonError(f"template {template!r} asked for, but no templates are configured")
        names = {"message": self.message, "delivery": self, **self.captures, **variables}
        return self._templates.respond(
            template,
            names,
            to=to,
            sender=sender,
            subject=subject,
            cc=cc,
            html=html,
            headers=headers,
            attachments=attachments,
            language=language,
        )

    def send(
        self,
        response: MailResponse,
        *,
        sender: str | None = None,
        to: str | Sequence[str] | None = None,
    ) -> str:
        """Send ``response``, which cannot be changed any more then; gives its Message-ID.

        ``to`` are the envelope recipients (default: those of its To, Cc and Bcc), ``sender`` is the
        envelope sender (default: the response's own, else its From address; "" is the null
        reverse-path). Raises AddressError for an address that is none, or that has a token in it
        and more than 64 octets before the @, SenderError for a sender in a domain that is not ours
        (see the setting `submission.any_sender`).
        """
        if response["Message-ID"] is None:
            response["Message-ID"] = self._next_message_id(response.author)
        if response["Date"] is None:
            response["Date"] = _date(int(time.time()))
        if sender is None:
            sender = response.envelope_sender
        recipients = (
            [to] if isinstance(to, str) else list(response.recipients if to is None else to)
        )
        if self._desk is not None:
            self._desk.check_fits((sender, response["From"], response["Reply-To"]))
        message_id = str(response["Message-ID"])
        self._post(
            sender=sender,
            recipients=recipients,
            content=response.to_bytes(),
            message_id=message_id,
            smtputf8=response.needs_smtputf8,
        )
        response.freeze()
        return message_id

    def forward(
        self,
        to: str | Sequence[str] | None = None,
        *,
        sender: str | None = None,
        headers: Fields = (),
        subject_prefix: str = "",
        message: MailRequest | None = None,
    ) -> None:
        """Send the message on as it is, byte for byte, with one Delivered-To field on top.

        Below that stands a mark, by which it is known when it comes back here; nobody else can make
        one, so that no stranger can have his mail taken for a loop. Our own filters' notes are
        taken off: they are nobody else's business. Where the address that was written to holds what
        looks like a token, it is not told to the recipients: then there is no Delivered-To.

        ``headers`` are fields to put on top, as pairs or a mapping. One that may stand once (RFC
        5322, and those of lists) replaces the one that is there; nothing else is taken away.
        ``subject_prefix``, such as "[users]", is put into the Subject field, unless it is there.

        ``message`` is another message, such as `pending`: it is as if that were forwarded, but for
        the Delivered-To field, which it has only on its way to where it was written to.

        ``to`` are the recipients (default: the address that was written to), ``sender`` is the
        envelope sender. By default that is the message's own, where it is the null one or in one of
        our domains, else the address that was written to: bounces then come back here. With the
        setting `submission.any_sender` it is always the message's own. Raises SMTPError (554 5.4.6)
        for a message that was forwarded from here before; where that would bounce to somebody else
        than us, or to nobody, it is kept in `run/undeliverable` instead, and Postfix is told 250.
        Raises ValueError for what cannot be a field.
        """
        is_other = message is not None and message is not self.message
        message = message or self.message
        here = message.recipient.address
        mark = None if self._mark is None else self._mark(address.normalise(here))
        hops = message.get_all("Received")
        if (mark and mark in message.get_all(LOOP_MARK)) or len(hops) > MAX_HOPS:
            raise MailLoop
        recipients = [to] if isinstance(to, str) else list(to if to is not None else [here])
        if sender is None:
            own = message.sender
            sender = own if own == address.NULL_PATH or self._may_send(own) else here
        ours: list[tuple[str, Addresses]] = []
        is_signed = self._desk is not None and self._desk.has_token
        is_secret = is_other or is_signed or holds_token(here, self.captures)
        if recipients == [here] or not is_secret:
            ours.append(("Delivered-To", here))
        if mark:
            ours.append((LOOP_MARK, mark))
        for name, value in headers.items() if isinstance(headers, Mapping) else headers:
            # What is kept to be compared next time must not change with the caller's list.
            ours.append((name, tuple(value) if isinstance(value, list) else value))
        self._post(
            sender=sender,
            recipients=recipients,
            content=self._passed_on(message, ours, subject_prefix),
            message_id=message.message_id or one_line(message["Message-ID"] or ""),
            smtputf8=message.envelope.smtputf8,
        )

    def sign(
        self,
        purpose: str,
        payload: str = "",
        *,
        days: float | None = None,
        keep: bool | MailRequest = False,
    ) -> str:
        """A token for the routes that have a capture ``Signed(purpose)``: they match with it.

        The handler that gets it finds ``payload`` as the value of that capture. It may have 24
        octets; with 12 the token has 40 characters, 45 where it counts once, and a local part has
        room for 64. ``days`` is for how long it counts, by default as the routes say.

        With ``keep`` the message, or another one that is given, waits in the database for who comes
        with the token, which has to count once: see `pending`. Raises PurposeError for a purpose
        that no route has, ValueError for a payload that is too long, or where the project has no
        key yet, SMTPError (451 4.3.1) where too much waits already (the setting
        `signing.max_pending`).
        """
        self._check_open()
        if self._desk is None:
            raise LamsonError("there are no routes to sign an address for")
        kept = self.message if keep is True else keep or None
        return self._desk.sign(purpose, payload, days=days, keep=kept)

    @property
    def pending(self) -> MailRequest | None:
        """The message that was kept for the token in the address that was written to (see `sign`).

        None where none was kept. It has its envelope sender and recipient, and no captures.
        """
        self._check_open()
        return None if self._desk is None else self._desk.pending()

    def _passed_on(
        self, message: MailRequest, fields: list[tuple[str, Addresses]], prefix: str
    ) -> bytes:
        """A message with ``fields``; the same object as last time where those are the same.

        A handler that sends it to each member apart has it in memory, and in the database, once.
        """
        asked = (message.content, fields, prefix)
        if self._passed is None or self._passed[0] != asked:
            content = with_fields(
                without_notes(message.raw),
                fields,
                subject=message.subject,
                prefix=prefix,
                utf8=message.envelope.smtputf8 or not message.recipient.address.isascii(),
            )
            self._passed = (asked, normalise_newlines(content))
        return self._passed[1]

    def _may_send(self, sender: str) -> bool:
        return self._is_ours is None or self._is_ours(address.split(sender)[1])

    def _next_message_id(self, author: str) -> str:
        """One in the domain of ``author``, the From address."""
        if self._digest is None:
            self._digest = secrets.token_bytes(32)
        domain = written_domain(address.split(author)[1])
        if not domain or not domain.isascii():
            domain = self._hostname
        return f"<{self._digest.hex()[:32]}.{len(self.outgoing) + 1}@{domain}>"

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
        checked = _each_once(map(_written, recipients))
        if not checked:
            raise ValueError("a message needs at least one recipient")
        if sender != address.NULL_PATH:
            sender = _written(sender)
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


def _written(mailbox: str) -> str:
    """An address of the envelope: as it is, in A-labels where that does. Raises AddressError."""
    return address.for_ascii(address.parse_mailbox(mailbox, smtputf8=True))


def _each_once(recipients: Iterable[str]) -> list[str]:
    """Nobody gets a message twice, however his address was spelt."""
    found: dict[str, str] = {}
    for one in recipients:
        found.setdefault(address.normalise(one), one)
    return list(found.values())


def _check_names(
    method: str, template: str | None, body: str | None, variables: Mapping[str, object]
) -> None:
    """Raise TypeError for arguments that would have no effect."""
    if template is None and variables:
        names = ", ".join(sorted(variables))
        raise TypeError(f"{method}() takes no {names} without a template, whose variables they are")
    if template is not None and body is not None:
        raise TypeError(f"{method}() takes a template or a body, not both")
