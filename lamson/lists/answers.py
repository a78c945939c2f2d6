"""What is done at the signed addresses of a list.

Whoever writes to one has read mail that went to the member it names: that is the proof, whatever
From says. A program may have answered by itself, so a confirmation needs a word that none says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson import log
from lamson.delivery.fanout import LEAVE
from lamson.lists import members, moderation, tokens
from lamson.lists.texts import text
from lamson.smtp.reply import SMTPError
from lamson.storage import lists

if TYPE_CHECKING:
    from sqlalchemy.engine import RowMapping
    from sqlalchemy.orm import Session

    from lamson.delivery.context import Delivery
    from lamson.lists.mailing_list import MailingList
    from lamson.message.request import MailRequest

_YES = {"yes", "ja", "oui", "sí", "si", "confirm", "ok"}
_PROGRAMS = {"report", "reply", "null"}


def answered(
    the_list: MailingList, payload: str, message: MailRequest, delivery: Delivery, db: Session
) -> None:
    """See `MailingList.answered`."""
    action, id = tokens.read(payload)
    if not action:
        raise SMTPError(550, "5.1.1", "no such address of the list")
    if action == tokens.DECIDE:
        moderation.answered(the_list, id, message, delivery, db)
        return
    if message.automatic_kind in _PROGRAMS:
        log.event("list-ignored", delivery.id, reason=message.automatic_reason)
        return
    row = lists.by_id(db.connection(), id)
    if row is not None and row["list"] != lists.key_of(the_list.address):
        raise SMTPError(550, "5.1.1", "no such address of the list")
    if action in (tokens.CONFIRM, tokens.CONFIRM_LEAVE) and not _says_yes(message):
        if row is not None and (action == tokens.CONFIRM_LEAVE or row["status"] == lists.ASKING):
            _ask_again(the_list, action, row, delivery)
    elif action in (LEAVE, tokens.CONFIRM_LEAVE):
        _leave(the_list, row, delivery, db)
    elif action == tokens.CONFIRM and row is not None:
        _join(the_list, row, delivery, db)
    elif action == tokens.BACK and row is not None:
        members.revive(db.connection(), row)
        _tell(the_list, delivery, "Welcome back", "back", row["address"])


def _ask_again(the_list: MailingList, action: str, row: RowMapping, delivery: Delivery) -> None:
    """He may have written "Yes, please". A program that goes on answering is answered so often as
    the setting `answers` allows."""
    log.event("list-unclear", delivery.id, list=the_list.address, member=row["address"])
    delivery.reply(
        to=row["address"],
        sender=tokens.address_of(the_list, delivery, action, row["id"]),
        subject="Please confirm",
        body=text(the_list, "unclear"),
    )


def _says_yes(message: MailRequest) -> bool:
    return any(line.strip(" .!\t") in _YES for line in message.new_text.lower().splitlines())


def _join(the_list: MailingList, row: RowMapping, delivery: Delivery, db: Session) -> None:
    members.revive(db.connection(), row)
    log.event("list-joined", delivery.id, list=the_list.address, member=row["address"])
    _tell(the_list, delivery, "Welcome", "welcome", row["address"])


def _leave(the_list: MailingList, row: RowMapping | None, delivery: Delivery, db: Session) -> None:
    if row is None:  # he has left, and a program may ask again: nobody is told
        return
    lists.remove(db.connection(), row["id"])
    log.event("list-left", delivery.id, list=the_list.address, member=row["address"])
    _tell(the_list, delivery, "Goodbye", "goodbye", row["address"])


def _tell(the_list: MailingList, delivery: Delivery, subject: str, which: str, member: str) -> None:
    """Write to the member, whoever it was that wrote."""
    delivery.reply(
        to=member, sender=the_list.at("owner"), subject=subject, body=text(the_list, which)
    )
