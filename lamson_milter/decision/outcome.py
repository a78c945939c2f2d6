"""The outcome of a message: one decision and its edits, of what all its filters came to.

For `transaction`, at the end of the message:

- a Defer of any filter defers the whole message: the client sends it again, nothing is lost;
- a Reject refuses the message where no recipient is left without one; else the rejected recipients
  are taken off the envelope, for SMTP has one answer for all of them;
- a Discard takes its recipients off, or discards the message where none is left;
- a Quarantine of any recipient's filter holds the message.

The edits of those filters that were asked about a recipient who was taken off are dropped.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lamson.smtp import address
from lamson_milter.actions import AddRecipient, Discard, RemoveRecipient
from lamson_milter.decision.edits import in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lamson.smtp.reply import Reply
    from lamson_milter.actions import Edit
    from lamson_milter.decision.verdicts import Addressee, Verdicts
    from lamson_milter.filters import Filter


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of a message: ``refusal`` and ``is_discarded``, else it is queued, edited.

    ``removed`` are the recipients taken off by a Reject, with the reply they would have got, and by
    a Discard, with None.
    """

    refusal: Reply | None = None
    is_discarded: bool = False
    quarantine: str | None = None
    edits: Sequence[Edit] = ()
    removed: Sequence[tuple[str, Reply | None]] = ()

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
    rejected: list[tuple[Addressee, Reply]] = []
    discarded: list[Addressee] = []
    staying: list[Addressee] = []
    for one in addressees:
        verdict = one.verdicts.verdict
        if verdict is None:
            staying.append(one)
            continue
        refusal = one.verdicts.refusal
        if refusal is not None and refusal.is_transient:
            return Outcome(refusal=refusal)
        if refusal is not None:
            rejected.append((one, refusal))
        elif isinstance(verdict, Discard):
            discarded.append(one)
        else:
            staying.append(one)
    for verdicts in whole:
        if isinstance(verdicts.verdict, Discard):
            return Outcome(is_discarded=True)
    if not staying and rejected:
        return Outcome(refusal=rejected[0][1])
    if not staying and discarded:
        return Outcome(is_discarded=True)
    recorded: list[tuple[Filter, list[Edit]]] = []
    reasons: list[str] = []
    for verdicts in (*whole, *[one.verdicts for one in staying]):
        recorded += verdicts.edits
        reasons += verdicts.reasons
    edits = _once(recorded)
    removed: list[tuple[str, Reply | None]] = [(one.address, reply) for one, reply in rejected]
    removed += [(one.address, None) for one in discarded]
    edits += [RemoveRecipient(recipient) for recipient, _ in removed]
    if edits:
        edits = in_order(edits)
        if not _remaining(staying, edits):
            return Outcome(is_discarded=True)
    return Outcome(
        quarantine="; ".join(dict.fromkeys(reasons)) if reasons else None,
        # Ours last: it goes on top, and no filter that names a place has counted it.
        edits=[*forged, *edits, *notes(staying)],
        removed=removed,
    )


def _remaining(staying: Sequence[Addressee], edits: Sequence[Edit]) -> bool:
    """True where the message has a recipient after the edits."""
    gone = {address.normalise(edit.address) for edit in edits if isinstance(edit, RemoveRecipient)}
    if not gone:
        return True
    return any(isinstance(edit, AddRecipient) for edit in edits) or any(
        address.normalise(one.address) not in gone for one in staying
    )


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
