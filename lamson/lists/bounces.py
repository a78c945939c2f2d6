"""What becomes of mail of a list: points for a member that it fails for, and a pause.

For the `@outcome` function of an application. Points halve with time; a member with too many gets
no more mail, is written to once with a signed address of his own, and gets mail again when he
answers. Who was paused too often is not even told. Who complained is taken off the list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from lamson import log
from lamson.lists import tokens
from lamson.lists.texts import text
from lamson.storage import lists

if TYPE_CHECKING:
    from sqlalchemy.engine import RowMapping
    from sqlalchemy.orm import Session

    from lamson.delivery.outcomes import Outcome
    from lamson.delivery.posting import Posting
    from lamson.lists.mailing_list import MailingList
    from lamson.mailer import Mailer

_DAY = 86400.0


def list_of(outcome: Outcome, db: Session) -> str | None:
    """The address of the list that an outcome is about; None where it is about none.

    None, too, where its recipient is not on that list any more.
    """
    for row in lists.everywhere(db.connection(), outcome.recipient):
        if row["list"].replace("@", ".") == outcome.mail.list_id:
            return str(row["list"])
    return None


def bounced(the_list: MailingList, outcome: Outcome, mailer: Mailer | Posting, db: Session) -> None:
    """See `MailingList.bounced`."""
    if outcome.mail.list_id != the_list.list_id:
        return
    connection = db.connection()
    row = lists.find(connection, the_list.address, outcome.recipient)
    if row is None:
        return
    posting = cast("Posting", mailer)
    if outcome.kind == "complaint":
        lists.remove(connection, row["id"])
        member = row["address"]
        log.event("list-left", posting.id, list=the_list.address, member=member, why="complaint")
    elif row["status"] != lists.ACTIVE:
        return
    elif outcome.kind == "suppressed":
        lists.change(connection, row["id"], status=lists.PAUSED)  # it is not written to at all
    elif outcome.kind in ("failed", "refused"):
        points = the_list.hard if outcome.is_hard else the_list.soft
        _count(the_list, row, points, outcome, posting, db)


def _count(
    the_list: MailingList,
    row: RowMapping,
    points: float,
    outcome: Outcome,
    mailer: Posting,
    db: Session,
) -> None:
    now = mailer.now
    days = max(now - row["scored_at"], 0.0) / _DAY
    score = row["score"] * 0.5 ** (days / the_list.decay_days) + points
    values: dict[str, object] = {"score": score, "scored_at": now}
    if round(score, 2) >= the_list.pause_at:  # moments apart, three points are three
        pauses = row["pauses"] + 1
        is_last = pauses >= the_list.disable_after
        values |= {"pauses": pauses, "status": lists.DISABLED if is_last else lists.PAUSED}
        log.event("list-paused", mailer.id, list=the_list.address, member=row["address"])
        if not is_last:
            _write(the_list, row, outcome, mailer)
    lists.change(db.connection(), row["id"], **values)


def _write(the_list: MailingList, row: RowMapping, outcome: Outcome, mailer: Posting) -> None:
    """Tell him, as his mailbox may be there again, and give him a way back."""
    why = " ".join(outcome.diagnostic.split())[:300] or outcome.reason
    letter = mailer.compose(
        to=row["address"],
        sender=tokens.address_of(the_list, mailer, tokens.BACK, row["id"]),
        subject=f"Mail of {the_list.title} does not reach you",
        body=text(the_list, "paused", why=why),
        headers={"Auto-Submitted": "auto-generated"},
    )
    mailer.send(letter, sender="")
