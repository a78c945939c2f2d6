"""What a table of access(5) or header_checks(5) has Postfix do with mail, in its effect on ours.

For `access` and `content`. What changes nothing of where mail goes (DUNNO, INFO, WARN, PREPEND) is
no effect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lamson.net.endpoint import is_loopback

if TYPE_CHECKING:
    from collections.abc import Container, Sequence


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

_DELIVERING = ("smtp", "relay", "lmtp")
_NO_FILTERS = ("discard", "error", "retry", "local", "virtual")
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


def first_word(answer: str) -> str:
    """Of what a table has answered: what is to be done."""
    return next(iter(answer.split()), "").upper()


def effect(answer: str, services: Container[str] = ()) -> Effect | None:
    """Of what a table has answered; None where it does nothing to the mail. A filter that hands it
    back does nothing; it is one of the ``services``, by ``name/type``."""
    word = first_word(answer)
    if word == "FILTER" and _hands_back(answer.split()[1:], services):
        return None
    if len(word) == 3 and word.isdigit():  # a reply of smtpd's, such as ``554 5.7.1 No``
        return {"4": DEFERRED, "5": REFUSED}.get(word[0])
    return _EFFECTS.get(word)


def _hands_back(place: Sequence[str], services: Container[str]) -> bool:
    """A service made for it, or one on this machine (FILTER_README); else it is a way elsewhere."""
    name, _, hop = (place[0] if place else "").partition(":")
    if f"{name}/unix" not in services or name in _NO_FILTERS:
        return False
    host = hop.removeprefix("inet:").rpartition(":")[0].strip("[]")
    return name not in _DELIVERING or (bool(host) and is_loopback(host))


def permits(answer: str) -> bool:
    """It ends the list of restrictions that has asked: OK, or a number that is no reply."""
    word = first_word(answer)
    return word == "OK" or (word.isdigit() and effect(answer) is None)
