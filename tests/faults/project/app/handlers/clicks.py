"""Signed addresses that count once: a row for each time that the handler runs."""

from sqlalchemy.orm import Session

from app.model import Click
from lamson import MailRequest, Signed, route, stateless


@route("click-(token)-(number)@count[.]test", token=Signed("click", once=True), number="[0-9]")
@stateless
def CLICK(message: MailRequest, db: Session, token: str, number: str) -> None:
    db.add(Click(payload=token))
