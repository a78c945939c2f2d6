"""The sample: a guest book to write to, and every message is forwarded, to be looked at.

Write to guestbook@test.com, and answer the answer. Each function with a capital name is a state of
the conversation with one person; what it returns is the state that the person's next message meets.
"""

from lamson import Delivery, MailRequest, Signed, State, route, route_like, stateless
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.model import Entry


@route("guestbook@(host)")
def START(message: MailRequest, delivery: Delivery, db: Session, host: str) -> State:
    """Everybody begins here: explain, and wait for the entry.

    Anybody can write in anybody's name. Only who gets our answer knows the address it comes from.
    """
    entry = Entry(author=delivery.correspondent.folded)
    db.add(entry)
    db.flush()  # now it has its number
    sender = f"guestbook-{delivery.sign('entry', str(entry.id))}@{host}"
    if not delivery.reply("mail/welcome.txt", sender=sender, subject="Please sign our guest book"):
        db.delete(entry)
    return SIGNING


@route_like(START)
@route("guestbook-(number)@(host)", number=Signed("entry", days=7))
def SIGNING(
    message: MailRequest, delivery: Delivery, db: Session, host: str, number: str = "0"
) -> State:
    """The first line of the answer is the entry. Nobody is sent what others wrote."""
    entry = db.get(Entry, int(number))  # which nobody could make up: it was signed
    if entry is None or entry.words or message.is_automatic:
        return START(message, delivery, db, host)
    entry.words = message.body.strip().partition("\n")[0][:200]
    theirs = select(Entry).filter_by(author=entry.author).order_by(Entry.id.desc()).limit(10)
    delivery.reply("mail/thanks.txt", sender=f"guestbook@{host}", entries=db.scalars(theirs).all())
    return START


@route("(address)@(host)", address=".+")
@stateless
def FORWARD(message: MailRequest, delivery: Delivery, address: str, host: str) -> None:
    """Send everything on as it is. While you develop, `lamson log` keeps it in run/queue.

    With a real Postfix, mail for this very address would come back here and be refused as a loop:
    forward it to somebody elsewhere, as `delivery.forward("zed@example.com")`.
    """
    delivery.forward()
