"""A program beside the service, as a web application is: it commits an order together with a mail.

Each order has an id, and is tried again by who ordered it until it is known to be there. The
program dies where it is told to: `python -m app.web FIRST COUNT [PLACE]`.
"""

import os
import secrets
import signal
import sys
import time
from pathlib import Path

from sqlalchemy import create_engine, select, text
from sqlalchemy.orm import Session

from app import sabotage
from app.model import Effect
from lamson import Mailer
from lamson.settings import loading

BEFORE_COMMIT, AFTER_COMMIT = "before-commit", "after-commit"
STATE = text(
    "INSERT INTO lamson_state (module, author, state) VALUES ('app.web', :author, 'STEP_1')"
)


def order(mailer: Mailer, session: Session, number: int, place: str) -> None:
    """Commit an order; every third one is confirmed a moment later."""
    name, here = f"order-{number:06d}", f"shop-{number}@count.test"
    author = f"w{number}@world.test"
    known = session.scalars(select(Effect.token).where(Effect.message == name)).first()
    token = known or secrets.token_hex(8)
    mail = mailer.compose(
        to=author, sender=here, subject=f"{name} {here}", body=f"Ordered.\n{token}"
    )
    mailer.send(mail, session, key=name, at=time.time() + 1.0 if number % 3 == 0 else None)
    if known is None:  # else it was tried before
        session.add(Effect(message=name, recipient=here, token=token, author=author, step=0))
        session.execute(STATE, {"author": author})
    if place == BEFORE_COMMIT:
        os.kill(os.getpid(), signal.SIGKILL)
    session.commit()
    if place == AFTER_COMMIT:
        os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    first, count, place = int(sys.argv[1]), int(sys.argv[2]), "".join(sys.argv[3:])
    sabotage.commit(os.environ.get("FAULTS_SABOTAGE", ""))
    settings = loading.load(Path.cwd())
    assert settings.database is not None
    waits = {"timeout": 30} if settings.database.startswith("sqlite") else {}
    mailer, engine = Mailer(settings), create_engine(settings.database, connect_args=waits)
    numbers = range(first, first + count)
    for number in numbers:
        with Session(engine) as session:
            order(mailer, session, number, place if number == numbers[-1] else "")


if __name__ == "__main__":
    main()
