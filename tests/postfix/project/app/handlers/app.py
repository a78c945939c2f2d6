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


@route(r"everybody-(number)@app\.test", number="[0-9]+")
@stateless
def EVERYBODY(message: MailRequest, delivery: Delivery, number: str) -> None:
    everybody = [f"user{n}@world.test" for n in range(int(number))]
    delivery.forward(everybody, sender="everybody@app.test", headers={"List-Id": "<all.app.test>"})


@route(r"passed-(name)@app\.test", name="[a-z]+")
@stateless
def PASSED(message: MailRequest, delivery: Delivery, name: str) -> None:
    fields = {"List-Id": "<all.app.test>", "List-Post": "<mailto:all@app.test>"}
    delivery.forward(f"{name}@world.test", sender="all@app.test", headers=fields)
