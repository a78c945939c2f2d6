"""Tokens that count once, claimed for the deliveries of a batch.

For the transaction, before handlers run. A route whose token was used already does not match: where
no other route takes the address, the answer is that of any unknown address, so that nobody can tell
what was never valid from what is no more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson import log
from lamson.errors import LamsonError
from lamson.smtp.reply import NO_SUCH_RECIPIENT
from lamson.storage import redeemed, seen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.engine import Connection

    from lamson.delivery.job import Job
    from lamson.routing.router import Router


def redeem(connection: Connection | None, jobs: Sequence[Job], router: Router) -> Sequence[Job]:
    """The jobs that are to be handled now: ``job.redeems`` has what was claimed for each.

    One that comes with the token of another in the batch is left without a reply, so that it is
    run by itself after that: what that comes to is known by then. One without a route is answered.
    """
    if not any(match.redeems for job in jobs for match in job.matches):
        return jobs
    if connection is None:
        raise LamsonError("a token that counts once needs a database: set `database`")
    taken: dict[bytes, float] = {}
    ready: list[Job] = []
    for job in jobs:
        wanted = _tokens(job)
        if wanted.keys() & taken.keys():
            _let_go(connection, job)
        else:
            taken.update(wanted)
            ready.append(job)
    new = redeemed.claim(connection, taken)
    return [job for job in ready if _is_routed(connection, job, new & _tokens(job).keys(), router)]


def _tokens(job: Job) -> dict[bytes, float]:
    return {token.digest: token.expires for match in job.matches for token in match.redeems}


def _is_routed(connection: Connection, job: Job, mine: set[bytes], router: Router) -> bool:
    """Whether routes are left to a job, for which these tokens were claimed."""
    old: set[bytes] = set()
    while used := _tokens(job).keys() - mine:
        old |= used
        job.matches = router.match(job.message.recipient.address, old)
        others = {digest: end for digest, end in _tokens(job).items() if digest not in mine}
        mine |= redeemed.claim(connection, others)  # of a route that another one had hidden
    job.redeems = tuple(_tokens(job))
    redeemed.forget(connection, mine.difference(job.redeems))
    if job.matches:
        return True
    message = job.message
    log.event(
        "refused",
        message.envelope.id,
        recipient=message.recipient,
        reply=NO_SUCH_RECIPIENT.line,
        reason="its token was used before",
    )
    job.reply = NO_SUCH_RECIPIENT
    _let_go(connection, job)
    return False


def _let_go(connection: Connection, job: Job) -> None:
    """It is not handled, so it does not count as such."""
    seen.forget(connection, job.entries)
    job.entries = ()
