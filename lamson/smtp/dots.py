"""The transparency of DATA: dots at the head of a line, and the lone dot that ends the content.

For whoever sends a message. The receiver's side, which takes dots away as the octets come, is
`lamson_lmtp.data`.
"""

from __future__ import annotations


def stuffed(content: bytes) -> bytes:
    """``content`` as it follows DATA, with its end (RFC 5321 section 4.5.2).

    Lines of ``content`` end with CRLF: after a bare LF no dot is doubled.
    """
    if b"\r\n." in content:
        content = content.replace(b"\r\n.", b"\r\n..")
    if content.startswith(b"."):
        content = b"." + content
    return content + (b".\r\n" if content.endswith(b"\r\n") or not content else b"\r\n.\r\n")
