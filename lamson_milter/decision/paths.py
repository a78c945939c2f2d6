"""What the client wrote behind MAIL FROM: and RCPT TO:, and which address that is.

For `transaction`. Postfix takes more than RFC 5321 allows, ``<zed(a comment)@host>``, and has
checked it: nothing is refused here, and nothing raises.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from lamson.errors import AddressError
from lamson.smtp import address
from lamson.smtp.folding import composed

if TYPE_CHECKING:
    from collections.abc import Sequence


def read_address(given: str, read: str, *, null: bool = False) -> str:
    """The address of a path. Postfix has checked it; what it passed on is never refused here.

    It is as the client wrote it where Postfix reads the same: that tells it in lower case, and some
    addresses hold a token. Else Postfix is right.
    """
    try:
        written = address.parse_path(given, smtputf8=True, null=null)
    except AddressError:
        written = ""
    else:
        if not read or written.lower() == read:  # which is most of all
            return written
    known = read or given.strip("<>")
    with suppress(AddressError):
        known = address.parse_path(f"<{known}>", smtputf8=True)
    with suppress(AddressError):
        written = written or address.parse_path(f"<{given.strip('<> ')}>", smtputf8=True)
    return written if composed(written) == composed(known) else known


def parameters_of(given: Sequence[str]) -> dict[str, str]:
    """``SIZE=100`` as ``{"SIZE": "100"}``; a parameter without a value has ""."""
    pairs = (one.partition("=") for one in given)
    return {name.upper(): value for name, _, value in pairs}
