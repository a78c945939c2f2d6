"""What is sent within one transaction: messages are made final here, and become rows of the outbox.

For what sends: a handler's `Delivery`, which is a Posting with a message, and whatever runs without
one. Nothing leaves at once: who runs it inserts `Posting.outgoing` in the transaction that all else
is done in.
"""

from __future__ import annotations

import secrets
import time
from email.utils import formatdate
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from lamson.delivery.later import later
from lamson.errors import LamsonError, SenderError
from lamson.message.compose import normalise_newlines
from lamson.message.response import MailResponse
from lamson.smtp import address
from lamson.smtp.folding import written_domain
from lamson.storage.outgoing import Outgoing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from lamson.message.attachment import Attachable
    from lamson.message.mailboxes import Addresses, Mailbox
    from lamson.message.templates import Templates
    from lamson.storage.tasks import Task


class Posting:
    """Mail that is sent together with other work, or not at all.

    ``id`` is how log lines call what it is sent by; ``outgoing`` are the rows so far.
    """

    __slots__ = (
        "_digest",
        "_hostname",
        "_id",
        "_is_ours",
        "_is_over",
        "_templates",
        "outgoing",
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
    ) -> None:
        """``digest`` is what Message-IDs derive from; None where it is made up when needed.

        ``is_ours`` tells whether a domain is one of ours; None allows any envelope sender.
        """
        self.outgoing: list[Outgoing] = []
        self.todo: list[Task] = []  # after the commit
        self._id = id
        self._digest = digest
        self._hostname = hostname
        self._templates = templates
        self._is_ours = is_ours
        self._is_over = False

    @property
    def id(self) -> str:
        """How log lines call what it is sent by."""
        return self._id

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
        response: MailResponse,
        *,
        sender: str | None = None,
        to: str | Sequence[str] | None = None,
    ) -> str:
        """Send ``response``, which cannot be changed any more then; gives its Message-ID.

        ``to`` are the envelope recipients (default: those of its To, Cc and Bcc), ``sender`` is the
        envelope sender (default: the response's own, else its From address; "" is the null
        reverse-path). Raises AddressError for an address that is none, SenderError for a sender
        in a domain that is not ours (see the setting `submission.any_sender`).
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

    def _may_send(self, sender: str) -> bool:
        return self._is_ours is None or self._is_ours(address.split(sender)[1])

    def _next_message_id(self, author: str) -> str:
        """One in the domain of ``author``, the From address."""
        domain = written_domain(address.split(author)[1])
        if not domain or not domain.isascii():
            domain = self._hostname
        return f"<{self._name()}.{len(self.outgoing) + 1}@{domain}>"

    def _name(self) -> str:
        if self._digest is None:
            self._digest = secrets.token_bytes(32)
        return self._digest.hex()[:32]

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


def check_names(
    method: str, template: str | None, body: str | None, variables: Mapping[str, object]
) -> None:
    """Raise TypeError for arguments that would have no effect."""
    if template is None and variables:
        names = ", ".join(sorted(variables))
        raise TypeError(f"{method}() takes no {names} without a template, whose variables they are")
    if template is not None and body is not None:
        raise TypeError(f"{method}() takes a template or a body, not both")
