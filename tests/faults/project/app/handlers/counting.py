"""A chain of states: at each step a row for the recipient of the message, and one reply.

Every message moves its author on by a step for each recipient, START -> STEP_1 -> STEP_2 ..., so
that his state tells how many of his deliveries were handled.
"""

import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy.orm import Session

from app import sabotage
from app.model import Effect, Violation
from lamson import Delivery, MailRequest, Outcome, Thread, failpoint, outcome, route

STEPS = 48  # more than one author comes to
# A test makes a handler slow by putting files here: each is used up by one run of the handler.
SLOW = Path(os.environ.get("FAULTS_SLOW", "/nonexistent"))
SECONDS = float(os.environ.get("FAULTS_SLOW_SECONDS", "0"))
# What it does for recipients at a place that this file names cannot be committed.
VIOLATING = os.environ.get("FAULTS_VIOLATING", "")
TRACKED = bool(os.environ.get("FAULTS_TRACK"))  # whether replies are
COPY = os.environ.get("FAULTS_COPY", "")  # a second recipient of every reply
THREADS = os.environ.get("FAULTS_THREADS", "")  # the handlers ask for the thread of each message

sabotage.commit(os.environ.get("FAULTS_SABOTAGE", ""))
if FAILPOINT := os.environ.get("FAULTS_FAILPOINT"):
    failpoint.install(
        FAILPOINT,
        passes=int(os.environ["FAULTS_FAILPOINT_PASSES"]),
        tokens=Path(os.environ["FAULTS_FAILPOINT_DIR"]),
    )


def _name(step: int) -> str:
    return f"STEP_{step}" if step else "START"


def _state(step: int) -> Callable[..., str]:
    def state(message: MailRequest, delivery: Delivery, db: Session, number: str) -> str:
        _count(step, message, delivery, db, number)
        return _name(min(step + 1, STEPS))

    def in_thread(
        message: MailRequest, delivery: Delivery, db: Session, thread: Thread, number: str
    ) -> str:
        return state(message, delivery, db, number)

    function = in_thread if THREADS else state
    function.__name__ = function.__qualname__ = _name(step)
    return route(r"[abcd]-(number)@count\.test", number="[0-9]+")(function)


globals().update({_name(step): _state(step) for step in range(STEPS + 1)})


def _count(step: int, message: MailRequest, delivery: Delivery, db: Session, number: str) -> None:
    here = message.recipient.address
    token = secrets.token_hex(8)
    db.add(
        Effect(
            message=message.subject,
            recipient=here,
            token=token,
            author=message.author,
            step=step,
        )
    )
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
        delivery.reply(subject=f"{message.subject} {here}", body=body, track=TRACKED)
    if SECONDS and any(_take(one) for one in SLOW.glob("*")):
        time.sleep(SECONDS)


@outcome
def told(outcome: Outcome, db: Session) -> str:
    """A step too: the state tells how many replies were told of."""
    step = int(outcome.state.removeprefix("STEP_"))
    message, recipient = outcome.mail.subject.split()
    author = outcome.recipient
    db.add(Effect(message=message, recipient=recipient, token="", author=author, step=step))
    return _name(min(step + 1, STEPS))


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
