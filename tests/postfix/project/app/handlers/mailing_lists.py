"""Two lists, each on the other."""

from sqlalchemy.orm import Session

from lamson import Delivery, Mailer, MailRequest, Outcome, outcome, route, stateless
from lamson.lists import COMMANDS, TOKEN, MailingList, list_of


def make(address: str) -> MailingList:
    return MailingList(address, rewrite="never", posts_from="anyone")


@route("(name)@app.test", name="users|friends")
@stateless
def post(message: MailRequest, delivery: Delivery, db: Session, name: str) -> None:
    make(f"{name}@app.test").post(message, delivery, db)


@route("(name)-(what)@app.test", name="users|friends", what=COMMANDS)
@stateless
def command(message: MailRequest, delivery: Delivery, db: Session, name: str, what: str) -> None:
    make(f"{name}@app.test").command(what, message, delivery, db)


@route("(name)[+](token)@app.test", name="users|friends", token=TOKEN)
@stateless
def answer(message: MailRequest, delivery: Delivery, db: Session, name: str, token: str) -> None:
    make(f"{name}@app.test").answered(token, message, delivery, db)


@outcome
def became(outcome: Outcome, mailer: Mailer, db: Session) -> None:
    if address := list_of(outcome, db):
        make(address).bounced(outcome, mailer, db)
