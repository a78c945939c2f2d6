"""A helpdesk: what a customer says goes to the agent, and the other way round."""

from app.model import Effect
from sqlalchemy.orm import Session

from lamson import (
    Delivery,
    MailRequest,
    Signed,
    State,
    Thread,
    per_thread,
    route,
    route_like,
    state_key_generator,
)

AGENT = "ann@agents.test"

state_key = state_key_generator(per_thread)


@route(r"support@app\.test")
@route(r"support\+(thread)@app\.test", thread=Signed("thread"))
def START(message: MailRequest, delivery: Delivery, db: Session, thread: Thread) -> State:
    db.add(Effect(queue_id=message.queue_id, recipient=thread.id))
    if message.is_automatic:
        return None
    others = [one for one in thread.participants if one != AGENT]
    mail = delivery.compose(
        to=others if thread.writer == AGENT else AGENT,
        sender=thread.address("support@app.test"),
        subject=message.subject,
        body=f"{message.new_text.strip()}\n\n{thread.history()}",
    )
    delivery.send(mail, sender="")
    return ASKED


@route_like(START)
def ASKED(message: MailRequest, delivery: Delivery, db: Session, thread: Thread) -> State:
    START(message, delivery, db, thread)
    return ANSWERED if thread.writer == AGENT else None


@route_like(START)
def ANSWERED(message: MailRequest, delivery: Delivery, db: Session, thread: Thread) -> State:
    START(message, delivery, db, thread)
    return None
