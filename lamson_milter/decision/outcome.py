"""The outcome of a message: one decision and its edits, of what all its filters came to.

For `transaction`, at the end of the message:

- a Defer of any filter defers the whole message: the client sends it again, nothing is lost;
- a Reject refuses the message where nobody else is left of those whom the client named, whatever
  took the others off; else the rejected recipients are taken off, for SMTP has one answer for all
  of them;
- a Discard takes its recipients off, or discards the message where none is left;
- a Quarantine of any recipient's filter holds the message.

A mailbox that stands on the envelope in several spellings is one: what refuses one of them refuses
it. The edits of those filters that were asked about a recipient who was taken off are dropped.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lamson.smtp import address
from lamson_milter.actions import AddRecipient, Discard, RemoveRecipient
from lamson_milter.decision.edits import in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lamson.smtp.reply import Reply
    from lamson_milter.actions import Edit
    from lamson_milter.decision.verdicts import Addressee, Verdicts
    from lamson_milter.filters import Filter

_STAYS, _DISCARDED, _REJECTED = range(3)


@dataclass(frozen=True, slots=True)
class Removal:
    """A recipient taken off the envelope by the filter ``by``, None for the recipient check.

    ``reply`` is what a Reject would have told the client; None for a Discard.
    """

    address: str
    reply: Reply | None
    by: str | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of a message: ``refusal`` and ``is_discarded``, else it is queued, edited.

    ``by`` are the filters whose verdicts made it so, ``removed`` the recipients that a Reject or a
    Discard took off the envelope.
    """

    refusal: Reply | None = None
    is_discarded: bool = False
    quarantine: str | None = None
    edits: Sequence[Edit] = ()
    removed: Sequence[Removal] = ()
    by: Sequence[str] = ()

    def __str__(self) -> str:
        if self.refusal is not None:
            return "rejected" if self.refusal.is_permanent else "deferred"
        if self.is_discarded:
            return "discarded"
        return "accepted" if self.quarantine is None else "quarantined"


def decide(
    whole: Sequence[Verdicts],
    addressees: Sequence[Addressee],
    forged: Sequence[Edit],
    notes: Callable[[Sequence[Addressee]], Sequence[Edit]],
) -> Outcome:
    """The outcome, of how connection and sender (``whole``) and the recipients stand.

    ``forged`` takes off what came in as our notes; ``notes`` adds them for those who stay. Raises
    what ``notes`` raises.
    """
    fates: dict[str, Verdicts] = {}
    for verdicts in (*whole, *[one.verdicts for one in addressees]):
        refusal = verdicts.refusal
        if refusal is not None and refusal.is_transient:
            return _refused(verdicts)
    for verdicts in whole:
        if verdicts.refusal is not None:
            return _refused(verdicts)
        if isinstance(verdicts.verdict, Discard):
            return Outcome(is_discarded=True, by=_names([verdicts]))
    for one in addressees:
        mailbox = address.normalise(one.address)
        known = fates.get(mailbox)
        if known is None or _severity(one.verdicts) > _severity(known):
            fates[mailbox] = one.verdicts
    staying: list[Addressee] = []
    removed: list[Removal] = []
    for one in addressees:
        fate = fates[address.normalise(one.address)]
        if _severity(fate) == _STAYS:
            staying.append(one)
        else:
            removed.append(
                Removal(one.address, fate.refusal, "" if fate.by is None else str(fate.by))
            )
    recorded: list[tuple[Filter, list[Edit]]] = []
    reasons: list[str] = []
    heard = (*whole, *[one.verdicts for one in staying])
    for verdicts in heard:
        recorded += verdicts.edits
        reasons += verdicts.reasons
    edits = _once(recorded)
    edits += [RemoveRecipient(one.address) for one in removed]
    edits = in_order(edits)
    if removed or edits:
        certain, possible = _remaining(staying, edits)
        rejecting = [one for one in fates.values() if _severity(one) == _REJECTED]
        if rejecting and not certain:
            return _refused(rejecting[0])
        if not possible:
            return Outcome(is_discarded=True, by=_names([*fates.values(), *heard]))
    quarantine = "; ".join(dict.fromkeys(reasons)) if reasons else None
    return Outcome(
        quarantine=quarantine,
        # Ours last: it goes on top, and no filter that names a place has counted it.
        edits=[*forged, *edits, *notes(staying)],
        removed=removed,
        by=_names(heard),
    )


def _severity(verdicts: Verdicts) -> int:
    if verdicts.refusal is not None:
        return _REJECTED
    return _DISCARDED if isinstance(verdicts.verdict, Discard) else _STAYS


def _refused(verdicts: Verdicts) -> Outcome:
    return Outcome(refusal=verdicts.refusal, by=_names([verdicts]))


def _names(heard: Iterable[Verdicts]) -> tuple[str, ...]:
    """The filters that gave these verdicts, each once."""
    names = [str(one) for verdicts in heard for one in (verdicts.by, *verdicts.held_by) if one]
    return tuple(dict.fromkeys(names)) if names else ()


def _remaining(staying: Sequence[Addressee], edits: Sequence[Edit]) -> tuple[bool, bool]:
    """Whether the message certainly, and whether it possibly, has a recipient after the edits.

    Who was added stands for those who stay, and may be their new address. Where nobody stays he is
    no reason to keep a refusal back.
    """
    is_added = any(isinstance(edit, AddRecipient) for edit in edits)
    gone = {address.normalise(edit.address) for edit in edits if isinstance(edit, RemoveRecipient)}
    left = [one for one in staying if is_added or address.normalise(one.address) not in gone]
    return any(not one.is_doubtful for one in left), is_added or bool(left)


def _once(recorded: Sequence[tuple[Filter, Sequence[Edit]]]) -> list[Edit]:
    """The edits in order; what one function recorded for several recipients alike, once."""
    if len(recorded) < 2:
        return list(recorded[0][1]) if recorded else []
    kept: list[Edit] = []
    known: dict[object, Counter[Edit]] = {}
    for one, edits in recorded:
        already = known.setdefault(one.handler, Counter())
        mine: Counter[Edit] = Counter()
        for edit in edits:
            mine[edit] += 1
            if mine[edit] > already[edit]:
                kept.append(edit)
        already |= mine
    return kept
