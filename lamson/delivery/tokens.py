"""Whether an address has a secret in it, which is for nobody but whom it was sent to.

For `Delivery.forward`, which would tell all recipients the address that was written to. Nothing
says of a capture that it is a token, so what looks like one is taken for one: it costs a field that
nobody needs.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lamson.smtp import address

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAMES = re.compile(r"token|secret|key|code|hash|sig|nonce|ticket|password|auth", re.IGNORECASE)
# A run with a digit in it, or one that is too long for a word.
_LOOKS = re.compile(r"(?=[a-z_]*[0-9])[a-z0-9_]{6,}|[a-z0-9_]{20,}", re.IGNORECASE)


def holds_token(recipient: str, captures: Mapping[str, str]) -> bool:
    """Whether a capture in the local part of ``recipient`` looks like a token."""
    local = address.split(recipient)[0].lower()
    return any(
        value and value.lower() in local and bool(_NAMES.search(name) or _LOOKS.search(value))
        for name, value in captures.items()
    )
