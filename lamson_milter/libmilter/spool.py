"""A message while it arrives: in memory, beyond 1 MiB in a file without a name.

For the milter's callbacks. It keeps no more of the body than somebody reads; what is longer is cut
off, and Postfix is told to keep the rest. What lies in memory is counted; a full disk raises
OSError, a spent budget FullError, and both defer the message.
"""

from __future__ import annotations

import tempfile
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from lamson_milter.libmilter.budget import Share

IN_MEMORY = 1 << 20  # octets


class Spool:
    """``header`` and up to ``limit`` octets of a body. ``is_truncated`` where there were more."""

    __slots__ = ("_chunks", "_file", "_left", "_share", "_size", "is_truncated")

    def __init__(self, limit: int, share: Share, header: bytes = b"") -> None:
        self._left = limit
        self._size = 0
        self._share = share
        self._chunks: list[bytes] = []
        self._file: IO[bytes] | None = None
        self.is_truncated = False
        self._keep(header)

    def write(self, chunk: bytes) -> bool:
        """Keep ``chunk`` of the body; True where nothing further is wanted."""
        if len(chunk) > self._left:
            chunk = chunk[: self._left]
            self.is_truncated = True
        self._left -= len(chunk)
        self._keep(chunk)
        return self.is_truncated

    def _keep(self, octets: bytes) -> None:
        self._size += len(octets)
        if self._file is not None:
            self._file.write(octets)
            return
        self._chunks.append(octets)
        if self._size <= IN_MEMORY:
            self._share.add(len(octets))
            return
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - `close` closes it
        self._file.writelines(self._chunks)
        self._chunks = []

    def read(self) -> bytes:
        """All that was kept, in one piece."""
        if self._file is None:
            return b"".join(self._chunks)
        self._share.add(self._size)
        self._file.seek(0)
        return self._file.read()

    def close(self) -> None:
        """Forget it, file and all."""
        self._chunks = []
        if self._file is not None:
            self._file.close()
            self._file = None
