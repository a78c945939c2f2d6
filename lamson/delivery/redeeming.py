"""Tokens that count once, claimed for the deliveries of a batch.

For the transaction, before handlers run. A route whose token was used already does not match. Where
no other route takes the address, Postfix has taken the mail by then: the answer of an unknown
address would have it write to the envelope sender, whom anybody who has the token can name. So only
one who is proven is answered that; the mail of others is kept for a person, of each token a few.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson import log
from lamson.delivery.keeping import keep_few, mark_of
from lamson.errors import LamsonError
from lamson.message.witness import is_sender_proven
from lamson.smtp.reply import LOCAL_ERROR, NO_SUCH_RECIPIENT, OK, Reply, SMTPError
from lamson.storage import redeemed, seen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.engine import Connection

    from lamson.delivery.job import Job
    from lamson.routing.router import Router
    from lamson.storage.maildir import Maildir

_REASON = "its token was used before"


def redeem(
    connection: Connection | None,
    jobs: Sequence[Job],
    router: Router,
    undeliverable: Maildir | None = None,
) -> Sequence[Job]:
    """The jobs that are to be handled now: ``job.redeems`` has what was claimed for each.

    One that comes with the token of another in the batch is left without a reply, so that it is
    run by itself after that: what that comes to is known by then. One without a route is answered,
    or kept in ``undeliverable``.
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
    left: list[Job] = []
    others: list[tuple[bytes, float, Job]] = []
    for job in ready:
        wanted = _tokens(job)
        if _is_routed(connection, job, new & wanted.keys(), router):
            left.append(job)
        else:
            others.append((*min(wanted.items()), job))
    # In the order of tokens: those who keep mail with the same ones do not wait for each other.
    for digest, until, job in sorted(others, key=lambda one: one[0]):
        _answer(connection, job, digest, until, undeliverable)
    return left


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
    return bool(job.matches)


def _answer(
    connection: Connection,
    job: Job,
    digest: bytes,
    until: float,
    undeliverable: Maildir | None,
) -> None:
    """Refuse one that came with a used token, where that is told to who wrote; or keep it.

    What a person has run again is kept already.
    """
    message = job.message
    if not job.is_again and not is_sender_proven(message):
        job.reply = _keep(connection, job, digest, until, undeliverable)
    else:
        log.event(
            "refused",
            message.envelope.id,
            recipient=message.recipient,
            reply=NO_SUCH_RECIPIENT.line,
            reason=_REASON,
        )
        job.reply = NO_SUCH_RECIPIENT
    if job.reply is not OK:
        _let_go(connection, job)


def _keep(
    connection: Connection,
    job: Job,
    digest: bytes,
    until: float,
    undeliverable: Maildir | None,
) -> Reply:
    """Gives the reply, which is for now where there is no room; its neighbours do not wait.

    It is kept under the name of the delivery: where the transaction fails it has its reply, and its
    number is another's then, who must not take its place.
    """
    mark, message = mark_of(job), job.message
    try:
        keep_few(
            undeliverable, connection, message, _REASON, of=digest.hex(), until=until, mark=mark
        )
    except SMTPError as error:
        return error.reply
    except LamsonError as error:
        log.logger.error("%s: answered 451: %s", job, error)
        return LOCAL_ERROR
    return OK


def _let_go(connection: Connection, job: Job) -> None:
    """It is not handled, so it does not count as such."""
    seen.forget(connection, job.entries)
    job.entries = ()
