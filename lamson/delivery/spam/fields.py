"""Judges that ask nobody: what is written in the message, and the notes of the filters.

Anybody can write a field into his mail. So the fields of spam filters are believed only where they
say that it is spam, whoever wrote that: a stranger who says so of his own mail harms nobody, and
the field in which he says that it is none changes nothing.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING

from lamson.delivery.spam.opinion import Opinion

if TYPE_CHECKING:
    from lamson.message.request import MailRequest

_MOST = 20  # fields of one name that are looked at
_MAX = 500  # octets of each, and characters of what is told of it
_YES = re.compile(rb"(?i)\s*(?:yes|true|spam|1)\b")
_NO = re.compile(rb"(?i)\s*(?:no|false|ham|clean|0)\b")
_POSITIVE = {
    "X-Spam-Flag": _YES,  # SpamAssassin, Amavis
    "X-Spam-Status": re.compile(rb"(?i)\s*yes\b"),
    "X-Spam": re.compile(rb"(?i)\s*yes\b"),  # rspamd
    "X-Spamd-Result": re.compile(rb"(?i)\s*(?:\w+: )?true\b"),
    "X-Rspamd-Action": re.compile(rb"(?i)\s*(?:reject|add header|rewrite subject)\b"),
}


class Fields:
    """The fields that SpamAssassin, Amavis and rspamd leave, where they say that it is spam."""

    name = "fields"
    is_shared, is_server = True, False

    def opinion(self, message: MailRequest, deadline: float) -> Opinion | None:
        for name, positive in _POSITIVE.items():
            for value in islice(message.content.header.raw(name), _MOST):
                if positive.match(value[:_MAX]):
                    return Opinion(True, f"{name}: {_shown(value)}")
        return None


class Field:
    """One field that our own server writes, having removed it from what came in: yes or no.

    Where it stands there several times the topmost counts.
    """

    is_shared, is_server = True, False

    def __init__(self, field: str) -> None:
        self.name = f"field:{field}"
        self._field = field

    def opinion(self, message: MailRequest, deadline: float) -> Opinion | None:
        value = message.raw_header(self._field)
        if value is None:
            return None
        if _YES.match(value[:_MAX]):
            return Opinion(True, f"{self._field}: {_shown(value)}")
        return Opinion(False) if _NO.match(value[:_MAX]) else None


class Noted:
    """What the application's own filters noted, which nobody else can: true or false."""

    is_shared = is_server = False

    def __init__(self, note: str) -> None:
        self.name = f"notes:{note}"
        self._note = note

    def opinion(self, message: MailRequest, deadline: float) -> Opinion | None:
        found = message.notes.get(self._note)
        return Opinion(found, f"a filter noted {self._note}") if isinstance(found, bool) else None


def _shown(value: bytes) -> str:
    return " ".join(value[:_MAX].decode("ascii", "replace").split())
