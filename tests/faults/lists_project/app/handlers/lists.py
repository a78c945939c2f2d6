"""One list; a piece of a post is small here, so that a fault strikes between two."""

import os
from pathlib import Path

from sqlalchemy.orm import Session

from lamson import Delivery, MailRequest, failpoint, route, stateless
from lamson.delivery import fanout
from lamson.lists import TOKEN, MailingList
from tests.faults.time_project.app import mistakes

LIST = MailingList("list@count.test", posts_from="anyone", rewrite="never")

fanout.PIECE = int(os.environ["FAULTS_PIECE"])
mistakes.commit(os.environ.get("FAULTS_SABOTAGE", ""))
failpoint.install(os.environ["FAULTS_FAILPOINT"], tokens=Path(os.environ["FAULTS_FAILPOINT_DIR"]))


@route("list@count.test")
@stateless
def post(message: MailRequest, delivery: Delivery, db: Session) -> None:
    LIST.post(message, delivery, db)


@route("list[+](token)@count.test", token=TOKEN)
@stateless
def answer(message: MailRequest, delivery: Delivery, db: Session, token: str) -> None:
    LIST.answered(token, message, delivery, db)
