"""A witness: who tells what proves a message's author.

For `MailRequest.proof`. What a message says of itself proves nothing; whoever makes the message of
what came in knows whose word counts (see `lamson.results.OwnServer`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from lamson.message.request import MailRequest

Proof: TypeAlias = Literal["dmarc", "dkim", "token"]
"""What proves an author: DMARC or DKIM of the From domain, or a signed address (`Signed`)."""


class Witness(Protocol):
    """Asked about messages that came in. No method raises."""

    def author(self, message: MailRequest) -> Literal["dmarc", "dkim"] | None:
        """What proves the domain of the From address; None where nothing does."""

    def sender(self, message: MailRequest) -> bool:
        """Whether the domain of the envelope sender is proven, who would get a bounce."""


def is_sender_proven(message: MailRequest) -> bool:
    """Whether a bounce of the message would go to him who sent it: our own server says so."""
    witness = message.content.witness
    return witness is not None and witness.sender(message)
