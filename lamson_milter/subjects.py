"""What a filter is given: a connection, an arriving mail, or the whole message; and its pencil.

A filter looks at it, records edits and notes on it, and returns a verdict. Nothing is changed while
it runs: edits are applied at the end of the message, once, in order (see `transaction`).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lamson.message.compose import normalise_newlines
from lamson.message.notes import MAX_NOTES
from lamson.message.request import MailRequest
from lamson.smtp.address import parse_mailbox
from lamson.smtp.envelope import NOBODY, Envelope, Peer, QueueId, Recipient
from lamson_milter.actions import (
    AddHeader,
    AddRecipient,
    ChangeHeader,
    ChangeSender,
    RemoveRecipient,
    ReplaceBody,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lamson.message.notes import Note
    from lamson.message.parsed import ParsedMessage
    from lamson_milter.actions import Edit


class _Notebook:
    """Whatever notes can be made on."""

    __slots__ = ()
    new_notes: dict[str, Note]

    def note(self, name: str, value: Note) -> None:
        """Tell the handler: it finds ``value`` as ``message.notes[name]``.

        Notes of a recipient's filters reach the handler of that recipient, those of the connection
        and the sender all of them. A value is what JSON can say. Raises ValueError for another one,
        or where the notes of one filter pass 2 KiB.
        """
        try:
            told = {**self.new_notes, name: value}
            size = len(json.dumps(told, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise ValueError(f"note {name!r}: not a value that JSON can say: {error}") from None
        if size > MAX_NOTES:
            raise ValueError(f"note {name!r}: the notes pass {MAX_NOTES} octets")
        self.new_notes[name] = value


class _Editable(_Notebook):
    """A mail on which edits can be recorded. Each raises ValueError for what cannot be."""

    __slots__ = ()
    edits: list[Edit]
    recipient: Recipient

    def add_header(self, name: str, value: str) -> None:
        """Add a field below the others."""
        self.edits.append(AddHeader(name, value))

    def insert_header(self, name: str, value: str, position: int = 0) -> None:
        """Add a field above the one at ``position``, counted from 0 as the fields are by then."""
        self.edits.append(AddHeader(name, value, position))

    def change_header(self, name: str, value: str, index: int = 1) -> None:
        """Change the ``index``-th field ``name`` as it arrived, counted from 1 from the top."""
        self.edits.append(ChangeHeader(name, value, index))

    def delete_header(self, name: str, index: int = 1) -> None:
        """Take away the ``index``-th field ``name`` as it arrived."""
        self.edits.append(ChangeHeader(name, None, index))

    def replace_body(self, body: bytes | str) -> None:
        """Replace all of the body; line ends become CRLF. Its Content-… fields stay as they are."""
        data = body.encode() if isinstance(body, str) else body
        self.edits.append(ReplaceBody(normalise_newlines(data)))

    def add_recipient(self, address: str, parameters: str = "") -> None:
        """Add an envelope recipient, with ESMTP parameters such as ``NOTIFY=NEVER``."""
        self.edits.append(AddRecipient(address, parameters))

    def remove_recipient(self, address: str | None = None) -> None:
        """Take an envelope recipient away: the one that this filter is asked about, or another.

        Raises ValueError where the filter is asked about no recipient and names none.
        """
        if address is None and not self.recipient.address:
            raise ValueError("remove_recipient: say which; this filter is asked about all of them")
        gone = self.recipient.address if address is None else parse_mailbox(address, smtputf8=True)
        self.edits.append(RemoveRecipient(gone))

    def change_sender(self, address: str, parameters: str = "") -> None:
        """Change the envelope sender; "" is the null reverse-path."""
        self.edits.append(ChangeSender(address, parameters))


class Connection(_Notebook):
    """A client that has connected to Postfix: ``peer`` has its name, address, and who asks.

    Nothing of HELO, TLS or SASL is known yet: ask a sender's filter about these. What is put into
    ``kept`` is there for the filters of each of its mails.
    """

    __slots__ = ("kept", "new_notes", "peer")

    def __init__(self, peer: Peer, *, kept: dict[str, Any] | None = None) -> None:
        self.peer = peer
        self.kept = {} if kept is None else kept
        self.new_notes = {}


class Arrival(_Editable):
    """A mail of which only the envelope is known so far.

    ``peer`` is the client, ``sender`` the envelope sender ("" is the null reverse-path),
    ``recipient`` the recipient that is asked about (an empty one for a sender's filter),
    ``parameters`` what ESMTP said of that sender or recipient, as ``{"SIZE": "100"}``, ``notes``
    what filters noted before, ``kept`` as in `FilteredMail`. ``smtputf8`` and ``eight_bit`` are
    what MAIL FROM declared (RFC 6531, RFC 6152). A recipient's filter also learns the ``transport``
    and ``next_hop`` by which Postfix would deliver to it, and the ``queue_id`` where Postfix has
    one already: it gives one with the first recipient that it takes.
    """

    __slots__ = (
        "edits",
        "eight_bit",
        "kept",
        "new_notes",
        "next_hop",
        "notes",
        "parameters",
        "peer",
        "queue_id",
        "recipient",
        "sender",
        "smtputf8",
        "transport",
    )

    def __init__(
        self,
        peer: Peer = NOBODY,
        sender: str = "",
        recipient: Recipient | None = None,
        *,
        parameters: Mapping[str, str] | None = None,
        notes: Mapping[str, Note] | None = None,
        kept: dict[str, Any] | None = None,
        smtputf8: bool = False,
        eight_bit: bool = False,
        queue_id: QueueId | None = None,
        transport: str = "",
        next_hop: str = "",
    ) -> None:
        self.peer = peer
        self.sender = sender
        self.recipient = Recipient("") if recipient is None else recipient
        self.parameters = parameters or {}
        self.notes: Mapping[str, Note] = notes or {}
        self.kept = {} if kept is None else kept
        self.smtputf8 = smtputf8
        self.eight_bit = eight_bit
        self.queue_id = QueueId("") if queue_id is None else queue_id
        self.transport = transport
        self.next_hop = next_hop
        self.edits = []
        self.new_notes = {}


class FilteredMail(MailRequest, _Editable):
    """The whole message, as a handler sees it, with what can be recorded on it.

    With a filter that asked for less than the body, ``is_truncated`` tells that there is more;
    where no filter asked for any of it, nobody knows. ``kept`` is a place where filters keep things
    for each other, of any kind, while the mail is here: what was found out for one recipient need
    not be found out for the next. Unlike notes it is for filters alone.
    """

    __slots__ = ("edits", "is_truncated", "kept", "known_notes", "new_notes")

    def __init__(
        self,
        content: bytes | ParsedMessage,
        envelope: Envelope,
        recipient: Recipient,
        *,
        notes: Mapping[str, Note] | None = None,
        kept: dict[str, Any] | None = None,
        is_truncated: bool = False,
    ) -> None:
        super().__init__(content, envelope, recipient)
        self.edits = []
        self.new_notes = {}
        self.known_notes: Mapping[str, Note] = notes or {}
        self.kept = {} if kept is None else kept
        self.is_truncated = is_truncated

    @property
    def notes(self) -> Mapping[str, Note]:
        """What filters noted before, never what came with the message."""
        return self.known_notes
