"""Who answers a notification has commented."""

from lamson import Delivery, MailRequest, Signed, route, stateless
from sqlalchemy.orm import Session

from app.model import Person, Topic
from app.talk import notifications, say


@route(r"reply\+(place)@(host)", place=Signed("reply", days=90))
@stateless
def REPLY(message: MailRequest, delivery: Delivery, db: Session, place: str, host: str) -> None:
    """He is who was sent that address, whatever stands in From."""
    text = message.new_text.strip()
    if message.is_automatic:
        return
    if not text:
        delivery.reply("mail/empty.txt")
        return
    topic, person = place.split(".")
    comment = say(db, db.get_one(Topic, int(topic)), db.get_one(Person, int(person)), text)
    for mail in notifications(comment, delivery):
        delivery.send(mail)
