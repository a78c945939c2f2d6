"""What is asked of a list by mail to ``LOCAL-WHAT@HOST``.

A From address proves nothing. To subscribe and to leave are confirmed from the address that they
are about; a member's settings and an owner's commands need an author whom our own server has proved
(the setting `authserv_id`), and mail that names the list's address for that in To or Cc: who has
got other mail of his could send that there, with his signature. What an owner seems to write and
nothing proves goes to the owners, as mail of anybody does: they see it, and nothing happens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson import log
from lamson.errors import AddressError
from lamson.lists import members, moderation, tokens
from lamson.lists.texts import text
from lamson.message.attachment import Attachment
from lamson.smtp import address
from lamson.smtp.reply import SMTPError
from lamson.storage import lists

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.orm import Session

    from lamson.delivery.context import Delivery
    from lamson.lists.mailing_list import MailingList
    from lamson.message.request import MailRequest

COMMANDS = "subscribe|join|unsubscribe|leave|help|request|owner"
"""A pattern for the capture that is given to `MailingList.command`."""

_MOST = 50  # lines of one mail
_SWITCHES = {"on": True, "off": False, "yes": True, "no": False}
_PROVEN = ("dmarc", "dkim")


def command(
    the_list: MailingList, what: str, message: MailRequest, delivery: Delivery, db: Session
) -> None:
    """See `MailingList.command`."""
    what = what.lower()
    if what in ("subscribe", "join"):
        _subscribe(the_list, what, delivery, db)
    elif what in ("unsubscribe", "leave"):
        _leave(the_list, delivery, db)
    elif what == "help":
        _answer(the_list, delivery, "Help", text(the_list, "help"))
    elif what == "request":
        _request(the_list, message, delivery, db)
    elif what == "owner":
        _owner(the_list, message, delivery, db)
    else:
        raise SMTPError(550, "5.1.1", f"{the_list.at(what)} is no address of the list")


def _answer(the_list: MailingList, delivery: Delivery, subject: str, body: str) -> None:
    delivery.reply(sender=the_list.at("owner"), subject=subject, body=body)


def _subscribe(the_list: MailingList, what: str, delivery: Delivery, db: Session) -> None:
    """Who is answered is asked, from a signed address."""
    if delivery.message.is_automatic:
        return
    who = delivery.correspondent.address
    if not who:
        return
    connection = db.connection()
    if _is_his(
        the_list, what, delivery.message
    ):  # he is there again, whatever was held against him
        members.forgive(connection, the_list.address, who)
    row = lists.find(connection, the_list.address, who)
    id = lists.put(connection, the_list.address, who) if row is None else row["id"]
    sender = tokens.address_of(the_list, delivery, tokens.CONFIRM, id)
    asked = delivery.reply(sender=sender, subject="Please confirm", body=text(the_list, "confirm"))
    if asked is None and row is None:
        lists.remove(connection, id)


def _leave(the_list: MailingList, delivery: Delivery, db: Session) -> None:
    row = lists.find(db.connection(), the_list.address, delivery.correspondent.address)
    if row is None or row["status"] not in lists.ON_IT:
        _answer(the_list, delivery, "Not on the list", text(the_list, "stranger"))
        return
    sender = tokens.address_of(the_list, delivery, tokens.CONFIRM_LEAVE, row["id"])
    delivery.reply(sender=sender, subject="Please confirm", body=text(the_list, "leave"))


def _is_his(the_list: MailingList, what: str, message: MailRequest) -> bool:
    """Whether it is proven that its author wrote it, and that he wrote it to this address."""
    ours = address.normalise(the_list.at(what))
    named = (address.normalise(one.address) for one in (*message.to, *message.cc))
    return message.proof in _PROVEN and ours in named


def _request(the_list: MailingList, message: MailRequest, delivery: Delivery, db: Session) -> None:
    """A member's settings."""
    if message.is_automatic:
        return
    member = the_list.member(db, message.author)
    if member is None or not _is_his(the_list, "request", message):
        _answer(the_list, delivery, "Help", text(the_list, "help"))
        return
    said = [
        f"{line}: {_set(the_list, message.author, line.split()[1:], db)}"
        for line in _lines(message)
        if line.split()[0] == "set"
    ]
    _answer(the_list, delivery, "Your settings", "\n".join(said) or text(the_list, "help"))


