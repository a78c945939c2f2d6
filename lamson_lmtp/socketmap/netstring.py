"""Netstrings out of a stream of octets: ``12:hello world!,``. No I/O.

For the socketmap. What is no netstring, or longer than allowed, raises NetstringError: where the
next one would begin is then not known, so that the connection is good for nothing more. Memory is
bounded by the longest netstring and one chunk.

Source: http://cr.yp.to/proto/netstrings.txt
"""

from __future__ import annotations

import re
from collections import deque

from lamson.errors import LamsonError


class NetstringError(LamsonError):
    """The peer sends something else than netstrings."""


class Netstrings:
    """Takes chunks, gives whole netstrings; ``limit`` is the longest one allowed, in octets."""

    __slots__ = ("_buffer", "_digits", "_length", "_limit", "_whole")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._digits = len(str(limit))
        # The definition forbids leading zeros. Either a colon ends it, or the data does.
        self._length = re.compile(rb"(0|[1-9][0-9]{0,%d})(?::|\Z)" % (self._digits - 1))
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
            begin = self._length.match(data, position)
            if begin is None:
                digits = data[position : position + self._digits + 1].partition(b":")[0]
                raise NetstringError(f"{digits[:12]!r} is no length of a netstring")
            start = begin.end()
            if data[start - 1] != 0x3A:
                break  # its colon has yet to come
            length = int(begin[1])
            if length > self._limit:
                raise NetstringError(f"a netstring of {length} octets is longer than {self._limit}")
            comma = start + length
            if comma >= end:
                break
            if data[comma] != 0x2C:
                raise NetstringError("a netstring does not end with a comma")
            self._whole.append(data[start:comma])
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


def encode(text: bytes) -> bytes:
    """``text`` as a netstring."""
    return b"%d:%s," % (len(text), text)
