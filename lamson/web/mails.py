"""What the window shows of a mail, and where it gets it from.

`Mails` is what the pages ask; `lamson.web.shelves` answers from the queues of a project, and
`lamson.web.journal_mails` from its journal, where it keeps one.
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

    ``note`` is what became of it: a reply, or why it was kept; ``facts`` are more of that, each
    with its name, for its own page. ``lack`` says what is not here of its content, and why.
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
    facts: tuple[tuple[str, str], ...] = ()
    lack: str = ""
    sent: tuple[str, ...] | None = None

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


class Page(NamedTuple):
    """Some mails of a list; ``further`` is behind what the next ones are, None at its end.

    A search looks through so many mails at a time: it may find none, and go on further back.
    """

    mails: Sequence[Mail]
    further: Place | None


class Mails(Protocol):
    """Mail that came and went, newest first. Each call is bounded, however much there is."""

    def page(
        self,
        limit: int,
        *,
        before: Place | None = None,
        correspondent: str = "",
        search: str = "",
    ) -> Page:
        """The newest, or those behind a place: of one correspondent, or in which a text stands."""

    def get(self, id: str) -> Mail | None:
        """One; None where it is not there, or not any more."""

    def content(self, id: str) -> bytes | None:
        """What it says, as it came or went."""

    def answers(self, mail: Mail) -> Sequence[Mail]:
        """What answers it, or came of it."""

    def marker(self) -> str:
        """Changes when mail came or went: by it a page knows that it is old."""
