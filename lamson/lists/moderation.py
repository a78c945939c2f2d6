"""Posts that wait for a moderator, and what moderators answer.

Each is a row whose state is "" (it waits), "approved" or "rejected". All moderators (the owners,
where there are none) are written to from one signed address; the first who answers with a line that
says "approve" or "reject" decides. Who answers later is told how it was decided.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lamson import log
from lamson.lists import posting, tokens
from lamson.lists.texts import text
from lamson.message.attachment import Attachment
from lamson.message.request import MailRequest
from lamson.smtp.envelope import Envelope, Recipient
from lamson.storage import lists

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.engine import RowMapping
    from sqlalchemy.orm import Session

    from lamson.delivery.context import Delivery
    from lamson.delivery.posting import Posting
    from lamson.lists.mailing_list import MailingList

APPROVED, REJECTED = "approved", "rejected"
_WORDS = {"approve": APPROVED, "reject": REJECTED}
_SHOWN = 500_000  # octets of a post that moderators are sent


@dataclass(frozen=True, slots=True)
class HeldPost:
    """A post that waits. ``reason`` says why."""

    id: int
    author: str
    subject: str
    reason: str
    held_at: datetime


def hold(
    the_list: MailingList, message: MailRequest, why: str, delivery: Delivery, db: Session
) -> posting.Result:
    """Have a post wait, and ask the moderators."""
    connection, digest = db.connection(), posting.digest_of(message)
    if lists.is_held(connection, the_list.address, digest):
        return "dropped"
    number, octets = lists.room_taken(connection, the_list.address)
    if number >= the_list.max_held or octets + len(message.raw) > the_list.max_held_size:
        posting.refuse(the_list, delivery, "too many messages wait for a moderator already")
        return "refused"
    id = lists.hold(
        connection,
        the_list.address,
        digest,
        author=message.author,
        subject=message.subject,
        reason=why,
        sender=message.sender,
        recipient=message.recipient.address,
        smtputf8=message.envelope.smtputf8,
        content=message.raw,
    )
    _ask(the_list, id, message, why, delivery, db)
    delivery.reply(
        sender=the_list.at("owner"),
        subject="It waits for a moderator",
        body=text(the_list, "waits"),
    )
    return "held"


def _ask(
    the_list: MailingList, id: int, message: MailRequest, why: str, delivery: Posting, db: Session
) -> None:
    sender = tokens.address_of(the_list, delivery, tokens.DECIDE, id)
    attached = []
    subject = " ".join(message.subject.split())[:200]  # whatever ends a line for somebody
    if len(message.raw) <= _SHOWN:
        attached.append(Attachment(message.raw, "post.eml", "message/rfc822"))
    for moderator in moderators(the_list, db):
        asked = delivery.compose(
            to=moderator["address"],
            sender=sender,
            subject=f"{the_list.title}: a message waits",
            body=text(the_list, "held", author=message.author, subject=subject, why=why),
            headers={"Auto-Submitted": "auto-generated"},
            attachments=attached,
        )
        delivery.send(asked, sender="")


def moderators(the_list: MailingList, db: Session) -> Sequence[RowMapping]:
    """Who decides: the moderators, the owners where there are none."""
    connection, which = db.connection(), the_list.address
    return lists.listed(connection, which, office="is_moderator") or lists.listed(
        connection, which, office="is_owner"
    )


def waiting(the_list: MailingList, db: Session) -> list[HeldPost]:
    """What waits, oldest first."""
    return [
        HeldPost(
            row["id"],
            row["author"],
            row["subject"],
            row["reason"],
            datetime.fromtimestamp(row["held_at"], UTC),
        )
        for row in lists.waiting(db.connection(), the_list.address)
    ]


def decide(
    the_list: MailingList, id: int, decision: str, by: str, delivery: Posting, db: Session
) -> str:
    """See `MailingList.decide`."""
    if decision not in (APPROVED, REJECTED):
        raise ValueError(f"{decision!r}: expected {APPROVED!r} or {REJECTED!r}")
    connection = db.connection()
    row = lists.held(connection, id)
    if row is None or row["list"] != lists.key_of(the_list.address):
        raise LookupError(f"nothing is held under {id}")
    if row["decision"]:
        return f"{row['decision']} by {row['decided_by']}"
    recipient = row["recipient"]
    envelope = Envelope(row["sender"], (recipient,), smtputf8=row["smtputf8"], id=f"held-{id}")
    message = MailRequest(bytes(row["content"]), envelope, Recipient(recipient))
    lists.decide(connection, id, decision, by)
    log.event(f"list-{decision}", delivery.id, list=the_list.address, held=id, by=by)
    if decision == APPROVED and message.from_:
        posting.send(the_list, message, delivery, db)
    return ""


def answered(
    the_list: MailingList, id: int, message: MailRequest, delivery: Delivery, db: Session
) -> None:
    """A moderator's answer: it came to an address that only moderators know."""
    said = next((_WORDS[word] for line in message.new_text.lower().splitlines()
                 if (word := line.strip(" .!\t")) in _WORDS), "")  # fmt: skip
    row = lists.held(db.connection(), id)
    if row is None or message.is_automatic or not said:
        log.event("list-undecided", delivery.id, list=the_list.address, held=id)
        return
    if before := decide(the_list, id, said, message.author, delivery, db):
        decision, _, by = before.partition(" by ")
    else:
        decision, by = said, message.author
    delivery.reply(
        sender=the_list.at("owner"),
        subject=f"It was {decision}",
        body=text(the_list, "decided", author=row["author"], decision=decision, by=by),
    )
