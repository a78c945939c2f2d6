"""Verdicts: what the filters that were asked about a subject came to so far.

For `transaction`, which keeps one for the connection, one for the sender and one for each
recipient, and for `outcome`, which makes one decision of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lamson_milter.actions import Defer, Quarantine, Reject
from lamson_milter.subjects import Arrival, Connection, FilteredMail

if TYPE_CHECKING:
    from lamson.message.notes import Note
    from lamson.smtp.reply import Reply
    from lamson_milter.actions import Decision, Edit
    from lamson_milter.filters import Filter

Subject = Connection | Arrival | FilteredMail


class Verdicts:
    """What the filters of a stage came to for one subject."""

    __slots__ = ("by", "edits", "held_by", "notes", "reasons", "verdict")

    def __init__(self) -> None:
        self.verdict: Decision | None = None  # anything but Quarantine
        self.by: Filter | None = None  # whose verdict it is
        self.reasons: list[str] = []  # of quarantines
        self.held_by: list[Filter] = []
        self.edits: list[tuple[Filter, list[Edit]]] = []
        self.notes: dict[str, Note] = {}

    @property
    def by_name(self) -> str | None:
        """The name of the filter whose verdict it is."""
        return None if self.by is None else str(self.by)

    @property
    def is_settled(self) -> bool:
        return self.verdict is not None

    def take(self, one: Filter, subject: Subject, verdict: Decision | None) -> bool:
        """Take in what a filter did; True where no further one is to be asked."""
        if subject.new_notes:
            self.notes.update(subject.new_notes)
        if not isinstance(subject, Connection) and subject.edits:
            self.edits.append((one, subject.edits))
        if isinstance(verdict, Quarantine):
            self.reasons.append(verdict.reason)
            self.held_by.append(one)
            return False
        if verdict is None:
            return False
        self.verdict, self.by = verdict, one
        return True

    @property
    def refusal(self) -> Reply | None:
        verdict = self.verdict
        if verdict is None:
            return None
        return verdict.reply if isinstance(verdict, Reject | Defer) else None


@dataclass(slots=True)
class Addressee:
    """One accepted recipient; ``paths`` is how the client wrote it, and how Postfix reads that.

    It is ``is_doubtful`` where Postfix may have refused it after we took it: a milter behind ours
    can, and the protocol does not tell.
    """

    paths: tuple[str, ...]
    address: str
    verdicts: Verdicts
    is_doubtful: bool = False
