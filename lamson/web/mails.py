"""What the window shows of a mail, and where it gets it from.

`Mails` is what the pages ask; `lamson.web.shelves` answers from the queues of a project. Whoever
keeps more of what came and went answers the same questions, and is given to the window instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

Direction = Literal["in", "out"]


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail in a list. ``id`` is unique; ``at`` is when it came or went, since the epoch.

    ``note`` is what became of it: a reply, or why it was kept.
    """

    id: str
    direction: Direction
    at: float
    correspondents: tuple[str, ...]
    ours: tuple[str, ...]
    subject: str
    size: int
    message_id: str = ""
    in_reply_to: str = ""
    note: str = ""
    is_undeliverable: bool = False

    @property
    def place(self) -> Place:
        """Where it stands in a list."""
        return Place(self.at, self.id)


class Place(NamedTuple):
    """Where a page of a list ends: the next one begins behind it (keyset paging)."""

    at: float
    id: str

    @classmethod
    def read(cls, text: str) -> Place | None:
        """What `str` wrote; None for anything else."""
        at, _, id = text.partition("_")
        try:
            return cls(float(at), id)
        except ValueError:
            return None

    def __str__(self) -> str:
        return f"{self.at!r}_{self.id}"


class Mails(Protocol):
    """Mail that came and went, newest first. Each call is bounded, however much there is."""

    def page(
        self,
        limit: int,
        *,
        before: Place | None = None,
        correspondent: str = "",
        search: str = "",
    ) -> Sequence[Mail]:
        """The newest, or those behind a place: of one correspondent, or in which a text stands."""

    def get(self, id: str) -> Mail | None:
        """One; None where it is not there, or not any more."""

    def content(self, id: str) -> bytes | None:
        """What it says, as it came or went."""

    def answers(self, message_id: str) -> Sequence[Mail]:
        """What answers the mail with this Message-ID."""

    def marker(self) -> str:
        """Changes when mail came or went: by it a page knows that it is old."""
