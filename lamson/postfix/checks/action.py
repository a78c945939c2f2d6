"""What a table of access(5) or header_checks(5) has Postfix do with mail, in its effect on ours.

For `access` and `content`. What changes nothing of where mail goes (DUNNO, INFO, WARN, PREPEND) is
no effect.
"""

from __future__ import annotations

from typing import NamedTuple


class Effect(NamedTuple):
    """``code`` is a finding's, ``why`` what comes of it."""

    code: str
    why: str


REFUSED = Effect("mail-is-refused", "Postfix refuses it, and the sender gets it back")
DEFERRED = Effect("mail-is-refused", "Postfix puts it off for days, and the sender gets it back")
DISCARDED = Effect("mail-is-discarded", "Postfix says that it has taken it, and throws it away")
HELD = Effect("mail-is-held", "it stays in the hold queue until somebody lets it go")
ELSEWHERE = Effect("mail-goes-elsewhere", "it goes to another place than it was meant for")
CHANGED = Effect("header-is-changed", "it arrives otherwise than it was sent")

_EFFECTS = {
    "REJECT": REFUSED,
    "DEFER": DEFERRED,
    "DEFER_IF_PERMIT": DEFERRED,
    "DISCARD": DISCARDED,
    "HOLD": HELD,
    "FILTER": ELSEWHERE,
    "REDIRECT": ELSEWHERE,
    "IGNORE": CHANGED,
    "STRIP": CHANGED,
    "REPLACE": CHANGED,
}


def effect(answer: str) -> Effect | None:
    """Of what a table has answered; None where it does nothing to the mail."""
    word = next(iter(answer.split()), "").upper()
    if len(word) == 3 and word.isdigit():  # a reply of smtpd's, such as ``554 5.7.1 No``
        return {"4": DEFERRED, "5": REFUSED}.get(word[0])
    return _EFFECTS.get(word)


def permits(answer: str) -> bool:
    """It ends the list of restrictions that has asked: OK, or a number that is no reply."""
    word = next(iter(answer.split()), "").upper()
    return word == "OK" or (word.isdigit() and effect(answer) is None)
