"""The bounces that only flufl.bounce knows: the templates of servers that it has collected.

For `report`, after all else. It reads what the email package has parsed, which may cost any amount
of time for a stranger's mail; so it gets a message of our making, with the few fields that it asks
for and the text in one part, of bounded size. What it raises is no answer.
"""

from __future__ import annotations

import logging
from email.message import Message
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lamson.message.header import Header

MAX_TEXT = 1 << 14  # characters
_FIELDS = ("From", "Subject", "X-Mailer")


def recipients(header: Header, text: str) -> list[str]:
    """Whom the ``text`` of a bounce names, in order; [] where it knows none."""
    from flufl.bounce import all_failures  # most mail is none, and needs not know how

    # Some of its readers raise over what they do not expect: a stranger's mail fills no log.
    logging.getLogger("flufl.bounce").disabled = True
    message = Message()
    for name in _FIELDS:
        message[name] = (header.get(name) or "")[:1000].encode("ascii", "replace").decode()
    message.set_payload(text[:MAX_TEXT].encode("ascii", "replace").decode())
    try:
        passing, lasting = all_failures(message)
    except Exception:  # noqa: BLE001 - other people's expressions over a stranger's text
        return []
    found = (one.decode("ascii", "replace") for one in {*passing, *lasting})
    return sorted(one for one in found if "@" in one)
