"""One handler: a row for each recipient of each message, and one reply."""

import os
import secrets
import time
from pathlib import Path

from sqlalchemy.orm import Session

from app import sabotage
from app.model import Effect, Violation
from lamson import Delivery, MailRequest, failpoint, route, stateless

# A test makes a handler slow by putting files here: each is used up by one run of the handler.
SLOW = Path(os.environ.get("FAULTS_SLOW", "/nonexistent"))
SECONDS = float(os.environ.get("FAULTS_SLOW_SECONDS", "0"))
# What it does for recipients at a place that this file names cannot be committed.
VIOLATING = os.environ.get("FAULTS_VIOLATING", "")
COPY = os.environ.get("FAULTS_COPY", "")  # a second recipient of every reply

sabotage.commit(os.environ.get("FAULTS_SABOTAGE", ""))
if FAILPOINT := os.environ.get("FAULTS_FAILPOINT"):
    failpoint.install(
        FAILPOINT,
        passes=int(os.environ["FAULTS_FAILPOINT_PASSES"]),
        tokens=Path(os.environ["FAULTS_FAILPOINT_DIR"]),
    )


@route(r"[abcd]-(number)@count\.test", number="[0-9]+")
@stateless
def COUNT(message: MailRequest, delivery: Delivery, db: Session, number: str) -> None:
    here = message.recipient.address
    token = secrets.token_hex(8)
    db.add(Effect(message=message.subject, recipient=here, token=token))
    body = f"Counted number {number}.\n{token}"
    if VIOLATING and _violates(here[0]):
        db.add(Violation(effect=-1))
    if COPY:
        response = delivery.compose(
            to=[message.author, COPY],
            sender=here,
            subject=f"{message.subject} {here}",
            body=body,
        )
        delivery.send(response, sender="")
    else:
        delivery.reply(subject=f"{message.subject} {here}", body=body)
    if SECONDS and any(_take(token) for token in SLOW.glob("*")):
        time.sleep(SECONDS)


def _violates(place: str) -> bool:
    try:
        return place in Path(VIOLATING).read_text()
    except FileNotFoundError:
        return False


def _take(token: Path) -> bool:
    try:
        token.unlink()
    except FileNotFoundError:
        return False
    return True
