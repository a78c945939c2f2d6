"""Handlers that are stateless: one refuses, one can be broken, one forwards what it is sent."""

from pathlib import Path

from app.model import Effect
from sqlalchemy.orm import Session

from lamson import Delivery, MailRequest, SMTPError, route, stateless

RUN = Path(__file__).parents[2] / "run"


@route(r"members@app\.test")
@stateless
def MEMBERS(message: MailRequest) -> None:
    raise SMTPError(550, "5.7.1", "members only")


@route(r"counted-(name)@app\.test", name="[a-z]+")
@stateless
def COUNTED(message: MailRequest, delivery: Delivery, db: Session, name: str) -> None:
    """Leaves a row and sends an answer, unless somebody broke it for this name."""
    db.add(Effect(queue_id=message.queue_id, recipient=message.recipient.address))
    delivery.reply(subject=f"Counted {name}", body="One more.")
    if (RUN / f"broken-{name}").exists():
        raise RuntimeError(f"no luck with {name}")


@route(r"über-(name)@app\.test", name="[^@]+")
@stateless
def FORWARDED(message: MailRequest, delivery: Delivery, name: str) -> None:
    delivery.forward(f"{name}@world.test")
