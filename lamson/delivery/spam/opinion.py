"""An opinion on a mail, and who has one.

A judge that knows nothing of a mail has no opinion on it; one that raises has none either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from lamson.message.request import MailRequest


class Opinion(NamedTuple):
    """What a judge says of a mail; ``why`` is for people, in the log and on what is kept."""

    is_spam: bool
    why: str = ""


class Judge(Protocol):
    """Whoever can be asked.

    ``is_shared``: it says the same for all recipients of a message. ``is_server``: it asks one.
    """

    name: str
    is_shared: bool
    is_server: bool

    def opinion(self, message: MailRequest, deadline: float) -> Opinion | None:
        """Its opinion, None for none, by ``deadline`` (of `time.monotonic`). May raise anything."""
