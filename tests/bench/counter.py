"""A count that a child process keeps and its parent reads, in a file that both map into memory."""

from __future__ import annotations

import mmap
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_FORMAT = struct.Struct("<Q")


class Counter:
    """Made by the parent with ``create=True``; one process only may add."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        if create:
            path.write_bytes(_FORMAT.pack(0))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _FORMAT.size)

    @property
    def value(self) -> int:
        count: int = _FORMAT.unpack_from(self._map)[0]
        return count

    def add(self, number: int = 1) -> None:
        _FORMAT.pack_into(self._map, 0, self.value + number)
