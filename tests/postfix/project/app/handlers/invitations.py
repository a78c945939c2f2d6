"""Handlers that want to know what became of their mail: it invites whom a message names."""

from app.model import Told
from sqlalchemy.orm import Session

from lamson import Delivery, MailRequest, MailResponse, Outcome, State, outcome, route, route_like


@route(r"invite@app\.test")
def START(message: MailRequest, delivery: Delivery) -> State:
    for one in message.body.split():
        invitation = MailResponse(
            to=one, sender="team@app.test", subject=f"Come, {message.subject}", body="Please."
        )
        delivery.send(invitation, track=True)
    return INVITED


@route_like(START)
def INVITED(message: MailRequest, delivery: Delivery) -> State:
    return START(message, delivery)


@route_like(START)
def GONE(message: MailRequest) -> None:
    """Nobody is invited any more by who invited somebody that is not there."""


@outcome
def TOLD(outcome: Outcome, db: Session) -> State:
    db.add(
        Told(
            kind=outcome.kind,
            recipient=outcome.recipient,
            status=outcome.status,
            diagnostic=outcome.diagnostic,
            state=outcome.state,
            subject=outcome.mail.subject,
        )
    )
    return GONE if outcome.is_hard else None
