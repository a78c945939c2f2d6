"""A mailing list: subscribe, confirm, post."""

import secrets

from app.model import MailingList, Member, Request
from sqlalchemy import select
from sqlalchemy.orm import Session

from lamson import Delivery, MailRequest, SMTPError, State, route, state_key_generator


@state_key_generator
def per_list(module: str, message: MailRequest) -> str:
    return f"{module}:{message.recipient.captures['list_name']}"


@route("(list_name)-subscribe@(host)")
def START(
    message: MailRequest, delivery: Delivery, db: Session, list_name: str, host: str
) -> State:
    if db.get(MailingList, list_name) is None:
        raise SMTPError(550, "5.1.1", f"no list called {list_name}")
    token = secrets.token_hex(8)
    db.add(Request(token=token, list_name=list_name, address=message.author))
    delivery.reply(
        "mail/confirm.txt",
        sender=f"{list_name}-confirm-{token}@{host}",
        subject="Please confirm",
    )
    return CONFIRMING


@route("(list_name)-confirm-(token)@(host)", token="[a-z0-9]+")
def CONFIRMING(
    message: MailRequest, delivery: Delivery, db: Session, list_name: str, token: str, host: str
) -> State:
    request = db.get(Request, token)
    if request is None or (request.list_name, request.address) != (list_name, message.author):
        raise SMTPError(550, "5.7.1", "nothing to confirm")
    db.delete(request)
    db.add(Member(list_name=list_name, address=message.author))
    delivery.reply("mail/welcome.txt", sender=f"{list_name}@{host}", subject="Welcome")
    return POSTING


@route("(list_name)@(host)")
def POSTING(
    message: MailRequest, delivery: Delivery, db: Session, list_name: str, host: str
) -> State:
    members = db.scalars(select(Member.address).where(Member.list_name == list_name)).all()
    delivery.forward(members, sender=f"{list_name}-bounces@{host}")
    return POSTING
