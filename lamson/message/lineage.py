"""With which message a conversation began, as far as one of its messages tells.

For traces. Whoever answers names what came before, the first one first (RFC 5322 section 3.6.4); so
do our answers, and so does what a report gives of the mail that it is about. It is a stranger's
word, and proves nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson.message.request import MailRequest

if TYPE_CHECKING:
    from lamson.message.message import Message


def root_of(message: Message) -> str:
    """Its Message-ID; "" where there is none."""
    if isinstance(message, MailRequest) and message.report is not None:
        original = message.report.original
        if original is not None and (found := root_of(original)):
            return found
    before = message.references or message.in_reply_to
    return before[0] if before else message.message_id or ""