def _set(the_list: MailingList, who: str, words: list[str], db: Session) -> str:
    if len(words) == 1 and words[0] in ("mail", "digest", "none"):
        the_list.change(db, who, mode=words[0])  # type: ignore[arg-type]
    elif len(words) == 2 and words[0] == "own" and words[1] in _SWITCHES:
        the_list.change(db, who, own_posts=_SWITCHES[words[1]])
    elif len(words) == 2 and words[0] == "copies" and words[1] in _SWITCHES:
        the_list.change(db, who, copies=_SWITCHES[words[1]])
    else:
        return "not understood"
    return "done"


def _owner(the_list: MailingList, message: MailRequest, delivery: Delivery, db: Session) -> None:
    """The commands of an owner, and mail to the owners."""
    member = the_list.member(db, message.author)
    is_owner = member is not None and member.is_owner
    if is_owner and _is_his(the_list, "owner", message):
        said = [f"> {line}\n{_obey(the_list, line, delivery, db)}" for line in _lines(message)]
        _answer(the_list, delivery, "What was done", "\n\n".join(said) or "Nothing was asked.")
        return
    if message.is_automatic:
        return
    if is_owner:
        log.event("list-unproven", delivery.id, list=the_list.address, author=message.author)
    owners = lists.listed(db.connection(), the_list.address, office="is_owner")
    if not owners:
        raise SMTPError(550, "5.1.1", "the list has no owner")
    note = "It seems to be an owner's, and nothing proves that: nothing was done.\n"
    passed = delivery.compose(
        to=[row["address"] for row in owners],
        sender=the_list.address,
        subject=f"{the_list.title}: mail to the owners",
        body=f"{message.author} wrote to the owners of {the_list.address}.\n"
        + (note if is_owner else ""),
        attachments=[Attachment(message.raw, "message.eml", "message/rfc822")],
        headers={"Auto-Submitted": "auto-generated", "Reply-To": delivery.correspondent.address}
        if delivery.correspondent.address
        else {"Auto-Submitted": "auto-generated"},
    )
    delivery.send(passed, sender="")


def _obey(the_list: MailingList, line: str, delivery: Delivery, db: Session) -> str:
    """One command of an owner; gives what to tell him."""
    word, *rest = line.split()
    try:
        if word == "who" and not rest:
            return "\n".join(_described(the_list, db)) or "Nobody is on the list."
        if word == "held" and not rest:
            held = moderation.waiting(the_list, db)
            return "\n".join(f"{one.id}  {one.author}  {one.subject}" for one in held) or "Nothing."
        if word in ("approve", "reject") and len(rest) == 1 and rest[0].isdecimal():
            decision = moderation.APPROVED if word == "approve" else moderation.REJECTED
            author = delivery.message.author
            before = moderation.decide(the_list, int(rest[0]), decision, author, delivery, db)
            return f"It was {before} before." if before else "Done."
        if len(rest) != 1:
            return "Not understood."
        if word == "add":
            the_list.add(db, rest[0])
        elif word == "remove":
            if not the_list.remove(db, rest[0]):
                return "Not on the list."
        elif word in ("hold", "release"):
            the_list.change(db, rest[0], held=word == "hold")
        elif word in ("moderator", "no-moderator"):
            the_list.change(db, rest[0], moderator=word == "moderator")
        elif word in ("owner", "no-owner"):
            the_list.change(db, rest[0], owner=word == "owner")
        elif word in ("mail", "digest", "none"):
            the_list.change(db, rest[0], mode=word)  # type: ignore[arg-type]
        else:
            return "Not understood."
    except (AddressError, LookupError) as error:
        return f"Not done: {error}"
    return "Done."


def _described(the_list: MailingList, db: Session) -> Iterator[str]:
    for one in the_list.members(db):
        offices = [
            name
            for name, is_so in (
                ("owner", one.is_owner),
                ("moderator", one.is_moderator),
                ("held", one.is_held),
            )
            if is_so
        ]
        yield "  ".join((one.address, one.status, one.mode, *offices))


def _lines(message: MailRequest) -> list[str]:
    """The lines that say something, up to one that ends them."""
    found: list[str] = []
    for line in message.new_text.splitlines():
        text = line.strip()
        if text.lower() == "end" or line.startswith("--") or len(found) == _MOST:
            break
        if text:
            word, _, rest = text.partition(" ")
            found.append(f"{word.lower()} {rest}".strip())
    return found
