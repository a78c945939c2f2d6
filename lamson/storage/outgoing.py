"""One message to submit, and how it stands in its row of the outbox.

For the handlers' side, which makes it, the outbox, which keeps it, and the relay, which sends it.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from lamson.smtp.folding import fold
from lamson.storage.maildir import MAX_SIZE, OversizeError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from lamson.storage.tracked import Tracked

MAX_CONTENT = MAX_SIZE - 64 * 1024
"""Octets of a message, so that it can be kept as undeliverable too, with our fields on top."""

_UNFIT = re.compile("[\0\ud800-\udfff]")
_LONGEST_NAME = 1000  # octets of a conversation's name: an index takes 2,700 at most


@dataclass(slots=True)
class Outgoing:
    """One message to submit. ``source`` is how log lines call the mail that it came from.

    ``content`` is b"" where it is in the database alone; ``top`` are the fields of this recipient
    above it, where rows share one content. ``envid`` is the id of tracked mail, and
    ``notify`` when submission is to report; ``tracked`` is what is kept of that mail, from the
    handler to the table alone, as ``scope`` is: the list that it is mail of. Raises OversizeError
    for a message that is larger than the outbox takes: in the line of the handler that sends it.
    """

    source: str
    message_id: str
    sender: str
    recipients: tuple[str, ...]
    content: bytes
    smtputf8: bool = False
    id: int = 0
    created_at: float = 0.0
    attempts: int = 0
    last_error: str = ""
    lease_until: float = 0.0
    shared: int = 0  # the row of the table of contents, where others have the same content
    envid: str = ""
    notify: str = ""
    conversation: str = field(default="", compare=False)
    tracked: Tracked | None = field(default=None, compare=False)
    scope: str = field(default="", compare=False)
    due_at: float = field(default=0.0, compare=False)  # when it is to leave; 0 is at once
    key: bytes = field(default=b"", compare=False)  # the digest of what it can be cancelled by
    top: bytes = b""

    def __post_init__(self) -> None:
        if len(self.content) > MAX_CONTENT:
            raise OversizeError(
                f"message {self.message_id} of {len(self.content)} octets is too big to be sent: "
                f"the outbox takes {MAX_CONTENT}"
            )
        if not self.conversation:
            # Each tracked mail has a sender of its own: what they share is their order.
            sender = self.sender.rpartition("@")[2] if self.envid else self.sender
            self.conversation = _conversation(sender, self.recipients)

    @property
    def octets(self) -> bytes:
        """The message as it is submitted."""
        return self.top + self.content if self.top else self.content


def split(row: Outgoing, most: int) -> list[Outgoing]:
    """``row`` as rows of at most ``most`` recipients, each a transaction of its own.

    A server need not take more than a hundred in one (RFC 5321 section 4.5.3.1.8).
    """
    if len(row.recipients) <= most:
        return [row]
    starts = range(0, len(row.recipients), most)
    return [
        replace(row, recipients=row.recipients[at : at + most], conversation="") for at in starts
    ]


def few(recipients: Sequence[str], most: int = 5) -> str:
    """The first recipients, for a line that is read by people; dots stand for the others."""
    shown = ",".join(recipients[:most])
    return shown if len(recipients) <= most else f"{shown},..."


def _conversation(sender: str, recipients: Collection[str]) -> str:
    """A name for the conversation: the addresses, or where they are many a digest of them.

    However they were spelt: who writes as Zed@ and as zed@ gets the answers in order.
    """
    name = " ".join((fold(sender), *sorted(map(fold, recipients))))
    octets = name.encode("utf-8", "surrogatepass")
    return name if len(octets) <= _LONGEST_NAME else hashlib.sha256(octets).hexdigest()


def fit(value: str) -> str:
    """What a database takes for a text."""
    return _UNFIT.sub("?", value)


def to_row(row: Outgoing, owner: str) -> tuple[object, ...]:
    """The row of the table, in the order of its columns."""
    return (
        row.id,
        fit(row.source),
        row.message_id,
        row.sender,
        json.dumps(row.recipients),
        row.conversation,
        row.smtputf8,
        row.top if row.shared else row.octets,
        row.created_at,
        0,  # attempts
        max(row.due_at, row.created_at),
        owner,
        row.lease_until,
        "",  # last_error
        row.shared,
        row.envid,
        row.notify,
    )


def from_row(row: Any, lease_until: float) -> Outgoing:
    """What stands in a row of the table, by the names of its columns, but for the content."""
    return Outgoing(
        source=row["source"],
        message_id=row["message_id"],
        sender=row["sender"],
        recipients=tuple(json.loads(row["recipients"])),
        content=b"",
        smtputf8=row["smtputf8"],
        id=row["id"],
        created_at=row["created_at"],
        attempts=row["attempts"],
        last_error=row["last_error"],
        lease_until=lease_until,
        shared=row["shared"],
        envid=row["envid"],
        notify=row["notify"],
        conversation=row["conversation"],
        due_at=row["due_at"],
    )
