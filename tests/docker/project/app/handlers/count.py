"""Counts letters, which have their name in the subject: one row and one answer for each."""

import socket

from sqlalchemy.orm import Session

from app.model import Counted
from lamson import Delivery, MailRequest, route, stateless


@route(r"count-(box)@(host)", box="[a-z]+")
@stateless
def COUNT(message: MailRequest, delivery: Delivery, db: Session, box: str, host: str) -> None:
    letter, node = message.subject, socket.gethostname()
    db.add(
        Counted(
            letter=letter,
            recipient=message.recipient.address,
            queue_id=message.queue_id,
            node=node,
        )
    )
    delivery.reply(subject=f"Counted {letter} for {box}", body=f"By {node}.")
