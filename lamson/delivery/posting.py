"""What is sent within one transaction: messages are made final here, and become rows of the outbox.

For what sends: a handler's `Delivery`, which is a Posting with a message, and whatever runs without
one. Nothing leaves at once: who runs it inserts `Posting.outgoing` in the transaction that all else
is done in.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import replace
from email.utils import formatdate
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from lamson.delivery.later import later
from lamson.delivery.moment import seconds_of
from lamson.delivery.tracking import list_of
from lamson.errors import LamsonError, SenderError
from lamson.message.compose import normalise_newlines
from lamson.message.mailboxes import Mailbox, listed
from lamson.message.message import Message
from lamson.message.response import MailResponse
from lamson.smtp import address
from lamson.smtp.folding import written_domain
from lamson.storage import keys, scheduled
from lamson.storage.keys import Key
from lamson.storage.outgoing import Outgoing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.engine import Connection

    from lamson.delivery.tracking import Tracking
    from lamson.message.attachment import Attachable
    from lamson.message.mailboxes import Addresses, Recipients
    from lamson.message.templates import Templates
    from lamson.routing.purposes import Purposes
    from lamson.storage.state import StateKey
    from lamson.storage.tasks import Task


class Posting:
    """Mail that is sent together with other work, or not at all.

    ``id`` is how log lines call what it is sent by; ``outgoing`` are the rows so far.
    """

    __slots__ = (
        "_claimed",
        "_clock",
        "_connect",
        "_digest",
        "_hostname",
        "_id",
        "_is_ours",
        "_is_over",
        "_number",
        "_purposes",
        "_schema",
        "_templates",
        "_tracking",
        "module",
        "outgoing",
        "state_key",
        "todo",
    )

    def __init__(
        self,
        *,
        id: str,
        hostname: str,
        digest: bytes | None = None,
        templates: Templates | None = None,
        is_ours: Callable[[str], bool] | None = None,
        connect: Callable[[], Connection] | None = None,
        schema: str | None = None,
        tracking: Tracking | None = None,
        purposes: Purposes | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``digest`` is what Message-IDs derive from; None where it is made up when needed.

        ``is_ours`` tells whether a domain is one of ours; None allows any envelope sender.
        ``connect`` gives the connection on which the rows will be inserted, within what is undone
        where they are not; ``schema`` is that of our tables, where its search path is another.
        ``tracking`` makes tracked mail, ``purposes`` signs; None where there is none. ``clock``
        gives seconds since the epoch.
        """
        self.module = ""  # whose @outcome function is told what became of tracked mail,
        self.state_key: StateKey | None = None  # and in whose conversation
        self.outgoing: list[Outgoing] = []
        self.todo: list[Task] = []  # after the commit
        self._id = id
        self._digest = digest
        self._hostname = hostname
        self._templates = templates
        self._is_ours = is_ours
        self._tracking = tracking
        self._purposes = purposes
        self._clock = clock
        self._is_over = False
        self._claimed: list[tuple[Key, Sequence[Outgoing]]] = []
        self._connect = connect
        self._schema = schema
        self._number = 0  # of messages that were sent, also of those that were taken back

    @property
    def id(self) -> str:
        """How log lines call what it is sent by."""
        return self._id

    @property
    def now(self) -> float:
        """Seconds since the epoch, by the clock of the application."""
        return self._clock()

    @property
    def _here(self) -> str:
        """An address of ours that it is sent from, besides that of From; "" for none."""
        return ""

    def end(self) -> None:
        """Who was given it has returned: kept for later, it can send nothing more."""
        self._is_over = True

    def _check_open(self) -> None:
        if self._is_over:
            name = type(self).__name__
            raise LamsonError(f"this {name.lower()} is over: a {name} must not be kept for later")

    def _names(self) -> dict[str, Any]:
        """What templates see besides the variables that they are given."""
        return {}

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

        ``template`` names a template, which sees ``variables``; in a handler it sees ``message``,
        ``delivery`` and the route's captures besides. ``html`` names the template of the HTML then;
        ``language`` ("de") prefers those of its name, such as ``welcome.de.txt``. Without a
        template, ``body`` is the text and ``html`` the HTML.

        ``to`` and ``cc`` are one address or several, ``sender`` the From address, ``headers``
        further fields, ``attachments`` `Attachment` objects, parts of a message that came
        (``message.attachments``) or whole ones.

        Raises TypeError for a name that nothing takes: variables are for templates alone, and a
        template has no ``body``. Raises TemplateError where the template is missing or uses a name
        that nobody gave, LamsonError where no templates are configured, ValueError (AddressError)
        for a header value or address that cannot be.
        """
        self._check_open()
        check_names("compose", template, body, variables)
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
        return self._templates.respond(
            template,
            {**self._names(), **variables},
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
        response: MailResponse | bytes,
        *,
        sender: str | None = None,
        to: Recipients | None = None,
        at: datetime | float | None = None,
        key: Key | str | None = None,
        track: bool | None = None,
    ) -> str:
        """Send ``response``, which cannot be changed any more then; gives its Message-ID.

        ``to`` are the envelope recipients (default: those of its To, Cc and Bcc), ``sender`` is the
        envelope sender (default: the response's own, else its From address; "" is the null
        reverse-path). Raises AddressError for an address that is none, or that has a token in it
        and more than 64 octets before the @, SenderError for a sender in a domain that is not ours
        (see the setting `submission.any_sender`).

        ``at`` is when it leaves: a datetime with a time zone, or seconds since the epoch; a time
        that has passed is now. Later mail of its conversation does not wait for it. Raises
        TypeError for a datetime without a time zone.

        ``key`` makes it once, whatever sends it: where mail was sent with that key before, nothing
        is, and this gives the Message-ID of that mail. A text holds for ever, a `Key` for as long
        as it says. `cancel` takes back what waits under a key.

        With ``track`` the `@outcome` function of the module is told what became of it: the envelope
        sender is a bounce address then, in the domain of From where that is ours. By default that
        is so where the setting `submission.track` says so, and no envelope sender is given. Raises
        ValueError where both are.

        A message in bytes, which needs ``sender`` and ``to``, is sent as it is.
        """
        if isinstance(response, bytes):
            if sender is None or to is None:
                raise TypeError("a message in bytes needs sender= and to=")
            self._is_tracked(track, sender)
            return self._post(
                sender=sender,
                recipients=listed(to),
                content=response,
                message_id=Message(response).message_id or "",
                smtputf8=not response.partition(b"\r\n\r\n")[0].isascii(),
                at=at,
                key=key,
            )
        if not isinstance(response, MailResponse):
            raise TypeError(
                f"send() takes what compose() makes, or bytes, not {type(response).__name__};"
                " forward() passes a message on that came"
            )
        own = None if response.envelope_sender == response.author else response.envelope_sender
        given = own if sender is None else sender
        default = response.envelope_sender
        return self._send(response, given, default, to, at=at, key=key, track=track)

    def _send(
        self,
        response: MailResponse,
        given: str | None,
        default: str,
        to: Recipients | None,
        *,
        at: datetime | float | None,
        key: Key | str | None,
        track: bool | None,
    ) -> str:
        """``given`` is the envelope sender that was asked for, ``default`` the one for None."""
        if response["Message-ID"] is None:
            response["Message-ID"] = self._next_message_id(response.author)
        if response["Date"] is None:
            response["Date"] = _date(int(self._clock()))
        recipients = listed(response.recipients if to is None else to)
        sender = default if given is None else given
        self._prepare(response, sender)
        message_id = self._post(
            sender=sender,
            recipients=recipients,
            content=response.to_bytes(),
            message_id=str(response["Message-ID"]),
            smtputf8=response.needs_smtputf8,
            at=at,
            key=key,
            is_tracked=self._is_tracked(track, given),
            author=response.author,
            subject=response["Subject"] or "",
            list_id=response["List-Id"] or "",
            response=response,
        )
        response.freeze()
        return message_id

    def _prepare(self, response: MailResponse, sender: str) -> None:
        """For who knows what else belongs to a message, before it is final."""

    def _note(self, rows: Sequence[Outgoing], response: MailResponse | None) -> None:
        """For who has to know of a mail that is sent, in so many rows.

        ``response`` is None where it was made by another."""

    def _is_tracked(self, track: bool | None, sender: str | None) -> bool:
        """Raises ValueError, LamsonError where it cannot be."""
        if track and sender is not None:
            raise ValueError(
                "tracked mail has an envelope sender of its own: give no other one, or no track"
            )
        if self._tracking is None:
            if track:
                raise LamsonError("tracking mail needs a database: set `database` in the settings")
            return False
        return self._tracking.is_default and sender is None if track is None else track

    def sign(self, purpose: str, payload: str = "", *, days: float | None = None) -> str:
        """A token for the routes that have a capture ``Signed(purpose)``: they match with it.

        The handler that gets it finds ``payload`` as the value of that capture. It may have 24
        octets; with 12 the token has 40 characters, 45 where it counts once, and a local part has
        room for 64. ``days`` is for how long it counts, by default as the routes say.

        Raises PurposeError for a purpose that no route has, ValueError for a payload that is too
        long, or where the project has no key yet.
        """
        self._check_open()
        if self._purposes is None:
            raise LamsonError("there are no routes to sign an address for")
        return self._purposes.sign(purpose, payload, days)[0]

    def token(self, purpose: str, payload: str) -> str:
        """As `sign`, for addresses that are known to be short: one for each of many mails."""
        if self._purposes is None:
            raise LamsonError("there are no routes to sign an address for")
        return self._purposes.sign(purpose, payload)[0]

    def send_copies(
        self,
        content: bytes,
        copies: Iterable[tuple[str, bytes]],
        *,
        author: str,
        message_id: str,
        subject: str,
        list_id: str,
        smtputf8: bool,
        shared: int,
    ) -> int:
        """Send a message to many: each a tracked mail of its own, with fields of his own on top.

        ``copies`` are addresses and those fields, ``content`` is the rest, which is stored as
        ``shared`` already (see `lamson.storage.posted.keep`): so neither the memory nor the table
        has it more than once. Bounces come to the domain of ``author``. Gives how many it were.
        """
        self._check_open()
        if self._tracking is None:
            raise LamsonError("mail to many needs a database: set `database` in the settings")
        number = len(self.outgoing)
        for recipient, top in copies:
            whole = Outgoing(
                source=self.id,
                message_id=message_id,
                sender="",
                recipients=(_written(recipient),),
                content=content,
                smtputf8=smtputf8 or not recipient.isascii(),
                scope=list_of(list_id),
                shared=shared,
                top=top,
            )
            self.outgoing += self._tracked(whole, author, subject)
        return len(self.outgoing) - number

    def later(
        self, function: Callable[..., Any], *given: Any, key: str | None = None, **arguments: Any
    ) -> str:
        """Have ``function``, which is declared `@background`, called after the commit.

        The arguments are what JSON can hold. It runs outside of a transaction, at least once, and
        again with back-off where it fails; its `Attempt` has ``key``, by default one that is the
        same for this call whenever this delivery is repeated. With a ``key`` that waits already
        nothing is added. Gives the key. Raises TypeError for what is not declared, or cannot be
        called so.
        """
        self._check_open()
        key = key or f"{self._name()}.{len(self.todo) + 1}"
        self.todo.append(later(function, given, arguments, key=key))
        return key

    def cancel(self, key: Key | str) -> bool:
        """Take back mail that waits for its time under ``key``; True where there was some.

        It is as if it had never been sent: the key is free. What is due is not taken back.
        """
        self._check_open()
        wanted = Key.of(key)
        kept = [row for row in self.outgoing if not row.due_at or row.key != wanted.digest]
        is_cancelled = len(kept) < len(self.outgoing)
        connection = self._connected("cancel")
        if is_cancelled:
            self.outgoing[:] = kept
            keys.free(connection, wanted.digest, self._schema)
        return scheduled.cancel(connection, wanted, self._schema) or is_cancelled

    @property
    def claimed(self) -> list[bytes]:
        """The digests of the keys that it has claimed."""
        return [key.digest for key, _ in self._claimed]

    def settle(self) -> None:
        """Who sends has returned: claim again what he may have rolled back meanwhile, by himself.

        What another one has claimed since then is not sent.
        """
        if self._claimed:
            connection = self._connected("key=")
            sent = set(map(id, self.outgoing))
            for key, rows in self._claimed:
                if any(id(row) in sent for row in rows):
                    mine = rows[0].message_id
                    holder = keys.claim(connection, key, mine, self._key_time(), self._schema)
                    if holder not in (None, mine):
                        sent.difference_update(map(id, rows))
            self.outgoing[:] = [row for row in self.outgoing if id(row) in sent]

    def _key_time(self) -> float | None:
        """What keys end by: the database's own clock, but for a test that lets time pass."""
        return None if self._clock is time.time else self._clock()

    def _connected(self, what: str) -> Connection:
        if self._connect is None:
            raise LamsonError(f"{what} needs a database: set `database` in the settings")
        return self._connect()

    def _may_send(self, sender: str) -> bool:
        return self._is_ours is None or self._is_ours(address.split(sender)[1])

    def _next_message_id(self, author: str) -> str:
        """One in the domain of ``author``, the From address."""
        domain = written_domain(address.split(author)[1])
        if not domain or not domain.isascii():
            domain = self._hostname
        return f"<{self._name()}.{self._number + 1}@{domain}>"

    def _name(self) -> str:
        if self._digest is None:
            self._digest = secrets.token_bytes(32)
        return self._digest.hex()[:32]

    def _post(
        self,
        *,
        sender: str,
        recipients: Iterable[str | Mailbox],
        content: bytes,
        message_id: str,
        smtputf8: bool,
        at: datetime | float | None = None,
        key: Key | str | None = None,
        is_tracked: bool = False,
        author: str = "",
        subject: str = "",
        list_id: str = "",
        response: MailResponse | None = None,
    ) -> str:
        """Gives the Message-ID: that of other mail where ``key`` was used."""
        self._check_open()
        due_at = 0.0 if at is None else seconds_of(at)
        once = None if key is None else Key.of(key)
        checked = _each_once(map(_written, recipients))
        if not checked:
            raise ValueError("a message needs at least one recipient")
        scope = list_of(list_id) if list_id else ""
        is_own = is_tracked and self._tracking is not None
        if not is_own and sender != address.NULL_PATH:
            sender = _written(sender)
            if not self._may_send(sender):
                raise SenderError(
                    f"the envelope sender {sender} is in none of our domains; give sender=, or"
                    " name its domain in the setting domains, or set submission.any_sender"
                )
        whole = Outgoing(
            source=self.id,
            message_id=message_id,
            sender=sender,
            recipients=tuple(checked),
            content=normalise_newlines(content),
            smtputf8=smtputf8 or not all(map(str.isascii, (sender, *checked))),
            scope=scope,
            due_at=due_at,
        )
        rows = self._tracked(whole, author, subject) if is_own else [whole]
        if once is not None:  # last: what fails above must not leave it used
            connection = self._connected("key=")
            holder = keys.claim(connection, once, message_id, self._key_time(), self._schema)
            if holder is not None:
                return holder
            for row in rows:
                row.key = once.digest
            self._claimed.append((once, rows))
        self.outgoing += rows
        self._number += 1
        self._note(rows, response)
        return message_id

    def _tracked(self, whole: Outgoing, author: str, subject: str) -> list[Outgoing]:
        """A mail for each recipient, with a bounce address that nobody else sees.

        Who knows that address is believed what he reports: so he speaks for himself alone.
        """
        assert self._tracking is not None
        rows: list[Outgoing] = []
        for recipient in whole.recipients:
            mail = self._tracking.mail(
                message_id=whole.message_id,
                subject=subject,
                recipients=(recipient,),
                module=self.module,
                key=self.state_key,
                scope=whole.scope,
                leaves_at=whole.due_at,
            )
            row = replace(
                whole,
                sender=self._tracking.sender(mail, author, self._here),
                recipients=(recipient,),
                envid=mail.id,
                notify=self._tracking.notify,
                tracked=mail,
                conversation="",
            )
            rows.append(row)
        return rows


@lru_cache(maxsize=8)
def _date(seconds: int) -> str:
    """The value of a Date field."""
    return formatdate(seconds, localtime=True)


def _written(mailbox: str | Mailbox) -> str:
    """An address of the envelope: as it is, in A-labels where that does. Raises AddressError."""
    if isinstance(mailbox, Mailbox):
        mailbox = mailbox.address
    return address.for_ascii(address.parse_mailbox(mailbox, smtputf8=True))


def _each_once(recipients: Iterable[str]) -> list[str]:
    """Nobody gets a message twice, however his address was spelt."""
    found: dict[str, str] = {}
    for one in recipients:
        found.setdefault(address.normalise(one), one)
    return list(found.values())


def check_names(
    method: str, template: str | None, body: str | None, variables: Mapping[str, object]
) -> None:
    """Raise TypeError for arguments that would have no effect."""
    if template is None and variables:
        names = ", ".join(sorted(variables))
        raise TypeError(f"{method}() takes no {names} without a template, whose variables they are")
    if template is not None and body is not None:
        raise TypeError(f"{method}() takes a template or a body, not both")
