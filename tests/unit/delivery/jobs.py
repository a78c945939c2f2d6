"""What runs in these batches, and what is looked at afterwards."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import select, text

from lamson.delivery.job import Job
from lamson.storage.database import Database
from lamson.storage.tables import state
from tests.unit.support import make_message

Run = Callable[..., list[Job]]


LONG = "4QzXwN0Jk1z5tVb"


SENDING = """
@route("(user)@(host)")
@stateless
def SEND(message, delivery: Delivery, user, host):
    delivery.forward("joe@example.com")
"""


def codes(jobs: list[Job]) -> list[int]:
    return [job.reply.code if job.reply else 0 for job in jobs]


def rows(database: Database, table: Any) -> list[Any]:
    with database.read() as connection:
        return list(connection.execute(select(table)))


def words(database: Database) -> list[str]:
    with database.read() as connection:
        return list(connection.execute(text("SELECT word FROM note ORDER BY word")).scalars())


NOTE = """
    @route("(user)@(host)")
    @stateless
    def note(message, session: Session, delivery: Delivery, user, host):
        session.execute(text("INSERT INTO note VALUES (:word)"), {"word": message.subject})
        delivery.send(MailResponse(to="a@b.example", sender="c@test.com", subject="x", body="x"))
        if message.body.startswith("refuse"):
            raise SMTPError(550, "5.7.1", "no")
        if message.body.startswith("break"):
            raise RuntimeError("broken")
        if message.body.startswith("exit"):
            raise SystemExit(3)
"""


def note(word: str, body: str = "") -> Any:
    return make_message(f"From: z@e.example\r\nSubject: {word}\r\n\r\n{body}\r\n".encode())


def states(database: Database) -> dict[str, str]:
    return {row.author: row.state for row in rows(database, state)}


LIST = """
    @route("(user)@(host)")
    def START(message, user, host):
        return CONFIRMING

    @route("(user)@(host)")
    def CONFIRMING(message, user, host):
        if message.subject == "stay":
            return None
        if message.subject == "nonsense":
            return "NOWHERE"
        if message.subject == "break":
            raise RuntimeError("broken")
        return "DONE"

    @route("never@(host)")
    def DONE(message, host):
        return None
"""
