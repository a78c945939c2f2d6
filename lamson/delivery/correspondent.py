"""To whom an automatic answer goes (RFC 3834 section 4).

For `Delivery.reply`. From and Reply-To are free text: an answer to what they say is mail to whoever
a stranger named. So they count where somebody vouches for their domain: Postfix took the message
with an envelope sender of the same organisation (SPF is about that one), or our own server proved
the From domain (DMARC, DKIM). Reply-To is no better than From: it counts for the same organisation
only. Else the answer goes to the envelope sender, who is whom a bounce would go to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lamson.smtp import address
from lamson.smtp.organisation import is_aligned

if TYPE_CHECKING:
    from lamson.message.request import MailRequest


class Correspondent(NamedTuple):
    """An address as it was written, and whether our own server has proved its domain."""

    address: str
    is_proven: bool

    @property
    def folded(self) -> str:
        """The address as it is compared, like `MailRequest.author`: for a key of your own."""
        return address.normalise(self.address)


def correspondent_of(message: MailRequest) -> Correspondent:
    """Whom to answer."""
    sender, author = message.sender, message.content.from_address
    envelope, claimed = _domain(sender), _domain(author)
    is_proven = _is_proven(message)
    for candidate in (message.content.reply_to, author):
        domain = _domain(candidate)
        is_claimed = is_proven and is_aligned(domain, claimed)
        if is_claimed or is_aligned(domain, envelope):
            return Correspondent(candidate, is_claimed)
    return Correspondent(sender, is_proven and is_aligned(envelope, claimed))


def writer_of(message: MailRequest) -> str:
    """Who wrote it, in the form in which addresses are compared, by the same measure as above.

    The From address where somebody vouches for it, else the envelope sender; "" where there is
    neither. So nobody gets into a conversation by a From that its answers would not go to.
    """
    sender, author = message.sender, message.content.from_address
    claimed = _domain(author)
    if claimed and (is_aligned(claimed, _domain(sender)) or _is_proven(message)):
        return address.normalise(author)
    return address.normalise(sender)


def _is_proven(message: MailRequest) -> bool:
    """Whether our own server has proved the From domain; a token says nothing of that."""
    return message.proof in ("dmarc", "dkim")


def _domain(mailbox: str) -> str:
    return address.split(mailbox)[1]
