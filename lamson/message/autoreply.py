"""Which mail must not be answered by a program (RFC 3834 section 2).

For `MailRequest`; `Delivery.reply` asks before every answer. A loop of two programs that answer
each other fills queues for as long as nobody looks, so a doubtful message is not answered.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lamson.message.header import called
from lamson.smtp import address

if TYPE_CHECKING:
    from lamson.message.header import Header

# List-Id is RFC 2919, the others RFC 2369.
_LIST_FIELDS = (
    "List-Id",
    "List-Post",
    "List-Unsubscribe",
    "List-Help",
    "List-Subscribe",
    "List-Owner",
    "List-Archive",
)

# What a machine reports, by the type of the whole message: RFC 6522 (multipart/report), and the
# types within one, which are sent alone too (RFC 3464, 8098, 5965, 6533).
_REPORTS = re.compile(
    r"multipart/report|message/(?:global-)?(?:delivery-status|disposition-notification)"
    r"|message/feedback-report"
)
# From before RFC 3834: programs that answer said so in fields of their own, and some do still.
_PROGRAM_FIELDS = (
    "X-Autoreply",
    "X-Autorespond",
    "X-Autoresponder",
    "X-Auto-Reply",
    "X-Mail-Autoreply",
    "X-Failed-Recipients",
)
_TELLING = {field.lower(): (field, "it came from a mailing list") for field in _LIST_FIELDS}
_TELLING |= {field.lower(): (field, "a program wrote it") for field in _PROGRAM_FIELDS}
_ANY_TELLING = called(*_TELLING)
_PRECEDENCES = ("bulk", "list", "junk", "auto_reply")
_SUPPRESSED = {"all", "autoreply", "oof"}  # X-Auto-Response-Suppress (MS-OXCMAIL 2.1.3.2.20)
_ROBOTS = {"mailer-daemon", "listserv", "majordomo"}


def automatic_reason(header: Header, sender: str, author: str, recipient: str) -> str | None:
    """Why a message from ``sender`` (envelope) and ``author`` (From) must not be answered.

    None where nothing speaks against an answer from ``recipient``.
    """
    if sender == address.NULL_PATH:
        return "the envelope sender is null"
    for value in header.get_all("Auto-Submitted"):
        keyword = value.partition(";")[0].partition("(")[0].strip().lower()
        if keyword != "no":  # RFC 3834 section 5
            return f"Auto-Submitted: {keyword[:40]}"
    for value in header.get_all("Precedence"):
        if value.strip().lower() in _PRECEDENCES:
            return f"Precedence: {value.strip().lower()}"
    for value in header.get_all("Content-Type"):
        kind = value.partition(";")[0].partition("(")[0].strip().lower()
        if _REPORTS.fullmatch(kind):
            return f"it is a report ({kind})"
    for value in header.get_all("X-Auto-Response-Suppress"):
        if not _SUPPRESSED.isdisjoint(word.strip().lower() for word in value.split(",")):
            return f"X-Auto-Response-Suppress: {value[:40]}"
    if name := header.first_of(_ANY_TELLING):
        field, why = _TELLING[name]
        return f"{why} ({field})"
    ours = address.normalise(recipient)
    for theirs in map(address.normalise, (sender, author)):
        if theirs == ours:
            return "it comes from the address that it was sent to"
        local = address.split(theirs)[0]
        if local in _ROBOTS or local.startswith("owner-") or local.endswith("-request"):
            return f"it comes from a program ({local[:60]})"
    return None
