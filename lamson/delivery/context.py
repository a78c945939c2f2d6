"""What a handler gets besides the message: the means to answer, forward and send.

Nothing leaves at once. What a handler sends is final here (bytes, Date and Message-ID) and becomes
rows of the outbox in the transaction of its delivery: if the handler fails, nothing was sent; if
the process dies later, the same bytes go out with the same Message-ID.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from lamson import log
from lamson.delivery.answer_limit import Answer
from lamson.delivery.correspondent import Correspondent, correspondent_of
from lamson.delivery.posting import Posting, check_names
from lamson.delivery.tokens import holds_token
from lamson.errors import LamsonError
from lamson.message import mailboxes
from lamson.message.answering import fields_of_answer, one_line, subject_of_answer
from lamson.message.compose import normalise_newlines
from lamson.message.mailboxes import listed
from lamson.message.notes import without_notes
from lamson.message.passing_on import with_fields
from lamson.smtp import address
from lamson.smtp.reply import LOOP_DETECTED, SMTPError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from sqlalchemy.engine import Connection

    from lamson.delivery.answer_limit import AnswerLimit
    from lamson.delivery.signing import Desk
    from lamson.delivery.thread import Thread
    from lamson.delivery.tracking import Tracking
    from lamson.message.attachment import Attachable
    from lamson.message.mailboxes import Addresses, Mailbox, Recipients
    from lamson.message.passing_on import Fields
    from lamson.message.request import MailRequest
    from lamson.message.response import MailResponse
    from lamson.message.templates import Templates
    from lamson.storage.keys import Key
    from lamson.storage.outgoing import Outgoing

MAX_HOPS = 50  # Received fields; Postfix's own hopcount_limit is 50 as well
LOOP_MARK = "X-Lamson-Forwarded"
TOO_MANY = "too many answers to this correspondent within an hour"
KEY_WAS_USED = "it was sent before, with the same key"


class MailLoop(SMTPError):
    """The message was forwarded from this address before."""

    def __init__(self) -> None:
        super().__init__(LOOP_DETECTED.code, LOOP_DETECTED.enhanced, LOOP_DETECTED.text)


class Delivery(Posting):
    """One message on its way to one recipient, as a handler sees it.

    ``message`` is the message, ``captures`` what the route captured, ``id`` how log lines call the
    mail (Postfix's queue id, where known). ``thread`` is the thread that what is sent belongs to:
    that of the message, where the handler or its module asks for one. A handler may set it to None
    for mail that does not belong there.
    """

    __slots__ = (
        "_answers",
        "_desk",
        "_mark",
        "_passed",
        "answered",
        "captures",
        "message",
        "thread",
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
        mark: Callable[[str], str] | None = None,
        desk: Desk | None = None,
        tracking: Tracking | None = None,
        connect: Callable[[], Connection] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``digest`` names the delivery, None where nothing does: it is then made up when needed.

        ``is_ours`` tells whether a domain is one of ours; None allows any envelope sender.
        ``mark`` makes the mark that a message forwarded from an address is known by. ``desk`` makes
        tokens; None where there are no routes that take one. The rest is as for a Posting.
        """
        super().__init__(
            id=message.envelope.id,
            hostname=hostname,
            digest=digest,
            templates=templates,
            is_ours=is_ours,
            tracking=tracking,
            connect=connect,
            clock=clock,
        )
        self.message = message
        self.thread: Thread | None = None
        self.captures: Mapping[str, str] = captures or {}
        self.answered: list[Answer] = []  # what `answers` has counted
        self._answers = answers
        self._mark = mark
        self._desk = desk
        self._passed: tuple[object, bytes] | None = None  # as it was forwarded last

    @property
    def id(self) -> str:
        """How log lines call the mail: Postfix's queue id, else a name that this process made up.

        With the recipient it names the delivery: give both to whoever must recognise a repetition.
        """
        return self.message.envelope.id

    @property
    def _here(self) -> str:
        return self.message.recipient.address

    def _names(self) -> dict[str, Any]:
        names = {"message": self.message, "delivery": self, **self.captures}
        if self.thread is not None:
            names["thread"] = self.thread
        return names

    def _prepare(self, response: MailResponse, sender: str) -> None:
        if self._desk is not None:
            self._desk.check_fits((sender, response["From"], response["Reply-To"]))
        if self.thread is not None:
            self.thread.refer(response)

    def _note(self, rows: Sequence[Outgoing], response: MailResponse | None) -> None:
        if self.thread is not None:
            self.thread.note(rows, response, now=self._clock())

    def settle(self) -> None:
        """As for any Posting; an answer that was taken back does not count."""
        super().settle()
        kept = {id(row) for row in self.outgoing}
        for answer in self.answered[:]:
            if not any(id(row) in kept for row in answer.rows):
                self.answered.remove(answer)  # it was taken back: another one may be given
                if self._answers is not None:
                    self._answers.add(answer.caps, -1)

    @property
    def correspondent(self) -> Correspondent:
        """Whom `reply` answers: ``.address``, "" for nobody, and ``.is_proven``.

        The address is spelt as it was written. It is proven where our own server has proved the
        From domain, and the address is in a domain of the same organisation. It may be the Reply-To
        then, who has not written: where that counts compare it with `MailRequest.author`.
        """
        return correspondent_of(self.message)

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
        envelope_sender: str | None = None,
        at: datetime | float | None = None,
        key: Key | str | None = None,
        track: bool | None = None,
        **variables: Any,
    ) -> MailResponse | None:
        """Answer the message, as RFC 3834 wants it from a program.

        The answer goes to its Reply-To or From address where that is in a domain of the same
        organisation as the envelope sender, or as a From domain that our own server has proved (see
        the setting `authserv_id`); else to the envelope sender. ``to`` is somebody else: whether
        he wants it is then for the handler to know, and so it is with ``cc``.

        ``sender`` is the From address (default: the address that was written to), ``subject`` by
        default "Re: " and the old one. Bounces of the answer go nowhere unless ``envelope_sender``
        is given, or it is tracked: see `send`. ``at`` and ``key`` are as in `send`, the rest as in
        `compose`.

        Gives the message, which has left and cannot be changed; or None, and logs why, where no
        answer may be given: to a bounce, to mail from a list or another program, or beyond the
        limits per hour (the settings `answers`); one that turns out to be beyond them as the
        transaction ends is not sent. None, too, where ``key`` was used before. Raises what
        `compose` and `send` raise.
        """
        self._check_open()
        check_names("reply", template, body, variables)
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
            to=given or to or found[0].address,
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
        number = len(self.outgoing)
        self._send(response, envelope_sender, address.NULL_PATH, None, at=at, key=key, track=track)
        if len(self.outgoing) == number:
            log.event("unanswered", self.id, recipient=message.recipient, reason=KEY_WAS_USED)
            return None
        if self._answers is not None:
            self._answers.add(caps)
            self.answered.append(Answer(caps, tuple(self.outgoing[number:])))
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

    def forward(
        self,
        to: Recipients | None = None,
        *,
        sender: str | None = None,
        headers: Fields = (),
        subject_prefix: str = "",
        at: datetime | float | None = None,
        key: Key | str | None = None,
        track: bool | None = None,
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
        setting `submission.any_sender` it is always the message's own. ``at``, ``key`` and
        ``track`` are as in `send`; what has the null sender, as a bounce has, is tracked only where
        it is asked for here.

        Raises SMTPError (554 5.4.6) for a message that was forwarded from here before; where that
        would bounce to somebody else than us, or to nobody, it is kept in `run/undeliverable`
        instead, and Postfix is told 250. Raises ValueError for what cannot be a field.
        """
        is_other = message is not None and message is not self.message
        message = message or self.message
        here = message.recipient.address
        mark = None if self._mark is None else self._mark(address.normalise(here))
        hops = message.get_all("Received")
        if (mark and mark in message.get_all(LOOP_MARK)) or len(hops) > MAX_HOPS:
            raise MailLoop
        recipients = listed(here if to is None else to)
        is_null = message.sender == address.NULL_PATH
        is_tracked = self._is_tracked(track, sender) and not (is_null and track is None)
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
            if isinstance(value, Iterable) and not isinstance(value, str):
                value = tuple(value)
            ours.append((name, value))
        lists = (str(value) for name, value in ours if name.lower() == "list-id")
        self._post(
            sender=sender,
            recipients=recipients,
            content=self._passed_on(message, ours, subject_prefix),
            message_id=message.message_id or one_line(message["Message-ID"] or ""),
            smtputf8=message.envelope.smtputf8,
            is_tracked=is_tracked,
            subject=message.subject,
            list_id=next(lists, ""),
            at=at,
            key=key,
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

    def token(self, purpose: str, payload: str) -> str:
        """As for any Posting; nothing is kept for it, and it is not checked to fit an address."""
        if self._desk is None:
            raise LamsonError("there are no routes to sign an address for")
        return self._desk.token(purpose, payload)

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
