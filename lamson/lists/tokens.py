"""The signed addresses of lists: ``LOCAL+TOKEN@HOST``, and what a token says.

A token names what is wanted and a row: a member, or a post that is held. It counts as long as that
row is there: who has left and comes back is another row, so that no old token says anything of him.
So none of them needs to count once; who uses one twice is told the same twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson.delivery.fanout import LEAVE, PURPOSE, payload
from lamson.routing.signing import Signed

if TYPE_CHECKING:
    from lamson.delivery.posting import Posting
    from lamson.lists.mailing_list import MailingList

TOKEN = Signed(PURPOSE, days=60)
"""The pattern of the capture in the route that calls `MailingList.answered`."""

CONFIRM, CONFIRM_LEAVE, BACK, DECIDE = "c", "l", "b", "d"
_KNOWN = {LEAVE, CONFIRM, CONFIRM_LEAVE, BACK, DECIDE}


def address_of(the_list: MailingList, posting: Posting, action: str, id: int) -> str:
    """The address at which that is wanted."""
    local, _, host = the_list.address.rpartition("@")
    return f"{local}+{posting.token(PURPOSE, payload(action, id))}@{host}"


def read(text: str) -> tuple[str, int]:
    """The action and the row that a payload says; ("", 0) for what is none of ours."""
    action, digits = text[:1], text[1:]
    if action not in _KNOWN or not digits.isascii() or not digits.isalnum() or len(digits) > 13:
        return "", 0
    return action, int(digits, 36)
