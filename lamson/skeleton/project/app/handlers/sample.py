"""The sample: a guest book to write to, and every message is forwarded, to be looked at.

Write to guestbook@test.com, and answer the answer. Each function with a capital name is a state of
the conversation with one person; what it returns is the state that the person's next message meets.
"""

from lamson import Delivery, MailRequest, State, route, route_like, stateless
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.model import Entry


@route("guestbook@(host)")
def START(message: MailRequest, delivery: Delivery, host: str) -> State:
    """Everybody begins here: explain, and wait for the entry."""
    delivery.reply("mail/welcome.txt", subject="Please sign our guest book")
    return SIGNING


@route_like(START)
def SIGNING(message: MailRequest, delivery: Delivery, db: Session, host: str) -> State:
    """The first line of the answer is the entry."""
    words = message.body.strip().partition("\n")[0]
    db.add(Entry(author=message.author, words=words))
    latest = db.scalars(select(Entry).order_by(Entry.id.desc()).limit(10)).all()
    delivery.reply("mail/thanks.txt", entries=latest)
    return START


@route("(address)@(host)", address=".+")
@stateless
def FORWARD(message: MailRequest, delivery: Delivery, address: str, host: str) -> None:
    """Send everything on as it is. While you develop, `lamson log` keeps it in run/queue.

    With a real Postfix, mail for this very address would come back here and be refused as a loop:
    forward it to somebody elsewhere, as `delivery.forward("zed@example.com")`.
    """
    delivery.forward()
