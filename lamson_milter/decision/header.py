"""The header of a message as it comes, field by field, held to the limits.

For `transaction`. From the first field on that passes a limit nothing is kept; `is_cut` says so.
"""

from __future__ import annotations

from lamson.message import notes
from lamson_milter.decision.limits import FIELD_COST, MAX_HEADER, MAX_LISTED, NAME

_NOTES = notes.HEADER.lower()
_NOTES_LENGTH = len(_NOTES)


class IncomingHeader:
    """``fields`` are (name, what follows the colon); ``forged_notes`` counts pretended notes."""

    __slots__ = ("_size", "fields", "forged_notes", "is_cut")

    def __init__(self) -> None:
        self.fields: list[tuple[str, bytes]] = []
        self.forged_notes = 0
        self.is_cut = False
        self._size = 0

    def add(self, name: str, value: bytes) -> int:
        """Take in one field, folded with bare newlines; gives the memory that it takes."""
        if len(name) == _NOTES_LENGTH and name.lower() == _NOTES:
            self.forged_notes += 1
        self._size += len(name) + len(value) + value.count(b"\n") + 3
        if self._size > MAX_HEADER or len(self.fields) == MAX_LISTED or not NAME.fullmatch(name):
            self.is_cut = True
        if self.is_cut:
            return 0
        self.fields.append((name, value))
        return len(name) + len(value) + FIELD_COST
