"""What the log says of verdicts: which filter, about which client, at which stage.

For `callbacks`. Each refusal is an event of its own, and so is the end of each message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson import log, metrics

if TYPE_CHECKING:
    from lamson.smtp.envelope import Peer
    from lamson.smtp.reply import Reply
    from lamson_milter.decision.outcome import Outcome
    from lamson_milter.decision.transaction import Transaction

_NO_QUEUE_ID = "NOQUEUE"  # as Postfix says it


def refused(
    stage: str,
    reply: Reply,
    by: str | None,
    peer: Peer,
    *,
    queue_id: str = "",
    sender: str | None = None,
    recipient: str | None = None,
) -> None:
    """A filter, or the recipient check (None), refused somebody before the message came."""
    metrics.count("milter_verdicts", verdict="rejected" if reply.is_permanent else "deferred")
    log.event(
        "refused",
        queue_id or _NO_QUEUE_ID,
        stage=stage,
        sender=sender,
        recipient=recipient,
        filter=by,
        client=client(peer),
        login=peer.sasl.login or None,
        reply=reply,
    )


def ended(transaction: Transaction, outcome: Outcome, peer: Peer, queue_id: str) -> None:
    """The message was decided on."""
    metrics.count("milter_verdicts", verdict=str(outcome))
    id = queue_id or _NO_QUEUE_ID
    for one in outcome.removed:
        log.event("removed", id, recipient=one.address, filter=one.by, reply=one.reply)
    log.event(
        "filtered",
        id,
        sender=transaction.sender,
        recipients=len(transaction.recipients),
        verdict=outcome,
        filter=",".join(outcome.by) or None,
        client=client(peer),
        login=peer.sasl.login or None,
        reply=outcome.refusal,
        reason=outcome.quarantine,
        edits=len(outcome.edits) or None,
    )


def client(peer: Peer) -> str:
    """The client as Postfix's own log calls it."""
    return f"{peer.name or 'unknown'}[{peer.addr}]" if peer.addr else peer.name or "unknown"
