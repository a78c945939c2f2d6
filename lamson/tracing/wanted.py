"""What a person asks about: an id of any kind, or an address."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass

from lamson.smtp import address

_LEAST = 4  # characters of an id: less is in every line
_ROW = re.compile(r"\d{15,19}")


@dataclass(frozen=True, slots=True)
class Asked:
    """What that may be. ``id`` is as it was given; ``address`` is folded, "" where it is none;
    ``message_id`` has its brackets, and is "" where it cannot be one; ``row`` is a row of the
    outbox or the journal."""

    id: str
    address: str = ""
    message_id: str = ""
    row: int | None = None

    @classmethod
    def of(cls, text: str) -> Asked:
        """Raises ValueError for what cannot be one."""
        text = text.strip()
        if len(text) < _LEAST or not text.isprintable():
            raise ValueError(f"expected an id of {_LEAST} characters at least, or an address")
        if _ROW.fullmatch(text):
            return cls(text, row=int(text))
        if "@" not in text:
            return cls(text)
        bare = text[1:-1] if text[0] == "<" and text[-1] == ">" else text
        mailbox = ""
        if bare == text:
            with suppress(ValueError):
                mailbox = address.normalise(address.parse_mailbox(bare, smtputf8=True))
        return cls(text, mailbox, f"<{bare}>")
