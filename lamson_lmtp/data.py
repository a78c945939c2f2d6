"""The content of one message as it comes in after DATA: where it ends, and its dots.

For `connection`. No I/O, nothing is raised. Content that is too big, or that nobody has room for,
is thrown away while its end is still looked for, so memory stays bounded.

Source: RFC 5321 section 4.1.1.4 (the end is CRLF.CRLF), section 4.5.2 (transparency). A CR or LF
that stands alone is data: what takes it for a line end lets one message carry another one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lamson.smtp import reply as replies

if TYPE_CHECKING:
    from lamson.smtp.reply import Reply

_DOT = re.compile(rb"\r\n\.").search  # bytes.find is slower for so short a text
_END = b"\r\n.\r\n"
_BEGINS_END = (b"\r\n.\r", b"\r\n.", b"\r\n", b"\r")  # what the end may begin with, longest first


class IncomingData:
    """Octets of one message, in pieces until `take` joins them.

    ``size`` is how many are held. ``refusal`` is None, or why they are thrown away.
    """

    __slots__ = ("_max_size", "_pieces", "_tail", "refusal", "size")

    def __init__(self, max_size: int) -> None:
        self._max_size = max_size
        self._pieces: list[bytes] = []
        # What may turn out to be the begin of the end is held back. The CRLF of the DATA line
        # counts as the one before the first line; `_keep` takes it off again.
        self._tail = b"\r\n"
        self.size = 0
        self.refusal: Reply | None = None

    def receive(self, chunk: bytes) -> bytes | None:
        """Take the next octets. Gives what stands behind the end, None while it has not come."""
        data = self._tail + chunk
        # One search does where no line begins with a dot: the first that does is the end.
        match = _DOT(data)
        if match is not None:
            dot = match.start()
            end = dot if data.startswith(_END, dot) else data.find(_END, dot)
            if end >= 0:
                self._keep(data[: end + 2], stuffed=dot < end)
                return data[end + len(_END) :]
        self._tail = b""
        if data.endswith(_BEGINS_END):
            self._tail = next(tail for tail in _BEGINS_END if data.endswith(tail))
            data = data[: -len(self._tail)]
        if data:
            self._keep(data, stuffed=match is not None)
        return None

    def refuse(self, reply: Reply) -> None:
        """Hold nothing more; ``reply`` says why. A first reason stands."""
        self._pieces, self.size = [], 0
        self.refusal = self.refusal or reply

    def take(self) -> bytes:
        """The content, octet for octet, once its end has come."""
        pieces = self._pieces
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _keep(self, piece: bytes, *, stuffed: bool) -> None:
        if self.refusal is not None:
            return
        if stuffed:
            piece = piece.replace(b"\r\n.", b"\r\n")
        if not self._pieces:
            piece = piece[2:]
        self._pieces.append(piece)
        self.size += len(piece)
        if self.size > self._max_size:
            self.refuse(replies.TOO_BIG)  # RFC 1870 section 6.3
