"""Timers, a schedule of a slot each second, and work after a commit; each notes what it did."""

import os
from datetime import datetime
from pathlib import Path

from sqlalchemy.orm import Session

from app import mistakes
from app.model import Happened
from lamson import Attempt, Expired, MailRequest, background, every, failpoint, route, timeout
from lamson.delivery.posting import Posting

OUTSIDE = os.environ.get("FAULTS_OUTSIDE", "/dev/null")  # what the world was told

mistakes.commit(os.environ.get("FAULTS_SABOTAGE", ""))
if FAILPOINT := os.environ.get("FAULTS_FAILPOINT"):
    failpoint.install(
        FAILPOINT,
        passes=int(os.environ["FAULTS_FAILPOINT_PASSES"]),
        tokens=Path(os.environ["FAULTS_FAILPOINT_DIR"]),
    )


@route("list@count.test")
def START(message: MailRequest) -> str:
    return "WAITING"


@route("list@count.test")
def WAITING(message: MailRequest) -> None:
    pass


@route("list@count.test")
def DONE(message: MailRequest) -> None:
    pass


@timeout(WAITING, seconds=1)
def expire(expired: Expired, mailer: Posting, db: Session) -> str:
    db.add(Happened(kind="timer", name=expired.author))
    response = mailer.compose(
        to=expired.author, sender="list@count.test", subject=expired.author, body="Too late."
    )
    mailer.send(response, sender="")
    return "DONE"


@every("1 second")
def tick(slot: datetime, db: Session) -> None:
    db.add(Happened(kind="every", name=slot.isoformat()))


@background
def tell(name: str, attempt: Attempt) -> None:
    file = os.open(OUTSIDE, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(file, f"{name}\n".encode())
    finally:
        os.close(file)
