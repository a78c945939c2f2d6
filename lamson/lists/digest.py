"""What was posted to a list since the last time, in one message (RFC 2046 section 5.1.5).

A table of contents, then the posts as they were sent, each whole. What does not fit into one is
left for the next.
"""

from __future__ import annotations

import hashlib
from email.utils import formatdate
from typing import TYPE_CHECKING, cast

from lamson.lists import passing, posting
from lamson.message.attachment import Attachment
from lamson.message.message import Message
from lamson.storage import lists

if TYPE_CHECKING:
    from sqlalchemy.engine import RowMapping
    from sqlalchemy.orm import Session

    from lamson.delivery.posting import Posting
    from lamson.lists.mailing_list import MailingList
    from lamson.mailer import Mailer

MOST_POSTS, MOST_OCTETS = 50, 5_000_000


def send(the_list: MailingList, mailer: Mailer | Posting, db: Session) -> int:
    """See `MailingList.digest`."""
    sender = cast("Posting", mailer)  # what @every functions are given
    connection = db.connection()
    taken: list[RowMapping] = []
    octets = 0
    for row in lists.undigested(connection, the_list.address, MOST_POSTS):
        octets += len(row["content"])
        if taken and octets > MOST_OCTETS:
            break
        taken.append(row)
    if not taken:
        return 0
    ids = [row["id"] for row in taken]
    posts = [(row["subject"], Message(bytes(row["content"]))) for row in taken]
    lists.digested(connection, ids)
    if not lists.has_digest(connection, the_list.address):
        return 0
    contents = "\n".join(
        f"{number}. {subject or '(no subject)'} ({_who(message)})"
        for number, (subject, message) in enumerate(posts, 1)
    )
    made = sender.compose(
        to=the_list.address,
        sender=the_list.address,
        subject=f"{the_list.title} digest: {len(posts)} messages, from {ids[0]}",
        body=f"In this digest:\n\n{contents}\n",
        attachments=[
            Attachment(message.raw, f"{number}.eml", "message/rfc822")
            for number, (_, message) in enumerate(posts, 1)
        ],
    )
    for name, value in passing.fields(the_list):
        made[name] = value
    message_id = f"<digest-{ids[0]}-{ids[-1]}.{the_list.list_id}@{_host(the_list)}>"
    made["Message-ID"] = message_id
    made["Date"] = formatdate(sender.now, localtime=True)
    span = f"digest {ids[0]} {ids[-1]}".encode()
    posting.distribute(
        the_list,
        made.to_bytes(),
        sender,
        db,
        digest=hashlib.blake2b(span, digest_size=16, person=b"lamson digest").digest(),
        named=[],
        mode=lists.DIGEST,
        message_id=message_id,
        subject=made["Subject"] or "",
        author="",
        smtputf8=made.needs_smtputf8,
        is_archived=False,
    )
    return len(posts)


def _who(message: Message) -> str:
    author = (message.reply_to or message.from_)[:1]
    return author[0].name or author[0].address if author else "somebody"


def _host(the_list: MailingList) -> str:
    return the_list.address.rpartition("@")[2]
