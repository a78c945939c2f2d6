"""A mail offered to the filters in process, as Postfix would: the replies, and what it queues.

For `lamson.testing`. The same transaction as in the milter, without libmilter. What filters
remember (`Policy`) lasts as long as the rules that are given.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lamson.message.parsed import ParsedMessage
from lamson.message.request import MailRequest
from lamson.smtp import address, reply
from lamson.smtp.envelope import NOBODY, Envelope, Peer, QueueId, Recipient
from lamson.smtp.reply import Reply
from lamson_milter.actions import AddRecipient, ChangeSender, RemoveRecipient, ReplaceBody
from lamson_milter.decision.edits import apply_to_fields, header_bytes
from lamson_milter.decision.transaction import ConnectionState, Transaction
from lamson_milter.rules import rules_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lamson.app import Application
    from lamson.smtp.envelope import Peer as PeerType
    from lamson_milter.actions import Edit
    from lamson_milter.decision.edits import Fields
    from lamson_milter.decision.transaction import Rules

# What Postfix tells the client in place of a filter's reply (it puts its name before the text).
_NOT_ACCEPTING = Reply(554, "", "ESMTP not accepting connections")
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:((?:[^\n]*\n)(?:[ \t][^\n]*\n)*)")


@dataclass(frozen=True, slots=True)
class Queued:
    """A message as Postfix queued it: envelope and, as ``message``, content.

    ``on_hold`` is the reason of a quarantine, else None.
    """

    sender: str
    recipients: tuple[str, ...]
    message: MailRequest
    on_hold: str | None = None

    def __getitem__(self, name: str) -> str | None:
        return self.message[name]

    @property
    def body(self) -> str:
        """The text of the message, as `MailRequest.body`."""
        return self.message.body


@dataclass(slots=True)
class Offer:
    """What became of one mail. A reply is None where the client did not get that far.

    They are what the client sees: at the connection Postfix says 554 in its own words for a Reject,
    and tells a Defer at MAIL.
    """

    connect: Reply | None = None
    mail: Reply | None = None
    rcpt: dict[str, Reply] = field(default_factory=dict)
    data: Reply | None = None
    queued: Queued | None = None

    @property
    def refusal(self) -> Reply | None:
        """The first reply that refused something; None where all was well."""
        replies = (self.connect, self.mail, *self.rcpt.values(), self.data)
        return next((one for one in replies if one is not None and not one.is_positive), None)


def rules_for_offers(application: Application) -> Rules:
    """What all offers of a test share. Raises what `rules_of` raises."""
    return rules_of(application, raise_errors=True)


def offer(
    rules: Rules,
    sender: str,
    recipients: Sequence[str],
    content: bytes,
    *,
    peer: PeerType = NOBODY,
    queue_id: str,
) -> Offer:
    """Offer ``content`` to the filters of an application. Raises what a filter raises."""
    offered = Offer()
    connection = ConnectionState(rules, peer)
    refusal = connection.connect()
    if refusal is not None and refusal.is_permanent:
        offered.connect = _NOT_ACCEPTING
        return offered
    offered.connect = reply.OK
    if refusal is not None:
        offered.mail = refusal
        return offered
    transaction = Transaction(connection)
    offered.mail = transaction.mail(f"<{sender}>") or reply.SENDER_OK
    if not offered.mail.is_positive:
        return offered
    for recipient in recipients:
        refusal = transaction.rcpt(f"<{recipient}>")
        offered.rcpt[recipient] = refusal or reply.RECIPIENT_OK
    if not transaction.recipients:
        return offered
    fields, body = _split(content)
    for name, value in fields:
        transaction.header(name, value)
    wanted = rules.filters.body
    shown = body[: rules.body]
    now = time.time()
    outcome = transaction.end(
        lambda: ParsedMessage(header_bytes(transaction.fields) + shown),
        queue_id=queue_id,
        now=now,
        is_truncated=wanted != 0 and len(shown) < len(body),
    )
    offered.data = outcome.refusal or reply.OK
    if outcome.refusal is None and not outcome.is_discarded:
        sender, people, raw = _edited(
            transaction.sender, transaction.recipients, fields, body, outcome.edits
        )
        # What XFORWARD tells the handler; SASL, TLS and the daemon it does not.
        told = Peer(peer.name, peer.addr, peer.port, ident=QueueId(queue_id))
        envelope = Envelope(sender, tuple(people), told, received=now, id=queue_id)
        shared = ParsedMessage(raw, rules.notary, rules.witness)
        message = MailRequest(shared, envelope, Recipient(people[0] if people else ""))
        offered.queued = Queued(sender, tuple(people), message, outcome.quarantine)
    return offered


def _split(content: bytes) -> tuple[Fields, bytes]:
    fields: Fields = []
    at = 0
    while found := _FIELD.match(content, at):
        fields.append((found[1].decode("ascii"), found[2].rstrip(b"\r\n")))
        at = found.end()
    return fields, re.sub(rb"\A\r?\n", b"", content[at:])


def _edited(
    sender: str, recipients: Sequence[str], fields: Fields, body: bytes, edits: Sequence[Edit]
) -> tuple[str, list[str], bytes]:
    people = list(recipients)
    for edit in edits:
        if isinstance(edit, RemoveRecipient):
            gone = address.normalise(edit.address)
            people = [one for one in people if address.normalise(one) != gone]
        elif isinstance(edit, AddRecipient):
            people.append(edit.address)
        elif isinstance(edit, ChangeSender):
            sender = edit.address
        elif isinstance(edit, ReplaceBody):
            body = edit.body
    return sender, people, header_bytes(apply_to_fields(fields, edits)) + body
