"""A server of mailing lists: whoever writes to one that is not there makes it."""

import secrets
from datetime import datetime

from lamson import (
    Delivery,
    Mailer,
    MailRequest,
    Outcome,
    Signed,
    SMTPError,
    every,
    outcome,
    route,
    stateless,
)
from lamson.lists import COMMANDS, TOKEN, known_lists, list_of
from sqlalchemy.orm import Session

from app.lists import OPERATOR, STAFF, at, may_found, named
from app.model import DAYS, Founder


@route("(name)@(host)")
@stateless
def POST(message: MailRequest, delivery: Delivery, db: Session, name: str, host: str) -> None:
    """A post; where nobody is on the list, it waits until its author says that he makes it."""
    if name.lower() in STAFF:
        delivery.forward(OPERATOR)
    elif named(name).exists(db):
        named(name).post(message, delivery, db)
    elif not message.is_automatic:
        ask(delivery, db, name.lower(), host)


def ask(delivery: Delivery, db: Session, name: str, host: str) -> None:
    """Write to whoever is answered: who comes to the signed address reads the mail there."""
    who = delivery.correspondent.address
    if not may_found(db, who):
        delivery.reply(subject="Not made", body=f"You own too many lists to make {name} too.\n")
        return
    id = secrets.token_hex(6)
    sender = f"found+{delivery.sign('found', id, keep=True)}@{host}"
    if delivery.reply("mail/found.txt", sender=sender, subject="Please confirm"):
        db.add(Founder(id=id, name=name, address=who, asked_at=delivery.now))


@route("found[+](id)@(host)", id=Signed("found", days=DAYS, once=True))
@stateless
def FOUND(message: MailRequest, delivery: Delivery, db: Session, id: str, host: str) -> None:
    """He makes it, and what he wrote is its first post."""
    founder, post = db.get(Founder, id), delivery.pending
    if founder is None or post is None:
        raise SMTPError(550, "5.1.1", "nobody was asked that")
    if message.is_automatic or "yes" not in map(str.strip, message.new_text.lower().splitlines()):
        raise SMTPError(550, "5.7.0", 'answer with a line that has nothing but "yes"')
    the_list = named(founder.name)
    the_list.add(db, founder.address, owner=not the_list.exists(db))
    db.delete(founder)
    the_list.post(post, delivery, db)


@route("(name)-(what)@(host)", what=COMMANDS)
@stateless
def COMMAND(
    m: MailRequest, delivery: Delivery, db: Session, name: str, what: str, host: str
) -> None:
    """cooking-subscribe@, cooking-leave@, cooking-help@, cooking-request@, cooking-owner@"""
    if not named(name).exists(db):
        raise SMTPError(550, "5.1.1", f"there is no list {name}; write to {name}@{host} to make it")
    named(name).command(what, m, delivery, db)


@route("(name)[+](token)@(host)", token=TOKEN)
@stateless
def ANSWER(
    m: MailRequest, delivery: Delivery, db: Session, name: str, token: str, host: str
) -> None:
    """Addresses that a list made: to confirm, to leave, to come back, to decide on a post."""
    named(name).answered(token, m, delivery, db)


@outcome
def BECAME(outcome: Outcome, mailer: Mailer, db: Session) -> None:
    """Who bounces too often is paused, and asked whether he is there."""
    if address := list_of(outcome, db):
        at(address).bounced(outcome, mailer, db)


@every("1 day", at="06:00")
def DIGESTS(slot: datetime, mailer: Mailer, db: Session) -> None:
    """What was posted in a day, for those who want it in one."""
    for address in known_lists(db):
        at(address).digest(mailer, db)


@every("1 day", at="05:00")
def FORGET(slot: datetime, mailer: Mailer, db: Session) -> None:
    """Nobody answers any more who was asked days ago."""
    Founder.forget(db, slot.timestamp())
