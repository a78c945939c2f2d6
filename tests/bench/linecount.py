"""How many lines of a growing log say that something was done."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class LineCount:
    """Counts the lines of ``log`` that contain ``mark``; each call reads what is new."""

    def __init__(self, log: Path, mark: bytes) -> None:
        self._log = log
        self._mark = mark
        self._offset = 0
        self._counted = 0

    def __call__(self) -> int:
        with self._log.open("rb") as log:
            log.seek(self._offset)
            text = log.read()
        whole = text.rfind(b"\n") + 1
        self._offset += whole
        self._counted += text[:whole].count(self._mark)
        return self._counted
