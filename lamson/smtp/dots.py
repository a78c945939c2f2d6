"""The transparency of DATA: dots at the head of a line, and the lone dot that ends the content.

For whoever sends a message. The receiver's side, which takes dots away as the octets come, is
`lamson_lmtp.data`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PIECE = 128 * 1024  # octets


def stuffed(content: bytes) -> bytes:
    """``content`` as it follows DATA, with its end (RFC 5321 section 4.5.2).

    Lines of ``content`` end with CRLF: after a bare LF no dot is doubled.
    """
    if b"\r\n." in content:
        content = content.replace(b"\r\n.", b"\r\n..")
    if content.startswith(b"."):
        content = b"." + content
    return content + (b".\r\n" if content.endswith(b"\r\n") or not content else b"\r\n.\r\n")


def stuffed_pieces(content: bytes, size: int = PIECE) -> Iterator[bytes]:
    """What `stuffed` gives, piece by piece: there is no second copy of a large message."""
    is_new_line = True
    at = 0
    while at < len(content):
        end = at + size
        while content[end - 1 : end] == b"\r":  # not between CR and LF
            end += 1
        piece = content[at:end]
        stuffing = b"." if is_new_line and piece.startswith(b".") else b""
        yield stuffing + piece.replace(b"\r\n.", b"\r\n..")
        is_new_line = piece.endswith(b"\r\n")
        at = end
    yield b".\r\n" if is_new_line else b"\r\n.\r\n"
