"""Netstrings out of a stream of octets: ``12:hello world!,``. No I/O.

For the socketmap. What is no netstring, or longer than allowed, raises NetstringError: where the
next one would begin is then not known, so that the connection is good for nothing more. Memory is
bounded by the longest netstring and one chunk.

Source: http://cr.yp.to/proto/netstrings.txt
"""

from __future__ import annotations

from collections import deque

from lamson.errors import LamsonError


class NetstringError(LamsonError):
    """The peer sends something else than netstrings."""


class Netstrings:
    """Takes chunks, gives whole netstrings; ``limit`` is the longest one allowed, in octets."""

    __slots__ = ("_buffer", "_digits", "_limit", "_whole")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._digits = len(str(limit))
        self._buffer = b""
        self._whole: deque[bytes] = deque()

    def receive(self, data: bytes) -> bool:
        """Take what came; True where it completed one. Raises NetstringError; the ones before
        can still be had."""
        before = len(self._whole)
        data = self._buffer + data
        position, end = 0, len(data)
        while position < end:
            # No further than a length may go: it must not be looked for in a long stretch.
            colon = data.find(b":", position, position + self._digits + 1)
            digits = data[position : colon if colon >= 0 else position + self._digits + 1]
            if not self._may_be_length(digits, is_whole=colon >= 0):
                raise NetstringError(f"{digits[:12]!r} is no length of a netstring")
            if colon < 0:
                break
            length = int(digits)
            if length > self._limit:
                raise NetstringError(f"a netstring of {length} octets is longer than {self._limit}")
            comma = colon + 1 + length
            if comma >= end:
                break
            if data[comma] != 0x2C:
                raise NetstringError("a netstring does not end with a comma")
            self._whole.append(data[colon + 1 : comma])
            position = comma + 1
        self._buffer = data[position:]
        return len(self._whole) > before

    def take(self) -> bytes | None:
        """The next one; None where more has to come."""
        return self._whole.popleft() if self._whole else None

    @property
    def has_part(self) -> bool:
        """One has begun and not ended yet."""
        return bool(self._buffer)

    def _may_be_length(self, digits: bytes, *, is_whole: bool) -> bool:
        if not digits:
            return not is_whole
        if not digits.isdigit() or len(digits) > self._digits:
            return False
        return len(digits) == 1 or digits[:1] != b"0"  # the definition forbids leading zeros


def encode(text: bytes) -> bytes:
    """``text`` as a netstring."""
    return b"%d:%s," % (len(text), text)
