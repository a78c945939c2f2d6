"""A glance at the header of a mail, for the journal: three fields, and where it ends.

To read a header as a stranger's is to be read takes five times as long. Most have these fields
plain, once each and in one line: those are found by an expression; all others are read.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from lamson.message.message import Message

_LONGEST = 16_384  # octets of a header
_FIELD = re.compile(
    rb"\n(?:[Ss]ubject:[ ]([ -~]*)|[Ff]rom:[ ](?:[\w ]+<)?([\w.+-]+@[\w.-]+)>?"
    rb"|[Mm]essage-[Ii][Dd]:[ ](<[!-;=?-~]+>))(?=\r\n(?![ \t]))"
)
_ANY = re.compile(rb"\n(?:subject|from|message-id)[ \t]*:", re.IGNORECASE)


class Glance(NamedTuple):
    """``author`` is the single address in From; each is "" where it is not there. ``end`` is where
    the body begins."""

    subject: str
    author: str
    message_id: str
    end: int


def glance(content: bytes) -> Glance:
    """What stands in the header of ``content``."""
    end = content.find(b"\r\n\r\n", 0, _LONGEST)
    if end >= 0:
        block = b"\n" + content[: end + 2]
        found = _FIELD.findall(block)
        if len(found) == len(_ANY.findall(block)) == 3:
            subject, author, message_id = map(b"".join, zip(*found, strict=True))
            if author and message_id and b"=?" not in subject:
                words = subject.decode("ascii")
                return Glance(words, author.decode("ascii"), message_id.decode("ascii"), end + 4)
    message = Message(content)
    return Glance(
        message.subject,
        message.content.from_address,
        message.message_id or "",
        min(message.content.header.body, len(content)),
    )
