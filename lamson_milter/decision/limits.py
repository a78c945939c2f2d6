"""How much of a message filters are shown, and what becomes of one that is larger.

For `transaction`. What cannot be shown whole is refused or deferred, or handed over with
`is_truncated` and a defect that says so: never cut silently, for what follows could be anything. A
header is held to what `MailRequest` reads, so that all that is shown can be looked at.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from lamson.message.header import MAX_BLOCK, MAX_FIELDS
from lamson.smtp.reply import Reply

Oversized = Literal["refuse", "defer", "truncate"]

MAX_HEADER = MAX_BLOCK - 2  # octets as they stand in a message: the empty line is looked at, too
MAX_LISTED = MAX_FIELDS
FIELD_COST = 150  # octets of memory that a field takes besides its text
MAX_FORGED = 100  # fields that pretend to be our notes and are taken off
NAME = re.compile(r"[!-9;-~]+[ \t]*")  # RFC 5322 section 2.2: anything else would end the header

HEADER_DEFECT = f"the header passes {MAX_HEADER} octets or {MAX_LISTED} fields: it was cut off"
BODY_DEFECT = "the body is longer than filters are shown: it was cut off"

_TEXTS = {"header": "Message header too large", "body": "Message body too large to be checked"}


@dataclass(frozen=True, slots=True)
class SizeLimits:
    """``body`` is how many octets of it are shown; ``oversized_…`` is for what is larger."""

    body: int = 10 << 20
    oversized_header: Oversized = "refuse"
    oversized_body: Oversized = "truncate"

    def refusal(self, *, is_header_cut: bool, is_body_cut: bool) -> Reply | None:
        """The reply to a message that could not be taken in whole; None where it is handed over."""
        replies = [
            _reply(what, part)
            for what, part, is_cut in (
                (self.oversized_header, "header", is_header_cut),
                (self.oversized_body, "body", is_body_cut),
            )
            if is_cut and what != "truncate"
        ]
        # What is refused for good need not be sent again to be told so.
        return max(replies, key=lambda reply: reply.code, default=None)


TOO_MANY_NOTES = Reply(552, "5.3.4", "Too many fields of the mail system's own")


def _reply(what: Oversized, part: str) -> Reply:
    code, status = (552, "5.3.4") if what == "refuse" else (451, "4.3.4")
    return Reply(code, status, _TEXTS[part])
