"""A mail to the list: who may post, and how it goes out.

A row says that it was posted, by a digest of author, Message-ID and text: the same post that comes
by two ways (a list in its own Cc, a server that sends it twice) goes out once. Of two lists that
one mail names each posts its own.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Literal, NamedTuple

from lamson import log
from lamson.delivery import fanout
from lamson.delivery.correspondent import writer_of
from lamson.lists import moderation, passing
from lamson.lists.texts import text
from lamson.storage import lists, posted

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from lamson.delivery.context import Delivery
    from lamson.delivery.posting import Posting
    from lamson.lists.mailing_list import MailingList
    from lamson.message.request import MailRequest

Result = Literal["posted", "held", "refused", "dropped"]
"""What became of a mail to the list; dropped is a program's answer, or what was here before."""

_NO_POSTS = {"report", "reply", "null", "loop"}  # of programs that nobody reads in a list


class Verdict(NamedTuple):
    """What is to become of it, and why."""

    result: Result
    why: str = ""


def post(the_list: MailingList, message: MailRequest, delivery: Delivery, db: Session) -> Result:
    """See `MailingList.post`."""
    result, why = judged(the_list, message, delivery, db)
    if result == "posted":
        return "posted" if send(the_list, message, delivery, db) else "dropped"
    if result == "held":
        result, why = moderation.hold(the_list, message, why, delivery, db)
    log.event(f"list-{result}", delivery.id, list=the_list.address, reason=why)
    if result == "refused":
        told = text(the_list, "refused", why=why)
        delivery.reply(sender=the_list.at("owner"), subject="Not sent", body=told)
    return result


def judged(the_list: MailingList, message: MailRequest, delivery: Delivery, db: Session) -> Verdict:
    """What is to become of a mail to the list."""
    if passing.was_here(the_list, message):
        return Verdict("dropped", "it was posted here before")
    if message.automatic_kind in _NO_POSTS:
        return Verdict("dropped", message.automatic_reason or "")
    if len(message.raw) > the_list.max_size:
        return Verdict(
            "refused",
            f"it has {len(message.raw)} octets, and the list takes {the_list.max_size}",
        )
    if len(message.from_) != 1:
        return Verdict("refused", "it does not say in From who wrote it")
    member = the_list.member(db, message.author)
    # Anybody can write anybody's name into From: it counts where the envelope agrees with it, or
    # our own server has proved it.
    is_his = writer_of(message) == message.author
    if the_list.needs_proof:
        is_his = message.proof in ("dmarc", "dkim")
    if member is not None and not is_his and the_list.posts_from != "anyone":
        return _of_others(the_list, "nothing proves who wrote it")
    if is_his and member is not None and (member.is_owner or member.is_moderator):
        return Verdict("posted")
    if member is not None and member.is_held:
        return Verdict("held", "posts of its author wait for a moderator")
    if the_list.posts_from == "anyone":
        return Verdict("posted")
    if the_list.posts_from == "moderators":
        return _of_others(the_list, "its author is no moderator of the list")
    if member is None:
        return _of_others(the_list, "its author is not on the list")
    return Verdict("posted")


def _of_others(the_list: MailingList, why: str) -> Verdict:
    return Verdict("held" if the_list.others == "hold" else "refused", why)


def digest_of(message: MailRequest) -> bytes:
    """What tells a post from all others. Not the Message-ID alone: a stranger may use it first."""
    told = f"{message.author}\0{message.message_id or ''}\0".encode("utf-8", "surrogatepass")
    body = message.raw.partition(b"\r\n\r\n")[2] or message.raw.partition(b"\n\n")[2]
    return hashlib.blake2b(told + body, digest_size=16, person=b"lamson list").digest()


def send(the_list: MailingList, message: MailRequest, delivery: Posting, db: Session) -> bool:
    """Have it go to everybody; False where it was posted before."""
    named = [one.address for one in (*message.to, *message.cc)]
    return distribute(
        the_list,
        passing.passed_on(the_list, message),
        delivery,
        db,
        digest=digest_of(message),
        named=named,
        mode=lists.MAIL,
        message_id=message.message_id or "",
        subject=message.subject,
        author=message.author,
        smtputf8=message.envelope.smtputf8,
        is_archived=the_list.archive,
    )


def distribute(
    the_list: MailingList,
    content: bytes,
    delivery: Posting,
    db: Session,
    *,
    digest: bytes,
    named: list[str],
    mode: str,
    message_id: str,
    subject: str,
    author: str,
    smtputf8: bool,
    is_archived: bool,
) -> bool:
    """Send to the members of ``mode``: the first piece now, the others after the commit."""
    connection = db.connection()
    if lists.was_posted(connection, the_list.address, digest):
        log.event("list-dropped", delivery.id, list=the_list.address, reason="posted before")
        return False
    is_post = mode == lists.MAIL
    is_kept = is_archived or (is_post and lists.has_digest(connection, the_list.address))
    id = lists.post(
        connection,
        the_list.address,
        digest,
        named,
        message_id=message_id,
        subject=subject,
        author=author,
        posted_at=delivery.now,
        content=content if is_kept else b"",
        mode=mode,
        smtputf8=smtputf8,
        shared=posted.keep(connection, content),
        is_digested=not (is_post and is_kept),
        is_archived=is_archived,
    )
    one = fanout.Round(
        post=id,
        address=the_list.address,
        list_id=f"<{the_list.list_id}>",
        one_click=the_list.one_click,
        module=delivery.module,
        upto=lists.last(connection, the_list.address),
    )
    fanout.send(delivery, connection, one)
    return True
