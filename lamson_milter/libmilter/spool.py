"""The body of a message while it arrives: in memory, beyond 1 MiB in a file without a name.

For the milter's callbacks. It keeps no more than somebody reads; what is longer is cut off, and
Postfix is told to keep the rest. A full disk raises OSError, which defers the message.
"""

from __future__ import annotations

import tempfile
from typing import IO

IN_MEMORY = 1 << 20  # octets


class Spool:
    """Up to ``limit`` octets of a body. ``is_truncated`` where there were more."""

    __slots__ = ("_chunks", "_file", "_left", "_size", "is_truncated")

    def __init__(self, limit: int) -> None:
        self._left = limit
        self._size = 0
        self._chunks: list[bytes] = []
        self._file: IO[bytes] | None = None
        self.is_truncated = False

    def write(self, chunk: bytes) -> bool:
        """Keep ``chunk``; True where nothing further is wanted."""
        if len(chunk) > self._left:
            chunk = chunk[: self._left]
            self.is_truncated = True
        self._left -= len(chunk)
        self._size += len(chunk)
        if self._file is None:
            self._chunks.append(chunk)
            if self._size > IN_MEMORY:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115 - `close` closes it
                self._file.writelines(self._chunks)
                self._chunks = []
        else:
            self._file.write(chunk)
        return self.is_truncated

    def read(self) -> bytes:
        """All that was kept."""
        if self._file is None:
            return b"".join(self._chunks)
        self._file.seek(0)
        return self._file.read()

    def close(self) -> None:
        """Forget it, file and all."""
        self._chunks = []
        if self._file is not None:
            self._file.close()
            self._file = None
